//! Alarms of sites: what operators should look at, kept until newer ones take the place.
//!
//! The same alarm of the same agent about the same machine is one line with its first and its last time. They stand at
//! `/status/alarm/SITE`, which no plan and no watch looks at, and are bounded: of a site that cries all day the newest stay.

use proto::{HostId, Mac, Wall, event::AlarmKind};
use serde::{Deserialize, Serialize};

use super::{Catalog, ReadError, keys, orders::RecordError};
use crate::store::{Revision, Scan, Txn, TxnError};

/// Alarms of one site that are kept.
const KEPT: usize = 100;
/// Characters of a detail.
const DETAIL: usize = 300;
/// How often it is tried anew when another agent of the site raises one meanwhile.
const TRIES: usize = 8;

/// An alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// Who raised it.
    pub agent: String,
    /// What it is about.
    pub kind: AlarmKind,
    /// For people.
    pub detail: String,
    /// The host that it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostId>,
    /// The machine that it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// When it was raised for the first time, by the agent's clock.
    pub first_ms: Wall,
    /// And for the last.
    pub last_ms: Wall,
    /// How often.
    pub times: u32,
}

impl Alarm {
    /// One that was raised now.
    #[must_use]
    pub fn raised(
        agent: &str,
        kind: AlarmKind,
        detail: &str,
        about: (Option<HostId>, Option<Mac>),
        at: Wall,
    ) -> Self {
        let detail = detail.chars().filter(|c| !c.is_control()).take(DETAIL).collect();
        let (host, mac) = about;
        Self { agent: agent.to_owned(), kind, detail, host, mac, first_ms: at, last_ms: at, times: 1 }
    }

    fn is_same(&self, other: &Self) -> bool {
        let key = |alarm: &Self| (alarm.kind, alarm.host, alarm.mac);
        key(self) == key(other) && self.agent == other.agent && self.detail == other.detail
    }
}

/// Takes a new alarm in; false: it was known.
fn take(alarms: &mut Vec<Alarm>, new: &Alarm) -> bool {
    match alarms.iter_mut().find(|known| known.is_same(new)) {
        // Batches of events are sent again.
        Some(known) if known.last_ms >= new.last_ms => return false,
        Some(known) => {
            known.last_ms = new.last_ms;
            known.times = known.times.saturating_add(1);
        }
        None => alarms.push(new.clone()),
    }
    alarms.sort_by_key(|alarm| std::cmp::Reverse(alarm.last_ms));
    alarms.truncate(KEPT);
    true
}

impl Catalog {
    /// Keeps alarms of a site. Safe to repeat.
    ///
    /// # Errors
    /// [`RecordError`]; call again.
    pub async fn note_alarms(&self, site: &str, new: &[Alarm]) -> Result<(), RecordError> {
        if new.is_empty() {
            return Ok(());
        }
        let mut tries = 1;
        loop {
            match self.try_note_alarms(site, new).await {
                Err(RecordError::Store(TxnError::Conflict { .. })) if tries < TRIES => tries += 1,
                done => return done,
            }
        }
    }

    async fn try_note_alarms(&self, site: &str, new: &[Alarm]) -> Result<(), RecordError> {
        let key = keys::alarms(site).map_err(ReadError::from)?;
        let stored = self.store.get(&key).await.map_err(ReadError::from)?;
        let revision = stored.as_ref().map_or(Revision::ZERO, |stored| stored.mod_revision);
        let mut alarms: Vec<Alarm> = stored.map(|stored| read(&stored.value)).unwrap_or_default();
        let mut news = false;
        for alarm in new {
            news |= take(&mut alarms, alarm);
        }
        if !news {
            return Ok(());
        }
        let json = serde_json::to_vec(&alarms).expect("plain text and numbers");
        let txn = Txn::new().expect(key.clone(), revision).put(key, json);
        self.store.txn(txn).await.map(drop).map_err(RecordError::from)
    }

    /// The alarms of a site, or of all, by site, the latest first.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn alarms(&self, site: Option<&str>) -> Result<Vec<(String, Alarm)>, ReadError> {
        let of = |site: &str, value: &[u8]| -> Vec<_> {
            read(value).into_iter().map(|alarm| (site.to_owned(), alarm)).collect()
        };
        if let Some(site) = site {
            let Ok(key) = keys::alarms(site) else { return Ok(Vec::new()) };
            let stored = self.store.get(&key).await?;
            return Ok(stored.map(|stored| of(site, &stored.value)).unwrap_or_default());
        }
        let mut all = Vec::new();
        let mut scan = Scan::prefix(keys::ALARMS);
        loop {
            let page = self.store.scan(scan.clone()).await?;
            for entry in &page.entries {
                let Some(name) = entry.key.strip_prefix(keys::ALARMS) else { continue };
                all.extend(of(name, &entry.version.value));
            }
            scan.at = Some(page.revision);
            scan.after = page.entries.last().map(|entry| entry.key.clone());
            if !page.more {
                return Ok(all);
            }
        }
    }
}

/// What another version wrote and this one does not understand is begun anew.
fn read(value: &[u8]) -> Vec<Alarm> {
    serde_json::from_slice(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alarm(detail: &str, at: u64) -> Alarm {
        Alarm::raised("lyon-1", AlarmKind::ForeignDhcp, detail, (None, None), Wall(at))
    }

    #[test]
    fn the_same_alarm_is_one_line_and_a_batch_that_comes_again_counts_once() {
        let mut alarms = Vec::new();
        let taken: Vec<_> = [alarm("a", 1), alarm("b", 2), alarm("a", 3), alarm("a", 3), alarm("a", 1)]
            .iter()
            .map(|alarm| take(&mut alarms, alarm))
            .collect();
        assert_eq!(taken, [true, true, true, false, false]);
        let lines: Vec<_> =
            alarms.iter().map(|alarm| (alarm.detail.as_str(), alarm.times, alarm.first_ms.0)).collect();
        assert_eq!(lines, [("a", 2, 1), ("b", 1, 2)]);
    }

    #[test]
    fn the_newest_stay() {
        let mut alarms = Vec::new();
        for number in 0..KEPT as u64 + 5 {
            take(&mut alarms, &alarm(&number.to_string(), number));
        }
        assert_eq!((alarms.len(), alarms[KEPT - 1].last_ms), (KEPT, Wall(5)));
    }
}
