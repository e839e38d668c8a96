//! Answers: statuses, fields, and when a file need not be sent.

use std::{borrow::Cow, cell::RefCell, io::Write, ops::Range, time::SystemTime};

use http::{HeaderName, HeaderValue, Method, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;
use hyper::body::Bytes;
use proto::Digest;

use super::request::{AskedRange, Conditions, Version};
use crate::range::{self, Asked};

/// Seconds after which a client may ask again for what cannot be had now.
const RETRY_SECONDS: &str = "10";

/// What an answer says of a file before its bytes.
#[derive(Debug)]
pub(super) struct File {
    /// In bytes.
    pub(super) size: u64,
    /// A digest is a strong validator (RFC 9110 §8.8.1). None: it was made for this machine and may be another the next
    /// time.
    etag: Option<String>,
    kind: &'static str,
}

/// Which of its bytes are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Selected {
    /// These: status 200, or 206 if it is a part.
    Bytes { range: Range<u64>, part: bool },
    /// None, the client has them: 304.
    Unchanged,
    /// None, there are none there: 416.
    Beyond,
}

/// How the connection goes on, as far as an answer tells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    /// The request's.
    pub(super) version: Version,
    /// Another request may follow.
    pub(super) keep: bool,
}

impl File {
    /// A file of this name and size; `digest` is None for what was made for a machine.
    pub(super) fn new(name: &str, size: u64, digest: Option<Digest>) -> Self {
        let etag = digest.map(|digest| format!("\"{digest}\""));
        let kind = content_type(name, etag.is_none());
        Self { size, etag, kind }
    }

    /// What the request's fields select (RFC 9110 §13.2.2).
    pub(super) fn select(&self, asked: &Conditions) -> Selected {
        if self.etag.as_ref().is_some_and(|etag| any_matches(&asked.known, etag)) {
            return Selected::Unchanged;
        }
        let whole = Selected::Bytes { range: 0..self.size, part: false };
        let stale = asked.if_range.is_some() && asked.if_range != self.etag;
        let field = match &asked.range {
            AskedRange::One(field) if !stale => field,
            AskedRange::One(_) | AskedRange::None | AskedRange::Unusable => return whole,
        };
        match range::read(field, self.size) {
            Asked::Whole => whole,
            Asked::Part(range) => Selected::Bytes { range, part: true },
            Asked::Beyond => Selected::Beyond,
        }
    }

    /// Writes the head of the answer to what was selected. Lengths are always announced (QUIRKS 34).
    pub(super) fn head(&self, selected: &Selected, manner: Manner, out: &mut Vec<u8>) {
        let (status, length) = match selected {
            Selected::Bytes { range, part: false } => (StatusCode::OK, Some(range.end - range.start)),
            Selected::Bytes { range, part: true } => {
                (StatusCode::PARTIAL_CONTENT, Some(range.end - range.start))
            }
            Selected::Unchanged => (StatusCode::NOT_MODIFIED, None),
            Selected::Beyond => (StatusCode::RANGE_NOT_SATISFIABLE, Some(0)),
        };
        begin(status, manner.version, out);
        field("Accept-Ranges", "bytes", out);
        if let Some(etag) = &self.etag {
            field("ETag", etag, out);
        }
        if let Some(length) = length {
            numbers(format_args!("Content-Length: {length}\r\n"), out);
        }
        let size = self.size;
        match selected {
            Selected::Bytes { range: Range { start, end }, part: true } => {
                let last = end - 1;
                numbers(format_args!("Content-Range: bytes {start}-{last}/{size}\r\n"), out);
            }
            Selected::Beyond => numbers(format_args!("Content-Range: bytes */{size}\r\n"), out),
            Selected::Bytes { part: false, .. } | Selected::Unchanged => {}
        }
        field("Content-Type", self.kind, out);
        end(manner, out);
    }
}

/// UEFI HTTP boot goes by the type, or else by the suffix, case-sensitive (QUIRKS 34).
fn content_type(name: &str, rendered: bool) -> &'static str {
    let suffix = name.rsplit('/').next().and_then(|file| file.rsplit_once('.')).map(|(_, suffix)| suffix);
    match suffix {
        Some("efi") => "application/efi",
        Some("iso") => "application/vnd.efi-iso",
        Some("img") => "application/vnd.efi-img",
        Some(
            "cfg" | "conf" | "ini" | "ipxe" | "json" | "ks" | "lst" | "preseed" | "seed" | "sh" | "sif"
            | "txt" | "xml" | "yaml" | "yml",
        ) => PLAIN_TEXT,
        // What is rendered for a machine is text: `user-data`, `boot.ipxe`, a kickstart of any name.
        Some(_) | None if rendered => PLAIN_TEXT,
        Some(_) | None => "application/octet-stream",
    }
}

