//! Boot attempts: which packets and requests belong to one boot of one machine (DESIGN §7).
//!
//! One boot is three or four DHCP dialogues (ROM, loader, kernel, installed system) with other transaction ids and
//! client ids each, so they are joined by MAC address, order of stages and time: [`boundary`] has the rule. Memory only:
//! after a restart they are made again from the order's state and from the journal.

mod boundary;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    net::Ipv4Addr,
    time::Duration,
};

use proto::{
    AttemptId, HostId, Mac, OrderId,
    event::{Answer, Because, Client},
};

pub(crate) use boundary::NEXT_TRY;
use boundary::Programs;

use crate::time::Mono;

/// The most machines whose attempts are kept; the one that was silent longest gives way.
const MACHINES: usize = 20_000;

/// How far a machine has come; later ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reached {
    /// Its ROM speaks.
    Rom,
    /// iPXE or gPXE speaks.
    Loader,
    /// The kernel has been asked for, or the machine was sent to its disk and has taken the answer.
    Handover,
    /// The attempt has ended.
    Ended,
}

/// One boot of one machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Names it everywhere.
    pub id: AttemptId,
    /// The machine.
    pub mac: Mac,
    /// The host, if it is known.
    pub host: Option<HostId>,
    /// How far it has come.
    pub reached: Reached,
    /// What it was last answered, and to which program.
    pub answered: Option<(Client, Answer, Option<OrderId>)>,
    /// Why, as it was told last.
    pub because: Option<Because>,
    /// Where it was last seen.
    pub address: Option<Ipv4Addr>,
    /// The UUID that it has shown; later programs of the chain may show none.
    pub uuid: Option<[u8; 16]>,
    /// It has asked for the loader that it was sent to.
    pub loaded: bool,
    /// The DHCP server whose offer it has taken in place of ours.
    pub foreign_server: Option<Ipv4Addr>,
    /// When it began, or when we began to hear of it again.
    pub began: Mono,
    /// What went wrong of late, for people: the reason, should the attempt come to nothing.
    pub trouble: Option<String>,
    /// Nothing more is to be found out: it has come to its end, or was told to have failed.
    pub judged: bool,
    /// When something of it was last told that was no word of the machine, such as a file sent in full.
    pub progress: Mono,
    spoken: Programs,
    last: Mono,
    /// For how long it had been silent at `last` already: before a restart nobody knows the time by this clock.
    silent: Duration,
}

/// The latest attempt of each machine.
#[derive(Debug)]
pub struct Attempts {
    latest: BTreeMap<Mac, Attempt>,
    /// Every machine once, by a time at which it was heard; it may have been heard since.
    by_silence: BinaryHeap<Reverse<(Mono, Mac)>>,
    limit: usize,
    replaced: Option<Attempt>,
}

impl Default for Attempts {
    fn default() -> Self {
        Self::with_limit(MACHINES)
    }
}

/// Does a boot-class packet belong to the attempt at hand?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joined {
    /// It goes on with it.
    Continues,
    /// It begins another.
    Begins,
}

impl Attempt {
    /// An attempt of before a restart, as its first event tells of it.
    #[must_use]
    pub fn recalled(id: AttemptId, mac: Mac, host: HostId, client: Client, uuid: Option<[u8; 16]>) -> Self {
        let known = Self::new(Mono::default(), id, mac, Some(host), reached_by(client));
        Self { uuid, spoken: Programs::default().with(client), ..known }
    }

    fn new(now: Mono, id: AttemptId, mac: Mac, host: Option<HostId>, reached: Reached) -> Self {
        Self {
            id,
            mac,
            host,
            reached,
            answered: None,
            because: None,
            address: None,
            uuid: None,
            loaded: false,
            foreign_server: None,
            began: now,
            trouble: None,
            judged: false,
            progress: now,
            spoken: Programs::default(),
            last: now,
            silent: Duration::ZERO,
        }
    }

    /// This program has spoken in it.
    pub fn note_program(&mut self, client: Client) {
        self.spoken = self.spoken.with(client);
    }

    /// For how long nothing has been heard or told of it.
    #[must_use]
    pub fn quiet(&self, now: Mono) -> Duration {
        now.since(self.last.max(self.progress))
    }

    /// Does an operating system's lease end the attempt? Not under an order: there it is the installer's.
    #[must_use]
    pub fn awaits_system(&self) -> bool {
        match self.answered {
            Some((_, Answer::LocalDisk, _)) => self.reached < Reached::Ended,
            Some((_, Answer::Loader | Answer::Script, None)) => self.reached == Reached::Handover,
            Some(_) | None => false,
        }
    }
}

