//! Patterns over the paths of a mirror's files.

use std::{fmt, str::FromStr};

use crate::text::written_as_text;

/// The longest pattern, in bytes.
const LONGEST: usize = 200;

/// A pattern over paths: `*` stands for anything within a segment, `**` for anything at all, every other character for
/// itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern(String);

/// Text that is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected 1 to {LONGEST} printable characters without a slash in front, such as pool/** or **/*.deb; found {0:?}"
)]
pub struct NotAPattern(String);

impl FromStr for Pattern {
    type Err = NotAPattern;

    fn from_str(text: &str) -> Result<Self, NotAPattern> {
        let plain = text.chars().all(|character| !character.is_control());
        let good = (1..=LONGEST).contains(&text.len()) && plain && !text.starts_with('/');
        good.then(|| Self(text.into())).ok_or_else(|| NotAPattern(text.chars().take(40).collect()))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

written_as_text!(Pattern);

/// Where to go on when what follows a star did not match: the star takes one byte more.
#[derive(Clone, Copy)]
struct Retry {
    pattern: usize,
    path: usize,
    /// May it take slashes?
    deep: bool,
}

impl Pattern {
    /// Does the whole `path` match? The time is bounded by the pattern's length times the square of the path's: only
    /// the last star of each kind is ever taken back.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let (pattern, path) = (self.0.as_bytes(), path.as_bytes());
        let (mut at, mut place) = (0, 0);
        let (mut shallow, mut deep): (Option<Retry>, Option<Retry>) = (None, None);
        loop {
            match pattern.get(at) {
                Some(b'*') => {
                    let is_deep = pattern.get(at + 1) == Some(&b'*');
                    at += if is_deep { 2 } else { 1 };
                    let retry = Some(Retry { pattern: at, path: place, deep: is_deep });
                    if is_deep {
                        // What a star before it took need never change again.
                        (shallow, deep) = (None, retry);
                    } else {
                        shallow = retry;
                    }
                    continue;
                }
                Some(byte) if path.get(place) == Some(byte) => {
                    (at, place) = (at + 1, place + 1);
                    continue;
                }
                None if place == path.len() => return true,
                Some(_) | None => {}
            }
            let Some(retry) = again(&mut shallow, path).or_else(|| {
                shallow = None;
                again(&mut deep, path)
            }) else {
                return false;
            };
            (at, place) = (retry.pattern, retry.path);
        }
    }
}

/// The star takes one byte more, if it may.
fn again(star: &mut Option<Retry>, path: &[u8]) -> Option<Retry> {
    let retry = star.as_mut()?;
    let next = path.get(retry.path)?;
    if *next == b'/' && !retry.deep {
        return None;
    }
    retry.path += 1;
    Some(*retry)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        pattern.parse::<Pattern>().expect("a pattern").matches(path)
    }

    #[test]
    fn stars_within_and_across_segments() {
        for (pattern, path) in [
            ("pool/**", "pool/main/a/apt/apt_2.6.deb"),
            ("**/*.deb", "pool/main/apt.deb"),
            ("**.deb", "apt.deb"),
            ("dists/*/InRelease", "dists/bookworm/InRelease"),
            ("**/by-hash/**", "dists/bookworm/main/binary-amd64/by-hash/SHA256/ab"),
            ("a*b*c", "axxbyybzc"),
            ("**/*-*.rpm", "a-b/c/d-1.rpm"),
        ] {
            assert!(matches(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("pool/**", "pools/x"),
            ("dists/*/InRelease", "dists/a/b/InRelease"),
            ("*.deb", "pool/apt.deb"),
            ("**/*.deb", "pool/apt.deb.asc"),
            ("a", ""),
            ("**/*-*.rpm", "a-b/c/d.rpm"),
        ] {
            assert!(!matches(pattern, path), "{pattern} {path}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in ["", "/pool/**", "a\nb", &"x".repeat(201)] {
            assert!(text.parse::<Pattern>().is_err(), "{text:?}");
        }
    }

    /// The slow definition.
    fn reference(pattern: &[u8], path: &[u8]) -> bool {
        match pattern {
            [] => path.is_empty(),
            [b'*', b'*', rest @ ..] => (0..=path.len()).any(|at| reference(rest, &path[at..])),
            [b'*', rest @ ..] => {
                let end = path.iter().position(|byte| *byte == b'/').unwrap_or(path.len());
                (0..=end).any(|at| reference(rest, &path[at..]))
            }
            [byte, rest @ ..] => path.first() == Some(byte) && reference(rest, &path[1..]),
        }
    }

    proptest! {
        #[test]
        fn as_the_slow_definition_says(pattern in "[ab*][ab/*]{0,7}", path in "[ab/]{0,9}") {
            let expected = reference(pattern.as_bytes(), path.as_bytes());
            prop_assert_eq!(matches(&pattern, &path), expected);
        }
    }
}