const PLAIN_TEXT: &str = "text/plain; charset=utf-8";

/// `If-None-Match` compares weakly (RFC 9110 §13.1.2).
fn any_matches(fields: &[String], etag: &str) -> bool {
    let mut known = fields.iter().flat_map(|field| field.split(',')).map(str::trim);
    known.any(|known| known == "*" || known.trim_start_matches("W/") == etag)
}

/// GRUB 2.06 knows `Content-Length` in this case alone (against RFC 9110 §5.1); without a length it has no memory for a
/// kernel (QUIRKS 49). So are all names written.
pub(super) fn field(name: &str, value: &str, out: &mut Vec<u8>) {
    for text in [name, ": ", value, "\r\n"] {
        out.extend_from_slice(text.as_bytes());
    }
}

fn numbers(text: std::fmt::Arguments<'_>, out: &mut Vec<u8>) {
    out.write_fmt(text).expect("memory takes everything");
}

/// In the version that was asked in.
pub(super) fn begin(status: StatusCode, version: Version, out: &mut Vec<u8>) {
    let version = match version {
        Version::Http10 => "HTTP/1.0 ",
        Version::Http11 => "HTTP/1.1 ",
    };
    let reason = status.canonical_reason().unwrap_or_default();
    for text in [version, status.as_str(), " ", reason, "\r\n"] {
        out.extend_from_slice(text.as_bytes());
    }
}

pub(super) fn end(manner: Manner, out: &mut Vec<u8>) {
    match manner {
        Manner { version: Version::Http11, keep: false } => field("Connection", "close", out),
        Manner { version: Version::Http10, keep: true } => field("Connection", "keep-alive", out),
        Manner { version: Version::Http11, keep: true }
        | Manner { version: Version::Http10, keep: false } => {}
    }
    DATE.with_borrow_mut(|date| field("Date", date.now(), out));
    out.extend_from_slice(b"\r\n");
}

thread_local! {
    static DATE: RefCell<Date> = const { RefCell::new(Date { second: 0, text: String::new() }) };
}

/// RFC 9110 §6.6.1; written once a second.
struct Date {
    second: u64,
    text: String,
}

impl Date {
    fn now(&mut self) -> &str {
        let now = SystemTime::now();
        let second = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        if self.text.is_empty() || second != self.second {
            // A clock that is beyond the year 9999 has no date.
            let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(second.min(LAST_SECOND));
            *self = Self { second, text: httpdate::fmt_http_date(at) };
        }
        &self.text
    }
}

/// Of the year 9999.
const LAST_SECOND: u64 = 253_402_300_799;

/// An answer of a status and a few words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plain {
    status: StatusCode,
    words: &'static str,
    field: Option<(&'static str, Cow<'static, str>)>,
}

impl Plain {
    pub(super) fn new(status: StatusCode, words: &'static str) -> Self {
        Self { status, words, field: None }
    }

