//! What is counted of an attempt that is over.

use proto::Wall;

use crate::diagnosis::{Diagnosis, End, StageSpan, Standing};
use crate::events::{BootSummary, Outcome};
use crate::metrics::Metrics;

/// The value of a label that has none.
const NONE: &str = "none";

/// Counts it.
pub(super) fn count(metrics: &Metrics, boot: &BootSummary, diagnosis: &Diagnosis) {
    let (site, outcome) = (boot.site.as_str(), outcome(boot, diagnosis));
    let firmware = diagnosis.firmware.map_or("unknown", proto::Platform::word);
    let family = diagnosis.family.map_or(NONE, proto::catalog::Family::word);
    metrics.boots.one(&[site, outcome, cause(diagnosis), firmware, family]);
    let trace = |at: Wall| Some((boot.attempt.to_string(), at.into()));
    if diagnosis.standing == Standing::Ended {
        let took = boot.last_ms.since(boot.began_ms).as_secs_f64();
        metrics.boot_seconds.observe(&[site, outcome], took, trace(boot.last_ms));
    }
    for stage in diagnosis.stages.iter().filter(|stage| has_ended(stage)) {
        let took = stage.last.since(stage.began).as_secs_f64();
        metrics.stage_seconds.observe(&[site, stage.step.word()], took, trace(stage.last));
    }
}

/// How long a silence lasts says nothing of the stage.
fn has_ended(stage: &StageSpan) -> bool {
    match stage.end {
        End::Done | End::Broken(_) => true,
        End::Open | End::Silent => false,
    }
}

/// The word of its outcome.
pub(super) fn outcome(boot: &BootSummary, diagnosis: &Diagnosis) -> &'static str {
    match (boot.outcome, diagnosis.standing) {
        (Outcome::Up, _) => "up",
        (Outcome::Installed, _) => "installed",
        (Outcome::Failed, _) => "failed",
        (Outcome::LocalDisk, _) => "local-disk",
        (Outcome::Running, Standing::Silent | Standing::Ended | Standing::UnderWay) => "silent",
    }
}

/// The word of its cause.
pub(super) fn cause(diagnosis: &Diagnosis) -> &'static str {
    diagnosis.cause().map_or(NONE, crate::diagnosis::Cause::word)
}
