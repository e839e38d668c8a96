//! A mirror's file: from the head of its request to its bytes on the wire. Where the length is not known before the end it
//! is chunked (RFC 9112 §7.1): apt, curl and their like understand that, and no firmware asks for packages. The bytes go the
//! way of images, so that a machine which takes them slowly costs neither memory nor a thread.

use http::request::Parts;

use super::{
    body::{self, Reads},
    reply::{self, Manner},
    request::Request,
    wire::{Over, Wire},
};
use crate::mirror::{Body, Claimed, Mirrors, Pieces};

/// The most fields that are looked at; [`super::Limits`] has refused heads with more.
const FIELDS: usize = 256;

/// Is it a mirror's file, and may `from` read it?
pub(super) fn claim(mirrors: &Mirrors, request: &Request, from: std::net::Ipv4Addr) -> Option<Claimed> {
    let looks_like_one = request.target.trim_start_matches('/').starts_with("mirror/");
    let uri = looks_like_one.then(|| request.target.parse().ok())?;
    mirrors.claim(&uri?, from)
}

/// Answers the request of this `head`.
pub(super) async fn answer(
    wire: &mut Wire,
    head: &[u8],
    (mirrors, claimed): (&Mirrors, Claimed),
    manner: Manner,
    reads: &Reads,
) -> Result<(), Over> {
    // It was parsed a moment ago.
    let Some(request) = parts(head) else { return Err(Over::Gone) };
    let response = wire.unless_gone(mirrors.answer(claimed, &request)).await?;
    let (said, bytes) = response.into_parts();
    let has_body = request.method != http::Method::HEAD && said.status != http::StatusCode::NOT_MODIFIED;
    let chunked = has_body && !said.headers.contains_key(http::header::CONTENT_LENGTH);
    body::head(wire, &written(&said, chunked, manner)).await?;
    match bytes {
        _ if !has_body => Ok(()),
        Body::Words(words) => body::words(wire, &words).await,
        Body::File(pieces) => pour(wire, pieces, chunked, reads).await,
    }
}

/// Who does not get all of it sees the connection end before that.
async fn pour(wire: &mut Wire, mut pieces: Pieces, chunked: bool, reads: &Reads) -> Result<(), Over> {
    while let Some(range) = wire.unless_gone(pieces.next()).await?.map_err(|broken| ended(&broken))? {
        if chunked {
            body::words(wire, format!("{:x}\r\n", range.end - range.start).as_bytes()).await?;
        }
        let sent = body::stretch(wire, pieces.file(), range, reads, |sent| pieces.sent(sent as u64)).await;
        sent.map_err(|broken| ended(&broken))?;
        if chunked {
            body::words(wire, b"\r\n").await?;
        }
    }
    if chunked { body::words(wire, b"0\r\n\r\n").await } else { Ok(()) }
}

fn ended(broken: &(dyn std::error::Error + 'static)) -> Over {
    tracing::debug!(error = broken, "a mirror's file ends early");
    Over::Gone
}

/// The head of the answer.
fn written(said: &http::response::Parts, chunked: bool, manner: Manner) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    reply::begin(said.status, manner.version, &mut out);
    for (name, value) in &said.headers {
        let Ok(value) = value.to_str() else { continue };
        reply::field(&in_title_case(name.as_str()), value, &mut out);
    }
    if chunked {
        reply::field("Transfer-Encoding", "chunked", &mut out);
    }
    reply::end(manner, &mut out);
    out
}

/// As in all other answers (QUIRKS 49).
fn in_title_case(name: &str) -> String {
    let part = |part: &str| {
        let (first, rest) = part.split_at(part.len().min(1));
        first.to_ascii_uppercase() + rest
    };
    name.split('-').map(part).collect::<Vec<_>>().join("-")
}

/// The head as libraries have it; fields that are no text are left out.
fn parts(head: &[u8]) -> Option<Parts> {
    let mut room = [httparse::EMPTY_HEADER; FIELDS];
    let mut parsed = httparse::Request::new(&mut room);
    parsed.parse(head).ok()?;
    let version = if parsed.version? == 0 { http::Version::HTTP_10 } else { http::Version::HTTP_11 };
    let request = http::Request::builder().method(parsed.method?).uri(parsed.path?).version(version);
    let (mut parts, ()) = request.body(()).ok()?.into_parts();
    for field in parsed.headers.iter() {
        let name = http::HeaderName::from_bytes(field.name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, http::HeaderValue::from_bytes(field.value)) {
            parts.headers.append(name, value);
        }
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_fields_as_grub_knows_them() {
        assert_eq!(in_title_case("content-length"), "Content-Length");
        assert_eq!(in_title_case("etag"), "Etag");
        assert_eq!(in_title_case("a--b-"), "A--B-");
    }

    #[test]
    fn a_head_with_all_its_fields() {
        let head = b"GET /mirror/d/x HTTP/1.0\r\nIf-Modified-Since: now\r\nRange: bytes=0-1\r\nRange: bytes=3-4\r\n\r\n";
        let parts = parts(head).expect("a head");
        assert_eq!(
            (parts.method.as_str(), parts.uri.path(), parts.version),
            ("GET", "/mirror/d/x", http::Version::HTTP_10)
        );
        assert_eq!(parts.headers.get_all("range").iter().count(), 2);
        assert_eq!(parts.headers["if-modified-since"], "now");
    }
}
