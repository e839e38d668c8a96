//! Answers: statuses, fields, and when a file need not be sent.

use std::ops::Range;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode,
    header::{
        ACCEPT_RANGES, ALLOW, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE,
        RANGE, RETRY_AFTER,
    },
};
use proto::Digest;

use super::{
    body::{self, Body},
    range::{self, Asked},
};

/// Seconds after which a client may ask again for what cannot be had now.
const RETRY_SECONDS: u64 = 10;

/// What an answer says of a file before its bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct File<'a> {
    /// Its name, for its type.
    pub(super) name: &'a str,
    /// In bytes.
    pub(super) size: u64,
    /// None: it was made for this machine and may be another the next time.
    pub(super) digest: Option<Digest>,
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

impl File<'_> {
    /// What the request's fields select (RFC 9110 §13.2.2).
    pub(super) fn select(&self, request: &HeaderMap) -> Selected {
        let etag = self.etag();
        if etag.as_ref().is_some_and(|etag| any_matches(request, etag)) {
            return Selected::Unchanged;
        }
        let whole = Selected::Bytes { range: 0..self.size, part: false };
        let stale = request.get(IF_RANGE).is_some_and(|known| etag.as_ref() != Some(known));
        let mut fields = request.get_all(RANGE).iter();
        let (Some(field), None, false) = (fields.next().and_then(text), fields.next(), stale) else {
            return whole;
        };
        match range::read(field, self.size) {
            Asked::Whole => whole,
            Asked::Part(range) => Selected::Bytes { range, part: true },
            Asked::Beyond => Selected::Beyond,
        }
    }

    /// The answer to what was selected; `body` is its body where it has one. Lengths are always announced (QUIRKS 34).
    pub(super) fn answer(&self, selected: &Selected, body: Body) -> Response<Body> {
        let (status, length) = match selected {
            Selected::Bytes { range, part: false } => (StatusCode::OK, Some(range.end - range.start)),
            Selected::Bytes { range, part: true } => {
                (StatusCode::PARTIAL_CONTENT, Some(range.end - range.start))
            }
            Selected::Unchanged => (StatusCode::NOT_MODIFIED, None),
            Selected::Beyond => (StatusCode::RANGE_NOT_SATISFIABLE, Some(0)),
        };
        let mut answer = with(status, body);
        let fields = answer.headers_mut();
        fields.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        put(fields, ETAG, self.etag());
        put(fields, CONTENT_LENGTH, length.map(HeaderValue::from));
        put(fields, CONTENT_RANGE, self.content_range(selected));
        fields.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type()));
        answer
    }

    /// A digest is a strong validator (RFC 9110 §8.8.1).
    fn etag(&self) -> Option<HeaderValue> {
        self.digest.and_then(|digest| HeaderValue::try_from(format!("\"{digest}\"")).ok())
    }

    fn content_range(&self, selected: &Selected) -> Option<HeaderValue> {
        let size = self.size;
        let text = match selected {
            Selected::Bytes { range, part: true } => {
                format!("bytes {}-{}/{size}", range.start, range.end - 1)
            }
            Selected::Beyond => format!("bytes */{size}"),
            Selected::Bytes { part: false, .. } | Selected::Unchanged => return None,
        };
        HeaderValue::try_from(text).ok()
    }

    /// UEFI HTTP boot goes by the type, or else by the suffix, case-sensitive (QUIRKS 34).
    fn content_type(&self) -> &'static str {
        let suffix =
            self.name.rsplit('/').next().and_then(|file| file.rsplit_once('.')).map(|(_, suffix)| suffix);
        match suffix {
            Some("efi") => "application/efi",
            Some("iso") => "application/vnd.efi-iso",
            Some("img") => "application/vnd.efi-img",
            Some(
                "cfg" | "conf" | "ini" | "ipxe" | "json" | "ks" | "lst" | "preseed" | "seed" | "sh" | "sif"
                | "txt" | "xml" | "yaml" | "yml",
            ) => "text/plain; charset=utf-8",
            // What is rendered for a machine is text: `user-data`, `boot.ipxe`, a kickstart of any name.
            Some(_) | None if self.digest.is_none() => "text/plain; charset=utf-8",
            Some(_) | None => "application/octet-stream",
        }
    }
}

