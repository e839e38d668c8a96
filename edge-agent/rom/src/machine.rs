//! The chain: ROM, loader, script, kernel.

use std::collections::VecDeque;
use std::{net::Ipv4Addr, time::Duration};

use netboot::{
    dhcp::Message,
    time::{Mono, Now},
};
use proto::{Program, event::Client};
use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::{
    Action, End, Firmware, Identity, Input, Script, ScriptError, Source,
    boot_program::{BootProgram, Loaded, MAX_TRIES, Next},
    boot_service::BootService,
    dora::{Dora, Progress, Proxy, Speaker, option},
    firmware,
    loaders::{self, Loader},
    menu,
};

/// The first pause.
const PAUSE: Duration = Duration::from_secs(2);

/// Scripts that lead to scripts, before the machine is taken to run in a circle.
const MAX_CHAIN: u32 = 8;

/// A machine from its power button on.
#[derive(Debug)]
pub struct Machine {
    identity: Identity,
    random: SmallRng,
    state: State,
    actions: VecDeque<Action>,
    chained: u32,
    /// What it makes of a proxy's offer.
    proxy: Proxy,
}

#[derive(Debug)]
enum State {
    /// A program asks for an address.
    Asking(Speaker, Box<Dora>),
    /// It has an address, and asks a boot service what to boot.
    AtService { address: Ipv4Addr, service: BootService },
    /// The loader is on its way from there.
    Loading(Box<Loaded>),
    /// A loader asks for its configuration and what goes with it.
    Configuring(Box<BootProgram>),
    /// What the loader asks for by itself is on its way, the next name first.
    Following { address: Ipv4Addr, server: Ipv4Addr, names: VecDeque<String>, found: Vec<String> },
    /// A script is on its way from this URL.
    Scripting { address: Ipv4Addr, url: String },
    /// A file of the kernel is on its way.
    Booting(Kernel),
    /// A file did not arrive; all of them are fetched again then.
    Pausing(Kernel, Mono),
    /// Nothing more will happen.
    Over,
}

/// What a script boots.
#[derive(Debug)]
struct Kernel {
    address: Ipv4Addr,
    files: Vec<Source>,
    /// How many of the files are there.
    fetched: usize,
    arguments: String,
    tries: u32,
    /// Tries that may follow the first.
    retries: u32,
}

impl Machine {
    /// Pushes the power button. `seed` makes its transaction numbers.
    #[must_use]
    pub fn power_on(now: Now, identity: Identity, seed: u64) -> Self {
        Self::switched_on(now, identity, seed, Proxy::None)
    }

    /// The same where another server leases the addresses: it waits for the offer of one that says what to boot.
    #[must_use]
    pub fn power_on_beside_another_server(now: Now, identity: Identity, seed: u64) -> Self {
        Self::switched_on(now, identity, seed, Proxy::Offer)
    }

    fn switched_on(now: Now, identity: Identity, seed: u64, proxy: Proxy) -> Self {
        let firmware = identity.firmware;
        let first = if firmware == Firmware::UefiPxeOld { Proxy::BootService } else { proxy };
        let architecture = firmware.code().unwrap_or_default();
        let speaker = Speaker { client: firmware.first_program(), architecture, proxy: first };
        let random = SmallRng::seed_from_u64(seed);
        let (state, actions) = (State::Over, VecDeque::new());
        let mut machine = Self { identity, random, state, actions, chained: 0, proxy };
        machine.ask(now.mono, speaker);
        machine
    }

