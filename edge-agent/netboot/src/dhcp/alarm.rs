//! Alarms that a machine can raise again and again: each subject once in a while.

use std::{collections::BTreeMap, net::Ipv4Addr, time::Duration};

use ipnet::Ipv4Net;
use proto::Mac;

use crate::time::Mono;

/// How long a subject stays silent after it was reported.
const SILENCE: Duration = Duration::from_secs(60);

/// Subjects that are remembered, of machines and of others; beyond it new ones are not reported until one may speak again.
const MAX_SUBJECTS: usize = 256;

/// What an alarm is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    /// The pools of a subnet, which had nothing for a machine.
    Pool(Ipv4Net, Mac),
    /// The machine whose REQUEST was not granted.
    Request(Mac),
    /// An address that is used by the wrong machine.
    Address(Ipv4Addr),
    /// An address that somebody has answered for.
    Claim(Ipv4Addr),
    /// Who answers for many addresses.
    Claimant(Mac),
    /// A link of which many addresses are answered for.
    Claims(Ipv4Net),
}

impl Subject {
    /// Anybody can make up machines: a flood of them is to silence nothing but their like.
    const fn is_a_machine(self) -> bool {
        match self {
            Self::Pool(..) | Self::Request(_) => true,
            Self::Address(_) | Self::Claim(_) | Self::Claimant(_) | Self::Claims(_) => false,
        }
    }
}

/// When each subject was reported.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    machines: BTreeMap<Subject, Mono>,
    others: BTreeMap<Subject, Mono>,
}

impl Alarms {
    /// May this subject be reported now?
    pub(super) fn raise(&mut self, now: Mono, subject: Subject) -> bool {
        let raised = if subject.is_a_machine() { &mut self.machines } else { &mut self.others };
        raised.retain(|_, raised| now.since(*raised) < SILENCE);
        if raised.contains_key(&subject) || raised.len() >= MAX_SUBJECTS {
            return false;
        }
        raised.insert(subject, now);
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
        assert_eq!(alarms.others.len(), MAX_SUBJECTS);
        assert!(alarms.raise(at(61), Subject::Request(Mac([2; 6]))), "machines are counted apart");
    }
}
