//! What an agent measures, read where sites cannot be reached: at the controller.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rom::Firmware;

use super::Bench;
use super::setting::{Setting, mac};
use super::synthetic::drive;
use super::synthetic::{identity, stand};
use crate::fleet::METRICS_PORT;
use crate::fleet::example::{AGENT, SITE};

/// An agent tells its metrics every 15 s, and the controller looks up the fleet every 10.
const TOLD: Duration = Duration::from_secs(60);
/// No name of anything else.
const MACHINE: &str = "measured-machine";

pub(super) fn agents_metrics(bench: &Bench<'_>) -> anyhow::Result<()> {
    let mut setting = Setting::new(bench, false)?;
    let (spec, guest) = stand(bench, &mut setting, MACHINE)?;
    setting.order(&spec, "probe")?;
    let told = drive::boot(&guest, identity(&spec, Firmware::UEFI))?;
    let loader = told.files.get("ipxe/snponly.efi").context("it has fetched another loader")?.len();
    let of_loader = of_agent("bootlane_agent_transferred_bytes_total", r#",transport="tftp",stage="loader""#);
    let page = wait(&setting, |page| value(page, &of_loader) == Some(loader.to_string().as_str()))
        .with_context(|| format!("{of_loader} is not {loader}"))?;
    setting.say("the controller passes on what the agent has sent, to the byte");
    for (name, expected) in [("bootlane_agent_up", "1"), ("bootlane_agent_controller_connected", "1")] {
        let found = value(&page, &of_agent(name, ""));
        ensure!(found == Some(expected), "{name} is {found:?}");
    }
    for of_machine in [MACHINE.to_owned(), mac(&spec).to_string()] {
        ensure!(!page.contains(&of_machine), "a metric names a machine: {of_machine}");
    }
    setting.fleet.kill_agent(0);
    let up = of_agent("bootlane_agent_up", "");
    let gone = |page: &str| value(page, &up) == Some("0") && value(page, &of_loader).is_none();
    wait(&setting, gone).context("of an agent that is gone there is more than that")?;
    setting.say("of an agent that is gone nothing is told but that");
    Ok(())
}

/// A series of the one agent.
fn of_agent(name: &str, labels: &str) -> String {
    format!(r#"{name}{{site="{SITE}",agent="{AGENT}"{labels}}}"#)
}

/// The value of a series.
fn value<'a>(page: &'a str, series: &str) -> Option<&'a str> {
    page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
}

/// The page, once it is as it is to be.
fn wait(setting: &Setting<'_>, good: impl Fn(&str) -> bool) -> anyhow::Result<String> {
    let end = Instant::now() + TOLD;
    let url = format!("http://127.0.0.1:{METRICS_PORT}/metrics/agents");
    loop {
        let page = setting.fleet.network().controller.shell(&format!("curl -sSf --max-time 20 {url}"))?;
        if good(&page) {
            return Ok(page);
        }
        ensure!(Instant::now() < end, "not within {} s; the page is:\n{page}", TOLD.as_secs());
        std::thread::sleep(Duration::from_millis(500));
    }
}
