//! A machine that boots under an order, until a fault stops it.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use controller::diagnosis::Cause;
use netboot::dhcp::{Message, Operation, Request};
use netboot::site::{
    self, Arrival, Callback, Config, FileAnswer, FileEnd, FileRequest, FileTold, ReportRequest, Served, Site,
};
use netboot::time::Now;
use proto::event::{NumberedEvent, Transport};
use proto::{Digest, Incarnation};
use rom::{Action, End, Firmware, Identity, Input, Machine, Source};

use super::cause;
use super::plan::{ADDRESS, AGENT, INSTALL, MAC, Plan, SERVER, UUID, blob};

const URL: &str = "http://10.1.0.2";

/// What stops the boot.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing: it goes on to its kernel.
    None,
    /// No message of the agent's reaches the machine.
    RepliesLost,
    /// Another server's offer comes first.
    OtherOffer,
    /// It stands still before it fetches anything.
    StopsAtItsAddress,
    /// Its loader does not run.
    StopsAtItsLoader,
    /// It stands still before it fetches its kernel.
    StopsAtItsScript,
}

/// The agent's engine and the machine on one wire of paper.
pub(crate) struct Scene {
    site: Site,
    identity: Identity,
    machine: Machine,
    now: Now,
    fault: Fault,
    fetched: Vec<Source>,
}

impl Scene {
    pub(crate) fn new(plan: &Plan, firmware: Firmware, fault: Fault) -> Self {
        let config = Config { agent: AGENT.into(), journal_limit: 1_000, stations: vec![] };
        let mut site = Site::new(config, Incarnation([9; 16]), [3; 32]);
        let now = Now::default().plus(Duration::from_secs(1));
        site.begin(now.mono, now.wall);
        site.handle(now, site::Input::Plan(Arc::new(plan.decoded())));
        let identity = Identity { mac: MAC, uuid: UUID, firmware };
        let machine = Machine::power_on(now, identity, 1);
        Self { site, identity, machine, now, fault, fetched: Vec::new() }
    }

    /// Somebody pushes its button, or what runs there resets it.
    pub(crate) fn reset(&mut self) {
        self.machine = Machine::power_on(self.now, self.identity, 1);
        self.fetched.clear();
    }

    /// To the machine's end, or to where the fault stops it; the kernel's arguments, if it comes to that.
    pub(crate) fn run(&mut self) -> Option<String> {
        for _ in 0..200 {
            match self.machine.poll_action() {
                Some(Action::Broadcast(datagram)) if self.may_speak() => self.say(&datagram),
                Some(Action::Fetch { from, source }) if self.may_fetch(&source) => self.fetch(from, source),
                Some(Action::Broadcast(_) | Action::Fetch { .. }) => return None,
                Some(Action::Ask { .. }) => panic!("the agent has sent it to no boot service"),
                Some(Action::End(End::Kernel { arguments, .. })) => return Some(arguments),
                Some(Action::End(End::LocalDisk | End::NextDevice { .. } | End::Files(_))) => return None,
                None => self.wait(),
            }
        }
        panic!("no end");
    }

    fn may_speak(&self) -> bool {
        self.fault != Fault::StopsAtItsLoader || self.fetched.is_empty()
    }

    fn may_fetch(&self, source: &Source) -> bool {
        let kernel = matches!(source, Source::Http { url } if url.ends_with("/linux"));
        match self.fault {
            Fault::StopsAtItsAddress => false,
            Fault::StopsAtItsScript => !kernel,
            Fault::None | Fault::RepliesLost | Fault::OtherOffer | Fault::StopsAtItsLoader => true,
        }
    }

    pub(crate) fn say(&mut self, datagram: &[u8]) {
        let request = Request::parse(datagram).expect("the machine speaks DHCP");
        if self.fault == Fault::OtherOffer {
            let offer = other_offer(datagram);
            self.machine.handle(self.now, Input::Datagram(&offer));
        }
        self.input(site::Input::Dhcp(arrival(), Box::new(request)));
    }

    fn fetch(&mut self, from: Ipv4Addr, source: Source) {
        let (transport, name) = match &source {
            Source::Tftp { name, .. } => (Transport::Tftp, name.clone()),
            Source::Http { url } => {
                (Transport::Http, url.trim_start_matches(URL).trim_start_matches('/').to_owned())
            }
        };
        self.fetched.push(source);
        let file = self.ask(from, transport, &name);
        self.machine.handle(self.now, Input::Fetched(file.as_deref()));
    }

