//! `[page]`: the page for browsers, which is off unless it is told where to listen.

use std::net::SocketAddr;
use std::path::PathBuf;

use http::Uri;

use super::Section;

/// The page for browsers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Where it listens.
    pub listen: SocketAddr,
    /// How people reach it: `https://HOST[:PORT]`; None: at the first of `listen.names`.
    pub url: Option<String>,
    /// A certificate of somebody else; None: one of the fleet's own authority.
    pub files: Option<Files>,
    /// Open connections.
    pub connections: usize,
}

/// A certificate and its key, in PEM form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The certificate, and those above it but for the root.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// `taken` are the addresses of the other listeners.
pub(super) fn read(mut section: Section<'_>, taken: [SocketAddr; 2]) -> Option<Page> {
    let listen = section.address("listen");
    let url = section.optional::<String>("url");
    let certificate = section.optional("certificate");
    let key = section.optional("key");
    let connections = section.within("connections", 256, 1..=100_000);
    if let Some(listen) = listen.filter(|listen| taken.contains(listen) && listen.port() != 0) {
        section.mistake("listen", format!("{listen} is another listener's: choose another port"));
    }
    if let Some(url) = url.as_deref().filter(|url| !is_origin(url)) {
        section.mistake("url", format!("{url:?} is not https://HOST or https://HOST:PORT"));
    }
    let files = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(Files { certificate, key }),
        (Some(_), None) => missing(&mut section, "key"),
        (None, Some(_)) => missing(&mut section, "certificate"),
        (None, None) => None,
    };
    section.end();
    let url = url.map(|url| url.trim_end_matches('/').to_owned());
    listen.map(|listen| Page { listen, url, files, connections })
}

fn missing(section: &mut Section<'_>, name: &str) -> Option<Files> {
    section.mistake(name, "is missing: a certificate and its key go together");
    None
}

/// HTTPS, a host, perhaps a port, and nothing else.
fn is_origin(url: &str) -> bool {
    let Ok(url) = url.parse::<Uri>() else { return false };
    let host = url
        .authority()
        .is_some_and(|authority| !authority.host().is_empty() && !authority.as_str().contains('@'));
    url.scheme_str() == Some("https") && host && url.path() == "/" && url.query().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_an_origin() {
        for good in ["https://boot.example", "https://boot.example:7445/", "https://[2001:db8::1]:7445"] {
            assert!(is_origin(good), "{good}");
        }
        for bad in [
            "",
            "boot.example",
            "http://boot.example",
            "https://",
            "https://a@b",
            "https://a/page",
            "https://a?b",
        ] {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}
