//! Where an upstream may lead: to its own hosts, and to those that the catalog names (S8).

use proto::{mirror::Upstream, plan::MirrorPlan};
use url::Url;

/// Why a redirection is not followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotFollowed {
    /// It names no URL.
    #[error("leads to no URL")]
    NoUrl,
    /// Another scheme, or a password.
    #[error("leads to something that no mirror is fetched from")]
    Kind,
    /// From TLS to plain text.
    #[error("leads from https to http")]
    Downgrade,
    /// To a host that the catalog does not name.
    #[error("leads to {0}, which `redirects_to` does not name")]
    Host(String),
    /// From a name without a slash at its end to one with it, as web servers lead to a folder's list.
    #[error("leads to a folder, and lists of folders are not mirrored")]
    Folder,
}

/// The URL that the `Location` field of an answer to `from` leads to.
///
/// # Errors
/// [`NotFollowed`].
pub fn redirect(mirror: &MirrorPlan, from: &Url, location: &str) -> Result<Url, NotFollowed> {
    let mut to = from.join(location).map_err(|_| NotFollowed::NoUrl)?;
    to.set_fragment(None);
    if !matches!(to.scheme(), "http" | "https") || !to.username().is_empty() || to.password().is_some() {
        return Err(NotFollowed::Kind);
    }
    if from.scheme() == "https" && to.scheme() == "http" {
        return Err(NotFollowed::Downgrade);
    }
    let declared = mirror.upstreams.iter().any(|upstream| is_of(upstream, &to))
        || mirror.redirects_to.iter().any(|host| host.serves(&to));
    if !declared {
        return Err(NotFollowed::Host(to.host_str().unwrap_or_default().to_owned()));
    }
    if to.path().ends_with('/') && !from.path().ends_with('/') {
        return Err(NotFollowed::Folder);
    }
    Ok(to)
}

/// The upstream's own origin, or its host with TLS at the usual port.
fn is_of(upstream: &Upstream, url: &Url) -> bool {
    let base = upstream.url();
    let with_tls = url.scheme() == "https" && url.port().is_none() && url.host() == base.host();
    base.origin() == url.origin() || with_tls
}

#[cfg(test)]
mod tests {
    use proto::mirror::MirrorFamily;

    use super::*;
    use crate::mirror::paper::mirror;

    fn follow(from: &str, location: &str) -> Result<String, NotFollowed> {
        let mut mirror = mirror(MirrorFamily::Debian);
        mirror.upstreams.push("http://other.example:8080/".parse().expect("an upstream"));
        mirror.redirects_to.push("cdn.example".parse().expect("a host"));
        redirect(&mirror, &Url::parse(from).expect("a URL"), location).map(|url| url.to_string())
    }

    #[test]
    fn s8_only_to_declared_hosts() {
        const FROM: &str = "https://deb.example/debian/pool/a.deb";
        let good = |location: &str| follow(FROM, location).expect("followed");
        assert_eq!(good("/elsewhere/a.deb#x"), "https://deb.example/elsewhere/a.deb");
        assert_eq!(good("b.deb"), "https://deb.example/debian/pool/b.deb");
        assert_eq!(good("https://cdn.example/a.deb?sig=1"), "https://cdn.example/a.deb?sig=1");
        assert_eq!(good("//cdn.example/a.deb"), "https://cdn.example/a.deb");
        for (location, why) in [
            ("https://evil.example/a.deb", NotFollowed::Host("evil.example".into())),
            ("https://cdn.example.evil.example/", NotFollowed::Host("cdn.example.evil.example".into())),
            ("https://169.254.169.254/latest", NotFollowed::Host("169.254.169.254".into())),
            ("https://cdn.example:8443/a.deb", NotFollowed::Host("cdn.example".into())),
            ("http://deb.example/a.deb", NotFollowed::Downgrade),
            ("https://me:pw@cdn.example/a.deb", NotFollowed::Kind),
            ("file:///etc/passwd", NotFollowed::Kind),
            ("https://", NotFollowed::NoUrl),
            ("/debian/pool/a.deb/", NotFollowed::Folder),
        ] {
            assert_eq!(follow(FROM, location), Err(why), "{location}");
        }
    }

    #[test]
    fn to_tls_of_the_same_host_and_between_upstreams() {
        let from = "http://other.example:8080/x";
        assert_eq!(follow(from, "https://other.example/x").expect("upwards"), "https://other.example/x");
        assert_eq!(follow(from, "https://deb.example/x").expect("declared"), "https://deb.example/x");
        assert_eq!(follow(from, "http://other.example/x"), Err(NotFollowed::Host("other.example".into())));
    }
}
