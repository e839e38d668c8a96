//! Many machines, one question.

use tokio::sync::Notify;

use super::{upstream::held_up, *};

#[tokio::test]
async fn fifty_machines_cost_one_question_and_each_is_served_while_it_arrives() {
    let upstream = Upstream::start().await;
    let (body, gate) = (content(700_000), Arc::new(Notify::new()));
    upstream.say("pool/a", [held_up(TAGGED, &body, 300_000, &gate)]);
    let site = Arc::new(Site::new(&mirror(&[&upstream])));
    let mut askers = Vec::new();
    for _ in 0..50 {
        let site = Arc::clone(&site);
        askers.push(tokio::spawn(async move {
            let mut response = site.get("pool/a").await;
            // The first bytes are there while the upstream holds the rest back.
            let first = more(response.body_mut()).await.expect("no fault").expect("more");
            (from(response.headers()), first, response)
        }));
    }
    let mut begun = Vec::new();
    for asker in askers {
        begun.push(asker.await.expect("no panic"));
    }
    gate.notify_one();
    let mut first = 0;
    for (how, mut got, response) in begun {
        first += usize::from(how == "fetched");
        got.extend(bytes(response).await.expect("whole"));
        assert!(got == body, "other bytes");
    }
    assert_eq!((first, upstream.asked().len()), (1, 1));
    let status = site.status();
    assert_eq!((status.wan_bytes, status.joined, status.machine_bytes), (700_000, 49, 50 * 700_000));
}

#[tokio::test]
async fn a_range_of_what_is_not_held_starts_the_whole_and_waits_for_its_bytes() {
    let upstream = Upstream::start().await;
    let (body, gate) = (content(700_000), Arc::new(Notify::new()));
    upstream.say("pool/a", [held_up(TAGGED, &body, 100_000, &gate)]);
    let site = Site::new(&mirror(&[&upstream]));
    let range = [("range", "bytes=600000-600009")];
    let part = site.ask(Method::GET, Version::HTTP_11, "pool/a", &range).await;
    assert_eq!((part.status().as_u16(), from(part.headers())), (206, "fetched".into()));
    let whole = site.get("pool/a").await;
    assert_eq!(from(whole.headers()), "joined");
    gate.notify_one();
    assert_eq!(bytes(part).await.expect("whole"), &body[600_000..600_010]);
    assert!(bytes(whole).await.expect("whole") == body);
    assert_eq!(upstream.asked().len(), 1);
}

#[tokio::test]
async fn a_fetch_goes_on_when_the_machine_goes_away() {
    let upstream = Upstream::start().await;
    let (body, gate) = (content(200_000), Arc::new(Notify::new()));
    upstream.say("pool/a", [held_up(TAGGED, &body, 1_000, &gate)]);
    let site = Site::new(&mirror(&[&upstream]));
    drop(site.get("pool/a").await);
    gate.notify_one();
    let (status, how, got) = site.whole("pool/a").await;
    assert!(status == 200 && got == body && (how == "joined" || how == "held"), "{how}");
    assert_eq!(upstream.asked().len(), 1);
}
