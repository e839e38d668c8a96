//! The core on a disk that is really full.

use std::{net::Ipv4Addr, path::Path};

use netboot::{
    dhcp::{Message, Operation, Options as DhcpOptions, Request},
    site::{self, Arrival, FileAnswer, FileRequest},
};
use proto::{
    AttemptId, Digest, Generation, HostId, Mac,
    event::{AlarmKind, Event, Transport},
    ledger::{Lease, LeaseKey},
    plan::{
        BlobRef, Boot, Content, DhcpMode, Guard, HostPlan, Network, PlanDocument, PlannedFile, ReplySettings,
        SitePlan, Stage, Subnet, UnknownMachines, host_entry, network_entry,
    },
};

use super::*;
use crate::{
    core::{Core, Standing},
    disk::tiny_tmpfs,
    lines::Lines,
};

fn worker(folder: &Path) -> (Worker, watch::Receiver<View>, mpsc::Receiver<OrderId>) {
    worker_with(folder, Snapshots::default())
}

fn worker_with(
    folder: &Path,
    snapshots: Snapshots,
) -> (Worker, watch::Receiver<View>, mpsc::Receiver<OrderId>) {
    let (ended_orders, to_destroy) = mpsc::channel(2);
    let (view_out, view) = watch::channel(View::default());
    let options = Options { snapshots, ..options(folder, ended_orders) };
    let shared = Shared { view: view_out, epoch: Epoch::default(), counts: Arc::default() };
    (Worker::open(options, shared).expect("it opens"), view, to_destroy)
}

fn options(folder: &Path, ended_orders: mpsc::Sender<OrderId>) -> Options {
    Options {
        ledger: folder.join("ledger"),
        site: site::Config { agent: "a-1".into(), journal_limit: 1_000, stations: vec![] },
        low_disk_bytes: 0,
        interfaces: Vec::new(),
        ended_orders,
        tap: crate::Tap::default(),
        failed_boots: mpsc::channel(1).0,
        snapshots: Snapshots::default(),
    }
}

fn alarm(bytes: usize) -> Command {
    Command::Input(Input::Alarm(AlarmKind::DiskLow, "x".repeat(bytes)))
}

fn read() -> (Command, oneshot::Receiver<Vec<NumberedEvent>>) {
    let (reply, answer) = oneshot::channel();
    (Command::Events { after: 0, limit: 1_000, reply }, answer)
}

fn turn(worker: &mut Worker, commands: impl IntoIterator<Item = Command>) {
    worker.turn(&mut commands.into_iter().collect()).expect("the ledger goes on");
}

/// As if the time to try again had come.
fn try_again(worker: &mut Worker) {
    worker.full = worker.full.map(|_| Instant::now());
    turn(worker, []);
}

const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
const FIXED: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 9);

/// One host with a fixed address.
fn plan() -> SitePlan {
    plan_with(1, false)
}

/// Of this revision; `boots`: the host is to boot a kernel, named `linux`.
fn plan_with(revision: u64, boots: bool) -> SitePlan {
    let subnet = Subnet {
        network: "10.1.0.0/24".parse().expect("a network"),
        pools: vec!["10.1.0.100-10.1.0.119".parse().expect("a range")],
        router: None,
        dns: vec![],
        ntp: vec![],
        domain: None,
        lease: Duration::from_secs(3_600),
        shared: None,
    };
    let network = Network {
        dhcp: DhcpMode::Authoritative,
        subnets: vec![subnet],
        unknown: UnknownMachines::Lease,
        ..Network::default()
    };
    let host = HostPlan {
        id: HostId([1; 16]),
        name: "web-1".into(),
        macs: vec![MAC],
        uuid: None,
        serial: None,
        address: Some(FIXED),
        locked: false,
        boot: boots.then(boot),
        tftp_single_port: false,
        reply: ReplySettings::default(),
    };
    let entries = [network_entry(&network), host_entry(&host)];
    let document = PlanDocument::assemble("acme", "lyon", Generation { epoch: 1, revision }, 1, entries);
    SitePlan::decode(&document).expect("a legal plan")
}

fn boot() -> Boot {
    let content = Content::Blob(BlobRef { digest: Digest::of(b"linux"), size: 5 });
    let kernel = PlannedFile { stage: Stage::Kernel, guard: Guard::Attempt, content };
    Boot {
        profile: "debian".into(),
        image: "debian".into(),
        entry: "linux".into(),
        files: [("linux".to_owned(), kernel)].into(),
        loaders: vec![],
        menu: false,
    }
}

