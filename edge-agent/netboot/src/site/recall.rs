//! The boot attempts of before a restart, from the journal's events: a machine that was on its way goes on with the
//! attempt that it began, and its system's first lease still ends it.
//!
//! What the controller has acknowledged may be gone from the ledger; its attempt then simply stays without an end.

use std::{collections::BTreeMap, time::Duration};

use proto::{
    Mac, Wall,
    event::{Client, Event, EventKind},
    plan::Stage,
};

use crate::{
    attempts::{Attempt, Attempts, Reached, reached_by},
    time::Now,
};

/// A machine that was sent to its disk, or has its kernel, may take so long until its system asks for an address:
/// servers test their memory, disks are checked.
const UNTIL_UP: Duration = Duration::from_secs(3_600);
/// The most machines that are recalled; beyond it the journal's later ones are left out.
const MACHINES: usize = 20_000;

/// The latest attempt of each known host, while the ledger is replayed.
#[derive(Debug, Default)]
pub(super) struct Recall(BTreeMap<Mac, (Attempt, Wall)>);

impl Recall {
    /// An event of the journal, in the order of the journal.
    pub(super) fn note(&mut self, event: &Event) {
        let (Some(id), Some(host), Some(mac)) = (event.attempt, event.host, event.mac) else { return };
        if let EventKind::AttemptBegan { client, uuid, .. } = &event.kind
            && (self.0.len() < MACHINES || self.0.contains_key(&mac))
        {
            self.0.insert(mac, (Attempt::recalled(id, mac, host, *client, *uuid), event.at));
        }
        if let Some((attempt, at)) = self.0.get_mut(&mac).filter(|(attempt, _)| attempt.id == id) {
            follow(attempt, &event.kind);
            *at = event.at;
        }
    }

    /// The replay is over: fills the table with those that may still go on.
    pub(super) fn finish(&mut self, now: Now, attempts: &mut Attempts) {
        for (mut attempt, at) in std::mem::take(&mut self.0).into_values() {
            let age = now.wall.since(at);
            if age >= Attempts::QUIET {
                if !attempt.awaits_system() || age >= UNTIL_UP {
                    continue;
                }
                // Its firmware's next word begins another attempt.
                attempt.reached = Reached::Handover;
            }
            attempts.recall(now.mono, attempt, age);
        }
    }
}

/// What an event tells of how far its attempt has come.
fn follow(attempt: &mut Attempt, kind: &EventKind) {
    match kind {
        EventKind::Decided { answer, order, because, .. } => {
            attempt.answered = Some((speaker(attempt.reached), *answer, *order));
            attempt.because = *because;
        }
        EventKind::Offered { client, .. } => note_program(attempt, *client),
        EventKind::Leased { address, client, .. } => {
            note_program(attempt, *client);
            attempt.address = Some(*address);
        }
        EventKind::FileServed { stage: Stage::Kernel, .. } => attempt.reached = Reached::Handover,
        EventKind::FileServed { stage: Stage::Script, .. } => {
            attempt.reached = attempt.reached.max(Reached::Loader);
        }
        EventKind::FileServed { stage: Stage::Loader, .. } => attempt.loaded = true,
        EventKind::OsUp { .. } => attempt.reached = Reached::Ended,
        EventKind::ForeignOfferTaken { server, .. } => attempt.foreign_server = Some(*server),
        EventKind::AttemptBegan { .. }
        | EventKind::LeaseEnded { .. }
        | EventKind::LeaseRenewed { .. }
        | EventKind::AddressRefused { .. }
        | EventKind::LeaseReleaseAnswered { .. }
        | EventKind::FileServed { .. }
        | EventKind::FileRefused { .. }
        | EventKind::FileProbed { .. }
        | EventKind::FileBroken { .. }
        | EventKind::OrderMoved { .. }
        | EventKind::Progress { .. }
        | EventKind::PlanAdopted(_)
        | EventKind::PlanRefused { .. }
        | EventKind::Alarm { .. }
        | EventKind::FormMoved { .. }
        | EventKind::CaptureKept { .. }
        | EventKind::SyslogLine { .. }
        | EventKind::Gap { .. } => {}
    }
}

/// The system's own DHCP ends attempts elsewhere; here it moves none.
fn note_program(attempt: &mut Attempt, client: Client) {
    match client {
        Client::Os => {}
        Client::PxeRom | Client::HttpRom | Client::Bootp | Client::Ipxe | Client::Gpxe => {
            attempt.note_program(client);
            attempt.reached = attempt.reached.max(reached_by(client));
        }
    }
}

/// The program that an answer went to, as far as the stage tells.
fn speaker(reached: Reached) -> Client {
    match reached {
        Reached::Rom => Client::PxeRom,
        Reached::Loader => Client::Ipxe,
        Reached::Handover | Reached::Ended => Client::Os,
    }
}