/// `If-None-Match` compares weakly (RFC 9110 §13.1.2).
fn any_matches(request: &HeaderMap, etag: &HeaderValue) -> bool {
    let fields = request.get_all(IF_NONE_MATCH).iter().filter_map(text);
    let mut known = fields.flat_map(|field| field.split(',')).map(str::trim);
    known.any(|known| known == "*" || Some(known.trim_start_matches("W/")) == text(etag))
}

fn text(field: &HeaderValue) -> Option<&str> {
    field.to_str().ok()
}

fn put(fields: &mut HeaderMap, name: HeaderName, value: Option<HeaderValue>) {
    if let Some(value) = value {
        fields.insert(name, value);
    }
}

/// There is no such file, for this machine or for anybody: nothing says which.
pub(super) fn not_found() -> Response<Body> {
    plain(StatusCode::NOT_FOUND, "not found\n")
}

/// It cannot be had now.
pub(super) fn not_now() -> Response<Body> {
    let mut answer = plain(StatusCode::SERVICE_UNAVAILABLE, "not available now\n");
    answer.headers_mut().insert(RETRY_AFTER, RETRY_SECONDS.into());
    answer
}

/// The method does not suit the path; `allowed` do.
pub(super) fn method_not_allowed(allowed: &[Method]) -> Response<Body> {
    let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
    let allowed: Vec<&str> = allowed.iter().map(Method::as_str).collect();
    put(answer.headers_mut(), ALLOW, HeaderValue::try_from(allowed.join(", ")).ok());
    answer
}

/// A status and a few words.
pub(super) fn plain(status: StatusCode, words: &'static str) -> Response<Body> {
    let mut answer = with(status, body::words(words));
    let fields = answer.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    fields.insert(CONTENT_LENGTH, words.len().into());
    answer
}

fn with(status: StatusCode, body: Body) -> Response<Body> {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(name: &str) -> File<'_> {
        File { name, size: 10, digest: Some(Digest::of(b"blob")) }
    }

    fn request(fields: &[(HeaderName, &str)]) -> HeaderMap {
        let value = |value: &str| HeaderValue::from_str(value).expect("a legal value");
        fields.iter().map(|(name, text)| (name.clone(), value(text))).collect()
    }

    fn part(range: Range<u64>) -> Selected {
        Selected::Bytes { range, part: true }
    }

    const WHOLE: Selected = Selected::Bytes { range: 0..10, part: false };

    #[test]
    fn if_range_keeps_parts_of_two_blobs_apart() {
        let etag = format!("\"{}\"", Digest::of(b"blob"));
        let select = |known: &str| blob("x").select(&request(&[(RANGE, "bytes=4-"), (IF_RANGE, known)]));
        assert_eq!(select(&etag), part(4..10));
        assert_eq!(select("\"other\""), WHOLE);
        assert_eq!(select(&format!("W/{etag}")), WHOLE, "weak validators do not suffice");
        assert_eq!(select("Sat, 21 Nov 2026 00:00:00 GMT"), WHOLE);
    }

    #[test]
    fn what_the_client_has_is_not_sent() {
        let etag = format!("\"{}\"", Digest::of(b"blob"));
        let select =
            |known: &str| blob("x").select(&request(&[(IF_NONE_MATCH, known), (RANGE, "bytes=99-")]));
        for known in [etag.clone(), format!("\"a\", W/{etag}"), "*".to_owned()] {
            assert_eq!(select(&known), Selected::Unchanged, "{known}");
        }
        assert_eq!(select("\"other\""), Selected::Beyond);
    }

    #[test]
    fn a_rendered_file_has_no_validator() {
        let file = File { name: "user-data", size: 10, digest: None };
        assert_eq!(file.select(&request(&[(IF_NONE_MATCH, "*")])), WHOLE);
        assert_eq!(file.select(&request(&[(RANGE, "bytes=0-0")])), part(0..1));
        assert_eq!(file.content_type(), "text/plain; charset=utf-8");
    }

    #[test]
    fn two_range_fields_are_ignored() {
        let mut fields = request(&[(RANGE, "bytes=0-0")]);
        fields.append(RANGE, HeaderValue::from_static("bytes=2-2"));
        assert_eq!(blob("x").select(&fields), WHOLE);
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
            assert_eq!(blob(name).content_type(), expected, "{name}");
        }
    }
}