fn kernel() -> FileRequest {
    let arrival = Arrival { interface: 0, server: [10, 1, 0, 2].into(), base_url: "http://10.1.0.2".into() };
    let name = format!("a/{}/linux", "7".repeat(32));
    FileRequest { ask: 0, transport: Transport::Http, arrival, from: FIXED, name, probe: false }
}

/// An answer that stands. One that was given in the same batch as a plan does not.
async fn standing(core: &Core) -> Standing {
    for _ in 0..1_000 {
        let standing = core.file(kernel()).await.expect("it runs").standing.expect("it may stand");
        if standing.holds(Instant::now()) {
            return standing;
        }
    }
    panic!("nothing ever stands");
}

/// Whoever has handed over a plan, or has been answered by the core, finds no answer of before it standing.
#[tokio::test]
async fn an_answer_stands_until_the_plan_that_revokes_it_was_handed_over() {
    let folder = tempfile::tempdir().expect("tempdir");
    let (ended_orders, _to_destroy) = mpsc::channel(2);
    let options = options(folder.path(), ended_orders);
    let (core, ended) = Core::start(options).expect("it starts");
    core.input(Input::Plan(Arc::new(plan_with(1, true)))).await.expect("it runs");
    for revision in 2..40 {
        let standing = standing(&core).await;
        core.input(Input::Plan(Arc::new(plan_with(revision, revision % 2 == 1)))).await.expect("it runs");
        assert!(!standing.holds(Instant::now()), "at once, whether or not the core has looked at it");
        let reply = core.file(kernel()).await.expect("it runs");
        let given = matches!(reply.answer, FileAnswer::Send { .. });
        assert_eq!((given, reply.standing.is_some()), (revision % 2 == 1, revision % 2 == 1));
        if !given {
            let again = plan_with(1_000 + revision, true);
            core.input(Input::Plan(Arc::new(again))).await.expect("it runs");
        }
    }
    let standing = standing(&core).await;
    let (name, arrival) = (kernel().name, kernel().arrival);
    let other = FileRequest { name, arrival, from: [10, 1, 0, 77].into(), ..kernel() };
    assert_eq!(core.file(other).await.expect("it runs").answer, FileAnswer::NotFound);
    assert!(standing.holds(Instant::now()), "another's question ends nothing");
    core.stop().await;
    ended.await.expect("it ends");
}

fn discover(mac: Mac) -> Command {
    let mut options = DhcpOptions::default();
    options.set(53, [1]);
    let mut message = Message::new(Operation::Request, mac, 7);
    message.options = Some(options);
    let request = Request::parse(&message.emit()).expect("legal");
    let arrival = Arrival { interface: 0, server: [10, 1, 0, 2].into(), base_url: "http://10.1.0.2".into() };
    Command::Input(Input::Dhcp(arrival, Box::new(request)))
}

/// The addresses that a core without room offers to these machines.
fn offered(worker: &mut Worker, machines: &[Mac]) -> Vec<Ipv4Addr> {
    let mut batch = machines.iter().map(|mac| discover(*mac)).collect();
    let address = |held| match held {
        Held::Datagram { datagram, .. } => Message::parse(&datagram).expect("legal").yiaddr,
        Held::File(..) | Held::Report(..) => panic!("nothing else is answered"),
    };
    worker.refuse(Now::default(), &mut batch).into_iter().map(address).collect()
}

#[test]
fn a_full_disk_silences_the_core_and_does_not_end_it() {
    tiny_tmpfs::run("core::thread::tests::child_on_a_tiny_tmpfs");
}

