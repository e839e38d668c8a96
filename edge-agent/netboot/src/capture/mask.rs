//! Secrets in what machines say: the tokens of orders, which open answer files (S2), and what a header field may carry.
//!
//! Masks keep the length, so that headers below stay true. A token is masked wherever its 32 hexadecimal digits stand,
//! except behind `a/`, where an attempt's number stands, which may be shown; and whatever follows `o/` is masked up to its
//! end. Where only the start of a message is there, the digits at its end may be those of a token that was cut, and are masked
//! as one. Percent-encoding, backslashes and doubled slashes hide nothing.

/// What stands where a secret stood.
pub const MASK: u8 = b'*';

/// The digits of a token.
const TOKEN: usize = 32;
/// Fields of HTTP that carry secrets.
const FIELDS: [&[u8]; 4] = [b"authorization", b"proxy-authorization", b"cookie", b"set-cookie"];

/// Masks the tokens of orders.
pub fn mask_tokens(bytes: &mut [u8]) {
    // Only few packets have any, and none has a token without either.
    if bytes.iter().any(|byte| is_slash(*byte) || *byte == b'%') || longest_run(bytes) >= TOKEN {
        mask(bytes, End::Whole);
    }
}

/// Masks the tokens of orders in the start of a longer message, and what may be the start of one at its end.
pub fn mask_tokens_of_start(bytes: &mut [u8]) {
    mask(bytes, End::Cut);
}

/// How a message ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Whole,
    Cut,
}

fn mask(bytes: &mut [u8], how: End) {
    let decoded = decode(bytes, how);
    let mut at = 0;
    while at < decoded.len() {
        let end = secret_end(&decoded, at, how);
        for (_, place, width) in &decoded[at..end] {
            bytes[*place..place + width].fill(MASK);
        }
        at = end.max(at + 1);
    }
}

/// Masks the values of header fields that carry secrets, in the head of an HTTP message.
pub fn mask_fields(head: &mut [u8]) {
    for line in head.split_mut(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at_mut(colon);
        if FIELDS.iter().any(|field| name.trim_ascii().eq_ignore_ascii_case(field)) {
            value.iter_mut().skip(1).filter(|byte| !byte.is_ascii_whitespace()).for_each(|byte| *byte = MASK);
        }
    }
}

/// A byte as it is meant, where it stands, and how many bytes it takes there.
type Meant = (u8, usize, usize);

/// Where the secret ends that begins at `at`; `at` itself where none begins.
fn secret_end(decoded: &[Meant], at: usize, how: End) -> usize {
    let before = &decoded[..at];
    if follows(before, b'o') {
        return at + decoded[at..].iter().take_while(|(byte, ..)| !ends_word(*byte)).count();
    }
    let is_first = !before.last().is_some_and(|(byte, ..)| byte.is_ascii_hexdigit());
    let digits = decoded[at..].iter().take_while(|(byte, ..)| byte.is_ascii_hexdigit()).count();
    let is_cut = how == End::Cut && digits < TOKEN && at + digits == decoded.len();
    if is_first && (digits == TOKEN || is_cut) && !follows(before, b'a') { at + digits } else { at }
}

/// Does `before` end with a path's word of this one letter, and its slash?
fn follows(before: &[Meant], letter: u8) -> bool {
    let slashes = before.iter().rev().take_while(|(byte, ..)| is_slash(*byte)).count();
    let Some((word, rest)) = before[..before.len() - slashes].split_last().map(|(word, rest)| (word.0, rest))
    else {
        return false;
    };
    let begins = !rest.last().is_some_and(|(byte, ..)| is_of_word(*byte));
    slashes > 0 && word.eq_ignore_ascii_case(&letter) && begins
}

