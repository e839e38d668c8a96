//! The authority as one text: TOML with PEM inside, the same on disk and under a seal.
//!
//! One file holds it all, so replacing it moves from one whole state to the next.

use std::sync::Arc;
use std::time::SystemTime;

use zeroize::{Zeroize as _, Zeroizing};

use super::MAX_ROOTS;
use super::template::{Intermediate, MakeError, RootAuthority, is_authority_of};
use crate::document::{self, DocumentError, VERSION};
use crate::pem::{self, PemError};
use crate::{FleetName, KeyError, KeyPair, SpkiFingerprint};

/// What is wrong with a stored authority.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The text itself.
    #[error("authority file")]
    Document(#[from] DocumentError),
    /// None, or more than a roll-over has.
    #[error("authority file has {0} roots, expected 1 or {MAX_ROOTS}")]
    Roots(usize),
    /// The root that should issue is not among them.
    #[error("issuing root {0} is not in the authority file")]
    Issuing(SpkiFingerprint),
    /// A certificate or key is cut off.
    #[error("root {0} of the authority file")]
    Pem(usize, #[source] PemError),
    /// A key is no key.
    #[error("root {0} of the authority file")]
    Key(usize, #[source] KeyError),
    /// A certificate is not for the key beside it.
    #[error("root {0} of the authority file has a certificate that is not its key's")]
    Mismatch(usize),
}

/// All that an authority knows. `roots` has one or two entries and `issuing` is the index of one.
#[derive(Clone)]
pub(super) struct State {
    pub(super) fleet: FleetName,
    pub(super) roots: Vec<Arc<RootAuthority>>,
    pub(super) issuing: usize,
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    fleet: FleetName,
    issuing: SpkiFingerprint,
    root: Vec<RootDocument>,
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RootDocument {
    certificate: String,
    key: String,
    intermediate: String,
    intermediate_key: String,
}

impl Drop for RootDocument {
    fn drop(&mut self) {
        self.key.zeroize();
        self.intermediate_key.zeroize();
    }
}

impl State {
    pub(super) fn new(fleet: FleetName, now: SystemTime) -> Result<Self, MakeError> {
        let root = Arc::new(RootAuthority::make(&fleet, now)?);
        Ok(Self { fleet, roots: vec![root], issuing: 0 })
    }

    pub(super) fn issuing(&self) -> &RootAuthority {
        &self.roots[self.issuing]
    }

    pub(super) fn position(&self, root: &SpkiFingerprint) -> Option<usize> {
        self.roots.iter().position(|known| known.fingerprint() == *root)
    }

    /// The root that a roll-over would have to retire first.
    pub(super) fn oldest_idle(&self) -> SpkiFingerprint {
        let idle = self.roots.iter().enumerate().find(|(index, _)| *index != self.issuing);
        idle.map_or_else(|| self.issuing().fingerprint(), |(_, root)| root.fingerprint())
    }

    pub(super) fn same_roots(&self, other: &Self) -> bool {
        let roots = |state: &Self| state.roots.iter().map(|root| root.fingerprint()).collect::<Vec<_>>();
        self.fleet == other.fleet && roots(self) == roots(other)
    }

    /// The next state, if any intermediate is due for renewal.
    pub(super) fn with_fresh_intermediates(&self, now: SystemTime) -> Result<Option<Self>, MakeError> {
        if !self.roots.iter().any(|root| root.intermediate.is_due(now)) {
            return Ok(None);
        }
        let mut next = self.clone();
        for root in next.roots.iter_mut().filter(|root| root.intermediate.is_due(now)) {
            *root = Arc::new(root.with_fresh_intermediate(&self.fleet, now)?);
        }
        Ok(Some(next))
    }

    pub(super) fn to_text(&self) -> Zeroizing<String> {
        let document = Document {
            version: VERSION,
            fleet: self.fleet.clone(),
            issuing: self.issuing().fingerprint(),
            root: self.roots.iter().map(|root| RootDocument::of(root)).collect(),
        };
        Zeroizing::new(toml::to_string(&document).expect("strings, a number and a list of tables are TOML"))
    }

    pub(super) fn from_text(text: &str) -> Result<Self, StateError> {
        let document: Document = document::parse(text)?;
        if document.root.is_empty() || document.root.len() > MAX_ROOTS {
            return Err(StateError::Roots(document.root.len()));
        }
        let roots = document.root.iter().enumerate().map(|(index, root)| root.read(index + 1).map(Arc::new));
        let mut state = Self { fleet: document.fleet, roots: roots.collect::<Result<_, _>>()?, issuing: 0 };
        state.issuing = state.position(&document.issuing).ok_or(StateError::Issuing(document.issuing))?;
        Ok(state)
    }
}

impl RootDocument {
    fn of(root: &RootAuthority) -> Self {
        Self {
            certificate: pem::encode_certificates(std::slice::from_ref(&root.root)),
            key: root.root_key.to_pem().to_string(),
            intermediate: pem::encode_certificates(std::slice::from_ref(&root.intermediate.certificate)),
            intermediate_key: root.intermediate.key.to_pem().to_string(),
        }
    }

    /// `place` counts from 1, for the person who reads the error.
    fn read(&self, place: usize) -> Result<RootAuthority, StateError> {
        let certificate = |text: &str| match pem::decode_certificates(text) {
            Ok(mut certificates) => Ok(certificates.swap_remove(0)),
            Err(error) => Err(StateError::Pem(place, error)),
        };
        let key = |text: &str| KeyPair::from_pem(text).map_err(|error| StateError::Key(place, error));
        let (root, root_key) = (certificate(&self.certificate)?, key(&self.key)?);
        if !is_authority_of(&root, &root_key) {
            return Err(StateError::Mismatch(place));
        }
        let intermediate = Intermediate::read(certificate(&self.intermediate)?, key(&self.intermediate_key)?)
            .ok_or(StateError::Mismatch(place))?;
        Ok(RootAuthority { root, root_key: Arc::new(root_key), intermediate })
    }
}
