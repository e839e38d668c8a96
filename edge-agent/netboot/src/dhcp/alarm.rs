//! Alarms that a machine can raise again and again: each subject once in a while.

use std::{collections::BTreeMap, net::Ipv4Addr, time::Duration};

use ipnet::Ipv4Net;
use proto::Mac;

use crate::time::Mono;

/// How long a subject stays silent after it was reported.
const SILENCE: Duration = Duration::from_secs(60);

/// Subjects that are remembered; beyond it new ones are not reported until one may speak again.
const MAX_SUBJECTS: usize = 256;

/// What an alarm is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    /// The pools of a subnet.
    Pool(Ipv4Net),
    /// An address that is used by the wrong machine.
    Address(Ipv4Addr),
    /// An address that somebody has answered for.
    Claim(Ipv4Addr),
    /// Who answers for many addresses.
    Claimant(Mac),
    /// A link of which many addresses are answered for.
    Claims(Ipv4Net),
}

/// When each subject was reported.
#[derive(Debug, Default)]
pub(super) struct Alarms(BTreeMap<Subject, Mono>);

impl Alarms {
    /// May this subject be reported now?
    pub(super) fn raise(&mut self, now: Mono, subject: Subject) -> bool {
        self.0.retain(|_, raised| now.since(*raised) < SILENCE);
        if self.0.contains_key(&subject) || self.0.len() >= MAX_SUBJECTS {
            return false;
        }
        self.0.insert(subject, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_speaks_once_a_minute_and_memory_is_bounded() {
        let (mut alarms, at) = (Alarms::default(), |s| Mono(Duration::from_secs(s)));
        let subject = |n: u32| Subject::Address(Ipv4Addr::from(n));
        assert!(alarms.raise(at(0), subject(1)) && !alarms.raise(at(59), subject(1)));
        assert!(alarms.raise(at(60), subject(1)));
        for n in 0..1000 {
            alarms.raise(at(61), subject(n));
        }
        assert_eq!(alarms.0.len(), MAX_SUBJECTS);
    }
}
