//! One machine at a site on paper: what it is told, what is recorded, and in which order.

mod beside;
mod forms;
mod raspberry_pi;
mod release;
mod restarts;
mod wire;

use dhcproto::{
    Encodable, Encoder,
    v4::{DhcpOption, Message, MessageType, OptionCode, UnknownOption},
};
use proto::event::{Answer, Client, NumberedEvent, OrderPhase, Transport};

mod programs;

use super::{paper::*, *};
use crate::{dhcp::Request, site::reports::Callback};

const URL: &str = "http://10.1.0.2";

fn arrival() -> Arrival {
    Arrival { interface: 3, server: SERVER, base_url: URL.into() }
}

fn at(seconds: u64) -> Now {
    Now::default().plus(Duration::from_secs(seconds))
}

/// Which program of the boot chain speaks.
#[derive(Clone, Copy)]
enum Voice {
    Ipxe,
    UefiRom,
    Os,
}

fn message(kind: MessageType, voice: Voice, mac: Mac, xid: u32) -> Message {
    let mut message = Message::default();
    message.set_chaddr(&mac.0).set_xid(xid);
    let options = message.opts_mut();
    options.insert(DhcpOption::MessageType(kind));
    let class = |text: &str| DhcpOption::ClassIdentifier(text.as_bytes().to_vec());
    let unknown =
        |code: u8, data: Vec<u8>| DhcpOption::Unknown(UnknownOption::new(OptionCode::from(code), data));
    match voice {
        Voice::Ipxe => {
            options.insert(class("PXEClient:Arch:00000:UNDI:002001"));
            options.insert(unknown(77, b"iPXE".to_vec()));
            options.insert(unknown(93, vec![0, 0]));
        }
        Voice::UefiRom => {
            options.insert(class("PXEClient:Arch:00007:UNDI:003000"));
            options.insert(unknown(93, vec![0, 7]));
        }
        Voice::Os => {}
    }
    message
}

/// The engine with its ledger, and what it has said so far.
struct Paper {
    site: Site,
    ledger: Vec<Record>,
    sent: Vec<(usize, Vec<u8>)>,
    answers: Vec<(usize, FileAnswer)>,
    /// Of the latest answer.
    single_port: bool,
    replies: Vec<ReportAnswer>,
    destroyed: Vec<proto::OrderId>,
    probes: Vec<Ipv4Addr>,
}

impl Paper {
    fn new(plan: SitePlan) -> Self {
        let mut paper = Self::restarted(&[], at(0));
        paper.input(0, Input::Plan(Arc::new(plan)));
        paper
    }

    fn restarted(ledger: &[Record], now: Now) -> Self {
        Self::started(ledger, now, Vec::new())
    }

    fn started(ledger: &[Record], now: Now, stations: Vec<Station>) -> Self {
        let config = Config { agent: AGENT.into(), journal_limit: 1_000, stations };
        let mut site = Site::new(config, Incarnation([9; 16]), [now.wall.0 as u8; 32]);
        ledger.iter().for_each(|record| site.restore(record));
        site.begin(now.mono, now.wall);
        let ledger = ledger.to_vec();
        Self {
            site,
            ledger,
            sent: vec![],
            answers: vec![],
            single_port: false,
            replies: vec![],
            destroyed: vec![],
            probes: vec![],
        }
    }

    fn input(&mut self, second: u64, input: Input) {
        self.site.handle(at(second), input);
        self.drain();
    }

    fn wait(&mut self, second: u64) {
        self.site.handle_timeout(at(second));
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(action) = self.site.poll_action() {
            match action {
                Action::Persist(record) => self.ledger.push(record),
                Action::Send { datagram, interface, .. } => {
                    assert_eq!(interface, 3);
                    self.sent.push((self.ledger.len(), datagram));
                }
                Action::Answer { answer, tftp_single_port, .. } => {
                    self.answers.push((self.ledger.len(), answer));
                    self.single_port = tftp_single_port;
                }
                Action::Replied { answer, .. } => self.replies.push(answer),
                Action::Probe { interface, address } => {
                    assert_eq!(interface, 3);
                    self.probes.push(address);
                }
                Action::DestroySecrets(order) => self.destroyed.push(order),
            }
        }
    }