/// Not a test of its own: the test above runs it.
#[test]
fn child_on_a_tiny_tmpfs() {
    let Some(mount) = tiny_tmpfs::mounted() else { return };
    let (mut worker, view, _ended) = worker(&mount);
    turn(&mut worker, [alarm(10), Command::Input(Input::Plan(Arc::new(plan())))]);
    let hog = mount.join("hog");
    std::fs::write(&hog, vec![1; 2 << 20]).expect_err("fills the disk");
    let durable = view.borrow().last_event;
    assert!(durable > 0);

    let (events, mut answer) = read();
    turn(&mut worker, [alarm(9_000), events]);
    assert!(worker.full.is_some());
    assert_eq!(view.borrow().last_event, durable, "what is not on disk is not told");
    assert!(answer.try_recv().is_err(), "nor read");

    let due = worker.due();
    assert!(due > Instant::now(), "it does not spin");
    turn(&mut worker, (0..3).map(|_| alarm(9_000)));
    assert_eq!((worker.parked.len(), worker.site.journal().last()), (1, durable + 1), "nothing is taken in");
    try_again(&mut worker);
    assert!(worker.full.is_some());
    let stranger = Mac([2, 0, 0, 0, 0, 0xff]);
    assert_eq!(offered(&mut worker, &[stranger, MAC]), [FIXED], "never a fixed address may stop");
    assert_eq!(worker.site.journal().last(), durable + 1, "and nothing is to be recorded of it");

    std::fs::remove_file(&hog).expect("space returns");
    try_again(&mut worker);
    let events = answer.try_recv().expect("answered at last");
    assert_eq!(events.last().map(|event| event.number), Some(view.borrow().last_event));
    turn(&mut worker, []);
    assert!(worker.parked.is_empty());
    let told: Vec<_> = worker.site.events_after(0).collect();
    assert_eq!(view.borrow().last_event, told.len() as u64);
    worker.stop();
    let (again, ..) = self::worker(&mount);
    assert_eq!(again.site.events_after(0).collect::<Vec<_>>(), told, "all of it was on disk");
    drop(again);
    more_than_a_batch_and_no_room(&mount);
    tiny_tmpfs::passed();
}

/// More than one commit may carry, in one turn: the record that finds no room is kept, and those behind it.
fn more_than_a_batch_and_no_room(mount: &Path) {
    let (mut worker, ..) = worker(mount);
    turn(&mut worker, (0..500).map(|_| alarm(30_000)));
    assert!(worker.full.is_some());
    assert!(worker.writer.has_backlog());
    try_again(&mut worker);
    assert!(worker.writer.has_backlog(), "it still goes first");
}

/// Leases of machines 0 to 19 at the pool's addresses, of before the start.
fn with_leases(worker: &mut Worker) {
    let network = "10.1.0.0/24".parse().expect("a network");
    for machine in 0..20 {
        let key = LeaseKey { mac: stranger(machine), network };
        let until = Wall::from(SystemTime::now()).plus(Duration::from_secs(600));
        worker.site.restore(&Record::Lease(Lease { key, address: address_of(machine), until }));
    }
}

fn stranger(machine: u8) -> Mac {
    Mac([2, 0, 0, 0, 1, machine])
}

fn address_of(machine: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 1, 0, 100 + machine)
}

/// A machine renews its lease (3), or gives it back (7): the message type of option 53.
fn says(machine: u8, kind: u8) -> Command {
    let mut options = DhcpOptions::default();
    options.set(53, [kind]);
    if kind == 7 {
        options.set(54, [10, 1, 0, 2]);
    }
    let mut message = Message::new(Operation::Request, stranger(machine), 7);
    message.options = Some(options);
    message.ciaddr = address_of(machine);
    let request = Request::parse(&message.emit()).expect("legal");
    let arrival = Arrival { interface: 0, server: [10, 1, 0, 2].into(), base_url: "http://10.1.0.2".into() };
    Command::Input(Input::Dhcp(arrival, Box::new(request)))
}

fn leases(worker: &Worker) -> Vec<Lease> {
    let mut all: Vec<_> = worker.site.dhcp().leases().copied().collect();
    all.sort_by_key(|lease| lease.key);
    all
}

/// The ledger as a kill would leave it now: nobody is at the disk while it is copied.
fn killed(worker: &Worker, folder: &Path, copy: &Path) {
    let until = Instant::now() + Duration::from_secs(20);
    let copied = || {
        worker.writer.is_settled().then(|| worker.writer.with_ledger(|_| copy_files(folder, copy))).flatten()
    };
    while copied().is_none() {
        assert!(Instant::now() < until, "somebody is at the disk for ever");
        std::thread::yield_now();
    }
}

fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        // One that is being written beside the ledger may go meanwhile.
        let _ = std::fs::copy(entry.path(), to.join(entry.file_name()));
    }
}