fn is_slash(byte: u8) -> bool {
    matches!(byte, b'/' | b'\\')
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

fn ends_word(byte: u8) -> bool {
    is_slash(byte)
        || byte.is_ascii_whitespace()
        || matches!(byte, 0 | b'"' | b'\'' | b'?' | b'#' | b'<' | b'>' | b',')
}

fn longest_run(bytes: &[u8]) -> usize {
    bytes.split(|byte| !byte.is_ascii_hexdigit()).map(<[u8]>::len).max().unwrap_or(0)
}

/// With percent-encoding undone. One that was cut may have stood for any digit.
fn decode(bytes: &[u8], how: End) -> Vec<Meant> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let hex = |digit: Option<&u8>| char::from(*digit?).to_digit(16);
        let meant = match (byte, hex(bytes.get(at + 1)), hex(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => u8::try_from(high * 16 + low).ok().map(|byte| (byte, 3)),
            (b'%', _, None) if how == End::Cut && bytes.len() - at < 3 => Some((b'0', bytes.len() - at)),
            _ => None,
        };
        let (meant, width) = meant.unwrap_or((*byte, 1));
        decoded.push((meant, at, width));
        at += width;
    }
    decoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOKEN: &str = "00112233445566778899aabbccddeeff";

    fn masked(text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        mask_tokens(&mut bytes);
        assert_eq!(bytes.len(), text.len());
        String::from_utf8(bytes).expect("stars are text")
    }

    #[test]
    fn a_token_is_masked_wherever_it_stands() {
        let stars = "*".repeat(32);
        for (text, expected) in [
            (format!("GET /o/{TOKEN}/preseed.cfg HTTP/1.1"), format!("GET /o/{stars}/preseed.cfg HTTP/1.1")),
            (format!("GET //o//{TOKEN}/x"), format!("GET //o//{stars}/x")),
            (format!("GET /o/./{TOKEN}/x"), format!("GET /o/*/{stars}/x")),
            (format!("\x00\x01o\\{TOKEN}\\x\x00octet"), format!("\x00\x01o\\{stars}\\x\x00octet")),
            (format!("Referer: http://10.1.0.2/O/{TOKEN}"), format!("Referer: http://10.1.0.2/O/{stars}")),
            (format!("X: {}", TOKEN.to_uppercase()), format!("X: {stars}")),
            (format!("token={TOKEN}"), format!("token={stars}")),
        ] {
            assert_eq!(masked(&text), expected);
        }
    }

    #[test]
    fn percent_encoding_hides_nothing() {
        let encoded: String = TOKEN.bytes().map(|byte| format!("%{byte:02x}")).collect();
        for text in [format!("/o/{encoded}/x"), format!("/%6f%2f{TOKEN}/x"), format!("/x/%30{}", &TOKEN[1..])]
        {
            let masked = masked(&text);
            assert!(!masked.contains(&TOKEN[2..]) && masked.matches('*').count() >= 32, "{masked}");
        }
    }

    #[test]
    fn a_token_that_was_cut_off_is_masked_too() {
        assert_eq!(masked("GET /o/0011223"), "GET /o/*******");
    }

    #[test]
    fn a_cut_end_is_masked_where_a_token_may_begin() {
        let start = |text: &str| {
            let mut bytes = text.as_bytes().to_vec();
            mask_tokens_of_start(&mut bytes);
            String::from_utf8(bytes).expect("stars are text")
        };
        for (text, expected) in [
            ("token=0011", "token=****"),
            ("token=%30%3", "token=*****"),
            ("token=%", "token=*"),
            ("GET /a/0011", "GET /a/0011"),
            ("GET /files/vmlinuz", "GET /files/vmlinuz"),
        ] {
            assert_eq!(start(text), expected);
        }
        assert_eq!(start(&format!("ETag: {TOKEN}0")), format!("ETag: {TOKEN}0"), "no token is so long");
        assert_eq!(masked("token=0011"), "token=0011", "it was not cut");
    }

    #[test]
    fn attempts_and_digests_stay() {
        for text in
            [format!("/a/{TOKEN}/boot.ipxe"), format!("ETag: \"{TOKEN}{TOKEN}\""), "no/such/file".to_owned()]
        {
            assert_eq!(masked(&text), text);
        }
    }

    #[test]
    fn fields_that_carry_secrets_keep_their_name_alone() {
        let mut head = b"GET / HTTP/1.1\r\nauthorization: Basic abc=\r\nCookie:x\r\nHost: b\r\n\r\n".to_vec();
        mask_fields(&mut head);
        let expected = "GET / HTTP/1.1\r\nauthorization: ***** ****\r\nCookie:*\r\nHost: b\r\n\r\n";
        assert_eq!(String::from_utf8_lossy(&head), expected);
    }

    proptest! {
        /// Whatever stands around it, and however its path is written.
        #[test]
        fn no_token_outlives_its_path(
            before in "[ -~]{0,20}",
            path in prop::sample::select(vec!["/o/", "\\o\\", "/O/", "/%6F/", "%2fo%2f", "//o//", "/o/./"]),
            token in "[0-9a-f]{32}",
            after in "(/[ -~]{0,20})?",
        ) {
            let mut bytes = format!("{before}{path}{token}{after}").into_bytes();
            mask_tokens(&mut bytes);
            prop_assert!(!String::from_utf8_lossy(&bytes).contains(&token));
        }

        /// Wherever its message is cut, and whatever stands before it, but for `a/` in any form.
        #[test]
        fn no_part_of_a_token_outlives_a_cut(
            before in "([ -$&-@B-`b-~]{0,20}[ =:;,?&(/])?",
            token in "[0-9a-f]{32}",
            is_encoded in any::<bool>(),
            after in "[ /&][ -~]{0,5}",
        ) {
            let (encode, width) = match is_encoded {
                true => (token.bytes().map(|byte| format!("%{byte:02x}")).collect(), 3),
                false => (token.clone(), 1),
            };
            let whole: String = format!("{before}{encode}{after}");
            for cut in before.len()..=whole.len() {
                let mut bytes = whole.as_bytes()[..cut].to_vec();
                mask_tokens_of_start(&mut bytes);
                let end = cut.min(before.len() + TOKEN.len() * width);
                prop_assert!(bytes[before.len()..end].iter().all(|byte| *byte == MASK), "{cut}: {bytes:?}");
            }
        }

        #[test]
        fn any_bytes_keep_their_length(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let before = bytes.len();
            mask_tokens(&mut bytes);
            mask_tokens_of_start(&mut bytes);
            mask_fields(&mut bytes);
            prop_assert_eq!(bytes.len(), before);
        }
    }
}
