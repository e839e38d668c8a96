//! What boot programs ask for by names of their own: their files, and what tells them what to boot.
//!
//! A set's files are at `SET/PATH`, by HTTP also at `l/SET/PATH`. PXELINUX and GRUB look for their configuration under a
//! dozen names made from addresses and UUID (QUIRKS 48, 49), GRUB for its modules under the prefix that it was built with,
//! shim for its second stage wherever it believes to have come from (QUIRKS 50). So names decide little here: who asks is
//! known by its lease, what it boots by its attempt, and a name that would be somebody else's finds nothing.

use std::net::Ipv4Addr;

use proto::{
    Mac, Program,
    event::{Answer, OrderPhase, Refusal as Because},
    plan::{Boot, LoaderSet, SitePlan, Stage},
};

use super::{
    About, Site,
    files::{Asked, Refusal, refuse, served, values},
    served::{FileRequest, Served, Source},
};
use crate::{content::fill, time::Now};

/// The name under which a file of a set is fetched.
pub(super) fn loader_name(set: &LoaderSet, path: &str) -> String {
    if set.name.is_empty() { path.to_owned() } else { format!("{}/{path}", set.name) }
}

type Given = Result<(Source, Served), Refusal>;

impl Site {
    pub(super) fn find_for_program(
        &mut self,
        now: Now,
        plan: &SitePlan,
        request: &FileRequest,
        asker: About,
    ) -> Given {
        let name = plain(&request.name);
        let Some(mac) = asker.mac else {
            // Beside another server nothing may have told us whose address it is.
            let neighbour = plan.network.is_proxy() && plan.network.subnet_of(request.from).is_some();
            return match neighbour {
                true => find_file(plan, None, request, &name, asker),
                false => refuse(Because::NoLease, "the address has no lease here"),
            };
        };
        let attempt = self.attempts.of(mac);
        let host = asker.host.and_then(|id| plan.hosts.get(&id));
        let uuid = attempt.and_then(|attempt| attempt.uuid).or(host.and_then(|host| host.uuid));
        let identity = Identity { mac, address: request.from, uuid };
        let Some(programs) = identity.asks_for_script(&name) else {
            let boot = host.and_then(|host| self.boot_now(plan, asker, host.boot.as_ref()));
            // QUIRKS 52: a boot may have one of its own, else there is the set's.
            let own = boot.filter(|boot| is_autoexec(&name) && boot.files.contains_key(Program::AUTOEXEC));
            if let Some((host, attempt)) = own.and(host).zip(self.attempt_to_boot(asker)) {
                let pick = |_: &Boot| Some(Program::AUTOEXEC);
                return self.find_in_boot(
                    now,
                    plan,
                    request,
                    Asked { about: asker, attempt, mac, host, pick: &pick },
                );
            }
            let mut given = find_file(plan, boot, request, &name, asker)?;
            if let Some(attempt) = self.attempts.heard(now.mono, mac).filter(|_| !request.probe) {
                attempt.loaded = true;
            }
            self.take_answer(now, plan, asker);
            if !request.probe {
                let expected = self.forms.asked(now.mono, mac);
                given.1.proves = expected.map(|expected| (expected, given.0.bytes()));
            }
            return Ok(given);
        };
        let Some((host, attempt)) = host.zip(self.attempt_to_boot(asker)) else {
            return find_text(plan, request, programs, &name, asker);
        };
        let pick = |boot: &Boot| script_of(boot, programs);
        self.find_in_boot(now, plan, request, Asked { about: asker, attempt, mac, host, pick: &pick })
    }

    /// The attempt of a machine that is to boot something other than its disk. After a restart only the order's is known;
    /// for all others the doubt is the local disk.
    fn attempt_to_boot(&self, asker: About) -> Option<proto::AttemptId> {
        let known = self.attempts.of(asker.mac?);
        match known.map(|attempt| (attempt.id, attempt.answered)) {
            Some((id, Some((_, Answer::Loader | Answer::Script, _)))) => Some(id),
            Some((_, Some((_, Answer::LocalDisk | Answer::AddressOnly | Answer::Silence, _)))) => None,
            Some((_, None)) | None => {
                let under_way = |phase| matches!(phase, OrderPhase::Offered | OrderPhase::Started);
                let orders = self.pinned.values().filter(|order| Some(order.host) == asker.host);
                let mut states = orders.filter_map(|order| self.orders.get(order.id));
                states.find(|state| under_way(state.phase))?.attempt
            }
        }
    }

    /// What the machine boots now, as far as the choice of its loaders goes.
    fn boot_now<'p>(&self, plan: &'p SitePlan, asker: About, run: Option<&'p Boot>) -> Option<&'p Boot> {
        let state = asker.attempt.and_then(|attempt| self.orders.by_attempt(attempt));
        let order = state.and_then(|state| plan.orders.get(&state.order));
        order.map(|order| &order.boot).or(run)
    }
}

/// Cleaned as TFTP names are: backslashes are slashes, doubled ones count once (QUIRKS 45); without the `l/` of URLs.
fn plain(name: &str) -> String {
    let slashed = name.replace('\\', "/");
    let parts: Vec<&str> = slashed.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let name = parts.join("/");
    name.strip_prefix("l/").map(str::to_owned).unwrap_or(name)
}

