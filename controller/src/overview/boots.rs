//! Boot attempts in lines, each with what became of it and why.

use std::time::Duration;

use super::Unreadable;
use crate::app::App;
use crate::diagnosis::{Diagnosis, Standing};
use crate::events::{BootFilter, BootSummary, Outcome};
use crate::explain::Inquiry;

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
    /// What was found, in a line.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub(crate) async fn of(app: &App, boot: BootSummary, diagnosis: Diagnosis) -> Result<Self, Unreadable> {
        let host = match boot.host {
            Some(id) => app.catalog.host_name(id).await?,
            None => None,
        };
        Ok(Self { boot, host, diagnosis })
    }

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
    let filter = BootFilter { site: site.map(str::to_owned), limit: LOOKED_AT, ..BootFilter::default() };
    let boots = app.events.boots(filter).await?;
    let mut inquiry = Inquiry::new(app);
    let now = inquiry.now();
    let of_late = boots.into_iter().filter(|boot| now.since(boot.began_ms) < OF_LATE);
    let (good, mut rest): (Vec<_>, Vec<_>) = of_late.partition(ended_well);
    let unexamined = rest.len().saturating_sub(EXAMINED);
    rest.truncate(EXAMINED);
    let mut day = Day { good: good.len(), unexamined, ..Day::default() };
    for (boot, diagnosis) in inquiry.diagnoses(rest).await? {
        let line = BootLine::of(app, boot, diagnosis).await?;
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

/// These boots in lines.
///
/// # Errors
/// [`Unreadable`].
pub(crate) async fn lines(app: &App, boots: Vec<BootSummary>) -> Result<Vec<BootLine>, Unreadable> {
    let mut all = Vec::with_capacity(boots.len());
    for (boot, diagnosis) in Inquiry::new(app).diagnoses(boots).await? {
        all.push(BootLine::of(app, boot, diagnosis).await?);
    }
    Ok(all)
}
