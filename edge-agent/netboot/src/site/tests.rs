//! One machine at a site on paper: what it is told, what is recorded, and in which order.

mod at_once;
mod beside;
mod captures;
mod clocks;
mod files;
mod forms;
mod installation;
mod journal;
mod programs;
mod raspberry_pi;
mod release;
mod restarts;
mod standing;
mod syslog;
mod wire;

use std::net::Ipv4Addr;

use dhcproto::{
    Encodable, Encoder,
    v4::{DhcpOption, Message, MessageType, OptionCode, UnknownOption},
};
use proto::event::{Answer, Client, NumberedEvent, OrderPhase, Transport};

use super::{paper::*, *};
use crate::{
    dhcp::{Destination, Request},
    site::reports::Callback,
};

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
    /// Did the latest wait for no record?
    at_once: bool,
    answers: Vec<(usize, FileAnswer)>,
    /// Of the latest answer.
    single_port: bool,
    replies: Vec<ReportAnswer>,
    destroyed: Vec<proto::OrderId>,
    failed: Vec<FailedBoot>,
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
            at_once: false,
            answers: vec![],
            single_port: false,
            replies: vec![],
            destroyed: vec![],
            failed: vec![],
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
                Action::Send { datagram, interface, at_once, .. } => {
                    assert_eq!(interface, 3);
                    self.at_once = at_once;
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
                Action::KeepCapture(failed) => self.failed.push(failed),
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

    /// Asks for a file, and gets all of it.
    fn fetch(&mut self, second: u64, from: Ipv4Addr, name: &str) -> FileAnswer {
        let answer = self.ask(second, from, name);
        if let FileAnswer::Send { source, served } = &answer {
            self.told(second, served.clone(), source.bytes(), FileEnd::Whole);
        }
        answer
    }

    fn told(&mut self, second: u64, served: Served, bytes: u64, end: FileEnd) {
        let (transport, took, retransmissions) = (Transport::Tftp, Duration::from_millis(20), 0);
        let told = FileTold { served, transport, bytes, took, retransmissions, repeats: 0, end };
        self.input(second, Input::Told(told));
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

/// The plan with an order, changed.
fn plan_with(change: impl Fn(&mut HostPlan, &mut OrderPlan)) -> Arc<SitePlan> {
    let (mut host, mut order) = (host(), order());
    change(&mut host, &mut order);
    let mut entries = vec![network_entry(&network()), host_entry(&host), order_entry(&order)];
    entries.extend(secrets_entry(&order));
    Arc::new(plan_of(3, entries))
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