    fn say(&mut self, second: u64, message: &Message) {
        let mut bytes = Vec::new();
        message.encode(&mut Encoder::new(&mut bytes)).expect("a legal message");
        let request = Request::parse(&bytes).expect("a legal message");
        self.input(second, Input::Dhcp(arrival(), Box::new(request)));
    }

    /// Discover and request, as every client does.
    fn dora(&mut self, second: u64, voice: Voice) {
        self.say(second, &message(MessageType::Discover, voice, MAC, 7));
        let mut request = message(MessageType::Request, voice, MAC, 7);
        request.opts_mut().insert(DhcpOption::RequestedIpAddress(ADDRESS));
        request.opts_mut().insert(DhcpOption::ServerIdentifier(SERVER));
        self.say(second, &request);
    }

    fn ask(&mut self, second: u64, from: Ipv4Addr, name: &str) -> FileAnswer {
        let (transport, arrival, name, probe) = (Transport::Http, arrival(), name.to_owned(), false);
        self.input(second, Input::File(FileRequest { ask: 1, transport, arrival, from, name, probe }));
        self.answers.last().expect("every request is answered").1.clone()
    }

    fn text(&mut self, second: u64, name: &str) -> Option<String> {
        match self.ask(second, ADDRESS, name) {
            FileAnswer::Send { source: Source::Bytes(bytes), .. } => String::from_utf8(bytes.to_vec()).ok(),
            FileAnswer::Send { source: Source::Blob(_), .. } => Some("a blob".into()),
            FileAnswer::NotFound => None,
        }
    }

    fn callback(&mut self, second: u64, token: &str, callback: Callback) -> ReportAnswer {
        let request = ReportRequest { ask: 2, from: ADDRESS, token: token.into(), callback };
        self.input(second, Input::Report(request));
        *self.replies.last().expect("every report is answered")
    }

    fn events(&self) -> Vec<EventKind> {
        self.site.events_after(0).map(|NumberedEvent { event, .. }| event.kind).collect()
    }

    fn phases(&self) -> Vec<OrderPhase> {
        let phase = |kind| if let EventKind::OrderMoved { phase, .. } = kind { Some(phase) } else { None };
        self.events().into_iter().filter_map(phase).collect()
    }

    fn decisions(&self) -> Vec<Answer> {
        let answer = |kind| if let EventKind::Decided { answer, .. } = kind { Some(answer) } else { None };
        self.events().into_iter().filter_map(answer).collect()
    }

    fn attempt(&self) -> String {
        self.site.attempts.of(MAC).expect("it has begun").id.to_string()
    }

    fn token(&self) -> String {
        self.site.orders.get(ORDER).and_then(|state| state.token).expect("it was offered").reveal()
    }
}

#[test]
fn an_installation_from_the_first_packet_to_the_installed_system() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    let (attempt, token) = (paper.attempt(), paper.token());
    let script = paper.text(2, &format!("a/{attempt}/boot.ipxe")).expect("the script");
    assert_eq!(script, format!("#!ipxe\nkernel {URL}/a/{attempt}/linux token={token}"));
    assert_eq!(paper.text(3, &format!("a/{attempt}/linux")).as_deref(), Some("a blob"));
    paper.dora(9, Voice::Os);
    assert_eq!(paper.text(10, &format!("o/{token}/preseed.cfg")).as_deref(), Some("password hunter2"));
    assert_eq!(paper.callback(20, &token, Callback::Installed), ReportAnswer::Recorded);
    assert_eq!(paper.callback(21, &token, Callback::Installed), ReportAnswer::Recorded, "said again");
    let ended = [OrderPhase::Armed, OrderPhase::Offered, OrderPhase::Started, OrderPhase::Installed];
    assert_eq!(paper.phases(), ended);
    assert_eq!(paper.destroyed, [ORDER], "its secrets have served");
    assert_eq!(paper.text(22, &format!("o/{token}/preseed.cfg")), None, "the order is at its end");

    paper.dora(40, Voice::Ipxe);
    assert_ne!(paper.attempt(), attempt, "another boot is another attempt");
    paper.dora(50, Voice::Os);
    assert_eq!(paper.decisions(), [Answer::Script, Answer::LocalDisk]);
    assert_eq!(paper.events().last(), Some(&EventKind::OsUp { address: Some(ADDRESS) }));
}

