//! What the controller tells of a machine's boots, read through the CLI, beside what the agent has written down.

use std::collections::BTreeSet;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use crate::fleet::{Cli, Ledger};

/// More boots than any case makes.
const BOOTS: &str = "50";

/// One stored boot attempt.
#[derive(Debug, Clone)]
pub(super) struct Boot {
    pub(super) attempt: String,
    /// The word of `bootlane boot list`.
    pub(super) outcome: String,
    /// The numbers of its events, in the order in which the controller tells them.
    numbers: Vec<u64>,
    incarnations: BTreeSet<String>,
}

/// A machine's boots, the oldest first.
#[derive(Debug)]
pub(super) struct Timeline {
    host: String,
    pub(super) boots: Vec<Boot>,
}

impl Timeline {
    /// All that the controller has stored of this host.
    pub(super) fn read(cli: &Cli, host: &str) -> anyhow::Result<Self> {
        let listed = cli.json(&["boot", "list", "--host", host, "--limit", BOOTS])?;
        let listed = listed.as_array().context("`boot list` printed no list")?;
        let boots = listed.iter().rev().map(|boot| read_boot(cli, boot)).collect::<anyhow::Result<_>>()?;
        Ok(Self { host: host.to_owned(), boots })
    }

    /// The agent's numbers run from 1 to n without a hole, the controller has acknowledged them all, and holds each
    /// event of the machine's boots exactly once, in order.
    pub(super) fn must_match(&self, ledger: &Ledger) -> anyhow::Result<()> {
        let written: Vec<u64> = ledger.events.iter().map(|event| event.number).collect();
        let expected: Vec<u64> = (1..=written.len() as u64).collect();
        ensure!(written == expected, "the agent's numbers are {written:?}");
        let last = written.last().copied().unwrap_or(0);
        ensure!(ledger.acknowledged == last, "{} of {last} events are acknowledged", ledger.acknowledged);
        let incarnations: BTreeSet<_> = self.boots.iter().flat_map(|boot| &boot.incarnations).collect();
        ensure!(incarnations.len() <= 1, "one journal, but several incarnations: {incarnations:?}");
        for boot in &self.boots {
            boot.must_match(ledger)?;
        }
        self.must_be_all(ledger)
    }

    /// No boot of the machine is missing.
    fn must_be_all(&self, ledger: &Ledger) -> anyhow::Result<()> {
        let stored: BTreeSet<_> = self.boots.iter().flat_map(|boot| boot.numbers.iter().copied()).collect();
        let Some(of_host) = self.host_of(ledger) else { bail!("the agent knows no boot of {}", self.host) };
        let lost = ledger.events.iter().find(|numbered| {
            let event = &numbered.event;
            event.host == Some(of_host) && event.attempt.is_some() && !stored.contains(&numbered.number)
        });
        match lost {
            None => Ok(()),
            Some(lost) => bail!("the controller lacks event {}: {:?}", lost.number, lost.event.kind),
        }
    }

    /// The host's id, by an event that both know.
    fn host_of(&self, ledger: &Ledger) -> Option<proto::HostId> {
        let number = self.boots.first()?.numbers.first()?;
        ledger.events.iter().find(|event| event.number == *number)?.event.host
    }
}

impl Boot {
    fn must_match(&self, ledger: &Ledger) -> anyhow::Result<()> {
        let of_attempt = |attempt: Option<proto::AttemptId>| {
            attempt.is_some_and(|attempt| attempt.to_string() == self.attempt)
        };
        let written = ledger.events.iter().filter(|event| of_attempt(event.event.attempt));
        let written: Vec<_> = written.map(|event| event.number).collect();
        ensure!(
            self.numbers == written,
            "of boot {} the agent wrote down {written:?}, the controller tells {:?}",
            self.attempt,
            self.numbers
        );
        Ok(())
    }
}

fn read_boot(cli: &Cli, listed: &Value) -> anyhow::Result<Boot> {
    let word = |key: &str| listed[key].as_str().with_context(|| format!("a boot without {key}"));
    let attempt = word("attempt")?.to_owned();
    let shown = cli.json(&["boot", "show", &attempt])?;
    let events = shown["events"].as_array().context("`boot show` printed no events")?;
    let (mut numbers, mut incarnations) = (Vec::new(), BTreeSet::new());
    for event in events {
        numbers.push(event["number"].as_u64().context("an event without number")?);
        incarnations.insert(event["incarnation"].as_str().unwrap_or_default().to_owned());
    }
    Ok(Boot { attempt, outcome: word("outcome")?.to_owned(), numbers, incarnations })
}

#[cfg(test)]
mod tests {
    use proto::event::{Event, EventKind, NumberedEvent};
    use proto::{AttemptId, HostId, Wall};

    use super::*;

    fn ledger(numbers: &[u64]) -> Ledger {
        let event = |number: &u64| {
            let kind = EventKind::OsUp { address: None };
            let (attempt, host) = (Some(AttemptId([1; 16])), Some(HostId([2; 16])));
            NumberedEvent { number: *number, event: Event { at: Wall(1), attempt, host, mac: None, kind } }
        };
        let events: Vec<_> = numbers.iter().map(event).collect();
        Ledger { acknowledged: numbers.last().copied().unwrap_or(0), events, ..Ledger::default() }
    }

    fn timeline(numbers: &[u64]) -> Timeline {
        let boot = Boot {
            attempt: "01".repeat(16),
            outcome: "up".to_owned(),
            numbers: numbers.to_vec(),
            incarnations: BTreeSet::from(["a".to_owned()]),
        };
        Timeline { host: "web".to_owned(), boots: vec![boot] }
    }

    #[test]
    fn every_event_once_and_in_order_is_a_match() {
        timeline(&[1, 2, 3]).must_match(&ledger(&[1, 2, 3])).expect("the same");
    }

    #[test]
    fn what_is_lost_or_twice_is_found() {
        for numbers in [&[1, 3][..], &[1, 2, 2, 3], &[1, 2], &[2, 1, 3]] {
            timeline(numbers).must_match(&ledger(&[1, 2, 3])).expect_err("not the same");
        }
        timeline(&[1, 3]).must_match(&ledger(&[1, 3])).expect_err("the agent itself has lost one");
        let unacknowledged = Ledger { acknowledged: 2, ..ledger(&[1, 2, 3]) };
        timeline(&[1, 2, 3]).must_match(&unacknowledged).expect_err("one was not acknowledged");
        let mut whole_boot_lost = ledger(&[1, 2, 3]);
        whole_boot_lost.events[2].event.attempt = Some(AttemptId([9; 16]));
        timeline(&[1, 2]).must_match(&whole_boot_lost).expect_err("another boot is not there");
    }
}
