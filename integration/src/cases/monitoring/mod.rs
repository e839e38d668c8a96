//! What operators look at, with something to look at: three sites boot machines, well and badly, Debian's Prometheus scrapes their
//! controller, and is then asked every question of every dashboard and alert.

mod answers;
mod machines;
mod sites;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};

use self::sites::Watched;
use super::Bench;
use crate::monitoring::preview;
use crate::monitoring::prometheus::{self, Prometheus, Span};
use crate::monitoring::{dashboards, shipped};

/// How often Prometheus scrapes. Agents tell the controller their metrics every 15 seconds.
const SCRAPES: Duration = Duration::from_secs(1);
/// How long the controller may take to count what has happened.
const COUNTED: Duration = Duration::from_secs(130);
/// Rates need two tellings of an agent, and then some.
const LEAST: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_secs(1);
/// Rewrites the pictures in docs/ when it is set.
const BLESS: &str = "BOOTLANE_BLESS";
/// Of which dashboards there are pictures, and of how many of their rows.
const PICTURES: &[(&str, usize)] = &[("bootlane-fleet", 3), ("bootlane-site", 4), ("bootlane-boots", 3)];

pub(super) fn monitoring(bench: &Bench<'_>) -> anyhow::Result<()> {
    let program = prometheus::unpack(bench.lab, &mut |line| (bench.say)(line))?;
    let mut watched = Watched::start(bench)?;
    watched.add_hosts()?;
    let folder = bench.run.folder().join("prometheus");
    let server = watched.metrics();
    let prometheus = Prometheus::start(watched.controller(), &program, &folder, server, SCRAPES)?;
    let from = now();
    (bench.say)("Prometheus scrapes the controller");
    let boots = machines::play(&watched)?;
    watched.ask_mirror()?;
    wait_counted(&watched, &prometheus, boots)?;
    std::thread::sleep(LEAST.saturating_sub(Duration::from_secs_f64(now() - from)));
    let span = Span { from, to: now(), step: 5.0 };
    (bench.say)(&format!("it has {:.0} s of {boots} boots and more", span.to - span.from));
    let asked = answers::must_answer(&prometheus, span)?;
    (bench.say)(&format!("{asked} questions of dashboards and alerts are answered"));
    draw(bench, &prometheus, span)
}

/// All boots but the last of each machine are over, since another has begun; one that heard nothing is over once nothing was heard
/// of it for long, and has a cause.
fn wait_counted(watched: &Watched, prometheus: &Prometheus<'_>, boots: usize) -> anyhow::Result<()> {
    let end = std::time::Instant::now() + COUNTED;
    let sum = |selector: &str| -> anyhow::Result<f64> {
        let answer = prometheus.present(&format!("sum({selector})"))?;
        Ok(answer.first().and_then(|series| series.points.last()).map_or(0.0, |(_, count)| *count))
    };
    loop {
        // Calls, so that there are some to measure.
        watched.call()?;
        let counted = sum("bootlane_boots_total")?;
        let explained = sum(r#"bootlane_boots_total{cause!="none"}"#)?;
        if counted >= boots as f64 && explained >= 1.0 {
            return Ok(());
        }
        let words = format!("{counted} of {boots} boots are counted, {explained} with a cause");
        ensure!(std::time::Instant::now() < end, "{words}");
        std::thread::sleep(PAUSE);
    }
}

/// Draws the pictures into the run's folder; into docs/ only when told so.
fn draw(bench: &Bench<'_>, prometheus: &Prometheus<'_>, span: Span) -> anyhow::Result<()> {
    for (uid, rows) in PICTURES {
        let all = dashboards::all();
        let dashboard =
            all.iter().find(|dashboard| dashboard.uid == *uid).context("there is such a dashboard")?;
        let svg = preview::svg(dashboard, *rows, span, |panel| {
            answers::of_panel(prometheus, dashboard, panel, span)
        })?;
        let file = bench.run.folder().join(format!("{uid}.svg"));
        std::fs::write(&file, svg).with_context(|| format!("failed to write {}", file.display()))?;
        let picture = file.with_extension("png");
        preview::png(&file, &picture).context("failed to run rsvg-convert")?;
        if std::env::var_os(BLESS).is_some() {
            let shown = shipped::pictures().join(format!("{uid}.png"));
            std::fs::copy(&picture, &shown)
                .with_context(|| format!("failed to write {}", shown.display()))?;
        }
    }
    (bench.say)("the main panels are drawn");
    Ok(())
}

/// Seconds since the epoch.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
