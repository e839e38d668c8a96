//! What a machine asked for, cleaned into the key under which the plan may know it.
//!
//! A pure rule (QUIRKS 24, 45). There is no file system behind a name: the plan decides what exists, so a name
//! that survives this can still only be found or not found (S3).

use std::fmt;

/// The longest name that is looked at, in bytes (S3).
pub const MAX_NAME: usize = 255;

/// A cleaned name: relative, `/` between its parts, no `..`, no control character, 1 to 255 bytes of UTF-8.
///
/// Case is kept: whether `\Boot\BCD` finds `boot/bcd` is the plan's to say (QUIRKS 45).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

/// Why a name cannot be the name of anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing is left of it.
    #[error("the name is empty")]
    Empty,
    /// It has more than [`MAX_NAME`] bytes.
    #[error("the name is longer than {MAX_NAME} bytes")]
    TooLong,
    /// It climbs out of the tree.
    #[error("the name contains ..")]
    Parent,
    /// It has a control character before its end.
    #[error("the name contains a control character")]
    Control,
    /// It is not text.
    #[error("the name is not UTF-8")]
    NotText,
}

impl Name {
    /// Cleans a name as it stood in the request, without its NUL.
    ///
    /// # Errors
    /// [`NameError`] if nothing can have this name.
    pub fn clean(raw: &[u8]) -> Result<Self, NameError> {
        if raw.len() > MAX_NAME {
            return Err(NameError::TooLong);
        }
        let text = std::str::from_utf8(without_junk(raw)).map_err(|_| NameError::NotText)?;
        if text.chars().any(char::is_control) {
            return Err(NameError::Control);
        }
        let cleaned = settled(text.replace('\\', "/"));
        if cleaned.split('/').any(|part| part == "..") {
            return Err(NameError::Parent);
        }
        if cleaned.is_empty() { Err(NameError::Empty) } else { Ok(Self(cleaned)) }
    }

    /// The key to look up.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Option 67 without its NUL makes clients append the next option's bytes, mostly 0xFF (QUIRKS 24).
fn without_junk(raw: &[u8]) -> &[u8] {
    let junk = |byte: &u8| *byte == 0xff || *byte <= b' ' || *byte == 0x7f;
    let end = raw.iter().rposition(|byte| !junk(byte)).map_or(0, |last| last + 1);
    &raw[..end]
}

/// What is left when nothing goes any more: behind a part that goes there may have stood junk. Each turn shortens it.
fn settled(mut name: String) -> String {
    loop {
        let next = collapsed(name.trim_end_matches(' '));
        if next == name {
            return next;
        }
        name = next;
    }
}

/// One `/` between parts, none in front; one at the end stays, so that a folder never names a file.
fn collapsed(slashed: &str) -> String {
    let parts: Vec<&str> = slashed.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let mut cleaned = parts.join("/");
    if slashed.ends_with('/') && !cleaned.is_empty() {
        cleaned.push('/');
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn clean(raw: &[u8]) -> Result<String, NameError> {
        Name::clean(raw).map(|name| name.as_str().to_owned())
    }

    #[test]
    fn quirk_45_slashes() {
        assert_eq!(clean(br"\Boot\BCD").as_deref(), Ok("Boot/BCD"));
        assert_eq!(clean(br"/boot\Fonts\wgl4_boot.ttf").as_deref(), Ok("boot/Fonts/wgl4_boot.ttf"));
        assert_eq!(clean(b"/shim//grubx64.efi").as_deref(), Ok("shim/grubx64.efi"));
        assert_eq!(clean(b"///./a/./b").as_deref(), Ok("a/b"));
        assert_eq!(clean(b"grub/mac/52:54:00:12:34:56.cfg").as_deref(), Ok("grub/mac/52:54:00:12:34:56.cfg"));
    }

    #[test]
    fn quirk_24_junk_at_the_end() {
        assert_eq!(clean(b"pxelinux.0\xff").as_deref(), Ok("pxelinux.0"));
        assert_eq!(clean(b"bootx64.efi \xff\xff\r\n\x01 ").as_deref(), Ok("bootx64.efi"));
        assert_eq!(clean("größe.cfg\u{7f}".as_bytes()).as_deref(), Ok("größe.cfg"));
    }

    #[test]
    fn quirk_45_garbage_of_shim_is_only_not_found() {
        assert_eq!(clean(b"\xbd\xefOnboard"), Err(NameError::NotText));
        assert_eq!(clean(b"grub\x01x64.efi"), Err(NameError::Control));
    }

    #[test]
    fn s3_nothing_climbs_out() {
        for raw in
            [&b"../etc/passwd"[..], b"a/../../b", br"..\..\boot.ini", b"a/..", b"..", b"/../x", b"a\\..//b"]
        {
            assert_eq!(clean(raw), Err(NameError::Parent), "{raw:?}");
        }
        assert_eq!(clean(b"a..b/...").as_deref(), Ok("a..b/..."));
    }

    /// Found by libFuzzer.
    #[test]
    fn what_stood_before_a_part_that_goes_is_cleaned_too() {
        assert_eq!(clean(b".@ /.").as_deref(), Ok(".@"));
        assert_eq!(clean(b"a/ /.").as_deref(), Ok("a/"));
        assert_eq!(clean(b"a/. /. /.").as_deref(), Ok("a"));
        assert_eq!(clean(b" /."), Err(NameError::Empty));
        assert_eq!(clean(b"a/.. /."), Err(NameError::Parent));
    }

    #[test]
    fn lengths() {
        assert_eq!(clean(&[b'a'; MAX_NAME]).map(|name| name.len()), Ok(MAX_NAME));
        assert_eq!(clean(&[b'a'; MAX_NAME + 1]), Err(NameError::TooLong));
        for empty in [&b""[..], b"/", b"\\\\", b" \xff", b"./."] {
            assert_eq!(clean(empty), Err(NameError::Empty), "{empty:?}");
        }
    }

    #[test]
    fn a_folder_is_not_a_file() {
        assert_eq!(clean(b"pxelinux.0/").as_deref(), Ok("pxelinux.0/"));
    }

    proptest! {
        #[test]
        fn a_clean_name_keeps_its_promises(raw in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(name) = Name::clean(&raw) {
                let text = name.as_str();
                prop_assert!(!text.is_empty() && text.len() <= MAX_NAME);
                prop_assert!(!text.starts_with('/') && !text.contains("//") && !text.contains('\\'));
                prop_assert!(text.split('/').all(|part| part != ".." && part != "."));
                prop_assert!(!text.chars().any(char::is_control));
                prop_assert_eq!(Name::clean(text.as_bytes()), Ok(name));
            }
        }
    }
}