fn is_being_written(ledger: &Path) -> bool {
    let mut entries = std::fs::read_dir(ledger).expect("a folder");
    entries.any(|entry| entry.expect("an entry").path().extension().is_some_and(|end| end == "tmp"))
}

/// Renewals and releases go on between the pieces of snapshots; a kill at any moment finds every lease as it was.
#[test]
fn a_snapshot_in_pieces_loses_nothing_that_changes_meanwhile() {
    let folder = tempfile::tempdir().expect("a folder");
    let few = Snapshots { after_bytes: 1_500, piece: 3 };
    let (mut worker, ..) = worker_with(&folder.path().join("live"), few);
    worker.writer.start_thread().expect("a thread");
    turn(&mut worker, [Command::Input(Input::Plan(Arc::new(plan())))]);
    with_leases(&mut worker);
    let ledger = folder.path().join("live/ledger");
    let (mut complete, mut in_pieces, mut killed_between, mut round) = (false, 0, 0, 0_u16);
    // How many turns a snapshot takes is the disk's to say.
    while round < 200 || killed_between <= 10 {
        round += 1;
        assert!(round < 20_000, "a snapshot was under way in {in_pieces} rounds");
        let machine = (round % 20) as u8 * 7 % 20;
        let kind = if round % 17 == 16 { 7 } else { 3 };
        turn(&mut worker, [says(machine, kind)]);
        let under_way = worker.pieces.is_some();
        in_pieces += usize::from(under_way);
        // The leases of before the start are on disk with the first snapshot.
        complete |= in_pieces > 0 && !under_way && !is_being_written(&ledger);
        if !complete {
            continue;
        }
        killed_between += usize::from(under_way);
        let copy = folder.path().join(format!("killed-{round}"));
        killed(&worker, &ledger, &copy.join("ledger"));
        let (again, ..) = worker_with(&copy, few);
        assert_eq!(leases(&again), leases(&worker), "round {round}");
    }
    let last = leases(&worker);
    assert!(last.len() < 20, "some were given back");
    worker.stop();
    let (again, ..) = worker_with(&folder.path().join("live"), few);
    assert_eq!(leases(&again), last);
}

#[test]
fn a_full_disk_is_not_asked_for_the_pieces_of_a_snapshot() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut worker, ..) = worker(folder.path());
    turn(&mut worker, []);
    let past = Instant::now() - Duration::from_millis(1);
    worker.pieces = Some((None, past));
    assert!(worker.due() <= past, "a piece is due");
    worker.full = Some(past + Duration::from_secs(60));
    assert!(worker.due() > past, "it would turn without end");
}

#[test]
fn an_ended_order_is_told_however_late_somebody_listens() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut worker, _view, mut to_destroy) = worker(folder.path());
    worker.ended = (0..5).map(|name| OrderId([name; 16])).collect();
    turn(&mut worker, []);
    let mut told = Vec::new();
    for _ in 0..5 {
        while let Ok(order) = to_destroy.try_recv() {
            told.push(order.0[0]);
        }
        turn(&mut worker, []);
    }
    assert_eq!(told, [0, 1, 2, 3, 4]);
    assert!(worker.ended.is_empty());
}

#[tokio::test]
async fn what_becomes_of_a_boot_is_logged_with_its_id() {
    let folder = tempfile::tempdir().expect("tempdir");
    let (worker, _view, _ended) = worker(folder.path());
    let boot = AttemptId([0xb0; 16]);
    let event = |attempt, kind| Event { at: Wall(1), attempt, host: None, mac: Some(Mac([2; 6])), kind };
    let alarm = || EventKind::Alarm { kind: AlarmKind::NoLoader, detail: "none".into() };
    let ended = EventKind::Progress { percent: Some(40), text: String::new() };
    let (lines, _guard) = Lines::here();
    for event in [event(Some(boot), alarm()), event(Some(boot), ended), event(None, alarm())] {
        worker.note(&Record::Event(NumberedEvent { number: 7, event }));
    }
    let text = lines.text();
    let lines: Vec<_> = text.lines().collect();
    let of_boot = lines.iter().filter(|line| line.contains(&format!("boot={boot}"))).count();
    assert_eq!((lines.len(), of_boot), (3, 2), "{text}");
    assert!(lines[0].contains("WARN") && lines[1].contains("DEBUG"), "{text}");
}
