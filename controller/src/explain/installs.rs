//! How long installations take: by those that were finished at the same site with the same profile.

use std::time::Duration;

use proto::AttemptId;
use proto::event::{EventKind, OrderPhase};

use super::{Inquiry, Unreadable};
use crate::diagnosis::Usual;
use crate::events::{BootFilter, BootSummary, Outcome, StoredEvent};

/// Attempts of the site that are looked through.
const SEARCHED: usize = 500;
/// Installations that count.
const COUNTED: usize = 10;

/// How long an attempt's installation took.
pub(super) type Length = (AttemptId, Duration);

impl Inquiry {
    /// Of the others; None: nobody was installed so yet, as far as is kept.
    pub(super) async fn usual(
        &mut self,
        boot: &BootSummary,
        profile: &str,
    ) -> Result<Option<Usual>, Unreadable> {
        let which = (boot.site.clone(), profile.to_owned());
        if !self.read.lengths.contains_key(&which) {
            let lengths = self.lengths(&boot.site, profile).await?;
            self.read.lengths.insert(which.clone(), lengths);
        }
        let lengths = self.read.lengths.get(&which).into_iter().flatten();
        let others = lengths.filter(|(attempt, _)| *attempt != boot.attempt);
        Ok(of_lengths(others.map(|(_, length)| *length).take(COUNTED).collect()))
    }

    /// Of the latest; one more than count, since one of them may be the one that is asked about.
    async fn lengths(&self, site: &str, profile: &str) -> Result<Vec<Length>, Unreadable> {
        let filter = BootFilter { site: Some(site.to_owned()), limit: SEARCHED, ..BootFilter::default() };
        let mut lengths = Vec::new();
        for boot in self.app.events.boots(filter).await? {
            if !matches!(boot.outcome, Outcome::Installed | Outcome::Up) {
                continue;
            }
            let events = self.app.events.boot_events(boot.attempt).await?;
            if let Some(length) = length(&events)
                && self.order_of(&events).await?.is_some_and(|order| order.spec.profile == profile)
            {
                lengths.push((boot.attempt, length));
            }
            if lengths.len() > COUNTED {
                break;
            }
        }
        Ok(lengths)
    }
}

/// From the order's start to its end.
fn length(events: &[StoredEvent]) -> Option<Duration> {
    let at = |wanted: OrderPhase| {
        events.iter().map(|event| &event.numbered.event).find_map(|event| {
            let EventKind::OrderMoved { phase, .. } = &event.kind else { return None };
            (*phase == wanted).then_some(event.at)
        })
    };
    Some(at(OrderPhase::Installed)?.since(at(OrderPhase::Started)?))
}

fn of_lengths(mut lengths: Vec<Duration>) -> Option<Usual> {
    lengths.sort();
    let (median, longest) = (*lengths.get(lengths.len() / 2)?, *lengths.last()?);
    Some(Usual { installations: lengths.len(), median, longest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_and_the_longest() {
        let lengths = [9, 5, 7].map(Duration::from_secs).to_vec();
        let expected =
            Usual { installations: 3, median: Duration::from_secs(7), longest: Duration::from_secs(9) };
        assert_eq!(of_lengths(lengths), Some(expected));
        assert_eq!(of_lengths(Vec::new()), None);
    }
}
