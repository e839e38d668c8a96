//! Lengths, sizes and counts in findings.

use std::time::Duration;

/// `40 s`, `7 min`, `3 h`, `4 days`: rounded down.
pub(super) fn length(length: Duration) -> String {
    match length.as_secs() {
        0 => "a second".to_owned(),
        seconds @ 1..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

/// `7 min ago`.
#[must_use]
pub fn ago(past: Duration) -> String {
    format!("{} ago", length(past))
}

/// `512 bytes`, `3.4 MiB`.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = UNITS.into_iter().find(|(unit, _)| bytes >= *unit);
    unit.map_or_else(
        || format!("{bytes} bytes"),
        |(unit, word)| format!("{:.1} {word}", bytes as f64 / unit as f64),
    )
}

/// `once`, `4 times`.
pub(super) fn times(count: usize) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_sizes() {
        let lengths = [0, 119, 120, 7_199, 7_200, 172_799, 172_800].map(|s| length(Duration::from_secs(s)));
        assert_eq!(lengths, ["a second", "119 s", "2 min", "119 min", "2 h", "47 h", "2 days"]);
        assert_eq!([0, 1_023, 1_536, 3 << 20].map(size), ["0 bytes", "1023 bytes", "1.5 KiB", "3.0 MiB"]);
        assert_eq!([1, 2].map(times), ["once", "2 times"]);
    }
}