    /// Something arrived.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        match (std::mem::replace(&mut self.state, State::Over), input) {
            (State::Asking(speaker, mut dora), Input::Datagram(datagram)) => {
                let progress = dora.handle(now.mono, datagram);
                self.go_on(now.mono, speaker, dora, progress);
            }
            (State::AtService { address, service }, Input::Datagram(datagram)) => {
                let progress = service.handle(datagram);
                self.ask_service(address, service, progress);
            }
            (State::Loading(loaded), Input::Fetched(Some(_))) => self.loaded(now, &loaded, Program::Ipxe),
            (State::Loading(loaded), Input::Loader(program)) => self.loaded(now, &loaded, program),
            (State::Loading(_), Input::Fetched(None)) => self.give_up("no loader"),
            (State::Configuring(program), Input::Fetched(file)) => self.asked(program, file),
            // Of its own modules, too, the driver may say what they are.
            (State::Configuring(program), Input::Loader(_)) => self.asked(program, Some(&[])),
            (State::Following { address, server, names, found }, Input::Fetched(file)) => {
                self.followed((address, server), names, found, file.is_some());
            }
            (State::Following { address, server, names, found }, Input::Loader(_)) => {
                self.followed((address, server), names, found, true);
            }
            (State::Scripting { address, url }, Input::Fetched(text)) => self.run(address, &url, text),
            (State::Booting(kernel), Input::Fetched(file)) => self.fetched(now.mono, kernel, file),
            (state, Input::Datagram(_) | Input::Fetched(_) | Input::Loader(_)) => self.state = state,
        }
    }

    /// What is to be done next; ask until None after each `handle` and `handle_timeout`.
    #[must_use]
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Self::handle_timeout`] is due; None while a file is on its way, and at the end.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Mono> {
        match &self.state {
            State::Asking(_, dora) => Some(dora.due()),
            State::AtService { service, .. } => Some(service.due()),
            State::Pausing(_, due) => Some(*due),
            State::Loading(_)
            | State::Configuring(_)
            | State::Following { .. }
            | State::Scripting { .. }
            | State::Booting(_)
            | State::Over => None,
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Now) {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Asking(speaker, mut dora) => {
                let progress = dora.handle_timeout(now.mono);
                self.go_on(now.mono, speaker, dora, progress);
            }
            State::AtService { address, mut service } => {
                let progress = service.handle_timeout(now.mono);
                self.ask_service(address, service, progress);
            }
            State::Pausing(kernel, due) if now.mono >= due => self.begin(Kernel { fetched: 0, ..kernel }),
            state @ (State::Pausing(..)
            | State::Loading(_)
            | State::Configuring(_)
            | State::Following { .. }
            | State::Scripting { .. }
            | State::Booting(_)
            | State::Over) => self.state = state,
        }
    }

    fn ask(&mut self, now: Mono, speaker: Speaker) {
        let (mac, uuid, xid) = (self.identity.mac, loaders::shown_uuid(self.identity), self.random.random());
        let mut dora = Box::new(Dora::new(now, mac, uuid, xid, speaker));
        let progress = dora.handle_timeout(now);
        self.go_on(now, speaker, dora, progress);
    }

    fn go_on(&mut self, now: Mono, speaker: Speaker, dora: Box<Dora>, progress: Progress) {
        match progress {
            Progress::Wait => self.state = State::Asking(speaker, dora),
            Progress::Send(datagram) => {
                self.actions.push_back(Action::Broadcast(datagram));
                self.state = State::Asking(speaker, dora);
            }
            Progress::Bound(ack) => match (dora.proxy(), speaker.proxy) {
                (Some((discover, offer)), Proxy::BootService) => {
                    let mut service = BootService::new(now, discover, offer, &ack);
                    let progress = service.handle_timeout(now);
                    self.ask_service(ack.yiaddr, service, progress);
                }
                (Some((_, offer)), Proxy::Offer) => self.bound(speaker.client, ack.yiaddr, offer),
                (Some(_), Proxy::None) | (None, _) => self.bound(speaker.client, ack.yiaddr, &ack),
            },
            Progress::Failed => self.give_up("no address"),
        }
    }

    fn ask_service(&mut self, address: Ipv4Addr, service: BootService, progress: Progress) {
        match progress {
            Progress::Wait => self.state = State::AtService { address, service },
            Progress::Send(datagram) => {
                let (from, to) = service.ends();
                self.actions.push_back(Action::Ask { from, to, datagram });
                self.state = State::AtService { address, service };
            }
            Progress::Bound(ack) => self.bound(Client::PxeRom, address, &ack),
            Progress::Failed => self.give_up("no boot service"),
        }
    }

    /// What the last word about booting says.
    fn bound(&mut self, client: Client, address: Ipv4Addr, ack: &Message) {
        if self.identity.firmware == Firmware::RaspberryPi {
            return self.bound_raspberry_pi(address, ack);
        }
        if menu::chooses_local_disk(option(ack, 43)) {
            return self.end(End::LocalDisk);
        }
        // QUIRKS 23, 24: 67 before `file`, without its NUL.
        let name = if option(ack, 67).is_empty() { &ack.file } else { option(ack, 67) };
        let name = String::from_utf8_lossy(name).trim_end_matches('\0').to_owned();
        // LAB: iPXE takes no name without a siaddr.
        if name.is_empty() || ack.siaddr.is_unspecified() {
            return self.give_up("nothing to boot");
        }
        let server = ack.siaddr;
        let source = if name.contains("://") {
            Source::Http { url: name.clone() }
        } else {
            Source::Tftp { server, name: name.clone(), options: loaders::options(self.identity.firmware) }
        };
        self.actions.push_back(Action::Fetch { from: address, source: source.clone() });
        let script = name.rsplit('/').next().is_some_and(|last| last.ends_with(".ipxe"));
        self.state = match client {
            Client::Ipxe if script => State::Scripting { address, url: name },
            Client::Ipxe | Client::PxeRom | Client::HttpRom | Client::Gpxe | Client::Bootp | Client::Os => {
                let Identity { mac, firmware, .. } = self.identity;
                let prefix = option(ack, 210);
                let path_prefix = (!prefix.is_empty())
                    .then(|| String::from_utf8_lossy(prefix).trim_end_matches('\0').to_owned());
                let platform = firmware.platform();
                State::Loading(Box::new(Loaded { source, path_prefix, address, server, mac, platform }))
            }
        };
    }

    fn bound_raspberry_pi(&mut self, address: Ipv4Addr, ack: &Message) {
        match loaders::raspberry_pi_server(ack) {
            Some(server) => {
                let names = loaders::names(Loader::RaspberryPi, self.identity);
                self.follow((address, server), names, Vec::new());
            }
            None => self.give_up("no answer is for a Raspberry Pi"),
        }
    }

    /// iPXE begins with DHCP of its own; others ask for what stands beside them.
    fn loaded(&mut self, now: Now, loaded: &Loaded, program: Program) {
        let ends = (loaded.address, loaded.server);
        if self.identity.firmware == Firmware::UefiWindows {
            return self.follow(ends, loaders::names(Loader::Windows, self.identity), Vec::new());
        }
        match program {
            Program::Ipxe => {
                let old = self.identity.firmware == Firmware::UefiPxeOld;
                let proxy = if old { Proxy::Offer } else { self.proxy };
                let architecture = firmware::code(loaded.platform, false).unwrap_or_default();
                self.ask(now.mono, Speaker { client: Client::Ipxe, architecture, proxy });
            }
            Program::Pxelinux | Program::Lpxelinux | Program::Grub => {
                let program = Box::new(BootProgram::new(program, loaded));
                let next = program.next();
                self.configure(program, next);
            }
        }
    }

    fn asked(&mut self, mut program: Box<BootProgram>, file: Option<&[u8]>) {
        let next = program.fetched(file);
        self.configure(program, next);
    }

    fn configure(&mut self, program: Box<BootProgram>, next: Next) {
        let (address, retries) = (program.address(), program.retries());
        match next {
            Next::Fetch(source) => {
                self.actions.push_back(Action::Fetch { from: address, source });
                self.state = State::Configuring(program);
            }
            Next::Boot { files, .. } if files.is_empty() => self.give_up("a configuration without a kernel"),
            Next::Boot { files, arguments } => {
                self.begin(Kernel { address, files, fetched: 0, arguments, tries: 0, retries });
            }
            Next::LocalDisk => self.end(End::LocalDisk),
            Next::GiveUp(why) => self.give_up(why),
        }
    }

    /// Asks for the next name, until there is none left.
    fn follow(
        &mut self,
        (address, server): (Ipv4Addr, Ipv4Addr),
        names: VecDeque<String>,
        found: Vec<String>,
    ) {
        let Some(name) = names.front().cloned() else { return self.end(End::Files(found)) };
        let source = Source::Tftp { server, name, options: loaders::options(self.identity.firmware) };
        self.actions.push_back(Action::Fetch { from: address, source });
        self.state = State::Following { address, server, names, found };
    }

    fn followed(
        &mut self,
        ends: (Ipv4Addr, Ipv4Addr),
        mut names: VecDeque<String>,
        mut found: Vec<String>,
        there: bool,
    ) {
        found.extend(names.pop_front().filter(|_| there));
        self.follow(ends, names, found);
    }

    fn run(&mut self, address: Ipv4Addr, base: &str, text: Option<&[u8]>) {
        let Some(text) = text else { return self.give_up("no script") };
        match Script::read(&String::from_utf8_lossy(text), base, self.identity.firmware.is_efi()) {
            Ok(Script::LocalDisk) => self.end(End::LocalDisk),
            Ok(Script::Menu(choice)) if choice == "disk" => self.end(End::LocalDisk),
            Ok(Script::Menu(_)) => self.give_up("a menu whose choice is not known"),
            Ok(Script::Chain(url)) if self.chained < MAX_CHAIN => {
                self.chained += 1;
                self.fetch(address, url.clone());
                self.state = State::Scripting { address, url };
            }
            Ok(Script::Chain(_)) => self.give_up("scripts in a circle"),
            Ok(Script::Boot { files, .. }) if files.is_empty() => self.give_up("a script without a kernel"),
            Ok(Script::Boot { files, arguments }) => {
                let arguments = arguments.replace("${netX/mac:hexhyp}", &self.identity.mac.dashed());
                let files = files.into_iter().map(|url| Source::Http { url }).collect();
                self.begin(Kernel { address, files, fetched: 0, arguments, tries: 0, retries: MAX_TRIES });
            }
            Err(ScriptError::BiosOnly) => self.give_up("a script for BIOS alone"),
            Err(ScriptError::NoScript | ScriptError::NoEnd) => self.give_up("not a script"),
        }
    }

    /// Fetches the file that is next.
    fn begin(&mut self, kernel: Kernel) {
        let source = kernel.files[kernel.fetched].clone();
        self.actions.push_back(Action::Fetch { from: kernel.address, source });
        self.state = State::Booting(kernel);
    }

    fn fetched(&mut self, now: Mono, mut kernel: Kernel, file: Option<&[u8]>) {
        if file.is_none() {
            if kernel.tries == kernel.retries {
                return self.give_up("a file of the kernel is missing");
            }
            let pause = PAUSE * 2_u32.pow(kernel.tries);
            kernel.tries += 1;
            self.state = State::Pausing(kernel, now.plus(pause));
            return;
        }
        kernel.fetched += 1;
        if kernel.fetched < kernel.files.len() {
            return self.begin(kernel);
        }
        let Kernel { arguments, address, .. } = kernel;
        self.end(End::Kernel { arguments, address });
    }

    fn fetch(&mut self, from: Ipv4Addr, url: String) {
        self.actions.push_back(Action::Fetch { from, source: Source::Http { url } });
    }

    fn give_up(&mut self, why: &'static str) {
        self.end(End::NextDevice { why });
    }

    fn end(&mut self, end: End) {
        self.actions.push_back(Action::End(end));
        self.state = State::Over;
    }
}
