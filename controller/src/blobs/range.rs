//! The ranges of a `Range` header (RFC 9110 §14.2).

use std::ops::Range;

/// What to send of a file of `size` bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of it: there is no header, or one that may be ignored.
    Whole,
    /// These bytes; never empty.
    Part(Range<u64>),
    /// Several such, one behind the other, with bytes between them that are not asked for.
    Parts(Vec<Range<u64>>),
    /// None of the bytes asked for exist.
    Unsatisfiable,
}

/// The most ranges of one request.
const RANGES: usize = 256;

/// Reads a `Range` header. Other units and malformed ranges are ignored, and so are several that overlap, go back or are
/// too many, as the RFC allows.
pub(crate) fn wanted(header: Option<&str>, size: u64) -> Wanted {
    let Some(spec) = header.and_then(|header| header.trim().strip_prefix("bytes=")) else {
        return Wanted::Whole;
    };
    if !spec.contains(',') {
        return one(spec, size);
    }
    let ranges = spec.split(',').map(|spec| match one(spec.trim(), size) {
        Wanted::Part(range) => Some(range),
        Wanted::Whole | Wanted::Parts(_) | Wanted::Unsatisfiable => None,
    });
    let ranges: Option<Vec<_>> = ranges.take(RANGES + 1).collect();
    let orderly = |ranges: &Vec<Range<u64>>| {
        ranges.len() <= RANGES && ranges.windows(2).all(|pair| pair[0].end < pair[1].start)
    };
    ranges.filter(orderly).map_or(Wanted::Whole, Wanted::Parts)
}

fn one(spec: &str, size: u64) -> Wanted {
    let Some((first, last)) = spec.split_once('-').map(|(first, last)| (first.trim(), last.trim())) else {
        return Wanted::Whole;
    };
    let number =
        |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    match (number(first), number(last), first.is_empty(), last.is_empty()) {
        (Some(first), _, _, true) => part(first, size, size),
        (Some(first), Some(last), ..) if first <= last => part(first, last.saturating_add(1).min(size), size),
        (None, Some(length), true, false) => {
            part(size.saturating_sub(length), size, if length == 0 { 0 } else { size })
        }
        _ => Wanted::Whole,
    }
}

fn part(start: u64, end: u64, size: u64) -> Wanted {
    if start >= size { Wanted::Unsatisfiable } else { Wanted::Part(start..end) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_a_range() {
        let cases = [
            (None, Wanted::Whole),
            (Some("bytes=0-3"), Wanted::Part(0..4)),
            (Some("bytes=8-"), Wanted::Part(8..10)),
            (Some("bytes=-3"), Wanted::Part(7..10)),
            (Some("bytes=-30"), Wanted::Part(0..10)),
            (Some("bytes=5-99"), Wanted::Part(5..10)),
            (Some("bytes=5-18446744073709551615"), Wanted::Part(5..10)),
            (Some("bytes=10-"), Wanted::Unsatisfiable),
            (Some("bytes=-0"), Wanted::Unsatisfiable),
            (Some("bytes=3-2"), Wanted::Whole),
            (Some("bytes=0-1,4-5"), Wanted::Parts(vec![0..2, 4..6])),
            (Some("bytes=0-1, 4-"), Wanted::Parts(vec![0..2, 4..10])),
            (Some("bytes=0-1,2-5"), Wanted::Whole),
            (Some("bytes=4-5,0-1"), Wanted::Whole),
            (Some("bytes=0-1,10-11"), Wanted::Whole),
            (Some("bytes=0-1,"), Wanted::Whole),
            (Some("bytes=u-u"), Wanted::Whole),
            (Some("lines=0-1"), Wanted::Whole),
            (Some("bytes=+1-2"), Wanted::Whole),
            (Some("bytes=-"), Wanted::Whole),
        ];
        for (header, expected) in cases {
            assert_eq!(wanted(header, 10), expected, "{header:?}");
        }
        assert_eq!(wanted(Some("bytes=0-"), 0), Wanted::Unsatisfiable);
        let many = |count: u64| {
            let ranges: Vec<_> = (0..count).map(|n| format!("{}-{}", 3 * n, 3 * n + 1)).collect();
            wanted(Some(&format!("bytes={}", ranges.join(","))), 1_000)
        };
        assert!(matches!(many(256), Wanted::Parts(ranges) if ranges.len() == 256));
        assert_eq!(many(257), Wanted::Whole, "too many");
    }
}
