//! How a site gets its images: over which link and how fast, from where besides the controller, and what ahead of time.

use serde::{Deserialize, Serialize};

use super::{Problem, check_name};
use crate::{
    BlobSource, ByteSize, Days, RateLimit, TimeOfDay, ZoneName,
    plan::{Wan, WanWindow},
};

/// How fast a site's agents together may fetch over the WAN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "fields, such as rate: 50Mbit")]
pub struct WanSpec {
    /// Where no entry of the schedule holds.
    #[serde(default)]
    pub rate: RateLimit,
    /// The first that holds counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedule: Vec<WindowSpec>,
}

/// A part of the week with a rate of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "fields, such as {from: \"08:00\", to: \"18:00\", rate: 5Mbit}")]
pub struct WindowSpec {
    /// The days on which it begins; none: every day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<Days>,
    /// When it begins, by the site's clock.
    pub from: TimeOfDay,
    /// When it ends; before `from`: on the next day.
    pub to: TimeOfDay,
    /// What may pass meanwhile.
    pub rate: RateLimit,
}

/// What a site is to hold before anybody asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "fields, such as images: [debian-12]")]
pub struct PrefetchSpec {
    /// Profiles: what a boot of each would fetch, the loaders that it names included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<String>,
    /// Images: all their files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
}

/// The least that the image cache of an agent is of use with.
pub(super) const LEAST_CACHE: ByteSize = ByteSize(16 << 20);
/// The least rate: less, and a kernel takes an hour.
const LEAST: RateLimit = RateLimit::bits(64_000);
/// Entries of a schedule.
const WINDOWS: usize = 32;
/// Sources of one site.
const SOURCES: usize = 8;
/// Names in one list.
const NAMES: usize = 64;
const MIDNIGHT: u16 = 1_440;

impl WanSpec {
    pub(super) fn validate(&self, problems: &mut Vec<Problem>) {
        problems.extend(check_rate("wan.rate", self.rate));
        if self.schedule.len() > WINDOWS {
            let message = format!("has {} entries, expected at most {WINDOWS}", self.schedule.len());
            problems.push(Problem::new("wan.schedule", message));
        }
        for (index, window) in self.schedule.iter().enumerate() {
            let at = format!("wan.schedule[{index}]");
            if window.from.minutes() == MIDNIGHT {
                let message = "is 24:00, expected 00:00 to 23:59: the day ends there";
                problems.push(Problem::new(format!("{at}.from"), message));
            }
            if window.from == window.to {
                let message = format!("is {} as `from` is: for whole days say 00:00 to 24:00", window.to);
                problems.push(Problem::new(format!("{at}.to"), message));
            }
            problems.extend(check_rate(&format!("{at}.rate"), window.rate));
        }
    }

    /// The rates of one of the site's `agents`, which share them equally: each obeys alone.
    #[must_use]
    pub fn planned(&self, zone: Option<&ZoneName>, agents: u64) -> Wan {
        let window = |window: &WindowSpec| WanWindow {
            days: match window.days.as_slice() {
                [] => 0b111_1111,
                days => days.iter().fold(0, |mask, days| mask | days.mask()),
            },
            from: window.from.minutes(),
            to: window.to.minutes(),
            rate: window.rate.share(agents),
        };
        Wan {
            usual: self.rate.share(agents),
            windows: self.schedule.iter().map(window).collect(),
            zone: zone.map_or_else(crate::ZoneRule::utc, ZoneName::rule),
        }
    }
}

fn check_rate(field: &str, rate: RateLimit) -> Option<Problem> {
    let low = rate.bits_per_second().is_some_and(|bits| Some(bits) < LEAST.bits_per_second());
    low.then(|| Problem::new(field, format!("is {rate}, expected at least {LEAST}")))
}

/// What is wrong with a list of sources.
pub(super) fn check_sources(sources: &[BlobSource], problems: &mut Vec<Problem>) {
    if sources.len() > SOURCES {
        let message = format!("has {} entries, expected at most {SOURCES}", sources.len());
        problems.push(Problem::new("blob_sources", message));
    }
    for (index, source) in sources.iter().enumerate() {
        if sources[..index].contains(source) {
            problems.push(Problem::new(format!("blob_sources[{index}]"), format!("{source} is named twice")));
        }
    }
}

impl PrefetchSpec {
    /// Does it name nothing?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.profiles.is_empty() && self.images.is_empty()
    }

    pub(super) fn validate(&self, problems: &mut Vec<Problem>) {
        for (field, names) in [("prefetch.profiles", &self.profiles), ("prefetch.images", &self.images)] {
            if names.len() > NAMES {
                let message = format!("has {} entries, expected at most {NAMES}", names.len());
                problems.push(Problem::new(field, message));
            }
            for (index, name) in names.iter().enumerate() {
                let at = format!("{field}[{index}]");
                problems.extend(check_name(&at, name));
                if names[..index].contains(name) {
                    problems.push(Problem::new(at, format!("{name:?} is named twice")));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wan(json: &str) -> WanSpec {
        serde_json::from_str(json).expect("well-formed")
    }

    fn fields(json: &str) -> Vec<String> {
        let mut problems = vec![];
        wan(json).validate(&mut problems);
        problems.into_iter().map(|problem| problem.field).collect()
    }

    const OFFICE: &str = r#"{"rate":"50Mbit","schedule":[
        {"days":["mon-fri"],"from":"08:00","to":"18:00","rate":"5Mbit"},{"from":"22:00","to":"05:00","rate":"unlimited"}]}"#;

    #[test]
    fn a_schedule_there_and_back() {
        assert_eq!(fields(OFFICE), [""; 0]);
        let written = serde_json::to_string(&wan(OFFICE)).expect("JSON");
        assert_eq!(wan(&written), wan(OFFICE));
        assert_eq!(wan("{}").rate, RateLimit::UNLIMITED);
    }

    #[test]
    fn every_mistake_of_a_schedule_is_named() {
        let json = r#"{"rate":"1kbit","schedule":[{"from":"24:00","to":"08:00","rate":"1bit"},{"from":"08:00","to":"08:00","rate":"1Mbit"}]}"#;
        let expected = ["wan.rate", "wan.schedule[0].from", "wan.schedule[0].rate", "wan.schedule[1].to"];
        assert_eq!(fields(json), expected);
    }

    #[test]
    fn two_agents_share_the_rate() {
        let planned = wan(OFFICE).planned(None, 2);
        assert_eq!(planned.usual, RateLimit::bits(25_000_000));
        let rates: Vec<_> = planned.windows.iter().map(|window| (window.days, window.rate)).collect();
        assert_eq!(rates, [(0b1_1111, RateLimit::bits(2_500_000)), (0b111_1111, RateLimit::UNLIMITED)]);
    }

    #[test]
    fn names_and_sources_stand_once() {
        let prefetch: PrefetchSpec =
            serde_json::from_str(r#"{"profiles":["a","B"],"images":["c","c"]}"#).expect("well-formed");
        let source: BlobSource = "https://a".parse().expect("a source");
        let mut problems = vec![];
        prefetch.validate(&mut problems);
        check_sources(&[source.clone(), source], &mut problems);
        let fields: Vec<_> = problems.into_iter().map(|problem| problem.field).collect();
        assert_eq!(fields, ["prefetch.profiles[1]", "prefetch.images[1]", "blob_sources[1]"]);
    }
}