#[test]
fn an_installer_that_fetches_nothing_guarded_starts_and_ends_the_order_by_its_word() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    let token = paper.token();
    assert_eq!(paper.callback(2, &token, Callback::Started), ReportAnswer::Recorded);
    assert_eq!(paper.phases().last(), Some(&OrderPhase::Started));
    paper.dora(3, Voice::UefiRom);
    assert_eq!(paper.decisions().last(), Some(&Answer::LocalDisk), "no other attempt gets an installer");
    assert_eq!(paper.callback(4, &token, Callback::Installed), ReportAnswer::Recorded);
    assert_eq!(paper.phases().last(), Some(&OrderPhase::Installed));
}

#[test]
fn started_is_on_disk_before_the_answer_file_leaves() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    let token = paper.token();
    paper.text(2, &format!("o/{token}/preseed.cfg")).expect("the answer file");
    let started = paper
        .ledger
        .iter()
        .position(|record| matches!(record, Record::Order(state) if state.phase == OrderPhase::Started));
    let (before, _) = paper.answers.last().expect("answered");
    assert!(started.expect("it has started") < *before);
}

#[test]
fn the_lease_and_the_offered_order_are_on_disk_before_the_packets_leave() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    let position = |wanted: &dyn Fn(&Record) -> bool| paper.ledger.iter().position(wanted).expect("recorded");
    let offered = position(&|record| matches!(record, Record::Order(s) if s.phase == OrderPhase::Offered));
    let leased = position(&|record| matches!(record, Record::Lease(_)));
    let [(before_offer, _), (before_ack, _)] = &paper.sent[..] else { panic!("an OFFER and an ACK") };
    assert!(offered < *before_ack && leased < *before_ack);
    assert!(offered >= *before_offer, "an offer that nobody takes spends no attempt");
}

#[test]
fn a_machine_that_is_reset_after_a_restart_of_the_agent_gets_its_disk() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    let (attempt, token) = (paper.attempt(), paper.token());
    let mut paper = Paper::restarted(&paper.ledger.clone(), at(5));
    paper.input(5, Input::Plan(Arc::new(plan_with_order())));
    assert!(paper.text(6, &format!("a/{attempt}/boot.ipxe")).is_some());
    assert!(paper.text(7, &format!("o/{token}/preseed.cfg")).is_some());
    paper.dora(20, Voice::Ipxe);
    assert_eq!(paper.decisions().last(), Some(&Answer::LocalDisk));
    assert_eq!(paper.text(21, &format!("a/{attempt}/boot.ipxe")), None, "another attempt has begun");
}

/// The plan with an order, changed.
fn plan_with(change: impl Fn(&mut HostPlan, &mut OrderPlan)) -> Arc<SitePlan> {
    let (mut host, mut order) = (host(), order());
    change(&mut host, &mut order);
    let mut entries = vec![network_entry(&network()), host_entry(&host), order_entry(&order)];
    entries.extend(secrets_entry(&order));
    Arc::new(plan_of(3, entries))
}

#[test]
fn a_host_that_is_locked_after_the_offer_is_not_installed() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    let (attempt, token) = (paper.attempt(), paper.token());
    paper.input(2, Input::Plan(plan_with(|host, _| host.locked = true)));
    assert_eq!(paper.text(3, &format!("a/{attempt}/linux")), None);
    assert_eq!(paper.text(3, &format!("o/{token}/preseed.cfg")), None);
    assert_eq!(paper.callback(4, &token, Callback::Started), ReportAnswer::TooLate);
    assert_eq!(paper.phases().last(), Some(&OrderPhase::Offered));
}

#[test]
fn an_order_that_is_given_to_another_agent_is_revoked_here() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    let token = paper.token();
    paper.input(2, Input::Plan(plan_with(|_, order| order.agent = "lyon-2".into())));
    assert_eq!(paper.phases().last(), Some(&OrderPhase::Revoked));
    assert_eq!(paper.text(3, &format!("o/{token}/preseed.cfg")), None);
}

#[test]
fn a_part_of_the_plan_that_is_not_understood_revokes_no_running_installation() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    let token = paper.token();
    paper.text(2, &format!("o/{token}/preseed.cfg")).expect("it starts");
    let unclear = (format!("order/{ORDER}"), Entry { body: vec![].into(), level: u32::MAX });
    let plan = plan_of(3, vec![network_entry(&network()), host_entry(&host()), unclear]);
    paper.input(3, Input::Plan(Arc::new(plan)));
    assert!(paper.text(4, &format!("o/{token}/preseed.cfg")).is_some(), "it goes on with what it began with");
    assert_eq!(paper.callback(5, &token, Callback::Installed), ReportAnswer::Recorded);
}

