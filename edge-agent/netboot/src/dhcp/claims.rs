//! Whose word lets addresses rest, and for how many: ARP is anybody's to answer, so all claimants together may keep no more
//! than a part of a link's pools from its machines (S5).

use std::{collections::BTreeMap, net::Ipv4Addr};

use ipnet::Ipv4Net;
use proto::{Mac, ledger::Quarantine};

use super::{
    probe::Pool,
    quarantine::{CLAIMED, MAX_QUARANTINED},
};
use crate::{arp::Claim, time::Mono};

/// Who claims more addresses than this within [`CLAIMED`] answers for others, as routers with proxy ARP do (RFC 1027), or
/// wants the pool for itself: it is not believed, and never was.
const BELIEVED_CLAIMS: usize = 16;

/// Claimants that are remembered for not being believed; the one that is known longest gives way.
const MAX_UNMASKED: usize = 64;

/// What a claim is worth.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// The address is somebody's.
    Believed,
    /// The claimant answers for others. These rests stand on its word.
    Unmasked(Vec<Quarantine>),
    /// As many addresses of the link rest as may.
    TooMany,
}

/// The rests that stand on a claimant's word.
#[derive(Debug, Default)]
pub(super) struct Claims {
    rests: BTreeMap<Ipv4Addr, Rest>,
    unmasked: BTreeMap<Mac, Mono>,
}

#[derive(Debug, Clone, Copy)]
struct Rest {
    since: Mono,
    claimant: Mac,
    link: Ipv4Net,
    quarantine: Quarantine,
}

impl Claims {
    /// Weighs a claim of an address that is to be given to a machine of the link.
    pub(super) fn weigh(&mut self, now: Mono, claim: Claim, pool: Pool) -> Worth {
        self.rests.retain(|_, rest| now.since(rest.since) < CLAIMED);
        self.unmasked.retain(|_, since| now.since(*since) < CLAIMED);
        let others =
            || self.rests.iter().filter(|(address, _)| **address != claim.address).map(|(_, rest)| rest);
        let on_link = others().filter(|rest| rest.link == pool.link).count();
        let its_own = others().filter(|rest| rest.claimant == claim.mac);
        let its_own_here = its_own.clone().filter(|rest| rest.link == pool.link).count();
        let too_many = its_own.count() >= BELIEVED_CLAIMS || its_own_here >= pool.may_rest().max(1);
        if too_many || self.is_unmasked(now, claim.mac) {
            return self.unmask(now, claim.mac);
        }
        let full = on_link >= pool.may_rest() || self.rests.len() >= MAX_QUARANTINED;
        if full { Worth::TooMany } else { Worth::Believed }
    }

    /// Is the claimant known to answer for others?
    pub(super) fn is_unmasked(&self, now: Mono, claimant: Mac) -> bool {
        self.unmasked.get(&claimant).is_some_and(|since| now.since(*since) < CLAIMED)
    }

    /// An address of the link rests by a claimant's word.
    pub(super) fn note(&mut self, since: Mono, claimant: Mac, pool: Pool, quarantine: Quarantine) {
        self.rests.insert(quarantine.address, Rest { since, claimant, link: pool.link, quarantine });
    }

    fn unmask(&mut self, now: Mono, claimant: Mac) -> Worth {
        if self.unmasked.len() >= MAX_UNMASKED
            && !self.unmasked.contains_key(&claimant)
            && let Some((oldest, _)) = self.unmasked.iter().min_by_key(|(_, since)| **since)
        {
            let oldest = *oldest;
            self.unmasked.remove(&oldest);
        }
        self.unmasked.entry(claimant).or_insert(now);
        let its = self.rests.extract_if(.., |_, rest| rest.claimant == claimant);
        Worth::Unmasked(its.map(|(_, rest)| rest.quarantine).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proto::Wall;

    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono(Duration::from_secs(seconds))
    }

    fn pool(addresses: u64) -> Pool {
        Pool { link: "10.1.0.0/16".parse().expect("a network"), addresses }
    }

    /// Claims the nth address; was it believed?
    fn claim(claims: &mut Claims, now: Mono, n: u32, mac: Mac, pool: Pool) -> bool {
        let address = Ipv4Addr::from(n);
        let believed = claims.weigh(now, Claim { address, mac }, pool) == Worth::Believed;
        if believed {
            claims.note(now, mac, pool, Quarantine { address, until: Wall(u64::from(n)) });
        }
        believed
    }

    fn mac(n: u32) -> Mac {
        let [a, b, c, d] = n.to_be_bytes();
        Mac([2, 0, a, b, c, d])
    }

    #[test]
    fn many_claimants_take_a_quarter_of_a_pool_within_an_hour() {
        for (addresses, may_rest) in [(0, 0), (1, 0), (2, 1), (3, 1), (16, 4), (254, 63), (65_000, 256)] {
            let (mut claims, pool) = (Claims::default(), pool(addresses));
            let mut believed = |now, from: u32| {
                (from..from + 1_000).filter(|n| claim(&mut claims, now, *n, mac(*n), pool)).count()
            };
            assert_eq!((believed(at(0), 0), believed(at(3_599), 1_000)), (may_rest, 0), "{addresses}");
            assert_eq!(believed(at(3_600), 2_000), may_rest, "{addresses}: an hour later");
        }
    }

    #[test]
    fn who_is_unmasked_takes_its_word_back_and_nobody_elses() {
        let (mut claims, pool) = (Claims::default(), pool(254));
        assert!(claim(&mut claims, at(0), 99, mac(2), pool));
        assert!((0..16).all(|n| claim(&mut claims, at(0), n, mac(1), pool)));
        let more = Claim { address: Ipv4Addr::from(16), mac: mac(1) };
        let Worth::Unmasked(lifted) = claims.weigh(at(1), more, pool) else { panic!("seventeen") };
        assert_eq!(lifted.len(), 16);
        assert_eq!(claims.weigh(at(2), more, pool), Worth::Unmasked(Vec::new()), "it stays so");
        assert_eq!(claims.rests.len(), 1);
        assert!(claim(&mut claims, at(3_601), 17, mac(1), pool), "for an hour");
    }

    #[test]
    fn the_same_word_again_is_no_further_one_and_other_links_have_their_own_bound() {
        let (mut claims, pool) = (Claims::default(), pool(4));
        assert!((0..3).all(|_| claim(&mut claims, at(0), 1, mac(1), pool)));
        let there = Pool { link: "10.9.0.0/24".parse().expect("a network"), ..pool };
        assert!(claim(&mut claims, at(0), 2, mac(1), there));
        assert!(!claim(&mut claims, at(0), 3, mac(1), there), "the second one of a few");
        assert!(claims.rests.is_empty());
    }

    #[test]
    fn memory_is_bounded() {
        let (mut claims, pool) = (Claims::default(), pool(2));
        for n in 0..1_000 {
            claim(&mut claims, at(0), 2 * n, mac(n), pool);
            claim(&mut claims, at(0), 2 * n + 1, mac(n), pool);
        }
        assert_eq!((claims.rests.len(), claims.unmasked.len()), (0, MAX_UNMASKED));
    }
}
