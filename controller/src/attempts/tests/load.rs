//! What it costs to take in the boots of a large fleet.

use std::time::Instant;

use proto::catalog::HostSpec;
use serde_json::{Value as Json, json};

use super::*;
use crate::catalog::tests::site;
use crate::events::BootFilter;
use crate::store::Revision;

/// Ten thousand attempts of 25 events, of as many hosts.
const SITES: usize = 20;
const OF_SITE: usize = 500;
const EVENTS: usize = 25;
/// Boots of a list, as `bootlane top` asks for.
const LISTED: usize = 500;
/// Events of one report, as agents send them.
const BATCH: usize = 500;

/// Twenty sites with a plan each, and the hosts of each by their ids.
async fn furnished() -> (Lab, Vec<(String, Vec<HostId>)>) {
    let fleet = Fleet::in_memory().furnished().await;
    let lab = Lab::new();
    let store = Arc::clone(fleet.catalog.store());
    let (planner, _task) = Planner::start(lab.app.fleet.clone(), Arc::clone(&store), fleet.vault.clone());
    let (mut sites, mut last) = (Vec::new(), Revision::ZERO);
    for number in 0..SITES {
        let name = format!("site-{number}");
        fleet.apply(&[site(&name, &format!("10.{}.0.0/16", 50 + number))]).await.expect("new");
        fleet.enrol(&name, &format!("agent-{number}")).await;
        let hosts: Vec<_> = (0..OF_SITE).map(|host| document(&name, number, host)).collect();
        for hosts in hosts.chunks(10) {
            last = fleet.apply(hosts).await.expect("new").revision;
        }
        let hosts = fleet.catalog.list::<HostSpec>(Some(&name)).await.expect("readable").items;
        sites.push((name, hosts.iter().filter_map(|host| host.id().map(Into::into)).collect()));
    }
    planner.reached(last).await;
    let (vault, catalog) = (fleet.vault, fleet.catalog);
    // The system's clock: what is waited for is waited for here as well.
    let clock = Clock::system();
    (Lab { app: App { catalog, store, planner, vault, clock, ..lab.app }, ..lab }, sites)
}

fn document(site: &str, number: usize, host: usize) -> Json {
    let mac = format!("52:54:00:{number:02x}:{:02x}:{:02x}", host / 256, host % 256);
    let spec = json!({"site": site, "macs": [mac], "profile": "debian"});
    json!({"kind": "Host", "name": format!("{site}-{host}"), "spec": spec})
}

/// A boot that installs, or, of every fifth machine, breaks off at the kernel.
fn boot(attempt: usize) -> Vec<EventKind> {
    let fails = attempt.is_multiple_of(5);
    let mut kinds: Vec<_> = installation(ORDER).into_iter().map(|(_, kind)| kind).collect();
    let last = kinds.pop();
    let progress = |percent: usize| EventKind::Progress {
        percent: u8::try_from(percent).ok(),
        text: "Retrieving and installing packages".into(),
    };
    kinds.extend((kinds.len()..EVENTS - 1).map(progress));
    kinds.extend(if fails { Some(moved(ORDER, OrderPhase::Failed)) } else { last });
    kinds
}

/// The events of a site's boots, a boot after the other, from now on.
async fn report(app: App, number: usize, site: String, hosts: Vec<HostId>) {
    let source = Source { site, agent: format!("agent-{number}") };
    let events = hosts.into_iter().enumerate().flat_map(|(index, host)| {
        let attempt =
            Some(AttemptId([number.to_be_bytes(), index.to_be_bytes()].concat().try_into().expect("16")));
        let mac = Some(Mac([0x52, 0x54, 0, number as u8, (index / 256) as u8, (index % 256) as u8]));
        boot(index).into_iter().map(move |kind| (attempt, host, mac, kind))
    });
    let mut batch = Vec::with_capacity(BATCH);
    for ((attempt, host, mac, kind), number) in events.zip(1..) {
        let event = Event { at: app.clock.wall(), attempt, host: Some(host), mac, kind };
        batch.push(NumberedEvent { number, event });
        if batch.len() == BATCH {
            let events = std::mem::take(&mut batch);
            app.events.append(&source, Incarnation([7; 16]), events).await.expect("stored");
        }
    }
    app.events.append(&source, Incarnation([7; 16]), batch).await.expect("stored");
}

/// All sites at once.
async fn report_all(app: &App, sites: Vec<(String, Vec<HostId>)>) {
    let reports = sites
        .into_iter()
        .enumerate()
        .map(|(number, (site, hosts))| tokio::spawn(report(app.clone(), number, site, hosts)));
    for report in futures::future::join_all(reports).await {
        report.expect("it does not panic");
    }
}

/// User and system time of this process.
fn processor() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    let ticks = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

/// Not asserted: what ten thousand attempts of 25 events cost. Run it with `--ignored --nocapture`, built for release.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
#[expect(clippy::print_stdout, reason = "its result")]
async fn ten_thousand_attempts() {
    let (lab, sites) = furnished().await;
    let mark = Mark::within(lab.folder.path());
    let following = tokio::spawn(follow(lab.app.clone(), lab.in_progress.clone(), mark));
    let (began, before) = (Instant::now(), processor());
    report_all(&lab.app, sites).await;
    println!("{} events stored after {:?}", lab.app.events.stored(), began.elapsed());
    while counted(&lab) < SITES * OF_SITE {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (wall, spent) = (began.elapsed(), processor() - before);
    println!("{} boots counted after {wall:?}, of which a boot waits {:?}", counted(&lab), table::SETTLED);
    let lost = lab.lines("bootlane_controller_events_missed_total");
    println!("{spent:?} of processor time, {} news lost", lost.concat());
    following.abort();
    explain_list(&lab.app).await;
}

/// Not asserted: what a list of the last boots costs where each machine has had as many as are kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn ten_thousand_attempts_of_few_machines() {
    let (lab, sites) = furnished().await;
    let kept = crate::events::Tuning::default().attempts_per_machine;
    let few = |hosts: Vec<HostId>| hosts.into_iter().take(OF_SITE / kept).cycle().take(OF_SITE).collect();
    report_all(&lab.app, sites.into_iter().map(|(site, hosts)| (site, few(hosts))).collect()).await;
    for _ in 0..3 {
        explain_list(&lab.app).await;
    }
}

/// What a list of boots with their causes costs.
#[expect(clippy::print_stdout, reason = "its result")]
async fn explain_list(app: &App) {
    let filter = BootFilter { limit: LISTED, ..BootFilter::default() };
    let boots = app.events.boots(filter).await.expect("readable");
    let began = Instant::now();
    let lines = crate::overview::lines(app, boots).await.expect("readable");
    println!("{} boots explained in {:?}", lines.len(), began.elapsed());
}

fn counted(lab: &Lab) -> usize {
    let number = |line: &String| line.rsplit(' ').next().and_then(|number| number.parse::<usize>().ok());
    lab.counted().iter().filter_map(number).sum()
}
