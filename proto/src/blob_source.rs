//! Places beside the controller that have blobs: object stores and caches, by their base URL.

use std::{fmt, str::FromStr};

use crate::{Digest, mirror::is_local_address, text::written_as_text};

/// A base URL below which blobs lie at `sha256/DIGEST`; without a slash at its end. What comes from there counts only
/// once its digest holds, so `http` will do (S8: machines name digests, and never a URL).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BlobSource(String);

/// The longest URL, in bytes.
const LONGEST: usize = 1_000;

impl BlobSource {
    /// The base URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where a blob is.
    #[must_use]
    pub fn url_of(&self, digest: Digest) -> String {
        format!("{}/sha256/{digest}", self.0)
    }
}

/// Not a source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a base URL such as https://images.example/blobs, found {found:?}: {problem}")]
pub struct NotASource {
    found: String,
    problem: &'static str,
}

impl FromStr for BlobSource {
    type Err = NotASource;

    fn from_str(text: &str) -> Result<Self, NotASource> {
        match problem_of(text) {
            None => Ok(Self(text.trim_end_matches('/').to_owned())),
            Some(problem) => Err(NotASource { found: redacted(text), problem }),
        }
    }
}

fn problem_of(text: &str) -> Option<&'static str> {
    if text.len() > LONGEST {
        return Some("it is too long");
    }
    let Ok(url) = text.parse::<http::Uri>() else { return Some("it is no URL") };
    let host = url.host().unwrap_or_default();
    if !matches!(url.scheme_str(), Some("http" | "https")) || host.is_empty() {
        return Some("it does not begin with http://HOST or https://HOST");
    }
    if url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Some("it holds a user's name or password, which a plan shows to every agent of the site");
    }
    // A key often stands behind the question mark.
    if text.contains(['?', '#']) {
        return Some("a query or a fragment (what stands behind ? or #) has no place in it");
    }
    if url
        .authority()
        .is_some_and(|authority| !authority.as_str().ends_with(host) && url.port_u16().is_none())
    {
        return Some("its port is none: expected 1 to 65535");
    }
    if names_the_agent(host) {
        return Some("it leads to the agent itself or to its link alone, where nothing is fetched from");
    }
    None
}

/// Is nothing fetched from there (S8)?
fn names_the_agent(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
    host == "localhost" || host.ends_with(".localhost") || address.is_some_and(is_local_address)
}

/// Without what may be a password.
fn redacted(text: &str) -> String {
    let shown = match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://…@{rest}"),
        (Some(_) | None, _) => text.to_owned(),
    };
    shown.split(['?', '#']).next().unwrap_or_default().chars().take(80).collect()
}

impl fmt::Display for BlobSource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

written_as_text!(BlobSource);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_leads_to_a_blob() {
        let source: BlobSource = "https://images.example:8443/a/b/".parse().expect("a source");
        let digest = Digest::of(b"x");
        assert_eq!(source.url_of(digest), format!("https://images.example:8443/a/b/sha256/{digest}"));
        "http://[fd00::1]:80".parse::<BlobSource>().expect("a source");
    }

    #[test]
    fn what_is_no_place_or_could_hold_a_password_is_refused_and_not_repeated() {
        for text in ["https://me:hunter2@images.example/b", "https://images.example/b?key=hunter2"] {
            let error = text.parse::<BlobSource>().expect_err("refused").to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
        for text in [
            "http://127.0.0.1/b",
            "http://localhost",
            "http://169.254.1.1/x",
            "http://[::1]:80/",
            "http://a:99999",
        ] {
            assert!(text.parse::<BlobSource>().is_err(), "{text}");
        }
        for text in ["", "images.example", "/blobs", "ftp://images.example", "https://", "https://a b"] {
            assert!(text.parse::<BlobSource>().is_err(), "{text}");
        }
    }
}
