//! What agents hold, what operators see of it, and orders that wait for it.

use std::collections::BTreeMap;
use std::time::Duration;

use controller::catalog::orders::NewOrder;
use netboot::decide::ORDERS_WAIT;
use proto::holding::{Awaited, BlobState, Holding};
use proto::plan::{PlanDocument, SitePlan};
use proto::v1::report_request::Report;
use proto::v1::{self, update::Change};
use proto::{Digest, PlanId, Wall};
use serde_json::{Value, json};

use super::harness::{Agent, Controller, PATIENCE, admin, next_plan, operator};
use super::reports::Stream;

/// An agent that takes plans and says what it lacks of them.
struct Site {
    agent: Agent,
    updates: tonic::Streaming<v1::Update>,
    plan: Option<PlanDocument>,
    reports: Stream,
    told: Option<Holding>,
}

impl Site {
    async fn of(agent: Agent) -> Self {
        let updates = agent.follow(None).await;
        let reports = Stream::open(&agent).await;
        Self { agent, updates, plan: None, reports, told: None }
    }

    /// The next plan, as agents understand it.
    async fn adopt(&mut self) -> SitePlan {
        let update = next_plan(&mut self.updates).await.expect("open").expect("a plan");
        let document = match update.change.expect("a change") {
            Change::Snapshot(plan) => PlanDocument::try_from(plan).expect("whole"),
            Change::Delta(delta) => self.plan.take().expect("its base").apply(delta).expect("it fits"),
            other @ (Change::Bundle(_) | Change::Current(_) | Change::Release(_) | Change::Capture(_)) => {
                panic!("{other:?}")
            }
        };
        let plan = SitePlan::decode(&document).expect("legal");
        self.plan = Some(document);
        plan
    }

    fn id(&self) -> PlanId {
        self.plan.as_ref().expect("it has one").id()
    }

    /// Says that it lacks these of its plan.
    async fn lacks(&mut self, lacks: &[(Digest, u64, BlobState)], rate: u64) {
        let mut holding = Holding::of(self.id());
        holding.bytes_per_second = rate;
        for (digest, arrived, state) in lacks {
            let awaited = Awaited { size: 6, arrived: *arrived, state: *state, reason: String::new() };
            holding.lacks(*digest, awaited);
        }
        if let Some(report) = holding.report(self.told.as_ref()) {
            self.reports.send(Report::Holding(report)).await;
        }
        self.told = Some(holding);
    }
}

async fn admin_of(controller: &Controller) -> v1::admin_client::AdminClient<tonic::transport::Channel> {
    let file = controller.folder.path().join("state").join(controller::ADMIN_CREDENTIAL);
    operator(&file, controller.running.fleet).await
}

