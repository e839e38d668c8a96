//! From a request's path to the name that the plan may know, and from form data to values.
//!
//! Pure rules. A name that survives them can still only be found or not found.

/// The longest name that is looked at, in bytes.
const MAX_NAME: usize = 512;

/// The name that `path` asks for: decoded, without slashes in front and doubled ones (shim asks for
/// `/shim//grubx64.efi`, QUIRKS 36). None: nothing can have this name.
pub(super) fn clean(path: &str) -> Option<String> {
    let decoded = String::from_utf8(decode(path.as_bytes())?).ok()?;
    let climbs = decoded.split(['/', '\\']).any(|part| part == "..");
    if decoded.len() > MAX_NAME || climbs || decoded.chars().any(char::is_control) {
        return None;
    }
    let parts: Vec<&str> = decoded.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let mut name = parts.join("/");
    if decoded.ends_with('/') && !name.is_empty() {
        // A folder never names a file.
        name.push('/');
    }
    Some(name)
}

/// The values of form data by their names, decoded (`application/x-www-form-urlencoded`). What is malformed is
/// taken as it stands.
pub(super) fn form(data: &[u8]) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    data.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let mut words = pair.splitn(2, |byte| *byte == b'=');
        let mut word = || form_decoded(words.next().unwrap_or_default());
        (word(), word())
    })
}

fn form_decoded(word: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> = word.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    decode(&spaced).unwrap_or(spaced)
}

/// RFC 3986 §2.1; None for a `%` without two hexadecimal digits.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        decoded.push(match byte {
            b'%' => hex(*rest.next()?)? << 4 | hex(*rest.next()?)?,
            plain => *plain,
        });
    }
    Some(decoded)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quirk_36_slashes() {
        assert_eq!(clean("/shim//grubx64.efi").as_deref(), Some("shim/grubx64.efi"));
        assert_eq!(clean("//l/./ipxe.efi").as_deref(), Some("l/ipxe.efi"));
        assert_eq!(clean("/a/b/").as_deref(), Some("a/b/"));
        assert_eq!(clean("/").as_deref(), Some(""));
        assert_eq!(clean("").as_deref(), Some(""));
    }

    #[test]
    fn escapes_are_decoded_once() {
        assert_eq!(clean("/a%20b%2fc").as_deref(), Some("a b/c"));
        assert_eq!(clean("/%252e%252e/x").as_deref(), Some("%2e%2e/x"));
        assert_eq!(clean("/gr%C3%B6%C3%9Fe").as_deref(), Some("größe"));
        assert_eq!(clean("/a+b").as_deref(), Some("a+b"), "a plus is a plus outside of forms");
    }

    #[test]
    fn nothing_climbs_out() {
        for path in
            ["/../etc/passwd", "/a/../../b", "/%2e%2e/b", "/a/%2E./b", "/a%2f..%2fb", "/..%5cboot.ini", "/.."]
        {
            assert_eq!(clean(path), None, "{path}");
        }
        assert_eq!(clean("/a..b/...").as_deref(), Some("a..b/..."));
    }

    #[test]
    fn what_cannot_be_a_name_is_none() {
        for path in ["/a%00b", "/a%0ab", "/%ff%fe", "/%", "/%4", "/%zz", "/a%7f"] {
            assert_eq!(clean(path), None, "{path}");
        }
        let longest = "x".repeat(MAX_NAME - 1);
        assert!(clean(&format!("/{longest}")).is_some());
        assert!(clean(&format!("/{longest}x")).is_none());
    }

    #[test]
    fn forms() {
        let pairs: Vec<_> = form(b"percent=40&text=a+%26+b%2&&empty&x=1=2").collect();
        let pair = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        let expected =
            [pair("percent", "40"), pair("text", "a %26 b%2"), pair("empty", ""), pair("x", "1=2")];
        assert_eq!(pairs, expected);
        assert_eq!(form(b"text=a+%26+b").next(), Some(pair("text", "a & b")));
    }

    proptest! {
        #[test]
        fn a_clean_name_keeps_its_promises(path in ".{0,64}") {
            if let Some(name) = clean(&path) {
                prop_assert!(!name.starts_with('/') && !name.contains("//"));
                prop_assert!(name.split('/').all(|part| part != ".." && part != "."));
                prop_assert!(!name.chars().any(char::is_control));
            }
        }

        #[test]
        fn any_form_is_read(data in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(form(&data).count() <= data.len());
        }
    }
}
