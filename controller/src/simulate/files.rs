//! The machine's questions for files, and those of an installer after it.

use std::net::Ipv4Addr;
use std::time::Duration;

use netboot::site::{
    Callback, FileAnswer, FileEnd, FileRequest, FileTold, Input, ReportRequest, Served, Source as Bytes,
};
use netboot::tftp::Name;
use proto::event::{OrderPhase, Transport};
use proto::plan::{BlobRef, Boot, Guard, Stage};
use proto::{Program, Token128};
use rom::{End, Machine, Source};

use super::drive::Paper;
use super::step::{File, Given, Step};

/// As much of a text is shown, in bytes.
const TEXT: usize = 64 * 1024;

impl Paper<'_> {
    /// Answers the machine's question.
    pub(super) fn fetch(&mut self, machine: &mut Machine, from: Ipv4Addr, source: &Source) {
        let (transport, shown, name) = self.asked(source);
        let Some(name) = name else {
            self.file(transport, shown, Given::Elsewhere, false);
            return machine.handle(self.now, rom::Input::Fetched(Some(&[])));
        };
        match self.ask(from, transport, &name) {
            Some((bytes, served)) => {
                self.given(transport, shown, &bytes, served.stage);
                let program = self.program(&served);
                match (&bytes, program) {
                    (Bytes::Blob(blob), _) if self.is_lost(*blob) => {
                        machine.handle(self.now, rom::Input::Fetched(None));
                    }
                    (_, Some(program)) => machine.handle(self.now, rom::Input::Loader(program)),
                    (Bytes::Bytes(bytes), None) => {
                        machine.handle(self.now, rom::Input::Fetched(Some(&bytes[..])))
                    }
                    (Bytes::Blob(_), None) => machine.handle(self.now, rom::Input::Fetched(Some(&[]))),
                }
            }
            None => {
                let why = self.refused.take().unwrap_or_else(|| "there is no such file".into());
                self.file(transport, shown, Given::Refused(why), true);
                machine.handle(self.now, rom::Input::Fetched(None));
            }
        }
    }

    /// How, what for people, and by which name at the agent; None: elsewhere.
    fn asked(&self, source: &Source) -> (Transport, String, Option<String>) {
        match source {
            Source::Tftp { server, name, .. } => {
                let ours = *server == self.arrival.server;
                // A name that cannot be one finds nothing.
                let cleaned = Name::clean(name.as_bytes()).map(|name| name.to_string()).unwrap_or_default();
                (Transport::Tftp, name.clone(), ours.then_some(cleaned))
            }
            Source::Http { url } => {
                let path = url.strip_prefix(&*self.arrival.base_url).filter(|path| path.starts_with('/'));
                (Transport::Http, url.clone(), path.map(plain))
            }
        }
    }

    fn ask(&mut self, from: Ipv4Addr, transport: Transport, name: &str) -> Option<(Bytes, Served)> {
        (self.answer, self.refused) = (None, None);
        let arrival = self.arrival.clone();
        let name = name.to_owned();
        self.input(Input::File(FileRequest { ask: 0, transport, arrival, from, name, probe: false }));
        let Some(FileAnswer::Send { source, served }) = self.answer.take() else { return None };
        let told = FileTold {
            served: served.clone(),
            transport,
            bytes: source.bytes(),
            took: Duration::ZERO,
            retransmissions: 0,
            repeats: 0,
            end: FileEnd::Whole,
        };
        self.input(Input::Told(told));
        Some((source, served))
    }

    /// Which program a loader is.
    fn program(&self, served: &Served) -> Option<Program> {
        if served.stage != Stage::Loader {
            return None;
        }
        let plan = &self.scenario.plan;
        let (folder, _) = served.name.split_once('/').unwrap_or(("", &served.name));
        plan.loaders.get(folder).or_else(|| plan.loaders.get("")).map(|set| set.program)
    }

    fn is_lost(&self, blob: BlobRef) -> bool {
        self.scenario.held.get(&blob.digest).is_some_and(|held| held.lost)
    }

    fn given(&mut self, transport: Transport, shown: String, bytes: &Bytes, stage: Stage) {
        let given = match bytes {
            Bytes::Blob(blob) => Given::Blob { stage, digest: blob.digest, bytes: blob.size },
            Bytes::Bytes(bytes) => {
                let whole = self.made_up.named(&String::from_utf8_lossy(bytes));
                let end = (0..=TEXT.min(whole.len())).rev().find(|end| whole.is_char_boundary(*end));
                let text = whole[..end.unwrap_or_default()].to_owned();
                let cut = text.len() < whole.len();
                Given::Text { stage, bytes: bytes.len() as u64, text, cut }
            }
        };
        self.file(transport, shown, given, false);
    }

    /// One that is asked for again with the same end is told once.
    fn file(&mut self, transport: Transport, shown: String, given: Given, optional: bool) {
        let name = self.made_up.named(&shown);
        let file = File { transport, name, given, optional, times: 1 };
        for step in &mut self.steps {
            if let Step::File(known) = step
                && (known.transport, &known.name, &known.given) == (transport, &file.name, &file.given)
            {
                known.times += 1;
                return;
            }
        }
        self.steps.push(Step::File(file));
    }

    /// Does the machine's kernel carry out an order? Then the order's files follow, and the installer's word that it is done.
    pub(super) fn installs(&mut self, end: &End) -> bool {
        let End::Kernel { arguments, address } = end else { return false };
        self.steps.push(Step::Note(format!("the kernel runs with: {}", self.made_up.named(arguments))));
        let Some(order) = self.scenario.order().filter(|order| self.is_offered(order.id)) else {
            return false;
        };
        let Some(token) = self.site.orders().get(order.id).and_then(|state| state.token) else {
            return false;
        };
        for name in in_order(&order.boot, arguments) {
            self.fetch_of_order(*address, token, name);
        }
        self.steps.push(Step::Note("the installer reports that it is done".into()));
        let (from, token) = (*address, token.reveal());
        self.input(Input::Report(ReportRequest { ask: 0, from, token, callback: Callback::Installed }));
        self.site.orders().get(order.id).is_some_and(|state| state.phase == OrderPhase::Installed)
    }

    fn is_offered(&self, order: proto::OrderId) -> bool {
        self.site.orders().get(order).is_some_and(|state| state.phase == OrderPhase::Offered)
    }

    fn fetch_of_order(&mut self, from: Ipv4Addr, token: Token128, name: &str) {
        let path = format!("o/{}/{name}", token.reveal());
        let shown = format!("{}/{path}", self.arrival.base_url);
        match self.ask(from, Transport::Http, &path) {
            Some((bytes, served)) => self.given(Transport::Http, shown, &bytes, served.stage),
            None => {
                let why = self.refused.take().unwrap_or_else(|| "there is no such file".into());
                self.file(Transport::Http, shown, Given::Refused(why), false);
            }
        }
    }
}

/// The files of the order: first those that the kernel is told of, then what they name in turn.
fn in_order<'b>(boot: &'b Boot, arguments: &str) -> Vec<&'b str> {
    let files = boot.files.iter().filter(|(_, file)| file.guard == Guard::Order);
    let mut names: Vec<_> =
        files.map(|(name, file)| (!arguments.contains(name.as_str()), file.stage, name)).collect();
    names.sort();
    names.into_iter().map(|(_, _, name)| name.as_str()).collect()
}

/// As the agent's HTTP server reads a path: without slashes in front and doubled ones.
fn plain(path: &str) -> String {
    let path = path.split('?').next().unwrap_or(path);
    path.split('/').filter(|part| !part.is_empty() && *part != ".").collect::<Vec<_>>().join("/")
}
