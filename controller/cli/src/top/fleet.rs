//! The fleet as rows: a pure fold of documents and boots.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proto::v1::BootSummary;
use proto::{Following, Mac, Wall};
use serde_json::Value;

use crate::client::Stored;
use crate::output::plain;

/// Boots that stopped longer ago are history.
const RECENT: Duration = Duration::from_secs(24 * 3_600);

/// Everything that is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fleet {
    /// Its name.
    pub(super) name: String,
    /// When it was so.
    pub(super) now: Wall,
    pub(super) agents: Vec<Agent>,
    pub(super) running: Vec<Boot>,
    pub(super) failures: Vec<Boot>,
    pub(super) orders: Vec<Order>,
    /// Boots of the last day that ended well.
    pub(super) well: usize,
}

/// A site's agent, or a site without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Agent {
    pub(super) site: String,
    pub(super) name: String,
    pub(super) state: State,
    /// Does it obey its site's newest plan?
    pub(super) current: bool,
    pub(super) journal: u64,
    pub(super) leases: u64,
    pub(super) cache: u64,
    /// 0: it did not say.
    pub(super) budget: u64,
    pub(super) missing: u64,
    pub(super) disk_low: bool,
}

/// Is it there?
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// The site has none.
    Missing,
    Away(Wall),
    Revoked,
    Online,
}

/// A boot attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Boot {
    /// The host's name, or the machine's address.
    pub(super) who: String,
    pub(super) site: String,
    pub(super) stage: String,
    pub(super) began: Wall,
    pub(super) last: Wall,
    /// Of one that stopped: the cause, and the stage.
    pub(super) why: String,
}

impl Boot {
    /// How far it is, of 100; None: its stage is not known here.
    pub(super) fn percent(&self) -> Option<u16> {
        if let Some(installing) = self.stage.strip_prefix("installing") {
            let percent: u16 = installing.trim().trim_end_matches('%').trim().parse().unwrap_or(0);
            return Some(60 + percent.min(100) * 2 / 5);
        }
        let stages = [
            ("began", 5),
            ("offered", 10),
            ("address", 15),
            ("loader", 25),
            ("script", 30),
            ("kernel", 40),
            ("initrd", 50),
            ("answer file", 60),
            ("started", 60),
            ("image", 70),
            ("up", 100),
            ("installed", 100),
        ];
        stages.iter().find(|(stage, _)| *stage == self.stage).map(|(_, percent)| *percent)
    }
}

/// An order that is not at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) name: String,
    pub(super) host: String,
    pub(super) site: String,
    pub(super) profile: String,
    pub(super) phase: String,
    pub(super) not_after: Wall,
}

/// What the controller has answered. Cheap to clone: whoever draws shares it with whoever asks.
#[derive(Debug, Clone, Default)]
pub(super) struct Answers {
    pub(super) sites: Arc<Vec<Stored>>,
    pub(super) agents: Arc<Vec<Stored>>,
    pub(super) orders: Arc<Vec<Stored>>,
    pub(super) boots: Arc<Vec<BootSummary>>,
}

impl Fleet {
    /// As of now.
    pub(super) fn of(name: &str, answers: &Answers, now: Wall) -> Self {
        let mut fleet = Self { name: plain(name), now, agents: agents(answers), ..Self::default() };
        fleet.orders = answers.orders.iter().filter_map(|stored| order(&stored.json, &stored.name)).collect();
        for boot in answers.boots.iter() {
            fleet.take(boot);
        }
        fleet
    }

    fn take(&mut self, summary: &BootSummary) {
        let boot = boot(summary);
        let recent = self.now.since(boot.last) < RECENT;
        match (summary.standing.as_str(), summary.outcome.as_str()) {
            // A controller of the version before does not say that one has fallen silent.
            ("under-way", _) | ("", "running") => self.running.push(boot),
            _ if !recent => {}
            ("silent", _) | (_, "failed") => self.failures.push(boot),
            _ if !summary.cause.is_empty() => self.failures.push(boot),
            _ => self.well += 1,
        }
    }
}

