//! Whether every metric that is defined has numbers, in a fleet that has one of each thing.

use std::sync::Arc;

use proto::Incarnation;
use proto::Wall;
use proto::catalog::{AgentStatus, Kind as CatalogKind, OrderSpec};
use proto::event::{AlarmKind, Event, EventKind, NumberedEvent, OrderPhase};
use proto::{Generation, PlanId};
use telemetry::metrics::{Exposition, Form, Kind, Process, all};

use super::*;
use crate::app::App;
use crate::catalog::keys;
use crate::catalog::orders::{NewOrder, PhaseReport};
use crate::catalog::tests::{Fleet, NOW, host};
use crate::events::{Source, StoredEvent};
use crate::planner::Planner;
use crate::store::Txn;

async fn app(folder: &std::path::Path) -> App {
    let fleet = Fleet::in_memory().furnished().await;
    fleet.apply(&[host("web-1", 1)]).await.expect("new");
    let order = NewOrder { host: "web-1".into(), profile: None, life: None, agent: None, wait: None };
    fleet.catalog.create_order(&fleet.admin, &order, NOW).await.expect("in order");
    let app = crate::admin::tests::app(folder);
    let store = Arc::clone(fleet.catalog.store());
    let (planner, _task) = Planner::start(app.fleet.clone(), Arc::clone(&store), fleet.vault.clone());
    planner.ready().await;
    App { catalog: fleet.catalog, store, planner, vault: fleet.vault, ..app }
}

fn names(exposition: Exposition) -> Vec<String> {
    let text = exposition.text(Form::Prometheus);
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples.filter_map(|line| line.split(['{', ' ']).next()).map(str::to_owned).collect()
}

#[tokio::test]
async fn every_metric_that_is_defined_has_numbers() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let app = app(folder.path()).await;
    let metrics = &app.metrics;
    metrics.boots.one(&["lyon", "up", "none", "bios", "debian"]);
    metrics.boots_missed.one(&[]);
    metrics.events_missed.one(&[]);
    metrics.reports_refused.one(&[]);
    metrics.calls.one(&["Agents/Renew", "ok"]);
    metrics.stage_seconds.observe(&["lyon", "kernel"], 1.0, None);
    metrics.boot_seconds.observe(&["lyon", "up"], 1.0, None);
    metrics.call_seconds.observe(&["Agents/Renew"], 0.1, None);
    metrics.note_listener_ends(NOW.into());
    let kind = EventKind::Alarm { kind: AlarmKind::PoolEmpty, detail: String::new() };
    let event = Event { at: Wall(1), attempt: None, host: None, mac: None, kind };
    let source = Source { site: "lyon".into(), agent: "edge-1".into() };
    let (incarnation, numbered) = (Incarnation([1; 16]), NumberedEvent { number: 1, event });
    metrics.stored(&StoredEvent { source, incarnation, numbered });
    let in_progress = InProgress::default();
    in_progress.enter("lyon", "kernel");
    let contact = Some(crate::sessions::Contact::now());
    let _stream = app.sessions.open("edge-1", contact);

    let folders = (folder.path().to_owned(), folder.path().join("blobs"));
    let gatherer = Gatherer::new(app, folders, in_progress);
    let (own, agents) = (names(gatherer.controller().await), names(gatherer.agents().await));
    for one in all() {
        let mark = if matches!(one.kind, Kind::Histogram(_)) { "_count" } else { "" };
        let name = format!("{}{mark}", one.full_name());
        match one.process {
            Process::Controller => assert!(own.contains(&name), "{name} is missing in {own:#?}"),
            Process::ControllerOfAgents => {
                assert!(agents.contains(&name), "{name} is missing in {agents:#?}")
            }
            Process::Agent => {}
        }
    }
}

/// Plans of the same content follow each other under newer numbers, as after each restart, and are not sent again.
#[tokio::test]
async fn an_agent_that_obeys_the_newest_plan_under_an_older_number_is_not_behind() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let app = app(folder.path()).await;
    let newest = app.planner.latest("lyon").expect("planned").document.id();
    let behind = async |epoch: u64| {
        let applied = PlanId { generation: Generation { epoch, revision: 0 }, ..newest };
        let status = AgentStatus { applied: applied.to_string(), ..AgentStatus::default() };
        let key = keys::status(CatalogKind::Agent, "edge-1").expect("a name");
        let json = serde_json::to_vec(&status).expect("plain fields");
        app.store.txn(Txn::new().put(key, json)).await.expect("written");
        let folders = (folder.path().to_owned(), folder.path().join("blobs"));
        let text = Gatherer::new(app.clone(), folders, InProgress::default()).agents().await;
        text.text(Form::Prometheus).contains("bootlane_agent_plan_behind{site=\"lyon\",agent=\"edge-1\"} 1\n")
    };
    assert!(!behind(newest.generation.epoch).await);
    assert!(behind(newest.generation.epoch + 1).await, "of before a restore");
}

#[tokio::test]
async fn an_agent_that_is_away_is_down_and_behind() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let app = app(folder.path()).await;
    let folders = (folder.path().to_owned(), folder.path().join("blobs"));
    let gatherer = Gatherer::new(app, folders, InProgress::default());
    let text = gatherer.agents().await.text(Form::Prometheus);
    for line in [
        "bootlane_agent_up{site=\"lyon\",agent=\"edge-1\"} 0\n",
        "bootlane_agent_plan_behind{site=\"lyon\",agent=\"edge-1\"} 1\n",
    ] {
        assert!(text.contains(line), "{line} is missing in {text}");
    }
    let text = gatherer.controller().await.text(Form::Prometheus);
    for line in [
        "bootlane_controller_agents{state=\"offline\"} 1\n",
        "bootlane_site_agents_behind{site=\"lyon\"} 1\n",
        "bootlane_site_orders{site=\"lyon\",phase=\"armed\"} 1\n",
    ] {
        assert!(text.contains(line), "{line} is missing in {text}");
    }
}

#[tokio::test]
async fn an_order_is_in_the_phase_that_its_agent_told_last() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let app = app(folder.path()).await;
    let orders = app.catalog.list::<OrderSpec>(None).await.expect("readable").items;
    let [order] = &orders[..] else { panic!("one order: {orders:?}") };
    let told = async |phase, second: u64| {
        let (agent, reason) = (order.spec.agent.clone(), String::new());
        let since = Wall(NOW.0 + second * 1_000);
        let order = order.id().expect("stored").into();
        let report = PhaseReport { agent, order, phase, since, reason, attempt: None };
        app.catalog.record_order_phase(&report).await.expect("recorded");
    };
    let standing = async || {
        let folders = (folder.path().to_owned(), folder.path().join("blobs"));
        // A gatherer does not look at the fleet anew for each who asks.
        let gatherer = Gatherer::new(app.clone(), folders, InProgress::default());
        let text = gatherer.controller().await.text(Form::Prometheus);
        let lines = text.lines().filter_map(|line| line.strip_prefix("bootlane_site_orders"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    told(OrderPhase::Offered, 1).await;
    assert_eq!(standing().await, ["{site=\"lyon\",phase=\"offered\"} 1"]);
    told(OrderPhase::Started, 2).await;
    // A journal that is sent again tells of the past.
    told(OrderPhase::Offered, 1).await;
    assert_eq!(standing().await, ["{site=\"lyon\",phase=\"started\"} 1"]);
    told(OrderPhase::Installed, 3).await;
    assert_eq!(standing().await, Vec::<String>::new());
}
