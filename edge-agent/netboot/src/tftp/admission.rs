//! Who may have how much: token buckets and counts of transfers, per source address and in total (S4).
//!
//! Memory is bounded: a source is forgotten when it has no transfer and its bucket is full again, and when the
//! table is full of busy sources a new one gets nothing.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::config::Config;
use crate::time::Mono;

/// A token bucket's size and rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Tokens in a full bucket.
    pub burst: u32,
    /// Tokens that come back in a second.
    pub per_second: u32,
}

/// Refusals to one source address that has too many transfers: a few, so that a machine learns why it gets nothing, and
/// no more, since all of them may be asked for in its name (S4).
const REFUSALS: Rate = Rate { burst: 4, per_second: 1 };

/// May a transfer begin?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Yes.
    Free,
    /// The source has as many as one may have.
    SourceFull,
    /// All have together.
    Full,
}

/// Counts and buckets of all sources.
#[derive(Debug)]
pub(super) struct Admission {
    all: Bucket,
    transfers: usize,
    sources: BTreeMap<IpAddr, Source>,
}

#[derive(Debug)]
struct Source {
    bucket: Bucket,
    refusals: Bucket,
    transfers: u16,
    pending: u16,
}

#[derive(Debug)]
struct Bucket {
    /// In millionths, so that a short wait gives its part.
    micro_tokens: u64,
    filled: Mono,
}

impl Admission {
    pub(super) fn new(config: &Config) -> Self {
        Self { all: Bucket::full(config.requests, Mono::default()), transfers: 0, sources: BTreeMap::new() }
    }

    /// Takes a token for one answer to `ip`; false: stay silent.
    pub(super) fn answer(&mut self, now: Mono, ip: IpAddr, config: &Config) -> bool {
        let Some(source) = source(&mut self.sources, now, ip, config) else { return false };
        source.bucket.take(now, config.requests_per_source) && self.all.take(now, config.requests)
    }

    /// Whether `ip` may begin another transfer.
    pub(super) fn place(&self, ip: IpAddr, config: &Config) -> Place {
        let within = |source: &Source| {
            source.pending < config.pending_per_source && source.transfers < config.transfers_per_source
        };
        match (self.transfers < config.transfers, self.sources.get(&ip).is_none_or(within)) {
            (true, true) => Place::Free,
            (_, false) => Place::SourceFull,
            (false, true) => Place::Full,
        }
    }

    /// Whether `ip`, which has too many transfers, is told so this time.
    pub(super) fn refusal(&mut self, now: Mono, ip: IpAddr, config: &Config) -> bool {
        let source = source(&mut self.sources, now, ip, config);
        source.is_some_and(|source| source.refusals.take(now, REFUSALS))
    }

    /// A transfer began; it is pending until [`Self::acknowledged`].
    pub(super) fn began(&mut self, now: Mono, ip: IpAddr, config: &Config) {
        self.transfers += 1;
        if let Some(source) = source(&mut self.sources, now, ip, config) {
            source.transfers += 1;
            source.pending += 1;
        }
    }

    /// A transfer of `ip` was acknowledged for the first time.
    pub(super) fn acknowledged(&mut self, ip: IpAddr) {
        if let Some(source) = self.sources.get_mut(&ip) {
            source.pending = source.pending.saturating_sub(1);
        }
    }

    /// A transfer of `ip` ended; `pending` if it was never acknowledged.
    pub(super) fn ended(&mut self, ip: IpAddr, pending: bool) {
        self.transfers = self.transfers.saturating_sub(1);
        if let Some(source) = self.sources.get_mut(&ip) {
            source.transfers = source.transfers.saturating_sub(1);
            source.pending = source.pending.saturating_sub(u16::from(pending));
        }
    }

    #[cfg(test)]
    pub(super) fn sources(&self) -> usize {
        self.sources.len()
    }
}