/// What is wrong with it, and where it stopped.
fn why(boot: &BootSummary) -> String {
    let first = |words: [&str; 3]| words.into_iter().find(|word| !word.is_empty()).map(plain);
    let what = first([&boot.cause, if boot.standing == "silent" { "silent" } else { "" }, &boot.outcome]);
    let at = first([&boot.step, &boot.stage, "its beginning"]);
    format!("{}, at {}", what.unwrap_or_default(), at.unwrap_or_default())
}

fn agents(answers: &Answers) -> Vec<Agent> {
    let plans = answers.sites.iter().map(|site| (site.name.as_str(), text(&site.json, "/status/plan")));
    let mut plans: BTreeMap<_, _> = plans.collect();
    let mut rows: Vec<_> = answers.agents.iter().map(|agent| row(agent, &plans)).collect();
    answers.agents.iter().for_each(|agent| drop(plans.remove(text(&agent.json, "/spec/site").as_str())));
    rows.extend(plans.keys().map(|site| Agent {
        site: plain(site),
        name: String::new(),
        state: State::Missing,
        current: true,
        journal: 0,
        leases: 0,
        cache: 0,
        budget: 0,
        missing: 0,
        disk_low: false,
    }));
    rows
}

fn row(agent: &Stored, plans: &BTreeMap<&str, String>) -> Agent {
    let json = &agent.json;
    let site = text(json, "/spec/site");
    let applied = text(json, "/status/applied");
    let follows = |newest: &String| Following::of(newest, &applied) == Following::Newest;
    Agent {
        current: plans.get(site.as_str()).is_none_or(follows),
        site: plain(&site),
        name: plain(&agent.name),
        state: match (flag(json, "/spec/revoked"), flag(json, "/status/connected")) {
            (true, _) => State::Revoked,
            (false, true) => State::Online,
            (false, false) => State::Away(Wall(number(json, "/status/last_contact_ms"))),
        },
        journal: number(json, "/status/journal_events"),
        leases: number(json, "/status/leases"),
        cache: number(json, "/status/cache_bytes"),
        budget: number(json, "/status/cache_budget"),
        missing: number(json, "/status/missing_blobs"),
        disk_low: flag(json, "/status/disk_low"),
    }
}

fn boot(boot: &BootSummary) -> Boot {
    let mac = || boot.mac.as_ref().try_into().map(|mac| Mac(mac).to_string()).unwrap_or_default();
    Boot {
        who: if boot.host.is_empty() { mac() } else { plain(&boot.host) },
        site: plain(&boot.site),
        stage: plain(&boot.stage),
        began: Wall(boot.began_ms),
        last: Wall(boot.last_ms),
        why: why(boot),
    }
}

/// None: it is at its end.
fn order(json: &Value, name: &str) -> Option<Order> {
    let phase = text(json, "/status/phase");
    // The controller says of an order when it will be over until it is.
    let over = json.pointer("/status/over_ms").is_none() && !phase.is_empty();
    let waits = json.pointer("/spec/waiting").is_some();
    let phase = match (phase.as_str(), waits) {
        ("", true) => "waiting".to_owned(),
        ("", false) => "sent".to_owned(),
        _ => plain(&phase),
    };
    (!over).then(|| Order {
        name: plain(name),
        host: plain(&text(json, "/spec/host")),
        site: plain(&text(json, "/spec/site")),
        profile: plain(&text(json, "/spec/profile")),
        phase,
        not_after: Wall(number(json, "/spec/not_after_ms")),
    })
}

fn text(json: &Value, pointer: &str) -> String {
    json.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn number(json: &Value, pointer: &str) -> u64 {
    json.pointer(pointer).and_then(Value::as_u64).unwrap_or_default()
}

fn flag(json: &Value, pointer: &str) -> bool {
    json.pointer(pointer).and_then(Value::as_bool).unwrap_or_default()
}
