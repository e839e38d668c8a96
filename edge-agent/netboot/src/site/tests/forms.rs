//! Machines that obey one form of reply alone, made from reports of such firmware: they boot after a while, and what was
//! learnt of them stays (QUIRKS 19, 20, 22).

use std::net::SocketAddrV4;

use dhcproto::{Decodable, Decoder};
use proto::{
    FirmwareModel,
    ledger::FormMemory,
    plan::{DhcpMode, LearnedForm, Network, ReplyForm},
};

use super::*;

const OTHER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 3);
const GIVEN: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 77);
const LOADER: &str = "snponly.efi";

/// What a kind of firmware makes of a reply.
#[derive(Clone, Copy)]
enum Firmware {
    /// EDK2 before 2017 (tianocore/edk2#6944): never keeps a proxy's offer that has option 43, asks at port 4011 if the
    /// class stands alone.
    OldEdk2,
    /// As HP's of the ninth generation: takes any lease, and fetches only what stands in a reply that says nothing of PXE.
    HpGen9,
}

/// What it does with a reply: nothing, fetch the file, or ask at port 4011.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Nothing,
    Fetch(String),
    AskBootService,
}

impl Firmware {
    fn reads(self, reply: &Message) -> Next {
        let has = |code: u8| reply.opts().get(OptionCode::from(code)).is_some();
        let file = file(reply);
        match (self, has(60), has(43)) {
            (Self::OldEdk2, true, false) if file.is_empty() => Next::AskBootService,
            (Self::OldEdk2, true, false) | (Self::HpGen9, false, false) if !file.is_empty() => {
                Next::Fetch(file)
            }
            _ => Next::Nothing,
        }
    }
}

/// Without the zeros that fill the field.
fn file(reply: &Message) -> String {
    let bytes = reply.fname().unwrap_or_default();
    String::from_utf8(bytes.iter().copied().take_while(|byte| *byte != 0).collect()).expect("text")
}

fn parse(datagram: &[u8]) -> Message {
    Message::decode(&mut Decoder::new(datagram)).expect("a legal reply")
}

fn site_of(mode: DhcpMode, reply: ReplySettings) -> SitePlan {
    let network = Network { dhcp: mode, reply, ..network() };
    let host = HostPlan { boot: Some(boot()), ..host() };
    plan_of(3, vec![network_entry(&network), host_entry(&host)])
}

/// The replies to a message.
fn said(paper: &mut Paper, second: u64, message: &Message) -> Vec<Message> {
    let before = paper.sent.len();
    paper.say(second, message);
    paper.sent[before..].iter().map(|(_, datagram)| parse(datagram)).collect()
}

/// Its address is its own or the other server's; what the boot service says.
fn ask_boot_service(paper: &mut Paper, second: u64, from: Ipv4Addr) -> Message {
    let mut message = super::message(MessageType::Request, Voice::UefiRom, MAC, 7);
    message.set_ciaddr(from);
    let mut bytes = Vec::new();
    message.encode(&mut Encoder::new(&mut bytes)).expect("a legal message");
    let request =
        Request::parse_boot_service(&bytes, SocketAddrV4::new(from, 4011)).expect("a legal message");
    paper.input(second, Input::Dhcp(arrival(), Box::new(request)));
    parse(&paper.sent.last().expect("an answer").1)
}

/// One boot, from its first DISCOVER to its fetch; does it fetch?
fn boots(paper: &mut Paper, second: u64, firmware: Firmware, proxy: bool) -> bool {
    let discover = super::message(MessageType::Discover, Voice::UefiRom, MAC, 7);
    let mut request = super::message(MessageType::Request, Voice::UefiRom, MAC, 7);
    let (server, address) = if proxy { (OTHER, GIVEN) } else { (SERVER, ADDRESS) };
    request.opts_mut().insert(DhcpOption::RequestedIpAddress(address));
    request.opts_mut().insert(DhcpOption::ServerIdentifier(server));
    for after in [0, 4, 12, 28] {
        let [offer] = &said(paper, second + after, &discover)[..] else { panic!("an offer") };
        let mut next = firmware.reads(offer);
        if !proxy {
            let [ack] = &said(paper, second + after, &request)[..] else { panic!("an ACK") };
            next = firmware.reads(ack);
        } else if next != Next::Nothing {
            said(paper, second + after, &request);
        }
        if next == Next::AskBootService {
            next = firmware.reads(&ask_boot_service(paper, second + after + 1, address));
        }
        match next {
            Next::Fetch(name) => {
                assert_ne!(paper.fetch(second + after + 2, address, &name), FileAnswer::NotFound);
                return true;
            }
            // It has its lease, and goes on to its next boot option.
            Next::Nothing | Next::AskBootService if !proxy => return false,
            Next::Nothing | Next::AskBootService => {}
        }
    }
    false
}

