//! Nonces that were given out: bound to one identity, good once and for a minute, bounded in number.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use certs::{Identity, RecoveryNonce};

/// How long a nonce is good.
const LIFE: Duration = Duration::from_secs(60);
/// Nonces of one agent; the oldest gives way. Only agents of the catalog get any, so this bounds them all.
const PER_AGENT: usize = 8;

/// The nonces that are good now.
#[derive(Debug, Default)]
pub(super) struct Nonces(Mutex<HashMap<Identity, VecDeque<Given>>>);

#[derive(Debug, Clone, Copy)]
struct Given {
    nonce: RecoveryNonce,
    at: SystemTime,
}

impl Given {
    /// A clock that went back makes it old as well.
    fn is_fresh(&self, now: SystemTime) -> bool {
        now.duration_since(self.at).is_ok_and(|age| age <= LIFE)
    }
}

impl Nonces {
    /// Remembers a nonce that is given to this agent.
    pub(super) fn give(&self, identity: Identity, nonce: RecoveryNonce, now: SystemTime) {
        let mut all = self.lock();
        all.retain(|_, given| {
            given.retain(|given| given.is_fresh(now));
            !given.is_empty()
        });
        let given = all.entry(identity).or_default();
        if given.len() == PER_AGENT {
            given.pop_front();
        }
        given.push_back(Given { nonce, at: now });
    }

    /// Is this a nonce that was given to this agent? It is not any more afterwards.
    pub(super) fn redeem(&self, identity: &Identity, nonce: &RecoveryNonce, now: SystemTime) -> bool {
        let mut all = self.lock();
        let Some(given) = all.get_mut(identity) else { return false };
        let Some(place) = given.iter().position(|given| given.nonce == *nonce) else { return false };
        given.remove(place).is_some_and(|given| given.is_fresh(now))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Identity, VecDeque<Given>>> {
        // Nothing panics between two steps of a change, so a poisoned table is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(name: &str) -> Identity {
        format!("spiffe://acme/site/lyon/agent/{name}").parse().expect("legal")
    }

    #[test]
    fn a_nonce_is_good_once_for_one_agent_and_a_minute() {
        let (nonces, now) = (Nonces::default(), SystemTime::UNIX_EPOCH + LIFE);
        let nonce = || RecoveryNonce::generate().expect("random");
        let (first, second, third) = (nonce(), nonce(), nonce());
        for nonce in [first, second, third] {
            nonces.give(agent("a"), nonce, now);
        }
        assert!(!nonces.redeem(&agent("b"), &first, now), "another agent");
        assert!(nonces.redeem(&agent("a"), &first, now));
        assert!(!nonces.redeem(&agent("a"), &first, now), "twice");
        assert!(nonces.redeem(&agent("a"), &second, now + LIFE));
        assert!(!nonces.redeem(&agent("a"), &third, now + LIFE + Duration::from_millis(1)), "late");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (nonces, now) = (Nonces::default(), SystemTime::UNIX_EPOCH);
        let first = RecoveryNonce::generate().expect("random");
        nonces.give(agent("a"), first, now);
        for _ in 0..PER_AGENT {
            nonces.give(agent("a"), RecoveryNonce::generate().expect("random"), now);
        }
        assert!(!nonces.redeem(&agent("a"), &first, now));
        nonces.give(agent("b"), first, now + LIFE * 2);
        assert_eq!(nonces.lock().len(), 1, "what is old is forgotten");
    }
}
