//! Boot attempts in lines, each with what became of it and why.

use std::time::Duration;

use proto::Wall;

use super::Unreadable;
use crate::app::App;
use crate::diagnosis::{Context, Diagnosis, Standing, examine};
use crate::events::{BootFilter, BootSummary, Outcome};

/// How long ago a boot began that is of late.
const OF_LATE: Duration = Duration::from_secs(24 * 3_600);
/// The latest attempts that are looked through.
const LOOKED_AT: usize = 1_000;
/// As many of them are examined: each costs a reading of its events.
const EXAMINED: usize = 200;

/// A boot attempt in a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BootLine {
    /// As far as it has come.
    pub(crate) boot: BootSummary,
    /// The name of its host; None: it is no host of the catalog.
    pub(crate) host: Option<String>,
    /// What there is to say of it.
    pub(crate) diagnosis: Diagnosis,
}

impl BootLine {
    /// Is something wrong with it?
    #[must_use]
    pub(crate) fn has_failed(&self) -> bool {
        match self.diagnosis.standing {
            Standing::UnderWay => false,
            Standing::Silent => true,
            Standing::Ended => self.boot.outcome == Outcome::Failed || !self.diagnosis.findings.is_empty(),
        }
    }
}

/// The boots of the last day.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Day {
    /// Those that go on, the latest first.
    pub(crate) under_way: Vec<BootLine>,
    /// Those that came to nothing, the latest first.
    pub(crate) failed: Vec<BootLine>,
    /// How many came to a good end.
    pub(crate) good: usize,
    /// How many were not examined because there are too many.
    pub(crate) unexamined: usize,
}

/// The boots of the last day, of one site or of all.
///
/// # Errors
/// [`Unreadable`].
pub(crate) async fn day(app: &App, site: Option<&str>) -> Result<Day, Unreadable> {
    let filter = BootFilter { site: site.map(str::to_owned), host: None, limit: LOOKED_AT };
    let boots = app.events.boots(filter).await?;
    let now = app.clock.wall();
    let mut day = Day::default();
    let mut left = EXAMINED;
    for (index, boot) in boots.iter().enumerate().filter(|(_, boot)| now.since(boot.began_ms) < OF_LATE) {
        if ended_well(boot) {
            day.good += 1;
            continue;
        }
        if left == 0 {
            day.unexamined += 1;
            continue;
        }
        left -= 1;
        let line = line(app, boot.clone(), next_began(&boots[..index], boot)).await?;
        match (line.diagnosis.standing, line.has_failed()) {
            (Standing::UnderWay, _) => day.under_way.push(line),
            (_, true) => day.failed.push(line),
            (_, false) => day.good += 1,
        }
    }
    Ok(day)
}

fn ended_well(boot: &BootSummary) -> bool {
    boot.has_ended() && boot.outcome != Outcome::Failed
}

/// These boots, which are the latest first, in lines.
///
/// # Errors
/// [`Unreadable`].
pub(crate) async fn lines(app: &App, boots: &[BootSummary]) -> Result<Vec<BootLine>, Unreadable> {
    let mut all = Vec::with_capacity(boots.len());
    for (index, boot) in boots.iter().enumerate() {
        all.push(line(app, boot.clone(), next_began(&boots[..index], boot)).await?);
    }
    Ok(all)
}

/// One boot in a line.
///
/// # Errors
/// [`Unreadable`].
pub(crate) async fn line_of(app: &App, boot: BootSummary) -> Result<BootLine, Unreadable> {
    // Of a host its own are asked for, of a stranger those of its site.
    let site = boot.host.is_none().then(|| boot.site.clone());
    let others = app.events.boots(BootFilter { host: boot.host, site, limit: LOOKED_AT }).await?;
    let later = others.iter().position(|other| other.attempt == boot.attempt).unwrap_or_default();
    let next_began = next_began(&others[..later], &boot);
    line(app, boot, next_began).await
}

/// `next_began`: when the machine's next attempt began, if there was one.
async fn line(app: &App, boot: BootSummary, next_began: Option<Wall>) -> Result<BootLine, Unreadable> {
    let host = match boot.host {
        Some(id) => app.catalog.host_name(id).await?,
        None => None,
    };
    let events = app.events.boot_events(boot.attempt).await?;
    let context = Context { next_began, ..Context::at(app.clock.wall()) };
    let diagnosis = examine(&boot, &events, &context);
    Ok(BootLine { boot, host, diagnosis })
}

/// When the next attempt of the same machine began, among those that are later.
fn next_began(later: &[BootSummary], boot: &BootSummary) -> Option<Wall> {
    let same = |other: &&BootSummary| other.mac.is_some() && other.mac == boot.mac && other.site == boot.site;
    later.iter().rev().find(same).map(|next| next.began_ms)
}
