//! The head of a request, as far as files are concerned: what is asked for, and on which conditions.
//!
//! Assumes that a head is looked at again when more of it has come. Leaves to others whatever is no GET or HEAD, and
//! what breaks the rules.

use std::mem::MaybeUninit;

use super::Limits;

/// The most fields that are ever looked at.
const FIELDS: usize = 256;

/// What has come so far.
#[derive(Debug)]
pub(super) enum Parsed {
    /// A whole head.
    Request(Request),
    /// Its end is still to come.
    Partial,
    /// Another method, or no HTTP, or too much of it.
    Odd,
}

/// GET or HEAD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    /// Nothing but the answer's head is asked for.
    pub(super) head_only: bool,
    /// As it was asked for.
    pub(super) target: String,
    pub(super) version: Version,
    /// The connection may be used again.
    pub(super) keep: bool,
    /// Content was announced, against RFC 9110 §9.3.1: nobody reads it.
    pub(super) has_content: bool,
    pub(super) conditions: Conditions,
    /// Of the head, in bytes.
    pub(super) length: usize,
}

/// Which HTTP the client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// HTTP/1.0, which LPXELINUX speaks.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// The fields that select which bytes are sent, if any (RFC 9110 §13, §14).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Conditions {
    /// `If-None-Match`, each line of it.
    pub(super) known: Vec<String>,
    /// `If-Range`.
    pub(super) if_range: Option<String>,
    pub(super) range: AskedRange,
}

/// The field `Range`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum AskedRange {
    /// There is none.
    #[default]
    None,
    /// Its value.
    One(String),
    /// More than one, or no text: to be ignored.
    Unusable,
}

/// Looks at `head`, all that has come since the last request.
pub(super) fn parse(head: &[u8], limits: &Limits) -> Parsed {
    let mut room = [const { MaybeUninit::uninit() }; FIELDS];
    let room = &mut room[..limits.head_fields.min(FIELDS)];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(head, room) {
        Ok(httparse::Status::Complete(length)) => {
            understand(&request, length).map_or(Parsed::Odd, Parsed::Request)
        }
        Ok(httparse::Status::Partial) => Parsed::Partial,
        Err(_) => Parsed::Odd,
    }
}

/// Whether the bytes from `from` on may hold the end of a head that began before them: a line without anything on it.
pub(super) fn may_end(head: &[u8], from: usize) -> bool {
    let tail = &head[from.saturating_sub(3)..];
    tail.windows(2).any(|two| two == b"\n\n") || tail.windows(3).any(|three| three == b"\n\r\n")
}

fn understand(request: &httparse::Request<'_, '_>, length: usize) -> Option<Request> {
    let head_only = match request.method? {
        "GET" => false,
        "HEAD" => true,
        _ => return None,
    };
    let version = if request.version? == 0 { Version::Http10 } else { Version::Http11 };
    let target = request.path?.to_owned();
    let (keep, has_content) = (version == Version::Http11, false);
    let conditions = Conditions::default();
    let mut understood = Request { head_only, target, version, keep, has_content, conditions, length };
    request.headers.iter().for_each(|field| understood.note(field));
    // Where the next request begins nobody knows then.
    understood.keep &= !understood.has_content;
    Some(understood)
}

impl Request {
    fn note(&mut self, field: &httparse::Header<'_>) {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        let text = || std::str::from_utf8(field.value).ok().map(str::to_owned);
        match field.name.len() {
            5 if is("range") => {
                let first = self.conditions.range == AskedRange::None;
                self.conditions.range =
                    text().filter(|_| first).map_or(AskedRange::Unusable, AskedRange::One);
            }
            8 if is("if-range") => self.conditions.if_range = Some(text().unwrap_or_default()),
            10 if is("connection") => self.note_connection(field.value),
            13 if is("if-none-match") => self.conditions.known.extend(text()),
            14 if is("content-length") => self.has_content |= field.value.trim_ascii() != b"0",
            17 if is("transfer-encoding") => self.has_content = true,
            _ => {}
        }
    }