#[test]
fn an_installers_word_does_not_get_around_a_clock_in_doubt() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(5_000, Voice::Ipxe);
    let token = paper.token();
    let mut paper = Paper::restarted(&paper.ledger.clone(), at(10));
    paper.input(10, Input::Plan(Arc::new(plan_with_order())));
    assert_eq!(paper.callback(11, &token, Callback::Started), ReportAnswer::TooLate);
    assert_eq!(paper.text(12, &format!("o/{token}/preseed.cfg")), None);
}

#[test]
fn time_goes_on_from_what_was_recorded() {
    let mut before = Paper::new(plan());
    before.dora(7_000, Voice::Ipxe);
    let mut paper = Paper::restarted(&before.ledger, at(10));
    paper.input(10, Input::Contact);
    paper.input(11, Input::Plan(Arc::new(plan_with_order())));
    paper.wait(10 + 300);
    assert_eq!(
        paper.phases().last(),
        Some(&OrderPhase::Expired),
        "7,000 s and 300 s more are past its 7,200 s"
    );
}

#[test]
fn a_clock_that_ran_away_is_set_right_by_the_controller() {
    let mut before = Paper::new(plan());
    before.dora(4_000_000_000, Voice::Ipxe);
    let mut paper = Paper::restarted(&before.ledger, at(1_000));
    paper.input(1_000, Input::Plan(Arc::new(plan_with_order())));
    paper.input(1_001, Input::ControllerTime(at(5_000).wall));
    paper.dora(1_002, Voice::Ipxe);
    assert_eq!(paper.decisions().last(), Some(&Answer::LocalDisk), "the clocks lie apart");
    paper.input(1_003, Input::ControllerTime(at(1_003).wall));
    paper.dora(2_000, Voice::Ipxe);
    assert_eq!(paper.decisions().last(), Some(&Answer::Script), "2,000 s is within its 7,200 s");
    let mut again = Paper::restarted(&paper.ledger, at(2_001));
    again.input(2_001, Input::Plan(Arc::new(plan_with_order())));
    assert!(!again.site.clock_in_doubt);
}

#[test]
fn strangers_push_no_known_machine_out() {
    let mut paper = Paper::new(plan_that_leases());
    paper.dora(1, Voice::Ipxe);
    let attempt = paper.attempt();
    for machine in 0..3_000u32 {
        let [a, b, c, d] = machine.to_be_bytes();
        paper.say(2, &message(MessageType::Discover, Voice::UefiRom, Mac([2, 0, a, b, c, d]), machine));
    }
    paper.dora(3, Voice::Ipxe);
    assert_eq!(paper.attempt(), attempt);
}

#[test]
fn what_cannot_be_given_does_not_start_the_order() {
    let mut paper = Paper::new(plan());
    paper.input(1, Input::Plan(plan_with(|_, order| order.secrets.clear())));
    paper.dora(2, Voice::Ipxe);
    let token = paper.token();
    assert_eq!(paper.text(3, &format!("o/{token}/preseed.cfg")), None, "its secret is missing");
    assert_eq!(paper.phases().last(), Some(&OrderPhase::Offered));
}

#[test]
fn a_look_at_the_size_starts_nothing() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    let name = format!("o/{}/preseed.cfg", paper.token());
    let request = FileRequest {
        ask: 1,
        transport: Transport::Http,
        arrival: arrival(),
        from: ADDRESS,
        name,
        probe: true,
    };
    paper.input(2, Input::File(request));
    assert!(matches!(paper.answers.last(), Some((_, FileAnswer::Send { .. }))));
    assert_eq!(paper.phases().last(), Some(&OrderPhase::Offered));
}

#[test]
fn an_installer_that_never_renews_its_lease_is_still_heard() {
    let mut paper = Paper::new(plan());
    paper.input(0, Input::Plan(plan_with(|_, order| order.install = Duration::from_secs(50_000))));
    paper.dora(1, Voice::Ipxe);
    let token = paper.token();
    paper.text(2, &format!("o/{token}/preseed.cfg")).expect("it starts");
    paper.wait(9_000);
    assert!(paper.site.dhcp().lease_of(ADDRESS).is_none(), "its lease has ended");
    assert_eq!(paper.callback(9_001, &token, Callback::Installed), ReportAnswer::Recorded);
}

