//! What machines saw: the outside's account, to be held against the agent's own.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use netboot::dhcp::Message;
use proto::{Mac, Wall};

const ACK: u8 = 5;

/// An address given: a DHCPACK that a machine heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Given {
    /// To whom.
    pub mac: Mac,
    /// What.
    pub address: Ipv4Addr,
    /// From when.
    pub from: Wall,
    /// Until when, by the lease time that was granted.
    pub until: Wall,
}

/// Everything seen so far.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// In the order of arrival.
    pub given: Vec<Given>,
    /// By machine, the tokens under which it got an answer file or the image of a disk, whole or in part.
    pub obeyed: BTreeMap<Mac, BTreeSet<String>>,
    /// Machines whose installer was told that its last word is on disk.
    pub installed: BTreeSet<Mac>,
    /// Datagrams heard and files fetched: how far all machines together have come.
    pub steps: u64,
}

/// Keeps what is seen; clones keep the same.
#[derive(Debug, Clone, Default)]
pub struct Witness(Arc<Mutex<Seen>>);

impl Witness {
    /// A datagram that came to a machine.
    pub fn hears(&self, datagram: &[u8]) {
        self.steps();
        let Ok(message) = Message::parse(datagram) else { return };
        let Some(options) = &message.options else { return };
        if options.get(53) != Some(&[ACK][..]) || message.yiaddr.is_unspecified() {
            return;
        }
        let from = Wall::from(SystemTime::now());
        let seconds = options.get(51).and_then(|lease| lease.try_into().ok()).map_or(0, u32::from_be_bytes);
        let until = from.plus(std::time::Duration::from_secs(seconds.into()));
        let given = Given { mac: message.mac, address: message.yiaddr, from, until };
        self.change(|seen| seen.given.push(given));
    }

    /// A machine has come a step further.
    pub fn steps(&self) {
        self.change(|seen| seen.steps += 1);
    }

    /// The first byte of what overwrites a disk has come, under this token.
    pub fn obeys(&self, mac: Mac, token: &str) {
        self.change(|seen| {
            seen.obeyed.entry(mac).or_default().insert(token.to_owned());
        });
    }

    /// "Installed" was answered with 200.
    pub fn is_installed(&self, mac: Mac) {
        self.change(|seen| {
            seen.installed.insert(mac);
        });
    }

    /// All of it, as of now.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, how: impl FnOnce(&mut Seen)) {
        how(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
