//! The capture of a boot: asked for by an operator, given by the agent that has it.

use proto::event::{Answer, EventKind};
use proto::{AttemptId, v1};
use tonic::Code;
use tonic::transport::Channel;

use super::harness::{Agent, Controller, next, operator};
use super::reports::{ATTEMPT, Stream, decided, event};

type Admin = v1::admin_client::AdminClient<Channel>;
type Follow = tonic::Streaming<v1::Update>;

async fn admin(controller: &Controller) -> Admin {
    let file = controller.folder.path().join("state").join(controller::ADMIN_CREDENTIAL);
    operator(&file, controller.running.fleet).await
}

/// A site's agent that has told of one boot.
async fn with_a_boot(controller: &Controller, kinds: Vec<EventKind>) -> (Agent, Stream) {
    let agent = controller.agent("lyon", "lyon-1").await;
    let mut stream = Stream::open(&agent).await;
    stream.batch((1..).zip(kinds).map(|(number, kind)| event(number, kind)).collect()).await.expect("stored");
    (agent, stream)
}

/// Waits for a question and answers it.
async fn answer(mut follow: Follow, stream: &Stream, pieces: &[&'static [u8]], refused: &str) {
    let asked = loop {
        let update = next(&mut follow).await.expect("open").expect("an update");
        if let Some(v1::update::Change::Capture(asked)) = update.change {
            break asked;
        }
    };
    assert_eq!(asked.attempt, ATTEMPT.to_wire());
    for (place, pcap) in pieces.iter().enumerate() {
        let (id, last) = (asked.id.clone(), place + 1 == pieces.len());
        let chunk = v1::CaptureChunk { id, pcap: (*pcap).into(), last, refused: refused.into() };
        stream.send(v1::report_request::Report::Capture(chunk)).await;
    }
}

async fn fetch(client: &mut Admin, attempt: AttemptId) -> Result<Vec<u8>, tonic::Status> {
    let request = v1::GetCaptureRequest { attempt: attempt.to_wire() };
    let mut pieces = client.get_capture(request).await?.into_inner();
    let mut pcap = Vec::new();
    while let Some(piece) = next(&mut pieces).await? {
        pcap.extend_from_slice(&piece.pcap);
    }
    Ok(pcap)
}

#[tokio::test]
async fn a_capture_comes_from_its_agent_in_pieces_and_is_audited() {
    let controller = Controller::with_lyon().await;
    let (agent, stream) = with_a_boot(&controller, vec![decided()]).await;
    let (follow, mut client) = (agent.follow(None).await, admin(&controller).await);
    let given = answer(follow, &stream, &[b"first ", b"second ", b"last"], "");
    let (fetched, ()) = tokio::join!(fetch(&mut client, ATTEMPT), given);
    assert_eq!(fetched.expect("given"), b"first second last");
    let log = controller.running.app.catalog.audit_log(None, 1).await.expect("readable");
    let (actor, change) = (&log[0].actor, &log[0].change);
    assert_eq!((actor.as_str(), change.action.as_str()), ("operator/admin", "fetch-capture"));
    assert_eq!((change.name.as_str(), change.detail.as_str()), ("lyon", &*format!("boot {ATTEMPT}")));
}

#[tokio::test]
async fn what_the_agent_says_is_passed_on_with_what_is_known_of_the_boot() {
    let local = EventKind::Decided {
        answer: Answer::LocalDisk,
        reason: "no order".into(),
        order: None,
        because: None,
    };
    let kept = EventKind::CaptureKept { packets: 4, bytes: 1_000, why: "it fell silent".into() };
    for (kinds, known) in [
        (vec![decided()], "agent lyon-1: none here"),
        (vec![local], "agent lyon-1: none here; this boot has not failed"),
        (vec![decided(), kept], "agent lyon-1: none here; it kept one, which has given way to newer ones"),
    ] {
        let controller = Controller::with_lyon().await;
        let (agent, stream) = with_a_boot(&controller, kinds).await;
        let (follow, mut client) = (agent.follow(None).await, admin(&controller).await);
        let given = answer(follow, &stream, &[b""], "none here");
        let (refused, ()) = tokio::join!(fetch(&mut client, ATTEMPT), given);
        let status = refused.expect_err("refused");
        assert_eq!((status.code(), status.message()), (Code::NotFound, known));
    }
}

#[tokio::test]
async fn nobody_is_asked_who_is_not_there() {
    let controller = Controller::with_lyon().await;
    let (agent, stream) = with_a_boot(&controller, vec![decided()]).await;
    let (follow, mut client) = (agent.follow(None).await, admin(&controller).await);
    let status = fetch(&mut client, AttemptId([9; 16])).await.expect_err("unknown");
    assert_eq!(status.code(), Code::NotFound);
    drop((follow, stream));
    controller.wait_status("lyon-1", |status| !status.connected).await;
    let status = fetch(&mut client, ATTEMPT).await.expect_err("away");
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("agent lyon-1 has the capture and is not connected"), "{status}");
}
