//! The paper loop: a machine of `rom` on one side, the agent's engine on the other, and paper time between them.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use netboot::dhcp::{Message, Operation, Request};
use netboot::site::{Action, Arrival, Config, Input, Site};
use netboot::time::Now;
use proto::Incarnation;
use proto::event::{AlarmKind, Answer, Event, EventKind};
use proto::ledger::Record;
use rom::{End, Identity, Machine};

use super::hide::MadeUp;
use super::scenario::Scenario;
use super::step::{File, Packet, Sender, Step};
use super::{end, other_server::OtherServer, packet};

/// More turns than any boot takes: each packet, file and pause is one.
const TURNS: usize = 20_000;
/// Events that the engine's journal keeps.
const JOURNAL: usize = 10_000;
/// How long after an installation the machine is switched on again: later than what still counts as the same attempt.
const INSTALLATION: Duration = Duration::from_secs(3_600);
/// The engine's numbers are made from it: the same boot is simulated the same way twice.
const SEED: [u8; 32] = *b"bootlane: a boot on paper, seed.";

/// All boots that follow from switching the machine on once.
#[derive(Debug, Default)]
pub(crate) struct Simulation {
    /// The boot, and the one after its installation if there is one. None: nobody serves the site.
    pub(crate) boots: Vec<Booted>,
    /// What the agent would raise.
    pub(crate) alarms: Vec<(AlarmKind, String)>,
}

/// One boot.
#[derive(Debug)]
pub(crate) struct Booted {
    pub(crate) steps: Vec<Step>,
    pub(crate) end: End,
    /// The last word of the decision.
    pub(crate) decided: Option<(Answer, String)>,
    /// It holds an order, which it has carried out as far as that is known.
    pub(crate) installs: bool,
}

impl Booted {
    /// Is it on the way that was decided: not given up, or sent to its disk, which firmware without a menu is by a file that is not
    /// there?
    pub(crate) fn ends_well(&self) -> bool {
        match (&self.end, &self.decided) {
            (End::NextDevice { .. }, Some((Answer::LocalDisk, _))) => true,
            (End::NextDevice { .. }, _) => false,
            (End::LocalDisk | End::Files(_) | End::Kernel { .. }, _) => true,
        }
    }

    /// The files that it was given or refused.
    pub(crate) fn files(&self) -> impl Iterator<Item = &File> {
        self.steps.iter().filter_map(Step::file)
    }

    /// Programs look for more than there is. What a machine gave up over was needed.
    fn mark_what_was_needed(&mut self) {
        if self.ends_well() {
            return;
        }
        let mut files = self.steps.iter_mut().rev().filter_map(|step| match step {
            Step::File(file) => Some(file),
            Step::Packet(_) | Step::Decided { .. } | Step::Note(_) | Step::End(_) => None,
        });
        if let Some(last) = files.next().filter(|file| !file.is_given()) {
            last.optional = false;
        }
    }
}

/// Lets the machine boot.
pub(crate) fn boot(scenario: &Scenario) -> Simulation {
    let Some(mut paper) = Paper::new(scenario) else { return Simulation::default() };
    let first = paper.live();
    let installs = first.installs;
    let mut boots = vec![first];
    if installs {
        paper.now = paper.now.plus(INSTALLATION);
        boots.push(paper.live());
    }
    Simulation { boots, alarms: paper.alarms }
}

/// The engine, and what has happened so far.
pub(super) struct Paper<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) site: Site,
    pub(super) now: Now,
    pub(super) arrival: Arrival,
    pub(super) made_up: MadeUp,
    pub(super) steps: Vec<Step>,
    /// What the engine has answered to the last question for a file.
    pub(super) answer: Option<netboot::site::FileAnswer>,
    /// Why it was refused.
    pub(super) refused: Option<String>,
    other_server: Option<OtherServer>,
    decided: Option<(Answer, String)>,
    alarms: Vec<(AlarmKind, String)>,
    inbox: VecDeque<Vec<u8>>,
    boots: u64,
}

