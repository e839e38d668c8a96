//! Where metrics are served, as a configuration file says it.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use serde::Deserialize;

/// The `[metrics]` section of a configuration file.
///
/// Without it metrics are not served. Nobody is asked who he is there, and the numbers tell what a site has and does, so
/// where they may be read from is said by who runs the machine: loopback for a collector beside it, or an address that
/// only the monitoring reaches.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Where, if anywhere.
    pub listen: Option<Listen>,
}

/// `ADDRESS:PORT` of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Listen(pub SocketAddr);

/// It is no address and port.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no ADDRESS:PORT to serve metrics at, such as 127.0.0.1:9464")]
pub struct ListenError(String);

impl FromStr for Listen {
    type Err = ListenError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self).map_err(|_| ListenError(text.to_owned()))
    }
}

impl TryFrom<String> for Listen {
    type Error = ListenError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_a_port_and_nothing_else() {
        let read = |text: &str| toml::from_str::<Metrics>(text);
        assert_eq!(read("").expect("legal"), Metrics::default());
        let listen = read("listen = '127.0.0.1:9464'").expect("legal").listen.expect("named");
        assert_eq!(listen.to_string(), "127.0.0.1:9464");
        for (text, expected) in [
            ("listen = '9464'", "no ADDRESS:PORT"),
            ("listen = 'localhost:1'", "no ADDRESS"),
            ("port = 1", "unknown field"),
        ] {
            let error = read(text).expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
