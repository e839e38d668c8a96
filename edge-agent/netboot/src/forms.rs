//! In which form each PXE ROM is told what to boot: found by trying, remembered, and never lost to one lost packet
//! (QUIRKS 19, 20, 22).
//!
//! A *pass* is what one machine does between two beginnings of its firmware's boot: DISCOVERs that are answered with a
//! loader, perhaps a REQUEST, perhaps a fetch. A pass in which nothing is asked for is a miss; so many misses in a row, and the
//! next pass is answered in the next form. A file that has arrived proves the form. Assumes that its caller brings only what concerns PXE
//! ROMs that are told to fetch a loader, and no form that an operator has pinned.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use proto::{FirmwareModel, Mac, Wall, ledger::FormMemory, plan::ReplyForm};

use crate::{
    attempts::NEXT_TRY,
    time::{Mono, Now},
};

/// Misses in a row before a form is given up that was never seen to work.
const MISSES: u8 = 2;
/// The same for one that was.
const MISSES_OF_PROVED: u8 = 4;
/// A ROM sends so many DISCOVERs before it gives up or begins anew: after 4, 8, 16 and 32 s (EDK2, PXE 2.1 §2.2).
const OFFERS: u8 = 4;
/// How long all of that takes a ROM: who is quicker, is not one.
const ROUND: Duration = Duration::from_secs(28);
/// A DISCOVER so soon after the same, or after its own REQUEST, is a copy that the network made: relay agents that stand in
/// for each other hand on two of each.
const COPY: Duration = Duration::from_secs(2);
/// The most machines that are remembered, models of one machine counted apart.
const MACHINES: usize = 20_000;
/// The most models of one machine: BIOS and UEFI, before and after an update of its firmware.
const MODELS_OF_ONE: usize = 4;
/// The most models of which a form is remembered for machines to come.
const MODELS: usize = 1_000;
/// The most machines in a pass.
const PASSES: usize = 20_000;

/// The forms of a site's machines.
#[derive(Debug, Default)]
pub(crate) struct Forms {
    known: BTreeMap<(Mac, FirmwareModel), Experience>,
    /// What machines of a model have proved last, and when.
    models: BTreeMap<FirmwareModel, (Wall, ReplyForm)>,
    passes: BTreeMap<Mac, Pass>,
}

/// What was seen of one machine.
#[derive(Debug, Clone, Copy, Default)]
struct Experience {
    /// Its own form; None: nothing speaks yet against what others obey.
    own: Option<ReplyForm>,
    proved: bool,
    misses: u8,
    /// When the form was found.
    at: Wall,
    /// For the bound alone.
    heard: Mono,
}

#[derive(Debug, Clone)]
struct Pass {
    model: FirmwareModel,
    firmware: String,
    form: ReplyForm,
    /// Of its latest DISCOVER.
    xid: u32,
    proxy: bool,
    /// How many have left, copies apart.
    offers: u8,
    /// The latest of them, and the DISCOVER that it answers.
    offered: Option<(Mono, u32)>,
    taken: bool,
    /// It has asked for a file.
    asked: bool,
    /// All of one has arrived.
    delivered: bool,
    /// Another program of the chain has spoken: what is fetched from now on is its.
    over: bool,
    began: Mono,
    last: Mono,
}

/// A ROM that has sent a DISCOVER.
#[derive(Debug, Clone)]
pub(crate) struct Rom {
    /// The machine.
    pub(crate) mac: Mac,
    /// What it says of itself.
    pub(crate) model: FirmwareModel,
    /// The same in words.
    pub(crate) firmware: String,
    /// Tells copies from new beginnings.
    pub(crate) xid: u32,
    /// What the plan has learnt of it elsewhere.
    pub(crate) learned: Option<ReplyForm>,
    /// Does another server lease the addresses?
    pub(crate) proxy: bool,
}

/// What a file proves that a ROM has asked for, once it has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expected {
    model: FirmwareModel,
    form: ReplyForm,
}

/// Something was learnt, or seen again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moved {
    /// For the ledger, if it is news.
    pub(crate) memory: FormMemory,
    /// False: it was known, and is only to be told to who does not know it yet.
    pub(crate) news: bool,
    /// The form before.
    pub(crate) from: ReplyForm,
    /// Passes without a fetch in that form, if it was given up.
    pub(crate) misses: u8,
    /// The firmware in words.
    pub(crate) firmware: String,
}

impl Forms {
    /// A DISCOVER of a ROM that is to fetch a loader: the form of its OFFER.
    pub(crate) fn discover(&mut self, now: Now, rom: Rom) -> (ReplyForm, Option<Moved>) {
        if let Some(pass) = self.passes.get_mut(&rom.mac).filter(|pass| pass.model == rom.model)
            && goes_on(pass, rom.xid, now.mono)
        {
            (pass.xid, pass.last) = (rom.xid, now.mono);
            return (pass.form, None);
        }
        let former = self.passes.remove(&rom.mac).filter(|pass| pass.model == rom.model);
        let missed = former.filter(|pass| is_miss(pass, now.mono));
        let moved = missed.and_then(|pass| self.miss(now, rom.mac, pass));
        let form = self.form_of(&rom);
        let mac = rom.mac;
        if self.passes.len() >= PASSES {
            let quietest = self.passes.iter().min_by_key(|(_, pass)| pass.last).map(|(mac, _)| *mac);
            quietest.and_then(|mac| self.passes.remove(&mac));
        }
        self.passes.insert(mac, Pass::begun(rom, form, now.mono));
        (form, moved)
    }