    /// What is given to this request, to be told of by its caller.
    pub(crate) fn give(&mut self, request: FileRequest) -> Option<Served> {
        match self.input(site::Input::File(request)) {
            Some(FileAnswer::Send { served, .. }) => Some(served),
            Some(FileAnswer::NotFound) | None => None,
        }
    }

    pub(crate) fn told(&mut self, told: FileTold) {
        self.input(site::Input::Told(told));
    }

    /// The file's bytes, if it is given; and it was sent in full.
    pub(crate) fn ask(&mut self, from: Ipv4Addr, transport: Transport, name: &str) -> Option<Vec<u8>> {
        let (arrival, name, probe) = (arrival(), name.to_owned(), false);
        let answer =
            self.input(site::Input::File(FileRequest { ask: 1, transport, arrival, from, name, probe }));
        let Some(FileAnswer::Send { source, served }) = answer else { return None };
        let told = FileTold {
            served,
            transport,
            bytes: source.bytes(),
            took: Duration::from_millis(20),
            retransmissions: 0,
            repeats: 0,
            end: FileEnd::Whole,
        };
        self.told(told);
        match source {
            site::Source::Bytes(bytes) => Some(bytes.to_vec()),
            site::Source::Blob(_) => Some(vec![0; 16]),
        }
    }

    fn report(&mut self, token: &str, callback: Callback) {
        let token = token.to_owned();
        self.input(site::Input::Report(ReportRequest { ask: 1, from: ADDRESS, token, callback }));
    }

    fn input(&mut self, input: site::Input) -> Option<FileAnswer> {
        self.site.handle(self.now, input);
        self.perform()
    }

    fn perform(&mut self) -> Option<FileAnswer> {
        let mut given = None;
        while let Some(action) = self.site.poll_action() {
            match action {
                site::Action::Send { datagram, .. } if self.fault != Fault::RepliesLost => {
                    self.machine.handle(self.now, Input::Datagram(&datagram));
                }
                site::Action::Answer { answer, .. } => given = Some(answer),
                site::Action::Send { .. }
                | site::Action::Persist(_)
                | site::Action::Probe { .. }
                | site::Action::DestroySecrets(_)
                | site::Action::KeepCapture(_)
                | site::Action::Replied { .. } => {}
            }
        }
        given
    }

    /// Until the machine or the agent has something to do.
    fn wait(&mut self) {
        let machine = self.machine.poll_timeout().expect("it waits for something");
        let next = machine.min(self.site.poll_timeout());
        self.pass(next.since(self.now.mono));
        if machine <= self.now.mono {
            self.machine.handle_timeout(self.now);
        }
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now = self.now.plus(time);
        self.site.handle_timeout(self.now);
        self.perform();
    }

    pub(crate) fn events(&self) -> Vec<NumberedEvent> {
        self.site.events_after(0).collect()
    }
}

pub(crate) fn arrival() -> Arrival {
    Arrival { interface: 3, server: SERVER, base_url: URL.into() }
}

/// An OFFER to the machine that says DISCOVER there, and an ACK to its REQUEST.
fn other_offer(datagram: &[u8]) -> Vec<u8> {
    let asked = Message::parse(datagram).expect("the machine speaks DHCP");
    let options = asked.options.clone().unwrap_or_default();
    let discovers = options.get(53) == Some(&[1]);
    let mut reply = Message::new(Operation::Reply, asked.mac, asked.xid);
    reply.yiaddr = [10, 1, 0, 77].into();
    let out = reply.options.get_or_insert_default();
    out.set(53, [if discovers { 2 } else { 5 }]);
    out.set(54, [10, 1, 0, 3]);
    out.set(60, *b"PXEClient");
    reply.emit()
}

/// Boots a UEFI machine into a fault; the scene after it.
pub(crate) fn boot(plan: &Plan, fault: Fault) -> (Scene, Option<String>) {
    let mut scene = Scene::new(plan, Firmware::UEFI, fault);
    let arguments = scene.run();
    (scene, arguments)
}

/// A machine that has its address and has asked for nothing.
pub(crate) fn at_its_address() -> Scene {
    boot(&Plan::good(), Fault::StopsAtItsAddress).0
}

fn caused(plan: &Plan, fault: Fault) -> Option<Cause> {
    cause(boot(plan, fault).0.events())
}

/// The token in the kernel's arguments.
pub(crate) fn token(arguments: &str) -> String {
    let (_, rest) = arguments.split_once("/o/").expect("an order's file");
    rest.split('/').next().expect("a token").to_owned()
}

