//! What a package mirror is, for catalog, plan and agent alike: where its packages come from, which of its files never
//! change, and where it may be led to.
//!
//! Pure rules over text. What is done with them (caching, fetching) is the agent's.

mod pattern;
mod upstream;

pub use pattern::{NotAPattern, Pattern};
pub use upstream::{HostName, NotAHost, NotAnUpstream, Upstream, is_local_address};

use serde::{Deserialize, Serialize};

use crate::wire::twin;

/// The kind of archive, which decides what is an index and what never changes under its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MirrorFamily {
    /// Debian's layout: `dists/`, `pool/`, `by-hash/`. Ubuntu's too.
    Debian,
    /// RPM packages with `repodata/`.
    Rpm,
    /// Files of which nothing is known: all are asked after.
    #[default]
    Generic,
}

twin!(MirrorFamily, MirrorFamily, Debian, Rpm, Generic);

impl MirrorFamily {
    /// As in documents.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Debian => "debian",
            Self::Rpm => "rpm",
            Self::Generic => "generic",
        }
    }
}
