//! What goes wrong when a blob is fetched, and whose fault it is.

use std::{collections::BTreeSet, io, time::Duration};

use certs::tls::TlsError;
use hyper::{StatusCode, header::HeaderValue};
use netboot::cache::sources::{Fault, Name};
use proto::Digest;

use crate::{controllers::ConnectError, disk::cache::FillError};

/// Why a source did not give what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// No connection to a controller.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// No connection to another source.
    #[error("failed to reach {0}")]
    Unreachable(String, #[source] io::Error),
    /// The name leads only to addresses that nothing is fetched from (S8).
    #[error(
        "{0} leads to no address that may be fetched from: loopback, link-local and the like are refused"
    )]
    Forbidden(String),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// HTTP.
    #[error("the transfer broke off")]
    Http(#[from] hyper::Error),
    /// It does not give it.
    #[error("it answered {0}")]
    Status(StatusCode),
    /// It does not have it.
    #[error("it does not have the blob")]
    Absent,
    /// No byte for too long.
    #[error("no byte came for too long")]
    Stalled,
    /// Not enrolled.
    #[error("there is no identity yet")]
    NoIdentity,
    /// Its URL makes no request.
    #[error("its URL cannot be asked for")]
    Url,
    /// What it has under this digest has another length.
    #[error("it says that it has {actual} bytes where there are {expected}")]
    OtherLength {
        /// Asked for.
        expected: u64,
        /// Announced.
        actual: u64,
    },
    /// It gives another part than it was asked for.
    #[error("it answered with the range {found:?} instead of {expected:?}")]
    OtherRange {
        /// Asked for.
        expected: String,
        /// Announced.
        found: Option<HeaderValue>,
    },
    /// It announced several ranges and gives something else.
    #[error("what it gave is no answer of several ranges")]
    NoParts,
    /// More came than there is.
    #[error("it gave more bytes than there are")]
    TooMany,
    /// It said that this was all, and it was not.
    #[error("it gave {0} bytes too few")]
    TooFew(u64),
    /// The digest does not hold, and it gave every byte.
    #[error("its bytes have digest {0}")]
    OtherDigest(Digest),
}

impl SourceError {
    /// To a question for several ranges: what came is not those, in their order.
    pub(super) fn is_of_parts(&self) -> bool {
        matches!(self, Self::OtherRange { .. } | Self::NoParts)
    }

    /// What is held against the source; None: nothing.
    pub(super) fn fault(&self) -> Option<Fault> {
        match self {
            Self::Absent | Self::NoIdentity => None,
            Self::OtherLength { .. }
            | Self::OtherRange { .. }
            | Self::NoParts
            | Self::TooMany
            | Self::TooFew(_)
            | Self::OtherDigest(_) => Some(Fault::Wrong),
            Self::Connect(_)
            | Self::Unreachable(..)
            | Self::Forbidden(_)
            | Self::Tls(_)
            | Self::Http(_)
            | Self::Status(_)
            | Self::Stalled
            | Self::Url => Some(Fault::Failed),
        }
    }
}

/// Why a blob is not here.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The last source that was asked.
    #[error("failed to fetch it from {name}")]
    Source {
        /// Which.
        name: Name,
        /// Why.
        source: SourceError,
    },
    /// Those that can be asked do not have it.
    #[error("{} not have it, and no other source can be asked now", listed(.0))]
    Absent(BTreeSet<Name>),
    /// Nobody may be asked now, since all have failed of late.
    #[error("no source of images can be asked now")]
    Nobody,
    /// Several sources gave parts of it, and together they are wrong.
    #[error("what several sources gave has digest {0}: it is fetched anew from one alone")]
    Disputed(Digest),
    /// Parts were copied from other blobs, and together with what came they are wrong.
    #[error("what was put together from chunks has digest {0}: it is fetched whole")]
    Misassembled(Digest),
    /// The cache.
    #[error(transparent)]
    Fill(#[from] FillError),
    /// Nothing came for so long.
    #[error("nothing came for {} s", .0.as_secs())]
    TimeUp(Duration),
    /// A new plan does not name it, or its budget has no room for it.
    #[error("the plan wants it no more")]
    Unwanted,
}

impl FetchError {
    /// Of one after which what had come is thrown away: what was wrong, for people.
    pub(super) fn mishap(&self) -> Option<String> {
        match self {
            Self::Source { name, source: SourceError::OtherDigest(digest) } => {
                Some(format!("{name} gave bytes with digest {digest}"))
            }
            Self::Source { name, source } if source.fault() == Some(Fault::Wrong) => {
                Some(format!("{name} gave what is not the file: {source}"))
            }
            Self::Disputed(digest) => Some(format!("several sources gave bytes with digest {digest}")),
            Self::Misassembled(digest) => Some(format!("what was copied and fetched has digest {digest}")),
            Self::Source { .. }
            | Self::Absent(_)
            | Self::Nobody
            | Self::Fill(_)
            | Self::TimeUp(_)
            | Self::Unwanted => None,
        }
    }

    /// The sources that were found not to have it.
    pub(super) fn lacking(self) -> BTreeSet<Name> {
        match self {
            Self::Absent(names) => names,
            Self::Source { .. }
            | Self::Nobody
            | Self::Disputed(_)
            | Self::Misassembled(_)
            | Self::Fill(_)
            | Self::TimeUp(_)
            | Self::Unwanted => BTreeSet::new(),
        }
    }
}

fn listed(names: &BTreeSet<Name>) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    format!("{} {}", names.join(", "), if names.len() == 1 { "does" } else { "do" })
}