#[test]
fn a_message_that_asks_for_nothing_spends_no_attempt() {
    let mut paper = Paper::new(plan_with_order());
    for round in 0..5 {
        paper.dora(1 + round, Voice::Ipxe);
        paper.say(1 + round, &message(MessageType::Release, Voice::UefiRom, MAC, 7));
    }
    assert_eq!(paper.site.orders.get(ORDER).map(|state| state.attempts), Some(1));
}

#[test]
fn a_uuid_that_disagreed_is_remembered_through_the_chain() {
    let mut paper = Paper::new(plan());
    paper.input(1, Input::Plan(plan_with(|host, _| host.uuid = Some([7; 16].map(|byte: u8| byte + 1)))));
    let mut discover = message(MessageType::Discover, Voice::UefiRom, MAC, 7);
    let shown = [vec![0], (1..=16).collect()].concat();
    discover.opts_mut().insert(DhcpOption::Unknown(UnknownOption::new(OptionCode::from(97), shown)));
    paper.say(2, &discover);
    paper.dora(3, Voice::Ipxe);
    assert_eq!(paper.decisions(), [Answer::LocalDisk, Answer::LocalDisk]);
}

#[test]
fn after_a_restart_the_attempt_goes_on_and_nothing_is_installed_twice() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    let (attempt, token) = (paper.attempt(), paper.token());

    let mut paper = Paper::restarted(&paper.ledger.clone(), at(5));
    paper.input(5, Input::Plan(Arc::new(plan_with_order())));
    assert!(paper.text(6, &format!("a/{attempt}/linux")).is_some(), "the boot goes on");
    assert!(paper.text(7, &format!("o/{token}/preseed.cfg")).is_some());

    let mut paper = Paper::restarted(&paper.ledger.clone(), at(8));
    paper.input(8, Input::Plan(Arc::new(plan_with_order())));
    paper.dora(9, Voice::Ipxe);
    assert_eq!(
        paper.decisions().last(),
        Some(&Answer::LocalDisk),
        "it has started: no other attempt gets it"
    );
    assert_eq!(paper.callback(10, &token, Callback::Installed), ReportAnswer::Recorded);
}

#[test]
fn an_order_at_its_end_is_not_obeyed_again_whatever_the_plan_says() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    let token = paper.token();
    paper.text(2, &format!("o/{token}/preseed.cfg"));
    paper.callback(3, &token, Callback::Installed);
    paper.input(4, Input::Plan(Arc::new(plan())));
    let mut restored = plan_with_order();
    restored.id.generation.epoch = 2;
    paper.input(5, Input::Plan(Arc::new(restored)));
    paper.dora(60, Voice::Ipxe);
    assert_eq!(paper.decisions().last(), Some(&Answer::LocalDisk));
}

#[test]
fn an_order_that_leaves_the_plan_is_revoked_and_its_files_with_it() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    let token = paper.token();
    paper.input(2, Input::Plan(Arc::new(plan())));
    assert_eq!(paper.phases().last(), Some(&OrderPhase::Revoked));
    assert_eq!(paper.text(3, &format!("o/{token}/preseed.cfg")), None);
}

#[test]
fn an_order_file_asked_for_from_elsewhere_is_not_there_and_raises_an_alarm() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    let token = paper.token();
    let name = format!("o/{token}/preseed.cfg");
    assert_eq!(paper.ask(2, [10, 1, 0, 77].into(), &name), FileAnswer::NotFound);
    let alarms =
        |kind: &&EventKind| matches!(kind, EventKind::Alarm { kind: AlarmKind::OrderFileFromElsewhere, .. });
    assert_eq!(paper.events().iter().filter(alarms).count(), 1);
    for name in [format!("o/{token}"), token.clone(), format!("a/{}/o/{token}/x", paper.attempt())] {
        assert_eq!(paper.ask(3, ADDRESS, &name), FileAnswer::NotFound);
    }
    assert!(!format!("{:?}", paper.events()).contains(&token), "a token never reaches the journal");
}

