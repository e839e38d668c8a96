//! Where a mirror's files come from.

use std::{fmt, net::IpAddr, str::FromStr};

use url::{Host, Url};

use crate::text::written_as_text;

/// The longest URL, in bytes.
const LONGEST: usize = 1_024;

/// The base of an upstream archive: `http` or `https`, without user, query or fragment; its path ends with a slash.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Upstream(Url);

/// Text that is no upstream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAnUpstream {
    /// No URL.
    #[error("expected http://HOST/… or https://HOST/…")]
    Url,
    /// Credentials in a URL end in logs.
    #[error("names a user or a password, which an upstream must not")]
    User,
    /// They would stand in the middle of every file's URL.
    #[error("has a query or a fragment, which an upstream must not")]
    Query,
    /// Too long.
    #[error("has more than {LONGEST} bytes")]
    Long,
}

impl Upstream {
    /// The base.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// The URL of a file; `encoded` is its path, percent-encoded, without dot segments. None where that would be
    /// anything but a file below the base.
    #[must_use]
    pub fn file(&self, encoded: &str) -> Option<Url> {
        // Not `Url::join`, which takes `http://elsewhere/` for what it is.
        let url = Url::parse(&format!("{}{encoded}", self.0)).ok()?;
        let below = same_origin(&url, &self.0) && url.path().strip_prefix(self.0.path()) == Some(encoded);
        (below && url.query().is_none() && url.fragment().is_none()).then_some(url)
    }

    /// Does it name the agent's own machine, or a link-local address, where cloud machines find their metadata (S8)?
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.0.host().is_none_or(|host| is_local_host(&host))
    }
}

fn is_local_host<Name: AsRef<str>>(host: &Host<Name>) -> bool {
    match host {
        Host::Ipv4(address) => is_local_address((*address).into()),
        Host::Ipv6(address) => is_local_address((*address).into()),
        Host::Domain(name) => name.as_ref() == "localhost" || name.as_ref().ends_with(".localhost"),
    }
}

/// An address that no upstream may be found at: the agent's own, or link-local (S8).
#[must_use]
pub fn is_local_address(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_broadcast()
                || v4.is_multicast()
        }
        IpAddr::V6(v6) => {
            v6.is_loopback() || v6.is_unicast_link_local() || v6.is_unspecified() || v6.is_multicast()
        }
    }
}

/// Scheme, host and port.
fn same_origin(one: &Url, other: &Url) -> bool {
    one.origin() == other.origin()
}

impl FromStr for Upstream {
    type Err = NotAnUpstream;

    fn from_str(text: &str) -> Result<Self, NotAnUpstream> {
        if text.len() > LONGEST {
            return Err(NotAnUpstream::Long);
        }
        let mut url = Url::parse(text).map_err(|_| NotAnUpstream::Url)?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(NotAnUpstream::Url);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(NotAnUpstream::User);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(NotAnUpstream::Query);
        }
        if !url.path().ends_with('/') {
            let path = format!("{}/", url.path());
            url.set_path(&path);
        }
        Ok(Self(url))
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// The name or address of a host that a redirection may lead to, in the spelling of URLs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(String);

/// Text that names no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected the name or address of a host, such as mirror.example.org; found {0:?}")]
pub struct NotAHost(String);

impl HostName {
    /// Is it the host of this URL, at the usual port of its scheme?
    #[must_use]
    pub fn serves(&self, url: &Url) -> bool {
        url.host_str() == Some(&self.0) && url.port().is_none()
    }

    /// Does it name the agent's own machine, or a link-local address (S8)?
    #[must_use]
    pub fn is_local(&self) -> bool {
        Host::parse(&self.0).is_ok_and(|host| is_local_host(&host))
    }
}

impl FromStr for HostName {
    type Err = NotAHost;

    fn from_str(text: &str) -> Result<Self, NotAHost> {
        let error = || NotAHost(text.chars().take(80).collect());
        let host = Host::parse(text).map_err(|_| error())?;
        let host = host.to_string();
        ((1..=253).contains(&host.len())).then_some(Self(host)).ok_or_else(error)
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

written_as_text!(Upstream, HostName);

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(text: &str) -> Upstream {
        text.parse().expect("an upstream")
    }

    #[test]
    fn the_base_ends_with_a_slash() {
        assert_eq!(upstream("https://deb.example/debian").to_string(), "https://deb.example/debian/");
        assert_eq!(upstream("http://deb.example").to_string(), "http://deb.example/");
    }

    #[test]
    fn what_is_no_upstream_is_refused_by_name() {
        for (text, why) in [
            ("deb.example/debian", NotAnUpstream::Url),
            ("ftp://deb.example/debian", NotAnUpstream::Url),
            ("file:///srv/debian", NotAnUpstream::Url),
            ("http://me@deb.example/", NotAnUpstream::User),
            ("http://:pw@deb.example/", NotAnUpstream::User),
            ("http://deb.example/?x", NotAnUpstream::Query),
            ("http://deb.example/#x", NotAnUpstream::Query),
        ] {
            assert_eq!(text.parse::<Upstream>(), Err(why), "{text}");
        }
        assert_eq!(format!("http://x/{}", "y".repeat(LONGEST)).parse::<Upstream>(), Err(NotAnUpstream::Long));
    }

    #[test]
    fn files_lie_below_the_base() {
        let base = upstream("http://deb.example:8080/debian");
        let url = base.file("pool/a%2B.deb").expect("a file");
        assert_eq!(url.as_str(), "http://deb.example:8080/debian/pool/a%2B.deb");
        // As text it stays below, whatever it looks like.
        assert_eq!(base.file("http:/evil/x").expect("odd").host_str(), Some("deb.example"));
        for path in ["../x", "a/../../x", "%2e%2e/x", "x?y", "x#y", "a\\..\\b", "./x"] {
            assert_eq!(base.file(path), None, "{path}");
        }
    }

    #[test]
    fn s8_local_addresses_are_seen() {
        for text in [
            "http://localhost/",
            "http://127.0.0.1/",
            "http://169.254.169.254/",
            "http://[::1]/",
            "http://[fe80::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://0.0.0.0/",
            "http://2130706433/",
        ] {
            assert!(upstream(text).is_local(), "{text}");
        }
        assert!(!upstream("http://10.0.0.1/").is_local());
        assert!(!upstream("http://deb.example/").is_local());
        let host = |text: &str| text.parse::<HostName>().expect("a host").is_local();
        for text in
            ["169.254.169.254", "127.0.0.1", "2130706433", "[::1]", "[fe80::1]", "localhost", "a.localhost"]
        {
            assert!(host(text), "{text}");
        }
        assert!(!host("10.0.0.1") && !host("cdn.example"));
    }

    #[test]
    fn hosts() {
        let host: HostName = "CDN.example".parse().expect("a host");
        assert!(host.serves(&Url::parse("https://cdn.example/x").expect("a URL")));
        assert!(!host.serves(&Url::parse("https://cdn.example:8443/x").expect("a URL")));
        assert!(!host.serves(&Url::parse("https://a.cdn.example/x").expect("a URL")));
        for text in ["", "a b", "http://x", "x/y", "x:80", "me@x"] {
            assert!(text.parse::<HostName>().is_err(), "{text:?}");
        }
    }
}
