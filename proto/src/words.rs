//! Times, sizes and texts as people read them, in a terminal and on a page.

use std::time::Duration;

use crate::Wall;

/// A moment, to the second, in UTC: `2026-03-01T12:00:00Z`.
#[must_use]
pub fn moment(at: Wall) -> String {
    let seconds = i64::try_from(at.0 / 1_000).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map_or_else(|_| "-".into(), |moment| moment.to_string())
}

/// How long ago or how far ahead a moment is: `5m ago`, `in 2h`; `-` for never.
#[must_use]
pub fn relative(at: Wall, now: Wall) -> String {
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
pub fn rough(length: Duration) -> String {
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

/// `1 boot`, `2 boots`.
#[must_use]
pub fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// A number of bytes with three digits or so: `812 B`, `1.4 MiB`.
#[must_use]
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1_024 {
        return format!("{bytes} B");
    }
    let (mut scaled, mut unit) = (u128::from(bytes) * 10 / 1_024, 0);
    while scaled >= 10_240 && unit + 1 < UNITS.len() {
        scaled /= 1_024;
        unit += 1;
    }
    format!("{}.{} {}", scaled / 10, scaled % 10, UNITS[unit])
}

/// How long after a beginning something was: `+0.012s`, `+3m07s`.
#[must_use]
pub fn since(began: Wall, at: Wall) -> String {
    let passed = at.since(began);
    let seconds = passed.as_secs();
    match seconds {
        0..60 => format!("+{seconds}.{:03}s", passed.subsec_millis()),
        60..3_600 => format!("+{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("+{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
    }
}

/// Text without what steers a terminal or turns the line around it: control characters, and those that change the direction of
/// writing (UAX #9), which make a name read as another.
#[must_use]
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}

/// The same for text of several lines.
#[must_use]
pub fn plain_lines(text: &str) -> String {
    text.chars().map(|c| if steers(c) && c != '\n' { '\u{fffd}' } else { c }).collect()
}

fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
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
        assert_eq!(size(u64::MAX), "16777215.9 TiB");
    }

    #[test]
    fn the_time_since_a_beginning_is_exact_where_that_matters() {
        let after = |ms: u64| since(Wall(5), Wall(5 + ms));
        assert_eq!([after(12), after(187_000), after(3_660_000)], ["+0.012s", "+3m07s", "+1h01m"]);
    }

    #[test]
    fn no_text_steers_what_shows_it() {
        assert_eq!(plain("a\x1b[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
        assert_eq!(plain("gpj.\u{202e}exe"), "gpj.\u{fffd}exe");
        assert_eq!(plain_lines("a\r\nb"), "a\u{fffd}\nb");
    }
}