    /// RFC 9112 §9.3: `close` wins.
    fn note_connection(&mut self, value: &[u8]) {
        let mut words = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        if words.clone().any(|word| word.eq_ignore_ascii_case(b"close")) {
            self.keep = false;
        } else if self.version == Version::Http10 {
            self.keep |= words.any(|word| word.eq_ignore_ascii_case(b"keep-alive"));
        }
    }

    /// The path of the target: in the usual form, or with scheme and authority in front (RFC 9112 §3.2.2). None: neither.
    pub(super) fn path(&self) -> Option<&str> {
        let path = match self.target.strip_prefix('/') {
            Some(_) => &self.target,
            None => {
                let (scheme, rest) = self.target.split_once("://")?;
                scheme.eq_ignore_ascii_case("http").then_some(())?;
                rest.find('/').map_or("/", |at| &rest[at..])
            }
        };
        path.split(['?', '#']).next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(head: &str) -> Request {
        match parse(head.as_bytes(), &Limits::default()) {
            Parsed::Request(request) => request,
            other @ (Parsed::Partial | Parsed::Odd) => panic!("{other:?}: {head:?}"),
        }
    }

    #[test]
    fn the_usual() {
        let head = "GET /a/x/linux?y HTTP/1.1\r\nHost: x\r\nRange: bytes=4-\r\nIf-None-Match: \"a\", \"b\"\r\nif-none-match: *\r\n\r\n";
        let request = request(&format!("{head}GET /next"));
        assert_eq!((request.path(), request.length, request.keep), (Some("/a/x/linux"), head.len(), true));
        assert_eq!(request.conditions.range, AskedRange::One("bytes=4-".into()));
        assert_eq!(request.conditions.known, ["\"a\", \"b\"", "*"]);
        assert!(!request.head_only && !request.has_content);
    }

    #[test]
    fn two_ranges_are_none() {
        let request = request("HEAD / HTTP/1.1\r\nRange: bytes=0-0\r\nRange: bytes=2-2\r\n\r\n");
        assert!(request.head_only && request.conditions.range == AskedRange::Unusable);
    }

    #[test]
    fn who_closes() {
        for (head, keep) in [
            ("GET / HTTP/1.1\r\n\r\n", true),
            ("GET / HTTP/1.1\r\nConnection: Upgrade, Close\r\n\r\n", false),
            ("GET / HTTP/1.0\r\n\r\n", false),
            ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true),
            ("GET / HTTP/1.0\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n", false),
            ("GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", true),
            ("GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", false),
            ("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", false),
        ] {
            assert_eq!(request(head).keep, keep, "{head:?}");
        }
    }

    #[test]
    fn forms_of_targets() {
        for (target, path) in [
            ("/", Some("/")),
            ("/a#b", Some("/a")),
            ("http://10.0.0.1:80/l/x", Some("/l/x")),
            ("HTTP://10.0.0.1", Some("/")),
            ("https://10.0.0.1/x", None),
            ("*", None),
        ] {
            let request = request(&format!("GET {target} HTTP/1.1\r\n\r\n"));
            assert_eq!(request.path(), path, "{target}");
        }
    }

    #[test]
    fn what_others_see_to() {
        let odd = |head: &str| matches!(parse(head.as_bytes(), &Limits::default()), Parsed::Odd);
        assert!(odd("POST / HTTP/1.1\r\n\r\n") && odd("nonsense\r\n\r\n") && odd("get / HTTP/1.1\r\n\r\n"));
        let fields: String = (0..80).map(|at| format!("X-{at}: x\r\n")).collect();
        assert!(odd(&format!("GET / HTTP/1.1\r\n{fields}\r\n")));
        assert!(matches!(parse(b"GET / HTTP/1.1\r\nHo", &Limits::default()), Parsed::Partial));
    }

    #[test]
    fn the_end_is_seen_however_it_is_cut() {
        for head in [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], b"GET / HTTP/1.1\n\n"] {
            for cut in 1..head.len() {
                assert!(!may_end(&head[..cut], 0), "{cut}");
                assert!(may_end(head, cut), "{cut}");
            }
        }
    }
}