impl Attempts {
    /// After so long without a word, any boot-class packet begins another attempt.
    pub const QUIET: Duration = boundary::NEXT_PROGRAM;

    /// Room for so many machines.
    #[must_use]
    pub fn with_limit(limit: usize) -> Self {
        Self { latest: BTreeMap::new(), by_silence: BinaryHeap::new(), limit, replaced: None }
    }

    /// A boot-class packet of `client`: the attempt that it belongs to. `fresh` names a new one if one begins.
    pub fn boot_packet(
        &mut self,
        now: Mono,
        mac: Mac,
        host: Option<HostId>,
        client: Client,
        fresh: AttemptId,
    ) -> (&mut Attempt, Joined) {
        let reached = reached_by(client);
        let joined = match self.latest.get(&mac) {
            Some(attempt) if boundary::continues(attempt, client, attempt.quiet(now) + attempt.silent) => {
                Joined::Continues
            }
            Some(_) | None => Joined::Begins,
        };
        if joined == Joined::Begins {
            let former = self.insert(Attempt::new(now, fresh, mac, host, reached));
            self.replaced = former.filter(|former| !former.judged);
        }
        let attempt = self.latest.get_mut(&mac).expect("it was found or has just been inserted");
        attempt.reached = attempt.reached.max(reached);
        attempt.note_program(client);
        (attempt.last, attempt.silent) = (now, Duration::ZERO);
        attempt.host = host;
        (attempt, joined)
    }

    /// Goes on with an attempt that was begun before a restart.
    pub fn resume(&mut self, now: Mono, id: AttemptId, mac: Mac, host: Option<HostId>, reached: Reached) {
        // Whatever speaks next is sent on, never back.
        self.insert(Attempt { loaded: true, ..Attempt::new(now, id, mac, host, reached) });
    }

    /// Goes on with an attempt as it was before a restart, when nothing had been heard of it for so long.
    pub fn recall(&mut self, now: Mono, attempt: Attempt, silent: Duration) {
        self.insert(Attempt { began: now, last: now, silent, ..attempt });
    }

    /// The attempt under way on this machine.
    #[must_use]
    pub fn of(&self, mac: Mac) -> Option<&Attempt> {
        self.latest.get(&mac)
    }

    /// The attempt of this number, if it is its machine's latest.
    #[must_use]
    pub fn by_id(&self, id: AttemptId) -> Option<&Attempt> {
        self.latest.values().find(|attempt| attempt.id == id)
    }

    /// The attempt under way on this machine; it has just been heard.
    pub fn heard(&mut self, now: Mono, mac: Mac) -> Option<&mut Attempt> {
        let attempt = self.latest.get_mut(&mac)?;
        (attempt.last, attempt.silent) = (now, Duration::ZERO);
        Some(attempt)
    }

    /// The attempt whose machine has begun another since this was asked last, if nobody has judged it.
    pub fn take_replaced(&mut self) -> Option<Attempt> {
        self.replaced.take()
    }

    /// Those of which it is not known yet what they come to.
    pub fn open(&mut self) -> impl Iterator<Item = &mut Attempt> {
        self.latest.values_mut().filter(|attempt| !attempt.judged)
    }

    /// The attempt of this number, if it is its machine's latest; which machine's, where that is known.
    pub fn named(&mut self, id: AttemptId, mac: Option<Mac>) -> Option<&mut Attempt> {
        let mac = match mac {
            Some(mac) => mac,
            None => self.by_id(id)?.mac,
        };
        self.latest.get_mut(&mac).filter(|attempt| attempt.id == id)
    }

    /// Gives the former attempt of its machine.
    fn insert(&mut self, attempt: Attempt) -> Option<Attempt> {
        let Attempt { mac, last, .. } = attempt;
        if !self.latest.contains_key(&mac) {
            while self.latest.len() >= self.limit
                && let Some(Reverse((known, quietest))) = self.by_silence.pop()
            {
                self.give_way(known, quietest);
            }
            self.by_silence.push(Reverse((last, mac)));
        }
        self.latest.insert(mac, attempt)
    }

    /// Takes a machine out, unless it was heard since. Who stands first by a time that still holds was silent longest: no other
    /// was heard before the time that it stands by.
    fn give_way(&mut self, known: Mono, mac: Mac) {
        match self.latest.get(&mac).map(|attempt| attempt.last) {
            Some(last) if last > known => self.by_silence.push(Reverse((last, mac))),
            Some(_) | None => drop(self.latest.remove(&mac)),
        }
    }
}

