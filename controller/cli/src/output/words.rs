//! Times and sizes as people read them.

use std::time::{Duration, SystemTime};

use proto::Wall;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// The present, by this machine's clock.
pub(crate) fn now() -> Wall {
    SystemTime::now().into()
}

/// A moment, to the second, in UTC: `2026-03-01T12:00:00Z`.
#[must_use]
pub(crate) fn moment(at: Wall) -> String {
    let seconds = i64::try_from(at.0 / 1_000).unwrap_or(i64::MAX);
    let text = OffsetDateTime::from_unix_timestamp(seconds).ok().and_then(|time| time.format(&Rfc3339).ok());
    text.unwrap_or_else(|| "-".into())
}

/// How long ago or how far ahead a moment is: `5m ago`, `in 2h`; `-` for never.
#[must_use]
pub(crate) fn relative(at: Wall, now: Wall) -> String {
    match at.0 {
        0 => "-".into(),
        ms if ms > now.0 => format!("in {}", rough(to_come(at.since(now)))),
        _ => format!("{} ago", rough(now.since(at))),
    }
}

/// Half a minute more, so that two hours that were just asked for do not read as one hour and 59 minutes.
fn to_come(rest: Duration) -> Duration {
    if rest < Duration::from_secs(60) { rest } else { rest + Duration::from_secs(30) }
}

/// A length of time in its largest unit, and the next where that matters: `45s`, `5m`, `2h10m`, `3d`.
#[must_use]
pub(crate) fn rough(length: Duration) -> String {
    let seconds = length.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m"),
        (0, hours, minutes) if hours < 10 && minutes % 60 != 0 => format!("{hours}h{}m", minutes % 60),
        (0, hours, _) => format!("{hours}h"),
        (days, ..) => format!("{days}d"),
    }
}

/// A number of bytes with three digits or so: `812 B`, `1.4 MiB`.
#[must_use]
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1_024 {
        return format!("{bytes} B");
    }
    let (mut scaled, mut unit) = (bytes * 10 / 1_024, 0);
    while scaled >= 10_240 && unit + 1 < UNITS.len() {
        scaled /= 1_024;
        unit += 1;
    }
    format!("{}.{} {}", scaled / 10, scaled % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_like_times() {
        assert_eq!(moment(Wall(1_772_366_400_999)), "2026-03-01T12:00:00Z");
        assert_eq!(relative(Wall(0), Wall(9)), "-");
        assert_eq!(relative(Wall(1_000), Wall(46_000)), "45s ago");
        assert_eq!(relative(Wall(7_801_000), Wall(1_000)), "in 2h10m");
        assert_eq!(rough(Duration::from_secs(300)), "5m");
        assert_eq!(rough(Duration::from_secs(36_000 + 120)), "10h");
        assert_eq!(rough(Duration::from_secs(3 * 86_400)), "3d");
    }

    #[test]
    fn sizes_read_like_sizes() {
        assert_eq!(size(812), "812 B");
        assert_eq!(size(1_500_000), "1.4 MiB");
        assert_eq!(size(1 << 30), "1.0 GiB");
        assert_eq!(size(u64::MAX / 16), "1048575.9 TiB");
    }
}
