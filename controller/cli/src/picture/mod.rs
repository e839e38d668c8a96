//! The stages of a boot as a picture: bars in a terminal, or an SVG file. Pure.

mod bars;
mod svg;

use std::time::Duration;

use proto::{Wall, v1};

pub(crate) use bars::bars;
pub(crate) use svg::svg;

use crate::output::{plain, words};

/// A stage as it is drawn: where it lies on the picture's time, and what is written beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Bar {
    title: String,
    /// After the first stage's beginning.
    from: Duration,
    to: Duration,
    end: End,
    remark: String,
}

/// How a stage ended, as it is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Done,
    Broken,
    /// Open, or silent: nobody knows how long it lasted.
    Unknown,
}

/// The bars of a boot, and how long all of them last together.
fn layout(boot: &v1::ExplainedBoot) -> (Vec<Bar>, Duration) {
    let began = boot.stages.iter().map(|stage| stage.began_ms).min().unwrap_or_default();
    let open_until = open_until(boot);
    let bar = |stage: &v1::BootStage| {
        let end = end(&stage.end);
        let last = if end == End::Unknown { open_until.max(stage.last_ms) } else { stage.last_ms };
        let after = |at: u64| Wall(at).since(Wall(began));
        let (from, to) = (after(stage.began_ms), after(last));
        Bar { title: plain(&stage.title), from, to, end, remark: plain(&remark(stage)) }
    };
    let bars: Vec<_> = boot.stages.iter().map(bar).collect();
    let total = bars.iter().map(|bar| bar.to).max().unwrap_or_default();
    (bars, total)
}

/// What is under way is drawn to the present; what fell silent to the last that was heard.
fn open_until(boot: &v1::ExplainedBoot) -> u64 {
    match boot.standing.as_str() {
        "under-way" => boot.now_ms,
        _ => boot.boot.as_ref().map_or(0, |boot| boot.last_ms),
    }
}

fn end(word: &str) -> End {
    match word {
        "done" => End::Done,
        "broken" => End::Broken,
        _ => End::Unknown,
    }
}

/// `ipxe.efi, 1.0 MiB at 2.0 MiB/s, 3 blocks sent again, then silent`.
fn remark(stage: &v1::BootStage) -> String {
    let mut parts = Vec::new();
    parts.extend((!stage.detail.is_empty()).then(|| stage.detail.clone()));
    parts.extend(bytes(stage));
    parts.extend((stage.retransmissions > 0).then(|| format!("{} blocks sent again", stage.retransmissions)));
    parts.extend((!stage.why.is_empty()).then(|| stage.why.clone()));
    parts.extend((stage.end == "silent").then(|| "then silent".to_owned()));
    parts.join(", ")
}

fn bytes(stage: &v1::BootStage) -> Option<String> {
    let size = (stage.bytes > 0).then(|| words::size(stage.bytes))?;
    let rate = stage.bytes.saturating_mul(1_000).checked_div(stage.transfer_ms);
    Some(rate.map_or_else(|| size.clone(), |rate| format!("{size} at {}/s", words::size(rate))))
}

/// `3.012 s`, `4m07s`.
fn length(length: Duration) -> String {
    let seconds = length.as_secs();
    match seconds {
        0..60 => format!("{seconds}.{:03}s", length.subsec_millis()),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proto::v1;

    const BEGAN: u64 = 1_772_366_400_000;

    fn stage(step: &str, title: &str, from: u64, to: u64, end: &str) -> v1::BootStage {
        let (step, title, end) = (step.into(), title.into(), end.into());
        let (began_ms, last_ms) = (BEGAN + from, BEGAN + to);
        v1::BootStage { step, title, began_ms, last_ms, end, ..v1::BootStage::default() }
    }

    /// An installation that broke at its kernel.
    pub(crate) fn broken() -> v1::ExplainedBoot {
        let address = v1::BootStage {
            detail: "10.1.0.9".into(),
            ..stage("rom-address", "address of the ROM", 0, 4_000, "done")
        };
        let loader = v1::BootStage {
            bytes: 1_048_576,
            transfer_ms: 500,
            retransmissions: 2,
            detail: "ipxe.efi".into(),
            ..stage("loader", "loader", 4_000, 5_000, "done")
        };
        let kernel = v1::BootStage {
            why: "machine fell <silent>\u{1b}[2J".into(),
            ..stage("kernel", "kernel and RAM disk", 5_000, 40_000, "broken")
        };
        let summary = v1::BootSummary {
            attempt: vec![0x1f; 16].into(),
            host: "web-1".into(),
            site: "lyon".into(),
            agent: "lyon-1".into(),
            began_ms: BEGAN,
            last_ms: BEGAN + 40_000,
            outcome: "running".into(),
            ..v1::BootSummary::default()
        };
        v1::ExplainedBoot {
            boot: Some(summary),
            stages: vec![address, loader, kernel],
            standing: "silent".into(),
            now_ms: BEGAN + 500_000,
            ..v1::ExplainedBoot::default()
        }
    }

    /// One that waits for its installer.
    pub(crate) fn under_way() -> v1::ExplainedBoot {
        let mut boot = broken();
        boot.stages.pop();
        boot.stages.push(stage("system", "start of the system", 5_000, 5_000, "open"));
        v1::ExplainedBoot { standing: "under-way".into(), now_ms: BEGAN + 65_000, ..boot }
    }
}
