//! The keys of the event store. Short, for sled keeps many of them in one page.
//!
//! ```text
//! b ATTEMPT                     the summary, JSON
//! e ATTEMPT SEQUENCE            an event, a v1::BootEvent
//! a BEGAN ATTEMPT               all attempts by time
//! s LEN SITE BEGAN ATTEMPT      those of a site
//! m MACHINE BEGAN ATTEMPT       those of a machine: 'h' and the host's id, or 'x' and the MAC
//! x BEGAN ATTEMPT               those of machines that are no host
//! c LEN SITE LEN AGENT JOURNAL  the highest number stored
//! l LEN SITE ADDRESS            the lease that stands, JSON
//! h LEN SITE ADDRESS BEGAN      leases that have ended, JSON
//! o LEN SITE ENDED ADDRESS BEGAN  those by their end
//! w MAC BEGAN ADDRESS SITE      all leases of a machine
//! ```

use std::net::Ipv4Addr;

use proto::{AttemptId, Incarnation, Mac, Wall};

use super::{BootSummary, LeaseEntry, Source};

/// Where the summary of an attempt is.
pub(super) fn summary(attempt: AttemptId) -> Vec<u8> {
    [b"b".as_slice(), &attempt.0].concat()
}

/// The prefix of an attempt's events.
pub(super) fn events(attempt: AttemptId) -> Vec<u8> {
    [b"e".as_slice(), &attempt.0].concat()
}

/// Where one event of an attempt is.
pub(super) fn event(attempt: AttemptId, sequence: u64) -> Vec<u8> {
    [b"e".as_slice(), &attempt.0, &sequence.to_be_bytes()].concat()
}

/// Where the number is up to which a journal is stored.
pub(super) fn cursor(source: &Source, incarnation: Incarnation) -> Vec<u8> {
    let mut key = vec![b'c'];
    name(&mut key, &source.site);
    name(&mut key, &source.agent);
    key.extend(incarnation.0);
    key
}

/// The prefix of all attempts.
pub(super) const ALL: &[u8] = b"a";
/// Where those begin that began at this time.
pub(super) fn began(at: Wall) -> Vec<u8> {
    [ALL, &at.0.to_be_bytes()].concat()
}

/// Behind all attempts.
pub(super) fn after_all() -> Vec<u8> {
    ALL.iter().map(|byte| byte + 1).collect()
}

/// The prefix of attempts of machines that are no host.
pub(super) const STRANGERS: &[u8] = b"x";

/// The prefix of a site's attempts.
pub(super) fn site(site: &str) -> Vec<u8> {
    let mut key = vec![b's'];
    name(&mut key, site);
    key
}

/// The prefix of a host's attempts.
pub(super) fn host(host: proto::HostId) -> Vec<u8> {
    [b"mh".as_slice(), &host.0].concat()
}

/// The prefix of the attempts of a machine that is no host.
pub(super) fn stranger(mac: Mac) -> Vec<u8> {
    [b"mx".as_slice(), &mac.0].concat()
}

/// The prefix of the attempts of the machine that a summary is of.
pub(super) fn machine(summary: &BootSummary) -> Vec<u8> {
    match (summary.host, summary.mac) {
        (Some(id), _) => host(id),
        (None, Some(mac)) => stranger(mac),
        (None, None) => b"mx".to_vec(),
    }
}

/// Every index key of a summary.
pub(super) fn indices(summary: &BootSummary) -> Vec<Vec<u8>> {
    let mut prefixes = vec![ALL.to_vec(), site(&summary.site), machine(summary)];
    if summary.host.is_none() {
        prefixes.push(STRANGERS.to_vec());
    }
    prefixes
        .into_iter()
        .map(|mut key| {
            key.extend(summary.began_ms.0.to_be_bytes());
            key.extend(summary.attempt.0);
            key
        })
        .collect()
}

/// The attempt that an index key ends with.
pub(super) fn attempt(key: &[u8]) -> Option<AttemptId> {
    key.last_chunk::<16>().map(|id| AttemptId(*id))
}

/// The prefix of the leases that stand.
pub(super) const LEASES: &[u8] = b"l";

/// The prefix of those of a site.
pub(super) fn leases(site: &str) -> Vec<u8> {
    of_site(b'l', site)
}

/// Where the lease of an address is.
pub(super) fn lease(site: &str, address: Ipv4Addr) -> Vec<u8> {
    [leases(site), address.octets().to_vec()].concat()
}

/// The prefix of a site's leases that have ended.
pub(super) fn ended_leases(site: &str) -> Vec<u8> {
    of_site(b'h', site)
}

/// The prefix of those of an address.
pub(super) fn former_leases(site: &str, address: Ipv4Addr) -> Vec<u8> {
    [ended_leases(site), address.octets().to_vec()].concat()
}

/// Where a lease that has ended is.
pub(super) fn former_lease(site: &str, address: Ipv4Addr, began: Wall) -> Vec<u8> {
    [former_leases(site, address), began.0.to_be_bytes().to_vec()].concat()
}

/// The prefix of a site's leases that have ended, in the order in which they did.
pub(super) fn lease_ends(site: &str) -> Vec<u8> {
    of_site(b'o', site)
}

/// Where such a one is.
pub(super) fn lease_end(entry: &LeaseEntry, ended: Wall) -> Vec<u8> {
    let LeaseEntry { site, address, began_ms, .. } = entry;
    let (ended, began) = (ended.0.to_be_bytes().to_vec(), began_ms.0.to_be_bytes().to_vec());
    [lease_ends(site), ended, address.octets().to_vec(), began].concat()
}

/// The address, and when its lease began, that a key of [`lease_end`] ends with.
pub(super) fn end_of_lease(key: &[u8]) -> Option<(Ipv4Addr, Wall)> {
    let (rest, began) = key.split_last_chunk::<8>()?;
    let (_, address) = rest.split_last_chunk::<4>()?;
    Some((Ipv4Addr::from(*address), Wall(u64::from_be_bytes(*began))))
}

/// The prefix of the leases of a machine.
pub(super) fn machine_leases(mac: Mac) -> Vec<u8> {
    [b"w".as_slice(), &mac.0].concat()
}

/// Where a lease of a machine is named.
pub(super) fn machine_lease(entry: &LeaseEntry) -> Vec<u8> {
    let LeaseEntry { site, address, mac, began_ms, .. } = entry;
    let began = began_ms.0.to_be_bytes();
    [&machine_leases(*mac), began.as_slice(), &address.octets(), site.as_bytes()].concat()
}

/// Where and since when, as a key of [`machine_lease`] names it.
pub(super) fn lease_of_machine(key: &[u8]) -> Option<(Wall, Ipv4Addr, &str)> {
    let (began, rest) = key.get(7..)?.split_first_chunk::<8>()?;
    let (address, site) = rest.split_first_chunk::<4>()?;
    Some((Wall(u64::from_be_bytes(*began)), Ipv4Addr::from(*address), str::from_utf8(site).ok()?))
}

fn of_site(what: u8, site: &str) -> Vec<u8> {
    let mut key = vec![what];
    name(&mut key, site);
    key
}

/// Names have at most 63 bytes.
fn name(key: &mut Vec<u8>, name: &str) {
    let name = &name.as_bytes()[..name.len().min(255)];
    key.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
    key.extend(name);
}
