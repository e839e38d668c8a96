//! Syslog lines as machines send them by UDP: RFC 5424, RFC 3164, and what programs take for the latter.
//!
//! ```text
//!  <PRI>1 TIMESTAMP HOST PROGRAM PROCID MSGID STRUCTURED TEXT          RFC 5424 §6; iPXE, systemd, rsyslog
//!  <PRI>Mmm dd hh:mm:ss HOST PROGRAM[PID]: TEXT                        RFC 3164 §4.1
//!  <PRI>Mmm dd hh:mm:ss PROGRAM: TEXT, <PRI>PROGRAM: TEXT              busybox and other small ones
//! ```
//!
//! Reads whatever comes: nothing that a machine says is refused, and nothing is believed but what is shown. What comes out is
//! printable, bounded, and without tokens.

use proto::event::clean;

use crate::capture::{mask_tokens, mask_tokens_of_start};

/// Of a longer datagram the rest is not looked at, in bytes. RFC 5424 §6.1: 2048 should be taken.
pub const LONGEST: usize = 2_048;
/// The longest text that is kept, in characters.
const TEXT: usize = 256;
/// The longest name of a program, in characters (RFC 5424 §6: 48).
const PROGRAM: usize = 48;
/// RFC 3164 §4.3.3: what a line without priority counts as is user.notice.
const NOTICE: u8 = 5;
/// RFC 5424 §6.2.1: the greatest priority, local7.debug.
const MOST: u16 = 191;

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// 0, an emergency, to 7 (RFC 5424 §6.2.1).
    pub severity: u8,
    /// The program that speaks; "" where the line does not say.
    pub program: String,
    /// What it says.
    pub text: String,
}

impl Line {
    /// Reads a datagram; None: it says nothing.
    #[must_use]
    pub fn parse(datagram: &[u8]) -> Option<Self> {
        let whole = printable(&datagram[..datagram.len().min(LONGEST)]);
        let (severity, rest) = priority(&whole);
        let (program, text) = match rest.strip_prefix("1 ") {
            Some(fields) => rfc5424(fields),
            None => rfc3164(rest),
        };
        let text = text.trim();
        let line = Self { severity, program: fitting(program, PROGRAM), text: fitting(text, TEXT) };
        (!line.text.is_empty()).then_some(line)
    }
}

/// Printable ASCII without tokens: what cannot be shown becomes a blank first, so that nothing comes together by leaving it out.
fn printable(datagram: &[u8]) -> String {
    let mut bytes: Vec<u8> =
        datagram.iter().map(|byte| if matches!(byte, b' '..=b'~') { *byte } else { b' ' }).collect();
    // A socket gives no more of a longer one.
    match bytes.len() < LONGEST {
        true => mask_tokens(&mut bytes),
        false => mask_tokens_of_start(&mut bytes),
    }
    clean(&bytes, LONGEST)
}

fn fitting(text: &str, limit: usize) -> String {
    text.chars().take(limit).collect()
}

/// The severity, and what stands behind the priority.
fn priority(text: &str) -> (u8, &str) {
    let inside = text.strip_prefix('<').and_then(|rest| rest.split_once('>'));
    match inside.and_then(|(digits, rest)| Some((digits.parse::<u16>().ok()?, rest))) {
        Some((priority @ 0..=MOST, rest)) => (u8::try_from(priority % 8).unwrap_or(NOTICE), rest),
        Some(_) | None => (NOTICE, text),
    }
}

/// Behind the version: time, host, program, process, message, structured data, text. `-` stands for nothing.
fn rfc5424(fields: &str) -> (&str, &str) {
    let mut words = fields.splitn(6, ' ');
    let program = words.nth(2).unwrap_or_default();
    let rest = words.nth(2).unwrap_or_default();
    let text = match rest.strip_prefix('-') {
        Some(text) => text,
        None => behind_structured(rest),
    };
    (if program == "-" { "" } else { program }, text)
}

/// Behind `[ID NAME="VALUE" ...]`, several of which may stand together (RFC 5424 §6.3). A bracket in a value is escaped.
fn behind_structured(data: &str) -> &str {
    let (mut quoted, mut escaped, mut open) = (false, false, false);
    for (at, byte) in data.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' if open => quoted = !quoted,
            b'[' if !quoted => open = true,
            b']' if !quoted => open = false,
            _ if !open => return &data[at..],
            _ => {}
        }
    }
    ""
}