#[test]
fn names_outside_the_plan_do_not_exist() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    let attempt = paper.attempt();
    let names = [
        String::new(),
        "etc/passwd".into(),
        "../boot.ipxe".into(),
        "nothing.efi".into(),
        format!("a/{attempt}/preseed.cfg"),
        format!("a/{attempt}/"),
        format!("a/{}/linux", "0".repeat(32)),
        "a/x/linux".into(),
        format!("o/{}/preseed.cfg", "0".repeat(32)),
    ];
    for name in names {
        assert_eq!(paper.text(2, &name), None, "{name}");
    }
    assert_eq!(paper.text(2, "snponly.efi").as_deref(), Some("a blob"));
    assert_eq!(paper.ask(2, [10, 1, 0, 77].into(), "snponly.efi"), FileAnswer::NotFound, "no lease");
}

#[test]
fn quirk_43_a_host_in_single_port_mode_is_answered_so_found_or_not() {
    let mut plan = plan();
    plan.hosts.values_mut().for_each(|host| host.tftp_single_port = true);
    let mut paper = Paper::new(plan);
    for name in ["snponly.efi", "nothing.efi"] {
        paper.ask(2, ADDRESS, name);
        assert!(paper.single_port, "{name}");
        paper.ask(2, [10, 1, 0, 77].into(), name);
        assert!(!paper.single_port, "{name} for a machine that is no host");
    }
}

#[test]
fn without_an_order_and_for_strangers() {
    let mut paper = Paper::new(plan());
    paper.dora(1, Voice::UefiRom);
    assert_eq!(paper.decisions(), [Answer::LocalDisk]);
    assert_eq!(paper.sent.len(), 2, "a known host always gets its lease");
    paper.say(2, &message(MessageType::Discover, Voice::UefiRom, Mac([2, 0, 0, 0, 0, 9]), 8));
    assert_eq!(paper.sent.len(), 2, "the site ignores strangers");
}

#[test]
fn strangers_do_not_fill_the_journal() {
    let mut paper = Paper::new(plan_that_leases());
    for machine in 0..1_000u32 {
        let [a, b, c, d] = machine.to_be_bytes();
        paper.say(1, &message(MessageType::Discover, Voice::UefiRom, Mac([2, 0, a, b, c, d]), machine));
    }
    assert!((50..100).contains(&paper.events().len()), "{}", paper.events().len());
    let sent = paper.sent.len();
    paper.dora(2, Voice::UefiRom);
    assert_eq!(paper.sent.len(), sent + 2, "the reserved host is served all the same");
}

/// S2: sixty nonsense requests do not hide what comes behind them.
#[test]
fn no_other_event_mutes_an_alarm() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    let name = format!("o/{}/preseed.cfg", paper.token());
    let stranger = [10, 1, 0, 77].into();
    for _ in 0..400 {
        paper.ask(2, stranger, "no-such-file");
        paper.ask(2, ADDRESS, "no-such-file");
    }
    paper.ask(2, stranger, &name);
    assert_eq!(alarms(&paper, AlarmKind::OrderFileFromElsewhere).len(), 1);
    for _ in 0..1_000 {
        paper.ask(3, stranger, &name);
    }
    assert_eq!(alarms(&paper, AlarmKind::OrderFileFromElsewhere).len(), 20, "nor does it fill the journal");
    paper.wait(70);
    paper.wait(80);
    assert_eq!(alarms(&paper, AlarmKind::OrderFileFromElsewhere)[20..], ["981 more like these"]);
}

/// A stranger takes this address, and gives it back if it is to.
fn lease(paper: &mut Paper, machine: u32, address: Ipv4Addr, gives_back: bool) {
    let [a, b, c, d] = machine.to_be_bytes();
    let mac = Mac([2, 0, a, b, c, d]);
    let mut request = message(MessageType::Request, Voice::Os, mac, machine);
    request.opts_mut().insert(DhcpOption::RequestedIpAddress(address));
    paper.say(1, &request);
    if gives_back {
        let mut release = message(MessageType::Release, Voice::Os, mac, machine);
        release.set_ciaddr(address);
        paper.say(1, &release);
    }
}

/// How many leases began and ended.
fn leases(paper: &Paper) -> (usize, usize) {
    let events = paper.events();
    let began = events.iter().filter(|kind| matches!(kind, EventKind::Leased { .. })).count();
    (began, events.iter().filter(|kind| matches!(kind, EventKind::LeaseEnded { .. })).count())
}

