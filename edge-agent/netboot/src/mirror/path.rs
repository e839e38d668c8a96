//! From a request's path to the file of a mirror.

/// The longest path that is looked at, as it was asked for, in bytes.
const LONGEST: usize = 1_024;
/// The longest segment, decoded, in bytes: what file systems take.
const LONGEST_SEGMENT: usize = 255;
/// The most segments.
const SEGMENTS: usize = 32;
/// Where mirrors are.
const FRONT: &str = "mirror";

/// What a path asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked<'a> {
    /// The mirror's name as it was given; whether there is one is the plan's to say.
    pub mirror: &'a str,
    /// The file.
    pub object: ObjectPath,
}

/// A file of a mirror: segments that are neither empty nor dots, joined by slashes. Two spellings of one path are equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectPath(String);

/// Why a path names no file of a mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoPath {
    /// It is none of a mirror's.
    #[error("is no path of a mirror")]
    Elsewhere,
    /// A folder: they are not listed.
    #[error("names a folder")]
    Folder,
    /// Too long, or too deep.
    #[error("is longer than {LONGEST} bytes, or deeper than {SEGMENTS} segments")]
    Long,
    /// Dot segments, encoded slashes, control characters, malformed escapes.
    #[error("has a segment that no file is named by")]
    Trick,
}

impl Asked<'_> {
    /// Reads the path of a request, as it was sent.
    ///
    /// # Errors
    /// [`NoPath`].
    pub fn read(raw: &str) -> Result<Asked<'_>, NoPath> {
        let rest = raw.trim_start_matches('/').strip_prefix(FRONT).and_then(|rest| rest.strip_prefix('/'));
        let (mirror, path) = rest.ok_or(NoPath::Elsewhere)?.split_once('/').ok_or(NoPath::Folder)?;
        Ok(Asked { mirror, object: ObjectPath::read(path)? })
    }
}

impl ObjectPath {
    /// Reads what follows the mirror's name. Doubled slashes and plain `.` segments are left out: apt asks for
    /// `./InRelease` in a repository without a layout.
    ///
    /// # Errors
    /// [`NoPath`].
    pub fn read(raw: &str) -> Result<Self, NoPath> {
        if raw.len() > LONGEST {
            return Err(NoPath::Long);
        }
        if raw.is_empty() || raw.ends_with('/') || raw.ends_with("/.") || raw == "." {
            return Err(NoPath::Folder);
        }
        let kept = raw.split('/').filter(|segment| !matches!(*segment, "" | "."));
        let segments: Vec<String> =
            kept.map(|segment| decoded(segment).ok_or(NoPath::Trick)).collect::<Result<_, _>>()?;
        if segments.len() > SEGMENTS {
            return Err(NoPath::Long);
        }
        if segments.is_empty() { Err(NoPath::Folder) } else { Ok(Self(segments.join("/"))) }
    }

    /// Decoded.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As it stands in an upstream's URL. A plus is encoded, as apt does: some stores take a plain one for a space.
    #[must_use]
    pub fn encoded(&self) -> String {
        let mut out = String::with_capacity(self.0.len() + 8);
        for byte in self.0.bytes() {
            match byte {
                b'a'..=b'z'
                | b'A'..=b'Z'
                | b'0'..=b'9'
                | b'/'
                | b'-'
                | b'.'
                | b'_'
                | b'~'
                | b':'
                | b'@'
                | b','
                | b'=' => {
                    out.push(char::from(byte));
                }
                other => out.push_str(&format!("%{other:02X}")),
            }
        }
        out
    }
}

/// One segment; None: nothing has this name. Escapes are undone once (RFC 3986 §2.4).
fn decoded(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => hex(rest.next()?)? << 4 | hex(rest.next()?)?,
            plain => plain,
        });
    }
    let text = String::from_utf8(bytes).ok()?;
    let odd = text.chars().any(|character| character.is_control() || matches!(character, '/' | '\\'));
    let dots = matches!(text.as_str(), "." | "..");
    (!odd && !dots && text.len() <= LONGEST_SEGMENT).then_some(text)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn object(raw: &str) -> String {
        ObjectPath::read(raw).unwrap_or_else(|error| panic!("{raw}: {error}")).as_str().to_owned()
    }

    #[test]
    fn a_mirror_and_a_file() {
        let asked = Asked::read("/mirror/debian/dists/bookworm/InRelease").expect("a file");
        assert_eq!((asked.mirror, asked.object.as_str()), ("debian", "dists/bookworm/InRelease"));
        assert_eq!(Asked::read("//mirror/d/x").expect("a file").mirror, "d");
        for path in ["/", "/mirror", "/mirrors/debian/x", "/a/mirror/debian/x", "mirrordebian/x"] {
            assert_eq!(Asked::read(path), Err(NoPath::Elsewhere), "{path}");
        }
        for path in [
            "/mirror/",
            "/mirror/debian",
            "/mirror/debian/",
            "/mirror/debian/dists/",
            "/mirror/d/.",
            "/mirror/d/x/.",
        ] {
            assert_eq!(Asked::read(path), Err(NoPath::Folder), "{path}");
        }
    }

    #[test]
    fn two_spellings_are_one_file() {
        let plain = "pool/main/g/gcc-12/libstdc++6_12.2.0-14+deb12u1_amd64.deb";
        for raw in [
            plain,
            "pool/main/g/gcc-12/libstdc%2b%2b6_12.2.0-14%2Bdeb12u1_amd64.deb",
            "./pool//main/g/./gcc-12/libstdc++6_12.2.0-14+deb12u1_amd64.deb",
        ] {
            assert_eq!(object(raw), plain);
        }
        let encoded = ObjectPath::read(plain).expect("a file").encoded();
        assert_eq!(encoded, "pool/main/g/gcc-12/libstdc%2B%2B6_12.2.0-14%2Bdeb12u1_amd64.deb");
    }

    #[test]
    fn nothing_climbs_out() {
        for raw in [
            "..", "../x", "a/../b", "%2e%2e/x", "a/%2E./x", ".%2e/x", "%2e/x", "a%2fb", "a%2Fb", "a%5cb",
            "a\\b", "a%00b", "a%0ab", "%ff", "%", "%4", "%zz", "a/b%",
        ] {
            assert_eq!(ObjectPath::read(raw), Err(NoPath::Trick), "{raw}");
        }
        assert_eq!(object("a/...//b..c"), "a/.../b..c");
        assert_eq!(object("%252e%252e/x"), "%2e%2e/x", "undone once");
    }

    #[test]
    fn lengths_are_bounded() {
        assert_eq!(ObjectPath::read(&"x/".repeat(600)), Err(NoPath::Long));
        assert_eq!(ObjectPath::read(&format!("{}x", "x/".repeat(32))), Err(NoPath::Long));
        assert_eq!(ObjectPath::read(&"x".repeat(256)), Err(NoPath::Trick));
    }

    proptest! {
        #[test]
        fn any_path_is_read_and_what_comes_out_is_clean(raw in "[a./%2eEfF+~ é\\\\]{0,24}") {
            if let Ok(path) = ObjectPath::read(&raw) {
                prop_assert!(path.as_str().split('/').all(|part| !matches!(part, "" | "." | "..")));
                prop_assert_eq!(ObjectPath::read(&path.encoded()), Ok(path));
            }
        }
    }
}