/// With or without time and host.
fn rfc3164(text: &str) -> (&str, &str) {
    let (timed, rest) = match behind_time(text) {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if let Some(found) = tagged(rest) {
        return found;
    }
    // The host stands before the program where there is a time.
    let behind_host = timed.then(|| rest.split_once(' ')).flatten();
    behind_host.and_then(|(_, rest)| tagged(rest)).unwrap_or(("", rest))
}

/// `Mmm dd hh:mm:ss `.
fn behind_time(text: &str) -> Option<&str> {
    const TIME: usize = 16;
    let time = text.as_bytes().get(..TIME)?;
    let looks_like_one = time[3] == b' ' && time[9] == b':' && time[12] == b':' && time[15] == b' ';
    (looks_like_one && time[..3].iter().all(u8::is_ascii_alphabetic)).then(|| &text[TIME..])
}

/// `PROGRAM: TEXT` or `PROGRAM[PID]: TEXT`.
fn tagged(text: &str) -> Option<(&str, &str)> {
    let (tag, rest) = text.split_once(':')?;
    let program = tag.split_once('[').map_or(tag, |(program, _)| program);
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    let plain = !program.is_empty() && program.len() <= PROGRAM && program.chars().all(is_name);
    plain.then_some((program, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(datagram: &[u8]) -> (u8, String, String) {
        let Line { severity, program, text } = Line::parse(datagram).expect("it says something");
        (severity, program, text)
    }

    fn line(severity: u8, program: &str, text: &str) -> (u8, String, String) {
        (severity, program.to_owned(), text.to_owned())
    }

    #[test]
    fn lines_of_real_programs() {
        for (datagram, expected) in [
            // iPXE, src/net/udp/syslog.c.
            (
                &b"<30>1 - host.example.com ipxe 564d5e5c - - http://10.1.0.2/a: Not found"[..],
                line(6, "ipxe", "http://10.1.0.2/a: Not found"),
            ),
            // logger of util-linux, and with --rfc3164.
            (
                b"<13>1 2026-11-22T02:00:00.123+00:00 box root - - [timeQuality tzKnown=\"1\" isSynced=\"0\"] hello",
                line(5, "root", "hello"),
            ),
            (b"<11>Nov 22 02:00:00 box apt[812]: failed", line(3, "apt", "failed")),
            // busybox's syslogd -R, as in Debian's installer.
            (b"<28>Nov 22 02:00:00 kernel: out of memory", line(4, "kernel", "out of memory")),
            (b"<29>Nov  2 02:00:00 debian main-menu[245]: DEBUG: x", line(5, "main-menu", "DEBUG: x")),
            (b"<46>anna[1]: retrieving libc6-udeb", line(6, "anna", "retrieving libc6-udeb")),
            (b"no priority at all", line(5, "", "no priority at all")),
        ] {
            assert_eq!(parsed(datagram), expected, "{}", String::from_utf8_lossy(datagram));
        }
    }

    #[test]
    fn structured_data_is_passed_over() {
        let datagram = br#"<165>1 - h p - ID [a x="1\]"][b y="]"] text [kept]"#;
        assert_eq!(parsed(datagram), line(5, "p", "text [kept]"));
        assert_eq!(Line::parse(b"<165>1 - h p - ID [never=\"closed"), None);
    }

    #[test]
    fn what_a_machine_says_reaches_nobody_uncleaned() {
        let token = "ab".repeat(16);
        let text = parsed(format!("<14>x: got \u{1b}[2J http://h/o/{token}/preseed.cfg\n").as_bytes()).2;
        assert_eq!(text, format!("got  [2J http://h/o/{}/preseed.cfg", "*".repeat(32)));
        let broken_up = format!("<14>x: {}\u{1}{}", &token[..16], &token[16..]);
        assert!(!parsed(broken_up.as_bytes()).2.contains(&token));
    }

    #[test]
    fn a_priority_that_is_none_is_text() {
        assert_eq!(parsed(b"<192>x: y"), line(5, "", "<192>x: y"));
        assert_eq!(parsed(b"<>z"), line(5, "", "<>z"));
        assert_eq!(Line::parse(b"<14>"), None);
        assert_eq!(Line::parse(b"\0\x01"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(datagram in prop::collection::vec(any::<u8>(), 0..3_000)) {
            if let Some(line) = Line::parse(&datagram) {
                let shown = |text: &str| text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
                prop_assert!(line.severity < 8 && line.text.len() <= TEXT && line.program.len() <= PROGRAM);
                prop_assert!(shown(&line.text) && shown(&line.program));
            }
        }

        #[test]
        fn no_token_is_told(before in "[ -~]{0,40}", token in "[0-9a-f]{32}", after in "[ -~]{0,20}") {
            let datagram = format!("<14>{before}/o/{token} {after}");
            if let Some(line) = Line::parse(datagram.as_bytes()) {
                prop_assert!(!line.text.contains(&token) && !line.program.contains(&token));
            }
        }
    }
}
