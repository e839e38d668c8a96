//! How long installations take: by those that were finished at the same site with the same profile.

use std::time::Duration;

use proto::AttemptId;
use proto::event::{EventKind, OrderPhase};

use super::{ExplainError, Inquiry};
use crate::app::App;
use crate::diagnosis::Usual;
use crate::events::{BootFilter, Outcome, StoredEvent};

/// Attempts of the site that are looked through.
const SEARCHED: usize = 500;
/// Installations that count.
const COUNTED: usize = 10;

/// None: nobody was installed so yet, as far as is kept.
pub(super) async fn usual(
    app: &App,
    site: &str,
    but: AttemptId,
    profile: &str,
) -> Result<Option<Usual>, ExplainError> {
    let filter = BootFilter { host: None, site: Some(site.to_owned()), limit: SEARCHED };
    let mut lengths = Vec::new();
    for boot in app.events.boots(filter).await? {
        if boot.attempt == but || !matches!(boot.outcome, Outcome::Installed | Outcome::Up) {
            continue;
        }
        let events = app.events.boot_events(boot.attempt).await?;
        if let Some(length) = length(&events)
            && installs(app, &events, profile).await?
        {
            lengths.push(length);
        }
        if lengths.len() == COUNTED {
            break;
        }
    }
    Ok(of_lengths(lengths))
}

async fn installs(app: &App, events: &[StoredEvent], profile: &str) -> Result<bool, ExplainError> {
    let order = Inquiry::new(app).order_of(events).await?;
    Ok(order.is_some_and(|order| order.spec.profile == profile))
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