#[test]
fn what_stops_it_on_the_wire_is_found() {
    let plan = Plan::good();
    assert_eq!(caused(&plan, Fault::RepliesLost), Some(Cause::OfferNotTaken));
    assert_eq!(caused(&plan, Fault::OtherOffer), Some(Cause::ForeignOfferTaken));
    assert_eq!(caused(&plan, Fault::StopsAtItsAddress), Some(Cause::NothingAsked));
    assert_eq!(caused(&plan, Fault::StopsAtItsLoader), Some(Cause::LoaderSilent));
    assert_eq!(caused(&plan, Fault::StopsAtItsScript), Some(Cause::NoKernelAsked));
    assert_eq!(caused(&plan, Fault::None), Some(Cause::KernelSilent));
}

#[test]
fn what_the_plan_keeps_from_it_is_found() {
    let mut locked = Plan::good();
    locked.host.locked = true;
    assert_eq!(caused(&locked, Fault::None), Some(Cause::OrderNotObeyed));
    let mut other = Plan::good();
    other.host.uuid = Some(*b"another machine!");
    let mut scene = Scene::new(&other, Firmware::UEFI, Fault::None);
    scene.run();
    assert_eq!(cause(scene.events()), Some(Cause::IdentityDisagrees));
    let mut without = Plan::good();
    without.network.loaders.clear();
    assert_eq!(caused(&without, Fault::None), Some(Cause::NoLoader));
    let mut empty = Plan::good();
    empty.host.address = None;
    assert_eq!(caused(&empty, Fault::None), Some(Cause::PoolEmpty));
}

#[test]
fn an_image_that_is_not_there_is_found() {
    let mut scene = Scene::new(&Plan::good(), Firmware::UEFI, Fault::None);
    let missing: BTreeSet<Digest> = [blob("linux").digest].into();
    scene.input(site::Input::OutOfReach(missing));
    scene.run();
    assert_eq!(cause(scene.events()), Some(Cause::ImageArriving));
}

#[test]
fn a_file_that_there_is_not_is_found() {
    let mut scene = Scene::new(&Plan::good(), Firmware::UefiWindows, Fault::None);
    scene.run();
    assert_eq!(cause(scene.events()), Some(Cause::FileMissing));
}

#[test]
fn an_answer_file_that_is_refused_is_found() {
    let (mut scene, arguments) = boot(&Plan::good(), Fault::None);
    let name = format!("o/{}/preseed.cfg", token(&arguments.expect("it came to its kernel")));
    let elsewhere = Ipv4Addr::new(10, 1, 0, 99);
    assert_eq!(scene.ask(elsewhere, Transport::Http, &name), None);
    assert_eq!(cause(scene.events()), Some(Cause::AnswerRefused));
    assert!(scene.ask(ADDRESS, Transport::Http, &name).is_some(), "its own lease gets it");
    assert_eq!(cause(scene.events()), Some(Cause::InstallerSilent));
    assert_eq!(scene.ask(elsewhere, Transport::Http, &name), None);
    assert_eq!(
        cause(scene.events()),
        Some(Cause::InstallerSilent),
        "another machine asked, and its own has it"
    );
}

#[test]
fn an_installer_that_fails_falls_silent_or_takes_too_long_is_found() {
    let begin = || {
        let (mut scene, arguments) = boot(&Plan::good(), Fault::None);
        let token = token(&arguments.expect("it came to its kernel"));
        scene.report(&token, Callback::Started);
        scene.report(&token, Callback::Progress { percent: Some(40), text: b"copying".to_vec() });
        (scene, token)
    };
    let (scene, _) = begin();
    assert_eq!(cause(scene.events()), Some(Cause::InstallerSilent));
    let (mut scene, token) = begin();
    scene.report(&token, Callback::Failed { reason: b"no disk".to_vec() });
    assert_eq!(cause(scene.events()), Some(Cause::InstallerFailed));
    let (mut scene, _) = begin();
    scene.pass(INSTALL + Duration::from_secs(60));
    assert_eq!(cause(scene.events()), Some(Cause::InstallerFailed), "its time was over");
    let (mut scene, _) = begin();
    let revoked = Plan { ordered: false, ..Plan::good() };
    scene.input(site::Input::Plan(Arc::new(revoked.decoded())));
    assert_eq!(cause(scene.events()), Some(Cause::OrderEnded));
}

#[test]
fn a_boot_that_goes_well_has_nothing_to_be_found() {
    let (mut scene, arguments) = boot(&Plan::good(), Fault::None);
    let token = token(&arguments.expect("it came to its kernel"));
    scene.report(&token, Callback::Started);
    scene.report(&token, Callback::Installed);
    assert_eq!(cause(scene.events()), None);
}
