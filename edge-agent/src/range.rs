//! Single byte ranges (RFC 9110 §14).

use std::ops::Range;

/// What a `Range` field asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Everything: there is no field, or one to be ignored: malformed (QUIRKS 59 has seen `bytes=u-u`), several
    /// ranges, or another unit (RFC 9110 §14.2).
    Whole,
    /// These bytes, which exist.
    Part(Range<u64>),
    /// Bytes beyond the end: status 416 (RFC 9110 §15.5.17).
    Beyond,
}

/// Reads `field` for a file of `size` bytes.
pub(crate) fn read(field: &str, size: u64) -> Asked {
    let Some((first, last)) = bounds(field) else { return Asked::Whole };
    match (number(first), number(last)) {
        (Bound::Number(first), Bound::Number(last)) if first > last => Asked::Whole,
        (Bound::Number(first), Bound::Number(last)) => part(first, last.saturating_add(1).min(size)),
        (Bound::Number(first), Bound::Missing) => part(first, size),
        (Bound::Missing, Bound::Number(length)) => part(size.saturating_sub(length), size),
        (Bound::Missing, Bound::Missing) | (Bound::Malformed, _) | (_, Bound::Malformed) => Asked::Whole,
    }
}

fn bounds(field: &str) -> Option<(&str, &str)> {
    let (unit, set) = field.split_once('=')?;
    let range = unit.trim().eq_ignore_ascii_case("bytes").then(|| set.trim())?;
    range.split_once('-')
}

fn part(first: u64, end: u64) -> Asked {
    if first < end { Asked::Part(first..end) } else { Asked::Beyond }
}

enum Bound {
    Missing,
    Number(u64),
    Malformed,
}

/// Digits alone (RFC 9110 §14.1.1); numbers too large for any file stand for the largest.
fn number(text: &str) -> Bound {
    match text {
        "" => Bound::Missing,
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Bound::Number(digits.parse().unwrap_or(u64::MAX))
        }
        _ => Bound::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_three_forms() {
        assert_eq!(read("bytes=0-0", 10), Asked::Part(0..1));
        assert_eq!(read("bytes=2-5", 10), Asked::Part(2..6));
        assert_eq!(read("bytes=2-99", 10), Asked::Part(2..10));
        assert_eq!(read("bytes=7-", 10), Asked::Part(7..10));
        assert_eq!(read("bytes=-3", 10), Asked::Part(7..10));
        assert_eq!(read("bytes=-99", 10), Asked::Part(0..10));
        assert_eq!(read("Bytes = 2-5 ", 10), Asked::Part(2..6));
        assert_eq!(read("bytes=0-99999999999999999999999", 10), Asked::Part(0..10));
    }

    #[test]
    fn beyond_the_end() {
        for field in ["bytes=10-", "bytes=10-11", "bytes=-0", "bytes=99999999999999999999-"] {
            assert_eq!(read(field, 10), Asked::Beyond, "{field}");
        }
        assert_eq!(read("bytes=0-", 0), Asked::Beyond);
        assert_eq!(read("bytes=-1", 0), Asked::Beyond);
    }

    #[test]
    fn quirk_59_what_is_malformed_is_ignored() {
        for field in [
            "bytes=u-u",
            "bytes=5-2",
            "bytes=-",
            "bytes=1-2,4-5",
            "bytes=+1-2",
            "bytes=1--2",
            "bytes",
            "",
            "lines=1-2",
        ] {
            assert_eq!(read(field, 10), Asked::Whole, "{field:?}");
        }
    }

    proptest! {
        #[test]
        fn a_part_exists(field in "bytes=[0-9]{0,4}-[0-9]{0,4}", size in 0_u64..5000) {
            if let Asked::Part(part) = read(&field, size) {
                prop_assert!(part.start < part.end && part.end <= size);
            }
        }
    }
}
