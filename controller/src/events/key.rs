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
//! ```

use proto::{AttemptId, Incarnation};

use super::{BootSummary, Source};

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

/// The prefix of the attempts of the machine that a summary is of.
pub(super) fn machine(summary: &BootSummary) -> Vec<u8> {
    match (summary.host, summary.mac) {
        (Some(id), _) => host(id),
        (None, Some(mac)) => [b"mx".as_slice(), &mac.0].concat(),
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

/// Names have at most 63 bytes.
fn name(key: &mut Vec<u8>, name: &str) {
    let name = &name.as_bytes()[..name.len().min(255)];
    key.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
    key.extend(name);
}