    /// An OFFER has left: one that waits for a free address, or for ever, is no reason to think ill of a form.
    pub(crate) fn offered(&mut self, now: Mono, mac: Mac, xid: u32) {
        let Some(pass) = self.passes.get_mut(&mac).filter(|pass| !pass.taken) else { return };
        let copy = pass.offered.is_some_and(|(at, of)| of == xid && now.since(at) < COPY);
        if !copy {
            pass.offers = pass.offers.saturating_add(1);
            pass.offered = Some((now, xid));
        }
    }

    /// The form of any other reply: that of the machine's OFFER.
    pub(crate) fn current(&self, rom: &Rom) -> ReplyForm {
        let pass = self.passes.get(&rom.mac);
        pass.map_or_else(|| self.form_of(rom), |pass| pass.form)
    }

    /// The machine has taken its lease, ours or another server's.
    pub(crate) fn taken(&mut self, now: Mono, mac: Mac) {
        if let Some(pass) = self.passes.get_mut(&mac) {
            (pass.taken, pass.last) = (true, now);
        }
    }

    /// Nothing can be learnt from what the machine does now: it follows another server, is told nothing to fetch, or the
    /// form is pinned.
    pub(crate) fn let_go(&mut self, mac: Mac) {
        self.passes.remove(&mac);
    }

    /// Another program of the chain speaks.
    pub(crate) fn spoken_over(&mut self, mac: Mac) {
        if let Some(pass) = self.passes.get_mut(&mac) {
            pass.over = true;
        }
    }

    /// The machine asks for a loader's file, or for its size: it is no miss. What will be proved once all of it has arrived.
    pub(crate) fn asked(&mut self, now: Mono, mac: Mac) -> Option<Expected> {
        let pass = self.passes.get_mut(&mac).filter(|pass| !pass.over)?;
        (pass.asked, pass.last) = (true, now);
        let expected = Expected { model: pass.model, form: pass.form };
        if let Some(known) = self.known.get_mut(&(mac, expected.model)) {
            known.misses = 0;
        }
        Some(expected)
    }

    /// A loader's file has arrived: once in each pass.
    pub(crate) fn delivered(&mut self, now: Now, mac: Mac, expected: Expected) -> Option<Moved> {
        let Expected { model, form } = expected;
        let fits =
            |pass: &&mut Pass| pass.asked && !pass.delivered && (pass.model, pass.form) == (model, form);
        let pass = self.passes.get_mut(&mac).filter(fits)?;
        pass.delivered = true;
        let firmware = pass.firmware.clone();
        let known = self.experience(now, mac, model);
        let news = !known.proved || known.own != Some(form);
        let from = known.own.unwrap_or(form);
        if news {
            (known.own, known.proved, known.at) = (Some(form), true, now.wall);
        }
        let memory = FormMemory { mac, model, form, proved: true, at: known.at };
        self.note_model(&memory);
        Some(Moved { memory, news, from, misses: 0, firmware })
    }

    /// Replays a record of the ledger. What is dated after `recorded`, the highest wall time on disk, was written while the
    /// clock ran ahead: it counts as of then.
    pub(crate) fn restore(&mut self, memory: &FormMemory, recorded: Wall) {
        let memory = FormMemory { at: memory.at.min(recorded), ..*memory };
        let FormMemory { mac, model, form, proved, at } = memory;
        let known = self.experience(Now::default(), mac, model);
        (known.own, known.proved, known.at) = (Some(form), proved, at);
        if proved {
            self.note_model(&memory);
        }
    }

    /// The clock was set back to `wall`: nothing was learnt after that.
    pub(crate) fn set_back(&mut self, wall: Wall) {
        let known = self.known.values_mut().map(|known| &mut known.at);
        let models = self.models.values_mut().map(|(at, _)| at);
        known.chain(models).for_each(|at| *at = wall.min(*at));
    }