fn moves(paper: &Paper) -> Vec<(ReplyForm, bool)> {
    let moved = |kind| {
        let EventKind::FormMoved { form, proved, .. } = kind else { return None };
        Some((form, proved))
    };
    paper.events().into_iter().filter_map(moved).collect()
}

fn memories(paper: &Paper) -> Vec<FormMemory> {
    let memory = |record: &Record| if let Record::Form(memory) = record { Some(*memory) } else { None };
    paper.ledger.iter().filter_map(memory).collect()
}

#[test]
fn synthetic_old_edk2_boots_beside_another_server_by_the_boot_service() {
    let mut paper = Paper::new(site_of(DhcpMode::Proxy, ReplySettings::default()));
    let boots = [0, 100, 200, 300].map(|second| boots(&mut paper, second, Firmware::OldEdk2, true));
    assert_eq!(boots, [false, false, true, true]);
    let proof = (ReplyForm::BootService, true);
    assert_eq!(moves(&paper), [(ReplyForm::BootService, false), proof, proof]);
}

#[test]
fn synthetic_hp_gen9_boots_by_the_plain_file_and_a_restart_forgets_it_not() {
    let mut paper = Paper::new(site_of(DhcpMode::Authoritative, ReplySettings::default()));
    let tried = [0, 100, 200, 300, 400].map(|second| boots(&mut paper, second, Firmware::HpGen9, false));
    assert_eq!(tried, [false, false, false, false, true]);
    let expected = [(ReplyForm::BootService, false), (ReplyForm::File, false), (ReplyForm::File, true)];
    assert_eq!(moves(&paper), expected);

    let mut paper = Paper::restarted(&paper.ledger.clone(), at(500));
    paper.input(500, Input::Plan(Arc::new(site_of(DhcpMode::Authoritative, ReplySettings::default()))));
    assert!(boots(&mut paper, 501, Firmware::HpGen9, false));
    assert_eq!(memories(&paper).len(), expected.len(), "nothing new");
}

#[test]
fn synthetic_hp_gen9_beside_another_server_is_never_given_what_is_no_offer_to_it() {
    let learned = |paper: &Paper| {
        let model = memories(paper).first().expect("something was learnt").model;
        ReplySettings {
            learned: vec![LearnedForm { model, mac: None, form: ReplyForm::File }],
            ..ReplySettings::default()
        }
    };
    let mut paper = Paper::new(site_of(DhcpMode::Authoritative, ReplySettings::default()));
    for second in [0, 100, 200, 300, 400] {
        boots(&mut paper, second, Firmware::HpGen9, false);
    }
    // The site takes another server, and the fleet has learnt the same.
    let reply = learned(&paper);
    let mut paper = Paper::restarted(&paper.ledger.clone(), at(500));
    paper.input(500, Input::Plan(Arc::new(site_of(DhcpMode::Proxy, reply))));
    let before = paper.sent.len();
    for second in (600..1_600).step_by(100) {
        boots(&mut paper, second, Firmware::HpGen9, true);
    }
    for (_, reply) in &paper.sent[before..] {
        assert!(parse(reply).opts().get(OptionCode::from(60)).is_some(), "QUIRKS 13");
    }
    let moved: Vec<_> = memories(&paper).into_iter().map(|memory| memory.form).collect();
    assert!(moved[3..].len() > 2 && !moved[3..].contains(&ReplyForm::File), "{moved:?}");
}

#[test]
fn what_the_controller_does_not_plan_is_told_again_once_a_boot() {
    let mut paper = Paper::new(site_of(DhcpMode::Proxy, ReplySettings::default()));
    for second in [0, 100, 200, 300, 400] {
        boots(&mut paper, second, Firmware::OldEdk2, true);
    }
    let proofs = |paper: &Paper| moves(paper).iter().filter(|(_, proved)| *proved).count();
    assert_eq!((proofs(&paper), memories(&paper).len()), (3, 2));
    let model = memories(&paper)[0].model;
    let learned = vec![LearnedForm { model, mac: None, form: ReplyForm::BootService }];
    let planned = site_of(DhcpMode::Proxy, ReplySettings { learned, ..ReplySettings::default() });
    paper.input(450, Input::Plan(Arc::new(planned)));
    assert!(boots(&mut paper, 500, Firmware::OldEdk2, true));
    assert_eq!(proofs(&paper), 3, "it knows");
}

#[test]
fn who_asks_for_a_loader_and_does_not_take_it_proves_nothing() {
    let mut paper = Paper::new(site_of(DhcpMode::Authoritative, ReplySettings::default()));
    paper.dora(0, Voice::UefiRom);
    let FileAnswer::Send { source, served } = paper.ask(1, ADDRESS, LOADER) else { panic!("it is there") };
    paper.told(2, served.clone(), source.bytes(), FileEnd::Probed);
    paper.told(2, served.clone(), source.bytes() - 1, FileEnd::Whole);
    assert_eq!(memories(&paper), []);
    paper.told(3, served, source.bytes(), FileEnd::Whole);
    assert_eq!(memories(&paper).len(), 1);
}

