//! What an upstream says of a file besides its bytes, and what machines may ask by it (RFC 9110 §8.8, §13).

use http::{
    HeaderMap, HeaderName,
    header::{
        CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
        LAST_MODIFIED, PRAGMA,
    },
};

/// The longest value that is kept, in bytes.
const LONGEST: usize = 512;

/// Header fields as the upstream gave them. No others are passed on: what it says to the agent (cookies, its caches) is
/// nothing to machines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) etag: Option<String>,
    pub(super) last_modified: Option<String>,
    pub(super) content_type: Option<String>,
    /// Some servers call a `.gz` file encoded; the bytes are passed on as they are.
    pub(super) content_encoding: Option<String>,
}

impl Given {
    pub(super) fn read(fields: &HeaderMap) -> Self {
        let one = |name: HeaderName| text(fields, &name).filter(|text| text.len() <= LONGEST).map(Into::into);
        Self {
            etag: one(ETAG),
            last_modified: one(LAST_MODIFIED),
            content_type: one(CONTENT_TYPE),
            content_encoding: one(CONTENT_ENCODING),
        }
    }

    /// What makes two parts surely parts of one version: a strong entity tag, or else the time of change.
    pub(super) fn strong(&self) -> Option<&str> {
        let strong = self.etag.as_deref().filter(|etag| !etag.starts_with("W/"));
        strong.or(self.last_modified.as_deref())
    }

    /// Has the machine this version already (RFC 9110 §13.2.2)?
    pub(super) fn is_known_to(&self, request: &HeaderMap) -> bool {
        if request.contains_key(IF_NONE_MATCH) {
            let Some(ours) = &self.etag else { return false };
            let fields = request.get_all(IF_NONE_MATCH).iter().filter_map(|field| field.to_str().ok());
            let mut known = fields.flat_map(|field| field.split(',')).map(str::trim);
            let opaque = |etag: &str| etag.trim_start_matches("W/").to_owned();
            return known.any(|known| known == "*" || opaque(known) == opaque(ours));
        }
        let (Some(since), Some(changed)) = (text(request, &IF_MODIFIED_SINCE), &self.last_modified) else {
            return false;
        };
        since == changed
            || matches!((date(since), date(changed)), (Some(since), Some(changed)) if changed <= since)
    }

    /// May a range be answered with a part, or has the machine another version of the rest (RFC 9110 §13.1.5)?
    pub(super) fn allows_part(&self, request: &HeaderMap) -> bool {
        let Some(known) = text(request, &IF_RANGE) else { return !request.contains_key(IF_RANGE) };
        let etag = self.etag.as_deref().filter(|etag| !etag.starts_with("W/"));
        Some(known) == etag || Some(known) == self.last_modified.as_deref()
    }
}

/// Does the machine want what the upstream has now, and not what a cache holds (RFC 9111 §5.2.1)?
pub(super) fn insists(request: &HeaderMap) -> bool {
    let fields = request.get_all(CACHE_CONTROL).iter().chain(request.get_all(PRAGMA));
    let mut words = fields.filter_map(|field| field.to_str().ok()).flat_map(|field| field.split(','));
    words.any(|word| {
        let word = word.trim();
        word.eq_ignore_ascii_case("no-cache") || word.eq_ignore_ascii_case("max-age=0")
    })
}

fn text<'a>(fields: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    fields.get(name).and_then(|field| field.to_str().ok())
}

fn date(text: &str) -> Option<std::time::SystemTime> {
    httpdate::parse_http_date(text).ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const CHANGED: &str = "Sat, 10 Feb 2024 11:07:25 GMT";

    fn given() -> Given {
        Given { etag: Some("\"a\"".into()), last_modified: Some(CHANGED.into()), ..Given::default() }
    }

    fn request(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn what_a_machine_has_is_known_by_tag_or_time() {
        for (name, value) in [
            (IF_NONE_MATCH, "\"a\""),
            (IF_NONE_MATCH, "\"x\", W/\"a\""),
            (IF_NONE_MATCH, "*"),
            (IF_MODIFIED_SINCE, CHANGED),
            (IF_MODIFIED_SINCE, "Sun, 11 Feb 2024 00:00:00 GMT"),
        ] {
            assert!(given().is_known_to(&request(name, value)), "{value}");
        }
        for (name, value) in [
            (IF_NONE_MATCH, "\"b\""),
            (IF_MODIFIED_SINCE, "Fri, 09 Feb 2024 00:00:00 GMT"),
            (IF_MODIFIED_SINCE, "yesterday"),
        ] {
            assert!(!given().is_known_to(&request(name, value)), "{value}");
        }
        let mut both = request(IF_NONE_MATCH, "\"b\"");
        both.insert(IF_MODIFIED_SINCE, HeaderValue::from_static(CHANGED));
        assert!(!given().is_known_to(&both), "the tag goes before the time");
    }

    #[test]
    fn parts_of_two_versions_are_kept_apart() {
        assert!(given().allows_part(&HeaderMap::new()));
        assert!(given().allows_part(&request(IF_RANGE, "\"a\"")));
        assert!(given().allows_part(&request(IF_RANGE, CHANGED)));
        assert!(!given().allows_part(&request(IF_RANGE, "\"b\"")));
        let weak = Given { etag: Some("W/\"a\"".into()), ..Given::default() };
        assert!(!weak.allows_part(&request(IF_RANGE, "W/\"a\"")));
        assert_eq!(weak.strong(), None);
        assert_eq!(given().strong(), Some("\"a\""));
    }

    #[test]
    fn who_does_not_believe_a_cache_says_so() {
        for (name, value) in
            [(CACHE_CONTROL, "no-cache"), (CACHE_CONTROL, "no-transform, Max-Age=0"), (PRAGMA, "no-cache")]
        {
            assert!(insists(&request(name, value)), "{value}");
        }
        for value in ["max-age=10", "no-store", "max-stale=0"] {
            assert!(!insists(&request(CACHE_CONTROL, value)), "{value}");
        }
        assert!(!insists(&HeaderMap::new()));
    }

    #[test]
    fn values_that_are_too_long_are_left_out() {
        let long = HeaderValue::try_from("x".repeat(LONGEST + 1)).expect("legal");
        let fields =
            HeaderMap::from_iter([(ETAG, long), (CONTENT_TYPE, HeaderValue::from_static("text/plain"))]);
        let read = Given::read(&fields);
        assert_eq!((read.etag, read.content_type.as_deref()), (None, Some("text/plain")));
    }
}