    /// The records that make this again.
    pub(crate) fn snapshot(&self) -> impl Iterator<Item = FormMemory> + '_ {
        self.known.iter().filter_map(|((mac, model), known)| {
            let (mac, model, form) = (*mac, *model, known.own?);
            Some(FormMemory { mac, model, form, proved: known.proved, at: known.at })
        })
    }

    /// Keeps what was learnt of these machines, not before the time that stands beside each.
    pub(crate) fn retain(&mut self, hosts: &BTreeMap<Mac, Wall>) {
        let stays = |mac: &Mac, at: Wall| hosts.get(mac).is_some_and(|before| at >= *before);
        let gone = |((mac, _), known): (&(Mac, _), &Experience)| (!stays(mac, known.at)).then_some(*mac);
        let gone: BTreeSet<Mac> = self.known.iter().filter_map(gone).collect();
        self.known.retain(|(mac, _), known| stays(mac, known.at));
        if !gone.is_empty() {
            self.passes.retain(|mac, _| !gone.contains(mac));
            self.models.clear();
            let proved: Vec<_> = self.snapshot().filter(|memory| memory.proved).collect();
            proved.iter().for_each(|memory| self.note_model(memory));
        }
    }

    /// The machine's own experience, then what the fleet has learnt, then what others of its model obey here; of these what
    /// can work here.
    fn form_of(&self, rom: &Rom) -> ReplyForm {
        let fits = |form: &ReplyForm| !rom.proxy || form.works_beside_another_server();
        let own = self.known.get(&(rom.mac, rom.model)).and_then(|known| known.own);
        let of_model = || self.models.get(&rom.model).map(|(_, form)| *form);
        let known = own.filter(fits).or(rom.learned.filter(fits));
        known.or_else(|| of_model().filter(fits)).unwrap_or_default()
    }

    /// The latest proof of a model counts; the model whose proof is the oldest gives way.
    fn note_model(&mut self, memory: &FormMemory) {
        let proof = (memory.at, memory.form);
        if self.models.len() >= MODELS && !self.models.contains_key(&memory.model) {
            let oldest = self.models.iter().min_by_key(|(_, proof)| **proof).map(|(model, _)| *model);
            oldest.and_then(|model| self.models.remove(&model));
        }
        let latest = self.models.entry(memory.model).or_insert(proof);
        *latest = proof.max(*latest);
    }

    fn miss(&mut self, now: Now, mac: Mac, pass: Pass) -> Option<Moved> {
        let known = self.experience(now, mac, pass.model);
        known.misses += 1;
        let patience = if known.proved { MISSES_OF_PROVED } else { MISSES };
        if known.misses < patience {
            return None;
        }
        let (misses, form) = (known.misses, next(&pass));
        (known.own, known.proved, known.misses, known.at) = (Some(form), false, 0, now.wall);
        let memory = FormMemory { mac, model: pass.model, form, proved: false, at: now.wall };
        Some(Moved { memory, news: true, from: pass.form, misses, firmware: pass.firmware })
    }

    /// What is known of a machine, made if it is new; who was silent longest gives way.
    fn experience(&mut self, now: Now, mac: Mac, model: FirmwareModel) -> &mut Experience {
        if !self.known.contains_key(&(mac, model)) {
            let quietest = |of: &mut dyn Iterator<Item = (&(Mac, FirmwareModel), &Experience)>| {
                of.min_by_key(|(_, known)| (known.heard, known.at)).map(|(key, _)| *key)
            };
            let range = (mac, FirmwareModel([0; 8]))..=(mac, FirmwareModel([0xff; 8]));
            let crowded = self.known.range(range.clone()).count() >= MODELS_OF_ONE;
            let gone = match (crowded, self.known.len() >= MACHINES) {
                (true, _) => quietest(&mut self.known.range(range)),
                (false, true) => quietest(&mut self.known.iter()),
                (false, false) => None,
            };
            gone.and_then(|key| self.known.remove(&key));
        }
        let fresh = Experience { at: now.wall, ..Experience::default() };
        let known = self.known.entry((mac, model)).or_insert(fresh);
        known.heard = now.mono;
        known
    }
}

impl Pass {
    fn begun(rom: Rom, form: ReplyForm, now: Mono) -> Self {
        let Rom { model, firmware, xid, proxy, mac: _, learned: _ } = rom;
        let (offers, offered, began, last) = (0, None, now, now);
        let (taken, asked, delivered, over) = (false, false, false, false);
        Self {
            model,
            firmware,
            form,
            xid,
            proxy,
            offers,
            offered,
            taken,
            asked,
            delivered,
            over,
            began,
            last,
        }
    }

    fn lasted_a_round(&self, now: Mono) -> bool {
        now.since(self.began) >= ROUND
    }
}

/// Is a DISCOVER of this moment still of the pass?
fn goes_on(pass: &Pass, xid: u32, now: Mono) -> bool {
    let quiet = now.since(pass.last);
    let copy = pass.xid == xid && quiet < COPY;
    if copy || pass.taken || pass.asked {
        return copy;
    }
    !pass.over && (pass.offers < OFFERS || !pass.lasted_a_round(now)) && quiet < NEXT_TRY
}

/// Does a pass that has ended now speak against its form?
fn is_miss(pass: &Pass, now: Mono) -> bool {
    !pass.asked && pass.offers > 0 && (pass.taken || pass.lasted_a_round(now))
}

/// The form that is tried after a pass's.
fn next(pass: &Pass) -> ReplyForm {
    let next = pass.form.next();
    if pass.proxy && !next.works_beside_another_server() { next.next() } else { next }
}

#[cfg(test)]
mod tests;