#[test]
fn a_strangers_lease_is_told_whole_or_not_at_all() {
    let mut paper = Paper::new(plan_that_leases());
    for _ in 0..100 {
        paper.ask(1, [10, 1, 0, 77].into(), "no-such-file");
    }
    lease(&mut paper, 1, [10, 1, 0, 100].into(), false);
    assert_eq!(leases(&paper), (1, 0), "whatever else was said of strangers");
    for machine in 2..2_000 {
        lease(&mut paper, machine, [10, 1, 0, 101].into(), true);
    }
    assert_eq!(leases(&paper), (300, 299), "who takes and releases without end does not fill the journal");
    lease(&mut paper, 3_000, [10, 1, 0, 102].into(), false);
    paper.wait(5_000);
    assert_eq!(leases(&paper), (300, 300), "no end without a beginning, and the reverse");
    assert!(
        alarms(&paper, AlarmKind::TooManyEvents)
            .contains(&"1700 leases of unknown machines were left out".into())
    );
}

/// The alarms of a kind.
fn alarms(paper: &Paper, wanted: AlarmKind) -> Vec<String> {
    let detail = |event| {
        if let EventKind::Alarm { kind, detail } = event { (kind == wanted).then_some(detail) } else { None }
    };
    paper.events().into_iter().filter_map(detail).collect()
}

#[test]
fn ignored_machines_are_counted_and_begin_no_boot() {
    let mut paper = Paper::new(plan());
    let stranger = |n| Mac([2, 0, 0, 0, 0, n]);
    for (n, voice) in [(1, Voice::UefiRom), (2, Voice::Os), (2, Voice::Os), (3, Voice::Ipxe)] {
        paper.say(10, &message(MessageType::Discover, voice, stranger(n), 1));
    }
    paper.wait(60);
    assert_eq!(alarms(&paper, AlarmKind::UnknownIgnored), [""; 0], "not one by one");
    paper.wait(75);
    let told = "3 that no host has: 02:00:00:00:00:01, 02:00:00:00:00:02, 02:00:00:00:00:03";
    assert_eq!(alarms(&paper, AlarmKind::UnknownIgnored), [told]);
    paper.say(80, &message(MessageType::Discover, Voice::Os, stranger(2), 1));
    paper.wait(200);
    assert_eq!(alarms(&paper, AlarmKind::UnknownIgnored).len(), 1, "it has been told");
    paper.say(210, &message(MessageType::Discover, Voice::Os, stranger(4), 1));
    paper.wait(300);
    assert_eq!(alarms(&paper, AlarmKind::UnknownIgnored)[1..], ["1 that no host has: 02:00:00:00:00:04"]);
    paper.say(4_000, &message(MessageType::Discover, Voice::Os, stranger(2), 1));
    paper.wait(4_100);
    assert_eq!(alarms(&paper, AlarmKind::UnknownIgnored).len(), 3, "it is still there");
    let began = paper.events().into_iter().filter(|kind| matches!(kind, EventKind::AttemptBegan { .. }));
    assert_eq!((began.count(), paper.sent.len()), (0, 0));
}

#[test]
fn one_known_host_does_not_fill_the_journal_and_its_order_goes_on() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    let token = paper.token();
    for _ in 0..2_000 {
        paper.ask(2, ADDRESS, "no-such-file");
        paper.callback(2, &token, Callback::Progress { percent: Some(1), text: b"again".to_vec() });
    }
    assert!((300..320).contains(&paper.events().len()), "{}", paper.events().len());
    assert_eq!(alarms(&paper, AlarmKind::TooManyEvents).len(), 1);
    assert_eq!(paper.text(3, &format!("o/{token}/preseed.cfg")).as_deref(), Some("password hunter2"));
    assert_eq!(paper.callback(4, &token, Callback::Installed), ReportAnswer::Recorded);
    assert_eq!(paper.phases().last(), Some(&OrderPhase::Installed), "orders are never left out");
    let before = paper.events().len();
    paper.ask(700, ADDRESS, "no-such-file");
    assert_eq!(paper.events().len(), before + 1, "told again in the next window");
}

#[test]
fn an_order_expires_by_time_alone() {
    let mut paper = Paper::new(plan_with_order());
    paper.wait(7_199);
    assert_eq!(paper.phases(), [OrderPhase::Armed]);
    paper.wait(7_206);
    assert_eq!(paper.phases(), [OrderPhase::Armed, OrderPhase::Expired]);
}