impl<'a> Paper<'a> {
    /// None: the site has no agent.
    fn new(scenario: &'a Scenario) -> Option<Self> {
        let config = Config { agent: scenario.agent.clone()?, journal_limit: JOURNAL, stations: Vec::new() };
        let mut site = Site::new(config, Incarnation([0; 16]), SEED);
        let now = scenario.now;
        scenario.ledger.iter().for_each(|record| site.restore(record));
        site.begin(now.mono, now.wall);
        let base_url = format!("http://{}", scenario.server).into();
        let mut paper = Self {
            scenario,
            site,
            now,
            arrival: Arrival { interface: 0, server: scenario.server, base_url },
            made_up: MadeUp::default(),
            steps: Vec::new(),
            answer: None,
            refused: None,
            other_server: OtherServer::beside(scenario),
            decided: None,
            alarms: Vec::new(),
            inbox: VecDeque::new(),
            boots: 0,
        };
        paper.input(Input::Plan(scenario.plan.clone()));
        paper.input(Input::Contact);
        paper.input(Input::Disk(scenario.disk));
        paper.input(Input::OutOfReach(scenario.out_of_reach.clone()));
        // What the plan lacks for others is not this machine's.
        (paper.steps, paper.alarms) = (Vec::new(), Vec::new());
        Some(paper)
    }

    /// From the power button to the end.
    fn live(&mut self) -> Booted {
        self.boots += 1;
        self.decided = None;
        let Scenario { mac, firmware, .. } = *self.scenario;
        let uuid = self.scenario.host().and_then(|host| host.uuid).unwrap_or_default();
        let identity = Identity { mac, uuid, firmware };
        let machine = match self.other_server {
            Some(_) => Machine::power_on_beside_another_server(self.now, identity, self.boots),
            None => Machine::power_on(self.now, identity, self.boots),
        };
        let end = self.run(machine);
        let installs = self.installs(&end);
        let words = if installs { "is installed, and starts again".to_owned() } else { end::words(&end) };
        self.steps.push(Step::End(words));
        let mut booted =
            Booted { steps: std::mem::take(&mut self.steps), end, decided: self.decided.take(), installs };
        booted.mark_what_was_needed();
        booted
    }

    fn run(&mut self, mut machine: Machine) -> End {
        for _ in 0..TURNS {
            match machine.poll_action() {
                Some(rom::Action::Broadcast(datagram)) => self.say(&datagram, None),
                Some(rom::Action::Ask { from, datagram, .. }) => self.say(&datagram, Some(from)),
                Some(rom::Action::Fetch { from, source }) => self.fetch(&mut machine, from, &source),
                Some(rom::Action::End(end)) => return end,
                None if self.wait(&mut machine) => {}
                None => return End::NextDevice { why: "it waits for what never comes" },
            }
            while let Some(datagram) = self.inbox.pop_front() {
                machine.handle(self.now, rom::Input::Datagram(&datagram));
            }
        }
        End::NextDevice { why: "it comes to no end" }
    }

    fn say(&mut self, datagram: &[u8], boot_service: Option<SocketAddrV4>) {
        let Ok(message) = Message::parse(datagram) else { return };
        let request = match (boot_service, self.scenario.relay) {
            (Some(from), _) => Request::parse_boot_service(datagram, from),
            (None, Some(relay)) => Request::try_from(forwarded(&message, relay)),
            (None, None) => Request::parse(datagram),
        };
        let Ok(request) = request else { return };
        self.packet(packet::describe(&message, Sender::Machine, packet::program(request.client)));
        let other = self.other_server.as_ref().filter(|_| boot_service.is_none());
        if let Some(reply) = other.and_then(|other| other.reply(&message)) {
            self.packet(packet::describe(&reply, Sender::OtherServer, ""));
            self.inbox.push_back(reply.emit());
        }
        self.site.hear(self.now, &self.arrival, &request);
        self.drain();
    }

    /// Until something is due at either side; false: nothing ever is.
    fn wait(&mut self, machine: &mut Machine) -> bool {
        let Some(due) = machine.poll_timeout() else { return false };
        let next = due.min(self.site.poll_timeout());
        self.now = self.now.plus(next.since(self.now.mono));
        self.site.handle_timeout(self.now);
        self.drain();
        if self.inbox.is_empty() && due <= self.now.mono {
            machine.handle_timeout(self.now);
        }
        true
    }

