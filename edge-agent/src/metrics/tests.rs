//! Whether every metric that is defined has numbers, at an agent that has one of each thing.

use std::{path::Path, sync::Arc, time::Duration, time::SystemTime};

use netboot::site;
use proto::{
    Generation, Range,
    plan::{Network, PlanDocument, SitePlan, Subnet, network_entry},
};
use telemetry::metrics::{Form, Process, all};
use tokio::sync::{mpsc, watch};

use super::*;
use crate::{
    controllers::{Health, Link},
    core::{self, Core},
    disk::cache::Cache,
    fetch::Budget,
    holding::Arrivals,
    images::Images,
    mirror::{self, Mirrors, Proxy},
};

fn plan() -> Arc<SitePlan> {
    let pool = Range::new([10, 1, 0, 100].into(), [10, 1, 0, 149].into()).expect("in order");
    let subnet = Subnet {
        network: "10.1.0.0/24".parse().expect("a network"),
        pools: vec![pool],
        router: None,
        dns: vec![],
        ntp: vec![],
        domain: None,
        lease: Duration::from_secs(3_600),
        shared: None,
    };
    let network = Network { subnets: vec![subnet], ..Network::default() };
    let generation = Generation { epoch: 2, revision: 7 };
    let document = PlanDocument::assemble("acme", "lyon", generation, 1, [network_entry(&network)]);
    Arc::new(SitePlan::decode(&document).expect("a plan"))
}

async fn gatherer(folder: &Path) -> Gatherer {
    let cache =
        Cache::open(&folder.join("cache"), SystemTime::now(), Duration::from_secs(60)).expect("opens").0;
    let cache = Arc::new(cache);
    let options = core::Options {
        ledger: folder.join("ledger"),
        site: site::Config { agent: "lyon-1".into(), journal_limit: 1_000, stations: vec![] },
        low_disk_bytes: 0,
        interfaces: Vec::new(),
        ended_orders: mpsc::channel(1).0,
        tap: crate::Tap::default(),
        failed_boots: mpsc::channel(1).0,
        snapshots: crate::core::Snapshots::default(),
    };
    let core = Core::start(options).expect("it starts").0;
    let plan = plan();
    core.input(site::Input::Plan(plan.clone())).await.expect("it runs");
    let plan = watch::channel(Some(plan)).1;
    let mirrors = Mirrors::new(mirror::Options {
        folder: folder.join("mirrors"),
        plan: plan.clone(),
        low_disk_bytes: 0,
        proxy: Proxy::None,
        wan: Arc::new(Budget::default()),
        limits: mirror::Limits::default(),
    });
    let site = Some("lyon".parse().expect("a name"));
    let link = Link { up: true, site, certificate_ends: Some(SystemTime::now()), ..Link::default() };
    Gatherer {
        agent: "lyon-1".into(),
        state: folder.to_owned(),
        journal_limit: 1_000,
        core,
        images: Images::new(cache.clone(), mpsc::channel(1).0),
        arrivals: Arrivals::default(),
        cache,
        mirrors,
        link: watch::channel(link).1,
        health: watch::channel(Health::default()).1,
        plan,
        adopted: Adopted::default(),
    }
}

#[tokio::test]
async fn every_metric_that_is_defined_has_numbers() {
    let folder = tempfile::tempdir().expect("a folder");
    let gatherer = gatherer(folder.path()).await;
    let text = gatherer.gather().await.text(Form::Prometheus);
    // Those of mirrors are there once a machine has asked for one.
    let expected = all().filter(|one| one.process == Process::Agent && !one.labels.contains(&"mirror"));
    for one in expected {
        let sample = format!("\n{}{{site=\"lyon\",agent=\"lyon-1\"", one.full_name());
        assert!(text.contains(&sample), "{} is missing in {text}", one.full_name());
    }
    let labels = "{site=\"lyon\",agent=\"lyon-1\",subnet=\"10.1.0.0/24\"}";
    for line in [
        format!("bootlane_agent_pool_addresses{labels} 50\n"),
        format!("bootlane_agent_pool_leases{labels} 0\n"),
        "bootlane_agent_plan_revision{site=\"lyon\",agent=\"lyon-1\"} 7\n".into(),
    ] {
        assert!(text.contains(&line), "{line} is missing in {text}");
    }
    gatherer.core.stop().await;
}

#[tokio::test]
async fn what_is_told_is_small_and_has_no_name_in_it() {
    use std::io::Read as _;

    use prost::Message as _;

    let folder = tempfile::tempdir().expect("a folder");
    let gatherer = gatherer(folder.path()).await;
    let report = pack(&gatherer.gather().await);
    assert!(report.gzip.len() < 8 << 10, "{} bytes", report.gzip.len());
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(report.gzip.as_ref()).read_to_end(&mut unpacked).expect("ours");
    let families = proto::v1::MetricFamilies::decode(unpacked.as_slice()).expect("ours").families;
    let leases = families.iter().find(|family| family.name == "bootlane_agent_leases").expect("told");
    assert_eq!((leases.samples[0].labels.len(), leases.samples[0].value), (0, 0.0));
    gatherer.core.stop().await;
}