    /// Writes it, without its words if the head alone was asked for.
    pub(super) fn write(&self, head_only: bool, manner: Manner, out: &mut Vec<u8>) {
        begin(self.status, manner.version, out);
        field("Content-Type", PLAIN_TEXT, out);
        numbers(format_args!("Content-Length: {}\r\n", self.words.len()), out);
        if let Some((name, value)) = &self.field {
            field(name, value, out);
        }
        end(manner, out);
        if !head_only {
            out.extend_from_slice(self.words.as_bytes());
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }
}

impl From<Plain> for Response<Full<Bytes>> {
    fn from(plain: Plain) -> Self {
        let Plain { status, words, field } = plain;
        let mut answer = Self::new(Full::new(Bytes::from_static(words.as_bytes())));
        *answer.status_mut() = status;
        let fields = answer.headers_mut();
        fields.insert(CONTENT_TYPE, HeaderValue::from_static(PLAIN_TEXT));
        let (name, value) = field.unzip();
        let name = name.and_then(|name| HeaderName::from_bytes(name.as_bytes()).ok());
        let value = value.and_then(|value| HeaderValue::from_str(&value).ok());
        fields.extend(name.zip(value));
        answer
    }
}

/// It is up.
pub(super) fn healthy() -> Plain {
    Plain::new(StatusCode::OK, "ok\n")
}

/// There is no such file, for this machine or for anybody: nothing says which.
pub(super) fn not_found() -> Plain {
    Plain::new(StatusCode::NOT_FOUND, "not found\n")
}

/// It cannot be had now.
pub(super) fn not_now() -> Plain {
    let field = Some(("Retry-After", RETRY_SECONDS.into()));
    Plain { field, ..Plain::new(StatusCode::SERVICE_UNAVAILABLE, "not available now\n") }
}

/// The method does not suit the path; `allowed` do.
pub(super) fn method_not_allowed(allowed: &[Method]) -> Plain {
    let allowed: Vec<&str> = allowed.iter().map(Method::as_str).collect();
    let field = Some(("Allow", allowed.join(", ").into()));
    Plain { field, ..Plain::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: Selected = Selected::Bytes { range: 0..10, part: false };

    fn blob(name: &str) -> File {
        File::new(name, 10, Some(Digest::of(b"blob")))
    }

    fn part(range: Range<u64>) -> Selected {
        Selected::Bytes { range, part: true }
    }

    fn range(field: &str) -> Conditions {
        Conditions { range: AskedRange::One(field.into()), ..Conditions::default() }
    }

    #[test]
    fn if_range_keeps_parts_of_two_blobs_apart() {
        let etag = format!("\"{}\"", Digest::of(b"blob"));
        let select =
            |known: &str| blob("x").select(&Conditions { if_range: Some(known.into()), ..range("bytes=4-") });
        assert_eq!(select(&etag), part(4..10));
        assert_eq!(select("\"other\""), WHOLE);
        assert_eq!(select(&format!("W/{etag}")), WHOLE, "weak validators do not suffice");
        assert_eq!(select("Sat, 21 Nov 2026 00:00:00 GMT"), WHOLE);
    }

    #[test]
    fn what_the_client_has_is_not_sent() {
        let etag = format!("\"{}\"", Digest::of(b"blob"));
        let select =
            |known: &str| blob("x").select(&Conditions { known: vec![known.into()], ..range("bytes=99-") });
        for known in [etag.clone(), format!("\"a\", W/{etag}"), "*".to_owned()] {
            assert_eq!(select(&known), Selected::Unchanged, "{known}");
        }
        assert_eq!(select("\"other\""), Selected::Beyond);
    }

    #[test]
    fn a_rendered_file_has_no_validator() {
        let file = File::new("user-data", 10, None);
        let any = Conditions { known: vec!["*".into()], ..Conditions::default() };
        assert_eq!(file.select(&any), WHOLE);
        assert_eq!(file.select(&range("bytes=0-0")), part(0..1));
        assert_eq!(file.select(&Conditions { if_range: Some("\"x\"".into()), ..range("bytes=0-0") }), WHOLE);
        assert_eq!(file.kind, "text/plain; charset=utf-8");
    }

    #[test]
    fn two_range_fields_are_ignored() {
        let asked = Conditions { range: AskedRange::Unusable, ..Conditions::default() };
        assert_eq!(blob("x").select(&asked), WHOLE);
    }

    #[test]
    fn quirk_34_types() {
        for (name, expected) in [
            ("l/ipxe.efi", "application/efi"),
            ("a/x/dvd.iso", "application/vnd.efi-iso"),
            ("disk.img", "application/vnd.efi-img"),
            ("boot.ipxe", "text/plain; charset=utf-8"),
            ("IPXE.EFI", "application/octet-stream"),
            ("linux", "application/octet-stream"),
            ("a.efi/linux", "application/octet-stream"),
        ] {
            assert_eq!(blob(name).kind, expected, "{name}");
        }
    }

    fn head(selected: &Selected, version: Version, keep: bool) -> String {
        let mut out = Vec::new();
        blob("linux").head(selected, Manner { version, keep }, &mut out);
        let text = String::from_utf8(out).expect("ASCII");
        text.lines().filter(|line| !line.starts_with("Date: ")).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn heads() {
        let etag = Digest::of(b"blob");
        assert_eq!(
            head(&part(4..10), Version::Http11, false),
            format!(
                "HTTP/1.1 206 Partial Content|Accept-Ranges: bytes|ETag: \"{etag}\"|Content-Length: 6|\
                 Content-Range: bytes 4-9/10|Content-Type: application/octet-stream|Connection: close|"
            )
        );
        let kept = head(&WHOLE, Version::Http10, true);
        assert!(kept.starts_with("HTTP/1.0 200 OK|") && kept.ends_with("|Connection: keep-alive|"), "{kept}");
        let unchanged = head(&Selected::Unchanged, Version::Http11, true);
        assert!(unchanged.starts_with("HTTP/1.1 304 Not Modified|") && !unchanged.contains("Length"));
        assert!(head(&Selected::Beyond, Version::Http11, true).contains("|Content-Range: bytes */10|"));
    }
}