fn is_autoexec(name: &str) -> bool {
    name.rsplit('/').next() == Some(Program::AUTOEXEC)
}

/// By what a machine may be named in the name of a configuration.
struct Identity {
    mac: Mac,
    address: Ipv4Addr,
    uuid: Option<[u8; 16]>,
}

impl Identity {
    /// The programs that ask by such a name for what they are to boot, if the name can be this machine's.
    fn asks_for_script(&self, name: &str) -> Option<&'static [Program]> {
        // What LPXELINUX is told by URLs PXELINUX cannot read, the other way round it can.
        const PXELINUX: &[Program] = &[Program::Pxelinux, Program::Lpxelinux];
        let lower = name.to_ascii_lowercase();
        let (folder, last) = lower.rsplit_once('/').unwrap_or(("", &lower));
        let in_pxelinux = folder == "pxelinux.cfg" || folder.ends_with("/pxelinux.cfg");
        if in_pxelinux && (last == "default" || self.is_own(last)) {
            return Some(PXELINUX);
        }
        let grub = match last.strip_prefix("grub.cfg")? {
            "" => true,
            rest => rest.strip_prefix('-').is_some_and(|of| self.is_own(of)),
        };
        grub.then_some(&[Program::Grub])
    }

    /// QUIRKS 48, 49: a MAC with or without its type and with either separator, the UUID in either byte order, the address
    /// in hexadecimal and beginnings of that. In lower case.
    fn is_own(&self, text: &str) -> bool {
        let colons = self.mac.to_string();
        let hyphens = colons.replace(':', "-");
        let address = format!("{:08x}", self.address.to_bits());
        text == colons
            || text == hyphens
            || text.strip_prefix("01-") == Some(&hyphens)
            || (!text.is_empty() && address.starts_with(text))
            || self.uuid.is_some_and(|uuid| {
                let digits = text.replace('-', "");
                [uuid, crate::decide::swapped(uuid)].iter().any(|uuid| hex(uuid) == digits)
            })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn script_of(boot: &Boot, programs: &[Program]) -> Option<&'static str> {
    programs.iter().map(|program| program.script()).find(|script| boot.files.contains_key(*script))
}

/// A file of the set that the name begins with; else the longest end of the name that is a file of a set which the machine
/// may boot by.
fn find_file(plan: &SitePlan, boot: Option<&Boot>, request: &FileRequest, name: &str, asker: About) -> Given {
    let of_set = |set: &LoaderSet, path: &str| {
        let text = set.texts.get(path).map(|parts| text(request, set, path, parts, asker));
        let file = |(path, blob): (&str, _)| {
            Ok((Source::Blob(blob), served(&loader_name(set, path), Stage::Loader, asker)))
        };
        text.or_else(|| set.file(path).map(file))
    };
    let in_folder = || {
        let (folder, path) = name.split_once('/')?;
        of_set(plan.loaders.get(folder)?, path)
    };
    let anywhere = || {
        let mut sets = usable(plan, boot);
        sets.find_map(|set| tails(name).find_map(|path| of_set(set, path)))
    };
    in_folder().or_else(anywhere).unwrap_or_else(|| refuse(Because::NoSuchFile, "no file has this name"))
}

/// The sets that a boot names, and the site's default.
fn usable<'p>(plan: &'p SitePlan, boot: Option<&'p Boot>) -> impl Iterator<Item = &'p LoaderSet> {
    let named = boot.into_iter().flat_map(|boot| &boot.loaders).filter_map(|name| plan.loaders.get(name));
    named.chain(plan.loaders.values().filter(|set| set.site_default))
}

/// `a/b/c`, `b/c`, `c`.
fn tails(name: &str) -> impl Iterator<Item = &str> {
    std::iter::once(name).chain(name.match_indices('/').map(|(at, _)| &name[at + 1..]))
}

/// What a set tells a machine that is to start from its disk: the set of the folder that was asked in, else any.
fn find_text(
    plan: &SitePlan,
    request: &FileRequest,
    programs: &[Program],
    name: &str,
    asker: About,
) -> Given {
    let fits = |set: &&LoaderSet| programs.contains(&set.program);
    let folder = name.split('/').next().unwrap_or_default();
    let set = plan.loaders.get(folder).filter(fits).or_else(|| plan.loaders.values().find(fits));
    let found = set.and_then(|set| {
        let path = set.program.script();
        Some(text(request, set, path, set.texts.get(path)?, asker))
    });
    found.unwrap_or_else(|| refuse(Because::NothingToBoot, "nothing is to be booted"))
}

fn text(
    request: &FileRequest,
    set: &LoaderSet,
    path: &str,
    parts: &[proto::plan::Part],
    asker: About,
) -> Given {
    let Some(mac) = asker.mac else { return refuse(Because::NoLease, "the address has no lease here") };
    let values = values(&request.arrival, request.from, mac, asker.attempt);
    match fill(parts, &values) {
        Ok(bytes) => Ok((Source::Bytes(bytes.into()), served(&loader_name(set, path), Stage::Script, asker))),
        Err(unfilled) => refuse(Because::NotHere, unfilled.to_string()),
    }
}
