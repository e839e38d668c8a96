//! Plans on their way: a snapshot, then changes, and what a restart makes of them.

use std::time::Instant;

use proto::plan::{PlanDocument, SitePlan};
use proto::v1::{self, update::Change};
use serde_json::json;

use super::harness::{Agent, Controller, admin, host, next, next_plan, now};

pub(super) async fn snapshot(agent: &Agent) -> (tonic::Streaming<v1::Update>, PlanDocument) {
    let mut stream = agent.follow(None).await;
    let update = next(&mut stream).await.expect("open").expect("an update");
    let Some(Change::Snapshot(plan)) = update.change else { panic!("expected a snapshot: {update:?}") };
    assert_eq!(update.number, 1);
    (stream, PlanDocument::try_from(plan).expect("a legal plan"))
}

async fn delta(stream: &mut tonic::Streaming<v1::Update>) -> v1::PlanDelta {
    let update = next_plan(stream).await.expect("open").expect("an update");
    let Some(Change::Delta(delta)) = update.change else { panic!("expected a change: {update:?}") };
    delta
}

fn names(plan: &PlanDocument) -> Vec<String> {
    let plan = SitePlan::decode(plan).expect("agents understand it");
    let mut names: Vec<_> = plan.hosts.values().map(|host| host.name.clone()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_snapshot_and_then_what_changes() {
    let controller = Controller::with_lyon().await;
    let agent = controller.agent("lyon", "lyon-1").await;
    let (mut stream, plan) = snapshot(&agent).await;
    assert_eq!(names(&plan), ["web-1"]);
    controller.apply(&[host("web-2", 2, "run")]).await;
    let plan = plan.apply(delta(&mut stream).await).expect("it fits");
    assert_eq!(names(&plan), ["web-1", "web-2"]);

    // What does not touch this site's plan is not sent: the next update is the change after it.
    controller
        .apply(&[json!({"kind": "Site", "name": "nice", "spec": {"subnets": [{"network": "10.3.0.0/24"}]}})])
        .await;
    let revision = controller
        .apply(&[json!({"kind": "Host", "name": "web-2", "labels": {"a": "b"},
        "spec": {"site": "lyon", "macs": ["52:54:00:00:00:02"], "profile": "run"}})])
        .await;
    assert!(revision > plan.id().generation.revision, "a label is a change of the catalog, not of the plan");
    controller
        .apply(&[json!({"kind": "Profile", "name": "run",
        "spec": {"image": "live", "mode": "run", "boot": {"more_arguments": "quiet"}}})])
        .await;
    let change = delta(&mut stream).await;
    assert_eq!(change.put.len(), 2, "both hosts boot that profile");
    plan.apply(change).expect("it fits");
}

#[tokio::test]
async fn a_mirror_comes_and_goes_with_the_labels_of_its_sites() {
    let controller = Controller::with_lyon().await;
    let agent = controller.agent("lyon", "lyon-1").await;
    let (mut stream, plan) = snapshot(&agent).await;
    let mirror = |labels| {
        json!({"kind": "Mirror", "name": "debian",
        "spec": {"family": "debian", "upstreams": ["https://deb.example/debian"], "sites": labels}})
    };
    controller.apply(&[mirror(json!({}))]).await;
    let plan = plan.apply(delta(&mut stream).await).expect("it fits");
    let mirrors =
        |plan: &PlanDocument| SitePlan::decode(plan).expect("understood").mirrors.into_keys().collect();
    let held: Vec<String> = mirrors(&plan);
    assert_eq!(held, ["debian"]);
    controller.apply(&[mirror(json!({"country": "fr"}))]).await;
    let plan = plan.apply(delta(&mut stream).await).expect("it fits");
    let held: Vec<String> = mirrors(&plan);
    assert_eq!(held, Vec::<String>::new(), "the site has no such label");
}

#[tokio::test]
async fn an_agent_that_is_up_to_date_is_told_so_and_one_behind_gets_what_it_lacks() {
    let controller = Controller::with_lyon().await;
    let agent = controller.agent("lyon", "lyon-1").await;
    let (mut stream, first) = snapshot(&agent).await;
    let current =
        next(&mut agent.follow(Some(first.id().into())).await).await.expect("open").expect("an update");
    assert_eq!(current.change, Some(Change::Current(first.id().into())));
    controller.apply(&[host("web-2", 2, "run")]).await;
    let second = first.apply(delta(&mut stream).await).expect("it fits");
    let mut behind = agent.follow(Some(first.id().into())).await;
    assert_eq!(first.apply(delta(&mut behind).await), Ok(second.clone()));
    let mut stranger = second.id();
    stranger.digest = proto::Digest::of(b"something else");
    let update =
        next(&mut agent.follow(Some(stranger.into())).await).await.expect("open").expect("an update");
    assert!(matches!(update.change, Some(Change::Snapshot(_))), "{update:?}");
}

#[tokio::test]
async fn a_restarted_controller_goes_on_where_agents_are() {
    let controller = Controller::with_lyon().await;
    let agent = controller.agent("lyon", "lyon-1").await;
    let (stream, plan) = snapshot(&agent).await;
    drop(stream);
    // The store moves on without the plan.
    controller.token("nice", 1, std::time::Duration::from_secs(60)).await;
    let controller = controller.restart().await;
    let agent = agent.at(&controller);
    let mut stream = agent.follow(Some(plan.id().into())).await;
    let update = next(&mut stream).await.expect("open").expect("an update");
    assert_eq!(update.change, Some(Change::Current(plan.id().into())), "the content is the same");
    controller.apply(&[host("web-2", 2, "run")]).await;
    let plan = plan.apply(delta(&mut stream).await).expect("it fits what the agent holds");
    assert_eq!(names(&plan), ["web-1", "web-2"]);
}

#[tokio::test]
async fn an_agent_sees_its_own_site_alone() {
    let controller = Controller::with_lyon().await;
    let agent = controller.agent("nice", "nice-1").await;
    let (_, plan) = snapshot(&agent).await;
    assert_eq!((plan.site(), names(&plan).len()), ("nice", 0));
}

#[tokio::test]
async fn an_order_brings_its_boot_and_leaves_with_its_end() {
    let controller = Controller::with_lyon().await;
    let agent = controller.agent("lyon", "lyon-1").await;
    let (mut stream, plan) = snapshot(&agent).await;
    let order = controller.order("web-1", "install").await;
    let plan = plan.apply(delta(&mut stream).await).expect("it fits");
    let site = SitePlan::decode(&plan).expect("agents understand it");
    let planned = site.orders.values().next().expect("the order");
    assert_eq!((planned.agent.as_str(), planned.boot.profile.as_str()), ("lyon-1", "install"));
    let app = &controller.running.app;
    app.catalog.revoke_order(&admin(), &order.name, now()).await.expect("revoked");
    let plan = plan.apply(delta(&mut stream).await).expect("it fits");
    assert!(SitePlan::decode(&plan).expect("agents understand it").orders.is_empty());
}

#[tokio::test]
async fn what_a_plan_lacks_stands_in_the_status_of_its_site() {
    let controller = Controller::with_lyon().await;
    controller
        .apply(&[json!({"kind": "Profile", "name": "run",
        "spec": {"image": "live", "mode": "run", "boot": {"arguments": "{{ nothing }}"}}})])
        .await;
    let app = &controller.running.app;
    let mut plans = app.planner.subscribe("lyon");
    let broken = plans.wait_for(|plan| plan.as_ref().is_some_and(|plan| !plan.problems.is_empty()));
    let plan = tokio::time::timeout(super::harness::PATIENCE, broken)
        .await
        .expect("in time")
        .expect("planned")
        .clone();
    let problem = &plan.as_ref().expect("planned").problems[0];
    assert_eq!((problem.name.as_str(), problem.field.as_str()), ("web-1", "profile run: boot.arguments"));
    let began = Instant::now();
    loop {
        let status = app.catalog.status(proto::catalog::Kind::Site, "lyon").await.expect("readable");
        if status.is_some_and(|status| status["problems"][0]["name"] == "web-1") {
            return;
        }
        assert!(began.elapsed() < super::harness::PATIENCE, "it was never written");
        tokio::task::yield_now().await;
    }
}

/// A change must reach 100 followers within 100 ms at the 99th percentile; this looks at 100 of one site.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_reaches_a_hundred_followers() {
    let controller = Controller::with_lyon().await;
    let agent = controller.agent("lyon", "lyon-1").await;
    let client = agent.client().await;
    let mut streams = Vec::new();
    for _ in 0..50 {
        let request = v1::FollowRequest { applied: None, level: 1, version: String::new() };
        let mut stream = client.clone().follow(request).await.expect("a stream").into_inner();
        next(&mut stream).await.expect("open");
        streams.push(stream);
    }
    let client = agent.client().await;
    for _ in 0..50 {
        let request = v1::FollowRequest { applied: None, level: 1, version: String::new() };
        let mut stream = client.clone().follow(request).await.expect("a stream").into_inner();
        next(&mut stream).await.expect("open");
        streams.push(stream);
    }
    let mut times = Vec::new();
    for number in 2..12 {
        controller.apply(&[host(&format!("web-{number}"), number, "run")]).await;
        let began = Instant::now();
        futures::future::join_all(streams.iter_mut().map(delta)).await;
        times.push(began.elapsed());
    }
    // The best of ten and loose, as the machine that tests run on is shared; `cargo lab bench fleet` measures. A pause
    // between a change and its plan would be in all of them.
    let quickest = times.iter().min().expect("ten changes");
    assert!(*quickest < std::time::Duration::from_secs(1), "{times:?}");
}