/// The record of `ip`, made if there is room.
fn source<'a>(
    sources: &'a mut BTreeMap<IpAddr, Source>,
    now: Mono,
    ip: IpAddr,
    config: &Config,
) -> Option<&'a mut Source> {
    if !sources.contains_key(&ip) {
        if sources.len() >= config.sources {
            sources.retain(|_, source| !source.is_idle(now, config.requests_per_source));
        }
        if sources.len() >= config.sources {
            return None;
        }
    }
    let new = || Source {
        bucket: Bucket::full(config.requests_per_source, now),
        refusals: Bucket::full(REFUSALS, now),
        transfers: 0,
        pending: 0,
    };
    Some(sources.entry(ip).or_insert_with(new))
}

impl Source {
    fn is_idle(&mut self, now: Mono, rate: Rate) -> bool {
        self.bucket.fill(now, rate);
        self.transfers == 0 && self.bucket.micro_tokens == u64::from(rate.burst) * TOKEN
    }
}

/// Millionths of a token in a token.
const TOKEN: u64 = 1_000_000;

impl Bucket {
    fn full(rate: Rate, now: Mono) -> Self {
        Self { micro_tokens: u64::from(rate.burst) * TOKEN, filled: now }
    }

    fn take(&mut self, now: Mono, rate: Rate) -> bool {
        self.fill(now, rate);
        let enough = self.micro_tokens >= TOKEN;
        self.micro_tokens -= if enough { TOKEN } else { 0 };
        enough
    }

    /// Microseconds times tokens a second are millionths of a token.
    fn fill(&mut self, now: Mono, rate: Rate) {
        let micros = u64::try_from(now.since(self.filled).as_micros()).unwrap_or(u64::MAX);
        let gained = micros.saturating_mul(u64::from(rate.per_second));
        let most = u64::from(rate.burst) * TOKEN;
        self.micro_tokens = self.micro_tokens.saturating_add(gained).min(most);
        self.filled = self.filled.max(now);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;

    fn ip(number: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + number))
    }

    fn at(millis: u64) -> Mono {
        Mono(Duration::from_millis(millis))
    }

    #[test]
    fn s4_a_source_gets_its_burst_and_its_rate() {
        let config = Config { requests_per_source: Rate { burst: 3, per_second: 2 }, ..Config::default() };
        let mut admission = Admission::new(&config);
        let granted =
            |admission: &mut Admission, at| (0..10).filter(|_| admission.answer(at, ip(1), &config)).count();
        assert_eq!(granted(&mut admission, at(0)), 3);
        assert_eq!(granted(&mut admission, at(499)), 0);
        assert_eq!(granted(&mut admission, at(1_000)), 2);
        assert_eq!(granted(&mut admission, at(60_000)), 3);
    }

    #[test]
    fn s4_all_sources_together_have_a_rate() {
        let config = Config { requests: Rate { burst: 5, per_second: 1 }, ..Config::default() };
        let mut admission = Admission::new(&config);
        assert_eq!((0..10).filter(|n| admission.answer(at(0), ip(*n), &config)).count(), 5);
    }

    #[test]
    fn s4_pending_transfers_are_counted() {
        let config = Config::default();
        let mut admission = Admission::new(&config);
        for _ in 0..4 {
            assert_eq!(admission.place(ip(1), &config), Place::Free);
            admission.began(at(0), ip(1), &config);
        }
        assert_eq!(admission.place(ip(1), &config), Place::SourceFull);
        assert_eq!(admission.place(ip(2), &config), Place::Free);
        admission.acknowledged(ip(1));
        assert_eq!(admission.place(ip(1), &config), Place::Free);
        admission.began(at(0), ip(1), &config);
        assert_eq!(admission.place(ip(1), &config), Place::SourceFull);
        admission.ended(ip(1), true);
        assert_eq!(admission.place(ip(1), &config), Place::Free);
    }

    #[test]
    fn memory_is_bounded_and_comes_back() {
        let config = Config { sources: 10, ..Config::default() };
        let mut admission = Admission::new(&config);
        assert_eq!((0..1000).filter(|n| admission.answer(at(0), ip(*n), &config)).count(), 10);
        assert_eq!(admission.sources(), 10);
        assert!(admission.answer(at(60_000), ip(5000), &config));
        assert_eq!(admission.sources(), 1);
    }
}