/// What operators see of an image at `lyon`, once it is in this state.
async fn image_in(controller: &Controller, image: &str, state: &str) -> v1::Readiness {
    let mut client = admin_of(controller).await;
    let looked = tokio::time::timeout(PATIENCE, async {
        loop {
            let request = v1::ImageStatusRequest { image: image.into(), ..v1::ImageStatusRequest::default() };
            let entries = client.image_status(request).await.expect("answered").into_inner().entries;
            if let Some(entry) = entries.into_iter().find(|entry| entry.state == state) {
                return entry;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    looked.await.unwrap_or_else(|_| panic!("{image} never became {state}"))
}

async fn waiting_order(controller: &Controller, host: &str) -> String {
    let app = &controller.running.app;
    let new = NewOrder {
        host: host.into(),
        profile: Some("install".into()),
        life: None,
        agent: None,
        wait: Some(Duration::from_secs(600)),
    };
    app.catalog.create_order(&admin(), &new, app.clock.wall()).await.expect("a legal order").name
}

fn kernel() -> Digest {
    Digest::of(b"kernel")
}

#[tokio::test]
async fn operators_see_what_a_site_holds_and_when_the_rest_comes() {
    let controller = Controller::with_lyon().await;
    let mut site = Site::of(controller.agent("lyon", "lyon-1").await).await;
    image_in(&controller, "live", "unknown").await;
    site.adopt().await;
    site.lacks(&[(kernel(), 0, BlobState::Queued)], 0).await;
    let waiting = image_in(&controller, "live", "waiting").await;
    assert_eq!((waiting.missing_blobs, waiting.bytes, waiting.done_ms), (1, 6, 0));
    site.lacks(&[(kernel(), 3, BlobState::Arriving)], 3).await;
    let arriving = image_in(&controller, "live", "arriving").await;
    assert_eq!((arriving.held_bytes, arriving.bytes_per_second), (3, 3));
    assert!(arriving.done_ms > 0 && arriving.as_of_ms == 0, "{arriving:?}");
    site.lacks(&[], 0).await;
    image_in(&controller, "live", "ready").await;
}

#[tokio::test]
async fn what_an_agent_held_is_known_after_a_restart_while_it_is_away() {
    let controller = Controller::with_lyon().await;
    let mut site = Site::of(controller.agent("lyon", "lyon-1").await).await;
    site.adopt().await;
    site.lacks(&[(kernel(), 2, BlobState::Arriving)], 3).await;
    image_in(&controller, "live", "arriving").await;
    drop(site);
    let controller = controller.restart().await;
    let silent = image_in(&controller, "live", "silent").await;
    assert_eq!((silent.held_bytes, silent.done_ms), (2, 0));
    assert!(silent.as_of_ms > 0);
}

/// What operators see of an order's status, once it is as wanted.
async fn order_status(controller: &Controller, order: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let mut client = admin_of(controller).await;
    let looked = tokio::time::timeout(PATIENCE, async {
        loop {
            let request = v1::GetRequest { kind: "Order".into(), name: order.into() };
            let document = client.get(request).await.expect("known").into_inner();
            let document: Value = serde_json::from_slice(&document.json).expect("JSON");
            if wanted(&document) {
                return document["status"].clone();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    looked.await.unwrap_or_else(|_| panic!("{order} never became so"))
}

#[tokio::test]
async fn an_order_is_held_up_while_its_agent_has_no_room() {
    let controller = Controller::with_lyon().await;
    controller.apply(&[super::harness::host("web-2", 2, "run")]).await;
    let mut site = Site::of(controller.agent("lyon", "lyon-1").await).await;
    site.adopt().await;
    let room = |disk_low| Report::Status(v1::AgentStatus { disk_low, ..v1::AgentStatus::default() });
    site.reports.send(room(true)).await;
    controller.wait_status("lyon-1", |status| status.disk_low).await;
    let waiting = waiting_order(&controller, "web-2").await;
    // The last change: the plan that has it has all.
    let now = controller.order("web-1", "install").await.name;
    while site.adopt().await.orders.is_empty() {}
    site.lacks(&[], 0).await;
    for order in [&now, &waiting] {
        order_status(&controller, order, |order| order["status"]["held_up"] == ORDERS_WAIT).await;
    }
    let ready = |order: &Value| order["status"]["readiness"]["state"] == "ready";
    order_status(&controller, &waiting, ready).await;
    let unarmed = order_status(&controller, &waiting, |order| !order["spec"]["waiting"].is_null()).await;
    assert!(unarmed["phase"].is_null(), "{unarmed}");
    site.reports.send(room(false)).await;
    order_status(&controller, &waiting, |order| order["spec"]["waiting"].is_null()).await;
    let status = order_status(&controller, &now, |_| true).await;
    assert!(status["held_up"].is_null(), "{status}");
}

#[tokio::test]
async fn an_order_waits_for_its_site_over_a_restart_and_is_then_armed() {
    let controller = Controller::with_lyon().await;
    controller.apply(&[super::harness::host("web-2", 2, "run")]).await;
    let mut site = Site::of(controller.agent("lyon", "lyon-1").await).await;
    site.adopt().await;
    let order = waiting_order(&controller, "web-2").await;
    let plan = site.adopt().await;
    assert!(plan.orders.is_empty() && plan.prefetch.contains_key(&format!("order/{order}")), "{plan:?}");
    site.lacks(&[(kernel(), 3, BlobState::Arriving)], 1).await;
    image_in(&controller, "live", "arriving").await;
    let mut client = admin_of(&controller).await;
    let request = v1::GetRequest { kind: "Order".into(), name: order.clone() };
    let shown = client.get(request).await.expect("there").into_inner();
    let shown: serde_json::Value = serde_json::from_slice(&shown.json).expect("JSON");
    assert_eq!(shown["status"]["readiness"]["state"], json!("arriving"), "{shown}");
    assert!(shown["spec"].get("waiting").is_some());

    let controller = controller.restart().await;
    let mut site = Site { told: None, ..Site::of(site.agent.at(&controller)).await };
    let plan = site.adopt().await;
    assert!(plan.orders.is_empty(), "it waits on");
    site.lacks(&[], 0).await;
    let plan = site.adopt().await;
    let armed: BTreeMap<_, _> = plan.orders.values().map(|order| (order.number, order)).collect();
    assert_eq!((armed.len(), plan.prefetch.len()), (1, 0));
    let stored = controller.running.app.catalog.get_order(&order).await.expect("readable").expect("there");
    assert!(stored.spec.waiting.is_none() && stored.spec.armed_ms.is_some());
}

#[tokio::test]
async fn a_wait_that_is_over_ends_at_once_and_who_follows_the_host_hears_of_it() {
    let controller = Controller::with_lyon().await;
    let mut site = Site::of(controller.agent("lyon", "lyon-1").await).await;
    site.adopt().await;
    let app = &controller.running.app;
    let wait = Duration::from_secs(3);
    let new = NewOrder {
        host: "web-1".into(),
        profile: Some("install".into()),
        life: None,
        agent: None,
        wait: Some(wait),
    };
    let order = app.catalog.create_order(&admin(), &new, app.clock.wall()).await.expect("a legal order");
    let until = order.spec.waiting.expect("it waits").until_ms;
    let request =
        v1::WatchBootsRequest { host: "web-1".into(), until_end: true, ..v1::WatchBootsRequest::default() };
    let mut boots = admin_of(&controller).await.watch_boots(request).await.expect("it follows").into_inner();
    let told =
        tokio::time::timeout(PATIENCE, boots.message()).await.expect("in time").expect_err("it is over");
    assert_eq!(
        told.message(),
        "order web-1-1 is over and nothing is installed: its site did not hold what it needs in time"
    );
    let stored = app.catalog.get_order("web-1-1").await.expect("readable").expect("there");
    let since = stored.status.as_ref().and_then(|status| status["since_ms"].as_u64()).expect("it has ended");
    // By the sweep for all orders it would have been up to half a minute later.
    assert!(Wall(since).since(until) < Duration::from_secs(10), "{since} for {until:?}");
}

#[tokio::test]
async fn an_agent_that_speaks_of_an_older_plan_arms_nothing() {
    let controller = Controller::with_lyon().await;
    let mut site = Site::of(controller.agent("lyon", "lyon-1").await).await;
    site.adopt().await;
    let order = waiting_order(&controller, "web-1").await;
    // It holds all of the plan that it has; the order is in the next.
    site.lacks(&[], 0).await;
    let mut client = admin_of(&controller).await;
    let request = v1::OrderReadinessRequest { order: order.clone() };
    let readiness = client.order_readiness(request).await.expect("answered").into_inner().readiness;
    assert_eq!(readiness.expect("planned").state, "waiting");
    let stored = controller.running.app.catalog.get_order(&order).await.expect("readable").expect("there");
    assert!(stored.spec.waiting.is_some());
}

#[tokio::test]
async fn who_writes_hears_what_plans_lack_since() {
    let controller = Controller::with_lyon().await;
    let kernel = Digest::of(b"a large kernel").to_string();
    controller
        .apply(&[
            json!({"kind": "Image", "name": "large", "spec": {"family": "linux", "kernel": "linux",
                "files": {"linux": {"sha256": kernel, "size": 20 << 20}}}}),
            json!({"kind": "Profile", "name": "run", "spec": {"image": "large", "mode": "run"}}),
        ])
        .await;
    let mut client = admin_of(&controller).await;
    let mut write = async |cache: &str| {
        let spec = json!({"subnets": [{"network": "10.1.0.0/24"}], "cache": cache});
        let json = json!({"kind": "Site", "name": "lyon", "spec": spec}).to_string().into_bytes().into();
        let document = v1::Document { kind: "Site".into(), name: "lyon".into(), json, revision: 0 };
        let change = v1::Change { change: Some(v1::change::Change::Apply(document)) };
        let request =
            v1::WriteRequest { changes: vec![change], manager: "cli".into(), ..v1::WriteRequest::default() };
        client.write(request).await.expect("written").into_inner().warnings
    };
    let tight = write("16MiB").await;
    let fields: Vec<_> =
        tight.iter().map(|warning| (warning.site.as_str(), warning.field.as_str())).collect();
    assert_eq!(fields, [("lyon", "spec.cache")]);
    assert_eq!(write("16MiB").await, [], "it was said before");
    assert_eq!(write("32MiB").await, []);
}

#[tokio::test]
async fn labels_that_no_site_has_are_warned_of() {
    let controller = Controller::with_lyon().await;
    let mut client = admin_of(&controller).await;
    let mut write = async |kind: &str, dry_run: bool, document: serde_json::Value| {
        let name = document["name"].as_str().expect("a name").to_owned();
        let json = document.to_string().into_bytes().into();
        let document = v1::Document { kind: kind.into(), name, json, revision: 0 };
        let change = v1::Change { change: Some(v1::change::Change::Apply(document)) };
        let manager = "cli".into();
        let request =
            v1::WriteRequest { changes: vec![change], manager, dry_run, ..v1::WriteRequest::default() };
        let warnings = client.write(request).await.expect("written").into_inner().warnings;
        warnings.into_iter().map(|warning| warning.message).collect::<Vec<_>>()
    };
    let mirror = json!({"kind": "Mirror", "name": "debian",
        "spec": {"upstreams": ["https://deb.example/debian"], "sites": {"country": "fr"}}});
    let site = |labels: serde_json::Value| json!({"kind": "Site", "name": "lyon", "labels": labels, "spec": {"subnets": [{"network": "10.1.0.0/24"}]}});
    let idle = ["selects nothing: no site has country=fr, so no agent serves the mirror"];
    assert_eq!(write("Mirror", true, mirror.clone()).await, idle);
    assert_eq!(write("Mirror", false, mirror.clone()).await, idle);
    assert_eq!(write("Site", false, site(json!({"country": "fr"}))).await, [""; 0]);
    assert_eq!(write("Mirror", false, mirror).await, [""; 0], "unchanged");
    assert_eq!(
        write("Site", false, site(json!({"country": "de"}))).await,
        idle,
        "it served the mirror before"
    );
}

#[tokio::test]
async fn agents_that_give_blobs_are_named_to_each_other() {
    let controller = Controller::with_lyon().await;
    let one = controller.agent("lyon", "lyon-1").await;
    let two = controller.agent("lyon", "lyon-2").await;
    let (first, second) = (Stream::open(&one).await, Stream::open(&two).await);
    let status = |address: &str| {
        Report::Status(v1::AgentStatus { peer_addresses: vec![address.into()], ..v1::AgentStatus::default() })
    };
    first.send(status("10.1.0.2:7445")).await;
    second.send(status("10.1.0.3:7445")).await;
    let mut site = Site::of(two).await;
    let named = tokio::time::timeout(PATIENCE, async {
        loop {
            let peers = site.adopt().await.network.peers;
            if peers.len() == 2 {
                return peers;
            }
        }
    });
    let names: Vec<_> = named.await.expect("both are named").into_iter().map(|peer| peer.name).collect();
    assert_eq!(names, ["lyon-1", "lyon-2"]);
}
