//! The addresses that no upstream may have (S8): this machine's own, and link-local ones, where clouds keep their
//! metadata. Looked at for names after they were looked up, and for addresses in URLs before they are called.

use std::{
    error::Error,
    io,
    net::{IpAddr, SocketAddr},
};

use proto::mirror::is_local_address;
use reqwest::{Url, dns};

/// What the system says of its own addresses; None: nothing.
type Own = fn() -> Option<Vec<IpAddr>>;

/// The system's name service, without the addresses that no upstream may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guard {
    own: Own,
    /// Tests have nothing else.
    spares_loopback: bool,
}

impl Guard {
    /// With the addresses of this machine's interfaces.
    pub(super) const fn of_this_machine() -> Self {
        Self { own: addresses_of_interfaces, spares_loopback: cfg!(test) }
    }

    /// Does the URL name an address that is not to be called? What a name leads to is known when it is looked up.
    pub(super) fn refuses_host_of(self, url: &Url) -> bool {
        // URLs have one spelling for each address; IPv6 in brackets.
        let host = url.host_str().map(|host| host.trim_start_matches('[').trim_end_matches(']'));
        let Some(host) = host else { return true };
        host.parse().is_ok_and(|address| self.refuses(address))
    }

    fn refuses(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        if self.spares_loopback && address.is_loopback() {
            return false;
        }
        // Who does not know his own addresses calls none.
        is_local_address(address) || (self.own)().is_none_or(|own| own.contains(&address))
    }
}

/// They may change while the agent runs, so they are asked for each time: a few calls of the system, without a wait.
fn addresses_of_interfaces() -> Option<Vec<IpAddr>> {
    let interfaces = if_addrs::get_if_addrs().ok()?;
    Some(interfaces.into_iter().map(|interface| interface.ip()).collect())
}

impl dns::Resolve for Guard {
    fn resolve(&self, name: dns::Name) -> dns::Resolving {
        let guard = *self;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let good: Vec<SocketAddr> = found.filter(|address| !guard.refuses(address.ip())).collect();
            if good.is_empty() {
                let why =
                    format!("{} leads to this machine or its link alone, where no mirror is", name.as_str());
                return Err(Box::new(io::Error::other(why)) as Box<dyn Error + Send + Sync>);
            }
            Ok(Box::new(good.into_iter()) as dns::Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUARD: Guard = Guard { own: || Some(vec![IpAddr::from([10, 1, 0, 2])]), spares_loopback: false };

    fn refuses(guard: Guard, url: &str) -> bool {
        guard.refuses_host_of(&url.parse().expect("a URL"))
    }

    #[tokio::test]
    async fn s8_names_that_lead_to_this_machine_are_refused() {
        let name: dns::Name = "localhost".parse().expect("a name");
        let refused = dns::Resolve::resolve(&GUARD, name).await.err().expect("refused");
        assert!(refused.to_string().contains("this machine"), "{refused}");
    }

    #[test]
    fn s8_addresses_in_urls_are_looked_at_too() {
        for url in [
            "http://169.254.169.254/latest",
            "http://127.0.0.1:8080/",
            "http://2130706433/",
            "http://[::1]/",
            "http://[::ffff:169.254.169.254]/",
            "http://10.1.0.2/debian/",
            "http://[::ffff:10.1.0.2]/",
        ] {
            assert!(refuses(GUARD, url), "{url}");
        }
        assert!(!refuses(GUARD, "http://10.1.0.3/debian/"));
        assert!(!refuses(GUARD, "http://deb.example/debian/"));
        assert!(refuses(Guard { own: || None, ..GUARD }, "http://10.1.0.3/"), "nobody knows whose that is");
    }

    #[test]
    fn s8_the_interfaces_of_this_machine_are_its_own() {
        let own = addresses_of_interfaces().expect("the system says");
        assert!(own.contains(&IpAddr::from([127, 0, 0, 1])), "{own:?}");
    }
}