#[test]
fn a_clock_that_is_behind_puts_orders_in_doubt_until_contact() {
    let mut before = Paper::new(plan());
    before.dora(5_000, Voice::Ipxe);
    let mut paper = Paper::restarted(&before.ledger, at(10));
    paper.input(10, Input::Plan(Arc::new(plan_with_order())));
    paper.dora(11, Voice::Ipxe);
    assert_eq!(paper.decisions().last(), Some(&Answer::LocalDisk));
    paper.input(12, Input::Contact);
    paper.dora(400, Voice::Ipxe);
    assert_eq!(paper.decisions().last(), Some(&Answer::Script));
    let times: Vec<_> = paper.site.events_after(0).map(|numbered| numbered.event.at).collect();
    assert!(times.is_sorted(), "recorded time never goes back");
}

#[test]
fn a_full_disk_stops_orders_and_not_the_local_boot() {
    let mut paper = Paper::new(plan_with_order());
    paper.input(1, Input::Disk(Disk::Full));
    paper.dora(2, Voice::Ipxe);
    assert_eq!((paper.decisions(), paper.sent.len()), (vec![Answer::LocalDisk], 2));
}

#[test]
fn acknowledged_events_are_gone_and_those_of_another_journal_are_not() {
    let mut paper = Paper::new(plan());
    paper.dora(1, Voice::Ipxe);
    let all = paper.events().len();
    paper.input(2, Input::Acknowledged(Incarnation([0; 16]), 2));
    assert_eq!(paper.events().len(), all);
    paper.input(3, Input::Acknowledged(Incarnation([9; 16]), 2));
    assert_eq!(paper.events().len(), all - 2);
}

#[test]
fn a_snapshot_makes_the_same_site_again() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    let snapshot: Vec<_> = paper.site.snapshot().collect();
    let again = Paper::restarted(&snapshot, at(5));
    assert_eq!(again.site.snapshot().collect::<Vec<_>>(), snapshot);
    assert!(matches!(again.site.dhcp().lease_of(ADDRESS), Some(lease) if lease.key.mac == MAC));
}

#[test]
fn secrets_and_tokens_do_not_show_themselves() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    let token = paper.token();
    let answer = paper.ask(2, ADDRESS, &format!("o/{token}/preseed.cfg"));
    assert!(
        matches!(&answer, FileAnswer::Send { source: Source::Bytes(bytes), .. } if bytes.ends_with(b"hunter2"))
    );
    assert!(!format!("{answer:?}").contains("hunter2"), "{answer:?}");
    let report = ReportRequest { ask: 2, from: ADDRESS, token: token.clone(), callback: Callback::Installed };
    assert!(!format!("{report:?}").contains(&token), "{report:?}");
}

#[test]
fn events_name_the_client_that_spoke() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::UefiRom);
    let EventKind::AttemptBegan { client, platform, .. } = &paper.events()[2] else {
        panic!("{:?}", paper.events())
    };
    assert_eq!((*client, *platform), (Client::PxeRom, Some(proto::Platform::UefiX64)));
}

#[test]
fn a_host_whose_offers_are_delayed_is_answered_once_and_in_time() {
    let mut slow = host();
    slow.reply.delay = Some(Duration::from_secs(3));
    let mut paper = Paper::new(plan_of(2, vec![network_entry(&network()), host_entry(&slow)]));
    let discover = message(MessageType::Discover, Voice::UefiRom, MAC, 7);
    paper.say(1, &discover);
    paper.wait(2);
    paper.say(2, &discover);
    assert_eq!(paper.sent.len(), 0);
    assert_eq!(paper.site.poll_timeout(), at(4).mono);
    paper.wait(3);
    assert_eq!(paper.sent.len(), 0);
    paper.wait(4);
    assert_eq!(paper.sent.len(), 1);
    let mut waited = message(MessageType::Discover, Voice::UefiRom, MAC, 8);
    waited.set_secs(4);
    paper.say(5, &waited);
    assert_eq!(paper.sent.len(), 2, "it says that it has waited");
    let mut request = message(MessageType::Request, Voice::UefiRom, MAC, 8);
    request.opts_mut().insert(DhcpOption::RequestedIpAddress(ADDRESS));
    paper.say(6, &request);
    assert_eq!(paper.sent.len(), 3, "only the first word is delayed");
}