/// The stage at which a program speaks.
pub(crate) fn reached_by(client: Client) -> Reached {
    match client {
        Client::PxeRom | Client::HttpRom | Client::Bootp => Reached::Rom,
        Client::Ipxe | Client::Gpxe => Reached::Loader,
        Client::Os => Reached::Handover,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = Mac([2; 6]);

    fn at(seconds: u64) -> Mono {
        Mono(Duration::from_secs(seconds))
    }

    fn id(byte: u8) -> AttemptId {
        AttemptId([byte; 16])
    }

    fn packet(attempts: &mut Attempts, second: u64, client: Client, fresh: u8) -> (AttemptId, Joined) {
        let (attempt, joined) = attempts.boot_packet(at(second), MAC, None, client, id(fresh));
        (attempt.id, joined)
    }

    #[test]
    fn rom_and_loader_are_one_attempt() {
        let mut attempts = Attempts::default();
        assert_eq!(packet(&mut attempts, 0, Client::PxeRom, 1), (id(1), Joined::Begins));
        assert_eq!(packet(&mut attempts, 4, Client::PxeRom, 2), (id(1), Joined::Continues));
        assert_eq!(packet(&mut attempts, 9, Client::Ipxe, 3), (id(1), Joined::Continues));
    }

    #[test]
    fn a_rom_after_its_loader_is_another_attempt() {
        let mut attempts = Attempts::default();
        packet(&mut attempts, 0, Client::Ipxe, 1);
        assert_eq!(packet(&mut attempts, 20, Client::PxeRom, 2), (id(2), Joined::Begins));
    }

    #[test]
    fn a_loader_after_the_kernel_is_another_attempt() {
        let mut attempts = Attempts::default();
        packet(&mut attempts, 0, Client::Ipxe, 1);
        attempts.heard(at(5), MAC).expect("it is there").reached = Reached::Handover;
        assert_eq!(packet(&mut attempts, 60, Client::Ipxe, 2), (id(2), Joined::Begins));
    }

    #[test]
    fn quiet_ends_an_attempt() {
        let mut attempts = Attempts::default();
        packet(&mut attempts, 0, Client::PxeRom, 1);
        assert_eq!(packet(&mut attempts, 60, Client::PxeRom, 2).1, Joined::Continues);
        assert_eq!(packet(&mut attempts, 359, Client::HttpRom, 3).1, Joined::Continues);
        assert_eq!(packet(&mut attempts, 659, Client::Ipxe, 4).1, Joined::Begins);
    }

    #[test]
    fn silence_before_a_restart_counts() {
        let mut attempts = Attempts::default();
        let host = HostId([1; 16]);
        let before = || Attempt::recalled(id(1), MAC, host, Client::PxeRom, None);
        attempts.recall(at(0), before(), Duration::from_secs(40));
        assert_eq!(packet(&mut attempts, 20, Client::PxeRom, 2), (id(1), Joined::Continues));
        assert_eq!(
            packet(&mut attempts, 70, Client::PxeRom, 3),
            (id(1), Joined::Continues),
            "it was heard since"
        );
        attempts.recall(at(100), before(), Duration::from_secs(40));
        assert_eq!(packet(&mut attempts, 125, Client::PxeRom, 4), (id(4), Joined::Begins));
    }

    #[test]
    fn the_table_is_bounded() {
        let mut attempts = Attempts::default();
        for machine in 0..=MACHINES {
            let [a, b, c, d, ..] = (machine as u64).to_le_bytes();
            attempts.boot_packet(at(machine as u64), Mac([2, 0, a, b, c, d]), None, Client::PxeRom, id(1));
        }
        assert_eq!((attempts.latest.len(), attempts.by_silence.len()), (MACHINES, MACHINES));
        assert_eq!(attempts.of(Mac([2, 0, 0, 0, 0, 0])), None, "the quietest has given way");
    }

    #[test]
    fn who_has_spoken_since_stays() {
        let (mut attempts, mac) = (Attempts::with_limit(3), |n| Mac([2, 0, 0, 0, 0, n]));
        let begin = |attempts: &mut Attempts, second, n| {
            attempts.boot_packet(at(second), mac(n), None, Client::PxeRom, id(n));
        };
        (0..3).for_each(|n| begin(&mut attempts, n.into(), n));
        attempts.heard(at(10), mac(0)).expect("it is there");
        begin(&mut attempts, 11, 3);
        begin(&mut attempts, 12, 4);
        let there: Vec<_> = (0..5).filter(|n| attempts.of(mac(*n)).is_some()).collect();
        assert_eq!(there, [0, 3, 4]);
    }
}