#[test]
fn the_usual_machine_is_remembered_and_not_told_of() {
    let mut paper = Paper::new(site_of(DhcpMode::Authoritative, ReplySettings::default()));
    for second in [0, 400] {
        paper.dora(second, Voice::UefiRom);
        paper.fetch(second + 1, ADDRESS, LOADER);
        paper.dora(second + 2, Voice::Ipxe);
    }
    assert_eq!(moves(&paper), []);
    let [memory] = &memories(&paper)[..] else { panic!("one record for ever") };
    assert_eq!((memory.form, memory.proved), (ReplyForm::Discovery, true));
}

#[test]
fn a_form_that_is_told_is_on_disk_before_the_reply_that_has_it_leaves() {
    let mut paper = Paper::new(site_of(DhcpMode::Authoritative, ReplySettings::default()));
    for second in [0, 100, 200] {
        boots(&mut paper, second, Firmware::HpGen9, false);
    }
    let at = paper.ledger.iter().position(|record| matches!(record, Record::Form(_))).expect("recorded");
    let offers: Vec<_> = paper
        .sent
        .iter()
        .filter(|(_, reply)| parse(reply).opts().get(OptionCode::from(43)).is_none())
        .collect();
    assert!(at < offers[0].0);
}

#[test]
fn another_site_begins_with_the_form_that_was_learnt() {
    let mut first = Paper::new(site_of(DhcpMode::Authoritative, ReplySettings::default()));
    for second in [0, 100, 200, 300, 400] {
        boots(&mut first, second, Firmware::HpGen9, false);
    }
    let learned: Vec<(FirmwareModel, ReplyForm)> = first
        .events()
        .into_iter()
        .filter_map(|kind| {
            let EventKind::FormMoved { form, proved: true, model, .. } = kind else { return None };
            Some((model, form))
        })
        .collect();
    let [(model, form)] = learned[..] else { panic!("one proof") };
    let learned = vec![LearnedForm { model, mac: None, form }];
    let reply = ReplySettings { learned, ..ReplySettings::default() };
    let mut second = Paper::new(site_of(DhcpMode::Authoritative, reply));
    assert!(boots(&mut second, 0, Firmware::HpGen9, false), "at the first try");
    assert!(boots(&mut second, 100, Firmware::HpGen9, false));
    assert_eq!(moves(&second), [(ReplyForm::File, true)], "another host's voice, once");
}

#[test]
fn the_operators_word_is_obeyed_and_teaches_nothing() {
    let pinned = ReplySettings { form: Some(ReplyForm::Discovery), ..ReplySettings::default() };
    let mut paper = Paper::new(site_of(DhcpMode::Authoritative, pinned));
    for second in [0, 100, 200, 300, 400] {
        assert!(!boots(&mut paper, second, Firmware::HpGen9, false));
    }
    assert_eq!((moves(&paper), memories(&paper)), (vec![], vec![]));
}

#[test]
fn quirk_20_the_boot_service_of_an_authority_has_the_file() {
    let pinned = ReplySettings { form: Some(ReplyForm::BootService), ..ReplySettings::default() };
    let mut paper = Paper::new(site_of(DhcpMode::Authoritative, pinned));
    let discover = super::message(MessageType::Discover, Voice::UefiRom, MAC, 7);
    let [offer] = &said(&mut paper, 0, &discover)[..] else { panic!("an offer") };
    let option = |reply: &Message, code: u8| reply.opts().get(OptionCode::from(code)).is_some();
    assert_eq!((offer.yiaddr(), offer.siaddr()), (ADDRESS, SERVER));
    assert_eq!([60, 43, 67].map(|code| option(offer, code)), [true, false, false]);
    assert_eq!(file(offer), "");
    assert!(boots(&mut paper, 10, Firmware::OldEdk2, false));
    let answer = ask_boot_service(&mut paper, 20, ADDRESS);
    assert_eq!((answer.yiaddr(), answer.siaddr()), (Ipv4Addr::UNSPECIFIED, SERVER));
    assert_eq!(Firmware::OldEdk2.reads(&answer), Next::Fetch(LOADER.into()));
}

#[test]
fn an_operator_makes_the_edge_forget() {
    let mut paper = Paper::new(site_of(DhcpMode::Authoritative, ReplySettings::default()));
    for second in [0, 100, 200, 300, 400] {
        boots(&mut paper, second, Firmware::HpGen9, false);
    }
    let reply = ReplySettings { forget_before: at(450).wall, ..ReplySettings::default() };
    let host = HostPlan { boot: Some(boot()), reply, ..host() };
    let plan = plan_of(4, vec![network_entry(&network()), host_entry(&host)]);
    paper.input(450, Input::Plan(Arc::new(plan)));
    assert!(!boots(&mut paper, 500, Firmware::HpGen9, false), "from the beginning");
}
