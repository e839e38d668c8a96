//! `kill -9` of a real agent, and of its real controller, while events are on their way between them.
//!
//! Afterwards the controller holds every event that is in the agent's ledger, once, as it is there. Five kills;
//! `BOOTLANE_KILLS=50` for the long run. Needs root, for network namespaces.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use controller::events::{BootFilter, EventStore, Source, Tuning};
use integration::binaries::{Binaries, Profile};
use integration::kills::controller::{ControllerStand, FLEET_ADDRESS};
use integration::kills::judge::{self, Found};
use integration::kills::plan::{Known, Stand};
use integration::kills::segment::{AGENT, Controllers, NETWORK, SITE, Segment};
use integration::kills::witness::Witness;
use integration::kills::{dial, inside, kills, life};
use proto::event::NumberedEvent;
use proto::v1;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// Machines that boot around each kill.
const MACHINES: u32 = 8;
/// Steps that these machines take together when nobody is killed, or somewhat fewer.
const STEPS: u64 = 24;
/// A kill falls within so long after a step: events are reported a moment after they were made.
const A_STEP: Duration = Duration::from_millis(40);
/// How long the last events may take.
const PATIENCE: Duration = Duration::from_secs(180);

#[test]
fn every_event_reaches_the_controller_once() {
    let kills = kills();
    let machines: Vec<_> = (0..kills * MACHINES).map(Stand::new).collect();
    let binaries = Binaries::build(Profile::of_this_program()).expect("they build");
    let mut controller = ControllerStand::create(binaries.controller).expect("a namespace");
    let mut segment = Segment::create(binaries.agent).expect("a segment");
    lay_cable(&controller, &segment).expect("laid");
    controller.start().expect("it serves");
    let token = populate(&controller, &segment, &machines);
    let controllers =
        Controllers { enrol: "10.99.0.2:7444".into(), fleet: "10.99.0.2:7443".into(), token: Some(token) };
    segment.configure(&controllers).expect("written");
    segment.start().expect("started");
    wait_for("a plan", || segment.state().join("plans/current.plan").exists());

    let witness = Witness::default();
    let mut random = SmallRng::seed_from_u64(4);
    let mut before: Option<Found> = None;
    // A snapshot of the ledger leaves out what the controller holds.
    let mut told = BTreeMap::new();
    for (number, batch) in machines.chunks(MACHINES as usize).enumerate() {
        let lives = life::begin(&segment, batch.to_vec(), witness.clone(), random.random()).expect("begun");
        let steps = witness.seen().steps + random.random_range(0..STEPS);
        while witness.seen().steps < steps && !lives.is_finished() {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(A_STEP.mul_f64(random.random()));
        if number % 3 == 2 {
            controller.kill().expect("it lived");
        }
        let seen = witness.seen();
        segment.kill().expect("it lived");
        let found = judge::read(&segment.state()).expect("a kill leaves a ledger that can be read");
        assert_eq!(found.faults(before.as_ref(), &seen, &machines), [""; 0]);
        told.extend(found.events().expect("no number twice"));
        before = Some(found);
        segment.start().expect("started");
        if number % 3 == 2 {
            controller.start().expect("it starts after a kill");
        }
        let endings = lives.join().expect("no machine panics").expect("machines have a network");
        let lost: Vec<_> = endings.iter().filter(|ending| !ending.at_rest).collect();
        assert!(lost.is_empty(), "these machines never came to rest: {lost:#?}");
    }
    wait_for("the last acknowledgement", || all_acknowledged(&segment.state()));
    segment.kill().expect("it lived");
    controller.kill().expect("it lived");
    let found = judge::read(&segment.state()).expect("readable");
    told.extend(found.events().expect("no number twice"));
    compare(&found, told, &controller.state());
}

/// Between the agent and its controller.
fn lay_cable(controller: &ControllerStand, segment: &Segment) -> anyhow::Result<()> {
    let (here, there) = (controller.namespace(), segment.agent());
    here.connect("agents", there, "uplink")?;
    here.add_address("agents", "10.99.0.2/24".parse()?)?;
    there.add_address("uplink", "10.99.0.1/24".parse()?)?;
    Ok(())
}

/// The site and its hosts; returns the file of the agent's join token.
fn populate(controller: &ControllerStand, segment: &Segment, machines: &[Stand]) -> PathBuf {
    let mut documents = vec![format!(
        r#"{{"kind":"Site","name":"{SITE}","spec":{{"unknown":"lease","subnets":[{{"network":"{NETWORK}","pools":["10.77.128.1-10.77.191.254"]}}]}}}}"#
    )];
    let hosts = machines.iter().filter(|machine| machine.known() != Known::Stranger);
    documents.extend(hosts.map(|machine| {
        let (number, mac) = (machine.number, machine.identity.mac);
        format!(r#"{{"kind":"Host","name":"machine-{number}","spec":{{"site":"{SITE}","macs":["{mac}"]}}}}"#)
    }));
    let credential = controller.credential();
    let work = async move || -> anyhow::Result<String> {
        let mut client = dial::operator(FLEET_ADDRESS, &credential).await?;
        for some in documents.chunks(20) {
            let change = |json: &String| {
                let document = v1::Document { json: json.clone().into(), ..Default::default() };
                v1::Change { change: Some(v1::change::Change::Apply(document)) }
            };
            let changes = some.iter().map(change).collect();
            client.write(v1::WriteRequest { changes, manager: "test".into(), ..Default::default() }).await?;
        }
        let request = v1::CreateTokenRequest { site: SITE.into(), ..Default::default() };
        Ok(client.create_token(request).await?.into_inner().token)
    };
    let token = inside::spawn(controller.namespace(), work).expect("the namespace is there");
    let token = token.join().expect("no panic").expect("nothing is refused");
    let file = segment.folder().join("join-token");
    std::fs::write(&file, token).expect("written");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("private");
    file
}

/// Reads a copy of the ledger while the agent runs: behind a torn tail there may be more.
fn all_acknowledged(state: &Path) -> bool {
    judge::read(state).is_ok_and(|found| {
        let events = found.events().expect("no number twice");
        // A snapshot leaves out what the controller holds.
        found.acknowledged() > 0 && events.keys().next_back().is_none_or(|last| *last <= found.acknowledged())
    })
}

/// Number by number. The store keeps events by their boot attempts; of the others it keeps that they came.
fn compare(found: &Found, told: BTreeMap<u64, NumberedEvent>, controller: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let store = EventStore::open(&controller.join("events"), Tuning::default()).expect("it opens");
        let source = Source { site: SITE.into(), agent: AGENT.into() };
        let cursor = store.append(&source, found.incarnation, Vec::new()).await.expect("nothing is appended");
        let events = found.events().expect("no number twice");
        let newest = events.keys().next_back().copied().unwrap_or(found.acknowledged());
        assert_eq!(cursor, newest, "the controller is as far as the agent");

        let all = BootFilter { limit: 100_000, ..BootFilter::default() };
        let mut stored = Vec::new();
        for boot in store.boots(all).await.expect("readable") {
            stored.extend(store.boot_events(boot.attempt).await.expect("readable"));
        }
        stored.sort_by_key(|event| event.numbered.number);
        stored.retain(|event| told.contains_key(&event.numbered.number));
        let expected = told.into_values().filter(|numbered| numbered.event.attempt.is_some());
        let (stored, expected): (Vec<_>, Vec<_>) =
            (stored.into_iter().map(|event| event.numbered).collect(), expected.collect());
        assert!(expected.len() > 20, "machines have booted");
        assert_eq!(stored, expected);
        store.close().await;
    });
}

fn wait_for(what: &str, is_there: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_there() {
        assert!(Instant::now() < until, "{what} did not come");
        std::thread::sleep(Duration::from_millis(50));
    }
}
