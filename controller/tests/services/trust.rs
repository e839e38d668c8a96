//! A new root for the fleet, while its streams stay open.

use std::time::{Instant, SystemTime};

use proto::v1::{self, update::Change};

use super::harness::{Controller, PATIENCE, host, next};
use super::plans::snapshot;

async fn roots(stream: &mut tonic::Streaming<v1::Update>) -> Vec<bytes::Bytes> {
    let update = next(stream).await.expect("open").expect("an update");
    let Some(Change::Bundle(bundle)) = update.change else { panic!("expected roots: {update:?}") };
    bundle.bundle_der
}

#[tokio::test]
async fn roots_roll_over_without_a_dropped_stream() {
    let controller = Controller::with_lyon().await;
    let trust = &controller.running.app.trust;
    let old = trust.authority().issuing_root();
    let agent = controller.agent("lyon", "lyon-1").await;
    let (mut stream, _) = snapshot(&agent).await;
    let bundle = agent.take_roots(&roots(&mut stream).await);
    assert_eq!(bundle.fingerprints().collect::<Vec<_>>(), [old], "at the start of the stream");

    let new = trust.change(|authority| authority.roll(SystemTime::now())).expect("rolled");
    let bundle = agent.take_roots(&roots(&mut stream).await);
    assert_eq!(bundle.fingerprints().collect::<Vec<_>>(), [old, new], "as soon as there is another");

    trust.change(|authority| authority.issue_from(&new)).expect("known");
    let renewed = agent.renew().await;
    trust.change(|authority| authority.retire(&old)).expect("idle");
    let bundle = agent.take_roots(&roots(&mut stream).await);
    assert_eq!(bundle.fingerprints().collect::<Vec<_>>(), [new]);

    // The listeners show and accept certificates of the new root alone; the agent calls with such a one.
    let began = Instant::now();
    while !agent.accepts_controller().await {
        assert!(began.elapsed() < PATIENCE, "the controller still shows a certificate of the old root");
        tokio::task::yield_now().await;
    }
    assert_eq!(agent.renew().await.leaf().identity, renewed.leaf().identity);

    // The stream from before goes on.
    controller.apply(&[host("web-2", 2, "run")]).await;
    let update = next(&mut stream).await.expect("open").expect("an update");
    assert!(matches!(update.change, Some(Change::Delta(_))), "{update:?}");
}