    pub(super) fn input(&mut self, input: Input) {
        self.site.handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(action) = self.site.poll_action() {
            match action {
                // Nothing is written down; events are what it tells.
                Action::Persist(record) => {
                    if let Record::Event(numbered) = record {
                        self.note(numbered.event);
                    }
                }
                Action::Send { datagram, .. } => self.sent(datagram),
                Action::Answer { answer, .. } => self.answer = Some(answer),
                Action::Probe { .. }
                | Action::DestroySecrets(_)
                | Action::KeepCapture(_)
                | Action::Replied { .. } => {}
            }
        }
    }

    fn sent(&mut self, datagram: Vec<u8>) {
        let Ok(message) = Message::parse(&datagram) else { return };
        if message.operation == Operation::Reply && message.mac == self.scenario.mac {
            self.packet(packet::describe(&message, Sender::Agent, ""));
            self.inbox.push_back(datagram);
        }
    }

    fn note(&mut self, event: Event) {
        if event.mac.is_some_and(|mac| mac != self.scenario.mac) {
            return;
        }
        if let Some(attempt) = event.attempt {
            self.made_up.attempt(attempt);
            let state = self.site.orders().by_attempt(attempt);
            state.and_then(|state| state.token).into_iter().for_each(|token| self.made_up.token(token));
        }
        match event.kind {
            EventKind::Decided { answer, reason, .. } => {
                self.steps.push(Step::Decided { answer: answered(answer), reason: reason.clone() });
                self.decided = Some((answer, reason));
            }
            EventKind::OrderMoved { number, phase, reason, .. } => {
                self.steps.push(Step::Note(format!("order {number} is {}: {reason}", phase.word())));
            }
            EventKind::FileRefused { why, .. } => self.refused = Some(why),
            EventKind::Alarm { kind, detail } => self.alarms.push((kind, detail)),
            EventKind::OsUp { .. } => self.steps.push(Step::Note("the operating system is up".into())),
            EventKind::FormMoved { .. }
            | EventKind::AttemptBegan { .. }
            | EventKind::Offered { .. }
            | EventKind::Leased { .. }
            | EventKind::LeaseEnded { .. }
            | EventKind::LeaseRenewed { .. }
            | EventKind::AddressRefused { .. }
            | EventKind::LeaseReleaseAnswered { .. }
            | EventKind::FileServed { .. }
            | EventKind::FileProbed { .. }
            | EventKind::FileBroken { .. }
            | EventKind::Progress { .. }
            | EventKind::ForeignOfferTaken { .. }
            | EventKind::PlanAdopted(_)
            | EventKind::PlanRefused { .. }
            | EventKind::CaptureKept { .. }
            | EventKind::SyslogLine { .. }
            | EventKind::Gap { .. } => {}
        }
    }

    /// One that is sent again is told once.
    fn packet(&mut self, packet: Packet) {
        let packet = Packet {
            fields: packet
                .fields
                .into_iter()
                .map(|(name, value)| (name, self.made_up.named(&value)))
                .collect(),
            ..packet
        };
        if let Some(Step::Packet(last)) = self.steps.last_mut()
            && (last.from, last.kind, &last.fields) == (packet.from, packet.kind, &packet.fields)
        {
            last.times += 1;
        } else {
            self.steps.push(Step::Packet(packet));
        }
    }
}

/// As a relay agent sends it on (RFC 2131 §4.1).
fn forwarded(message: &Message, relay: Ipv4Addr) -> Message {
    Message { giaddr: relay, hops: message.hops.saturating_add(1), ..message.clone() }
}

fn answered(answer: Answer) -> &'static str {
    match answer {
        Answer::Silence => "no answer",
        Answer::AddressOnly => "an address and nothing to boot",
        Answer::LocalDisk => "its local disk",
        Answer::Loader => "a boot loader",
        Answer::Script => "a boot script",
    }
}
