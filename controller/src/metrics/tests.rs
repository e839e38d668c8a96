//! Whether every metric that is defined has numbers, in a fleet that has one of each thing.

use std::sync::Arc;

use proto::Incarnation;
use proto::Wall;
use proto::event::{AlarmKind, Event, EventKind, NumberedEvent};
use telemetry::metrics::{Exposition, Form, Kind, Process, all};

use super::*;
use crate::app::App;
use crate::attempts::InProgress;
use crate::catalog::orders::NewOrder;
use crate::catalog::tests::{Fleet, NOW, host};
use crate::events::Source;
use crate::planner::Planner;

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
    let contact = Some(crate::listen::Contact::now());
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
