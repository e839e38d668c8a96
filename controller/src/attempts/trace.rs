//! An attempt as a trace: a root span, and one for each stage, with the times that agents saw.
//!
//! A trace may name the host and the machine, which no metric does. It holds no tokens: events hold none.

use std::time::SystemTime;

use proto::Wall;
use telemetry::boots::{Span, Trace, Value};

use super::count;
use crate::diagnosis::{Diagnosis, End, StageSpan};
use crate::events::{BootSummary, Outcome};

/// Characters of what is said of a stage.
const DETAIL: usize = 200;

/// The trace of an attempt that is over; `host` is the host's name.
pub(super) fn trace(boot: &BootSummary, host: Option<String>, diagnosis: &Diagnosis) -> Trace {
    let text = |name, text: Option<String>| Some((name, Value::Text(text?)));
    let attributes = [
        text("bootlane.site", Some(boot.site.clone())),
        text("bootlane.agent", Some(boot.agent.clone())),
        text("bootlane.host", host),
        text("bootlane.mac", boot.mac.map(|mac| mac.to_string())),
        text("bootlane.firmware", diagnosis.firmware.map(|platform| platform.word().to_owned())),
        text("bootlane.family", diagnosis.family.map(|family| family.word().to_owned())),
        text("bootlane.outcome", Some(count::outcome(boot, diagnosis).to_owned())),
        text("bootlane.cause", diagnosis.cause().map(|cause| cause.word().to_owned())),
        Some(("bootlane.events", number(boot.events))),
    ];
    let root = Span {
        name: "boot".into(),
        from: boot.began_ms.into(),
        to: boot.last_ms.into(),
        attributes: attributes.into_iter().flatten().collect(),
        failed: failure(boot, diagnosis),
    };
    Trace { id: boot.attempt.0, root, stages: diagnosis.stages.iter().map(|one| stage(one, boot)).collect() }
}

/// The answer to "why did it not boot?"; None: it did, as far as is known.
fn failure(boot: &BootSummary, diagnosis: &Diagnosis) -> Option<String> {
    let bad = match boot.outcome {
        Outcome::Failed | Outcome::Running => true,
        Outcome::LocalDisk | Outcome::Installed | Outcome::Up => false,
    };
    let answer = diagnosis.findings.first().map(crate::diagnosis::Finding::sentence);
    bad.then(|| answer.unwrap_or_else(|| "It ended, and nothing says why.".to_owned()))
}

fn stage(stage: &StageSpan, boot: &BootSummary) -> Span {
    let mut attributes = vec![
        ("bootlane.stage.end", Value::Text(stage.end.word().to_owned())),
        ("bootlane.stage.bytes", number(stage.bytes)),
        ("bootlane.stage.transfer_ms", number(u64::try_from(stage.transfer.as_millis()).unwrap_or(u64::MAX))),
        ("bootlane.stage.retransmissions", number(stage.retransmissions)),
    ];
    if !stage.detail.is_empty() {
        attributes.push(("bootlane.stage.detail", Value::Text(stage.detail.chars().take(DETAIL).collect())));
    }
    let failed = match &stage.end {
        End::Broken(why) => Some(why.chars().take(DETAIL).collect()),
        End::Silent => Some("nothing was heard any more".to_owned()),
        End::Open | End::Done => None,
    };
    let within = |at: Wall| -> SystemTime { at.max(boot.began_ms).into() };
    Span {
        name: stage.step.word().into(),
        from: within(stage.began),
        to: within(stage.last),
        attributes,
        failed,
    }
}

fn number(number: u64) -> Value {
    Value::Number(i64::try_from(number).unwrap_or(i64::MAX))
}
