//! The fleet's certificate authority: roots, their intermediates, and what they issue.
//!
//! Made on the controller's first start and kept in one file that is replaced as a whole ([`state`]), so
//! there is no half-made authority. Rolling over follows Talos' four steps: [`Authority::roll`] adds a new
//! root that everybody learns to accept, [`Authority::issue_from`] switches to it, renewals carry it to
//! everybody, [`Authority::retire`] drops the old one. When each step is due is the caller's decision.

mod issue;
mod sealed;
mod state;
mod template;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

pub use issue::{IssueError, Issued, MAX_AGENT_LIFETIME, MAX_OPERATOR_LIFETIME, MAX_SERVER_LIFETIME};
pub use sealed::{Passphrase, SealError, UnsealError};
use state::State;
pub use state::StateError;
pub use template::MakeError;

use crate::durable::{self, FileError};
use crate::{FleetName, SpkiFingerprint, TrustBundle};

/// The one file of the folder.
const FILE: &str = "authority.toml";
/// Most bytes of it: eight roots with their intermediates have about 20 KiB.
const MAX_FILE: u64 = 256 * 1024;
/// Roots at a time: the one in use and the one that follows or precedes it.
const MAX_ROOTS: usize = 2;

/// Why an authority could not be opened or made.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder or file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is there but damaged. It is never replaced: every certificate of the fleet hangs on it.
    #[error("authority in {} cannot be read, restore it from a backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: StateError,
    },
    /// The folder belongs to another fleet.
    #[error("authority in {} is that of fleet `{found}`, expected fleet `{expected}`", path.display())]
    OtherFleet {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        found: FleetName,
        /// Whose it should be.
        expected: FleetName,
    },
    /// Restoring would overwrite another authority.
    #[error("{} holds another authority already, move it away to restore this one", path.display())]
    Occupied {
        /// The file.
        path: PathBuf,
    },
    /// A root or intermediate could not be made.
    #[error("cannot make the authority")]
    Make(#[from] MakeError),
}

/// Why a step of a roll-over was refused.
#[derive(Debug, thiserror::Error)]
pub enum RollError {
    /// The last roll-over has not ended.
    #[error("a roll-over is under way: retire root {0} first")]
    UnderWay(SpkiFingerprint),
    /// No such root.
    #[error("no root has the fingerprint {0}")]
    Unknown(SpkiFingerprint),
    /// The root still issues.
    #[error("root {0} is the one that issues: issue from another before retiring it")]
    Issuing(SpkiFingerprint),
    /// A root or intermediate could not be made.
    #[error("cannot make the new root")]
    Make(#[from] MakeError),
    /// The new state could not be written; nothing has changed.
    #[error(transparent)]
    File(#[from] FileError),
}

/// The authority of one fleet, with its keys.
pub struct Authority {
    path: PathBuf,
    state: State,
}

impl Authority {
    /// Opens the authority in `folder`, or makes one there for `fleet` if there is none.
    ///
    /// For the first start. A controller that has a fleet already uses [`Self::open`], so that a lost file
    /// is an error and not a new authority that every agent refuses.
    ///
    /// # Errors
    /// [`OpenError`]; a damaged or foreign file is left as it is.
    pub fn open_or_create(folder: &Path, fleet: &FleetName, now: SystemTime) -> Result<Self, OpenError> {
        match Self::open(folder, fleet, now)? {
            Some(authority) => Ok(authority),
            None => Self::create(folder.join(FILE), State::new(fleet.clone(), now)?),
        }
    }

    /// Opens the authority in `folder`; nothing if there is none.
    ///
    /// The folder gets mode 0700. An intermediate past half of its life is renewed, see
    /// [`Self::renew_intermediates`].
    ///
    /// # Errors
    /// [`OpenError`]; a damaged or foreign file is left as it is.
    pub fn open(folder: &Path, fleet: &FleetName, now: SystemTime) -> Result<Option<Self>, OpenError> {
        durable::create_private_folder(folder)?;
        durable::sweep(folder)?;
        let path = folder.join(FILE);
        let Some(state) = load(&path)? else { return Ok(None) };
        if state.fleet != *fleet {
            return Err(OpenError::OtherFleet { path, found: state.fleet, expected: fleet.clone() });
        }
        let mut authority = Self { path, state };
        authority.renew_intermediates(now)?;
        Ok(Some(authority))
    }

    /// Puts a sealed authority back into `folder`. One that is there already is never overwritten, unless it
    /// is the same.
    ///
    /// # Errors
    /// [`UnsealError`].
    pub fn open_sealed(folder: &Path, sealed: &[u8], passphrase: &Passphrase) -> Result<Self, UnsealError> {
        let text = sealed::open(sealed, passphrase)?;
        let state = State::from_text(&text).map_err(UnsealError::Content)?;
        durable::create_private_folder(folder).map_err(OpenError::from)?;
        let path = folder.join(FILE);
        match load(&path)? {
            Some(there) if !there.same_roots(&state) => Err(OpenError::Occupied { path }.into()),
            Some(_) | None => Ok(Self::create(path, state)?),
        }
    }

    /// The whole authority, keys included, encrypted for a backup.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn seal(&self, passphrase: &Passphrase) -> Result<Vec<u8>, SealError> {
        sealed::seal(&self.state.to_text(), passphrase)
    }

    /// Its fleet.
    #[must_use]
    pub fn fleet(&self) -> &FleetName {
        &self.state.fleet
    }

    /// The roots that everybody is to accept, in the order in which they were made.
    #[must_use]
    pub fn bundle(&self) -> TrustBundle {
        let roots = self.state.roots.iter().map(|root| &root.root);
        TrustBundle::from_der(roots).expect("a state has one or two roots, which were read as authorities")
    }

    /// The fingerprint of the root that issues; the one for join tokens.
    #[must_use]
    pub fn issuing_root(&self) -> SpkiFingerprint {
        self.state.issuing().fingerprint()
    }

    /// When the first of the roots ends; None: their certificates do not say.
    #[must_use]
    pub fn root_ends(&self) -> Option<SystemTime> {
        self.state.roots.iter().filter_map(|root| root.ends()).min()
    }

    /// First step of a roll-over: a new root to be accepted, which does not issue yet.
    ///
    /// # Errors
    /// [`RollError`]; nothing has changed then.
    pub fn roll(&mut self, now: SystemTime) -> Result<SpkiFingerprint, RollError> {
        if self.state.roots.len() >= MAX_ROOTS {
            return Err(RollError::UnderWay(self.state.oldest_idle()));
        }
        let root = Arc::new(template::RootAuthority::make(&self.state.fleet, now)?);
        let fingerprint = root.fingerprint();
        let mut next = self.state.clone();
        next.roots.push(root);
        self.replace(next)?;
        Ok(fingerprint)
    }

    /// Second step: issue from this root. To be taken when every agent has the new bundle, for one that has
    /// not would refuse the controller's next certificate.
    ///
    /// # Errors
    /// [`RollError::Unknown`], or that of the file; nothing has changed then.
    pub fn issue_from(&mut self, root: &SpkiFingerprint) -> Result<(), RollError> {
        let mut next = self.state.clone();
        next.issuing = next.position(root).ok_or(RollError::Unknown(*root))?;
        Ok(self.replace(next)?)
    }

    /// Last step: forget this root. Certificates that hang on it end with the next handshake.
    ///
    /// # Errors
    /// [`RollError`]; nothing has changed then.
    pub fn retire(&mut self, root: &SpkiFingerprint) -> Result<(), RollError> {
        let position = self.state.position(root).ok_or(RollError::Unknown(*root))?;
        if position == self.state.issuing {
            return Err(RollError::Issuing(*root));
        }
        let mut next = self.state.clone();
        next.roots.remove(position);
        next.issuing -= usize::from(next.issuing > position);
        Ok(self.replace(next)?)
    }

    /// Renews each intermediate that is past half of its life, or begins after `now`; `true` if any was. To be called daily: an
    /// intermediate lives a year and no leaf outlives it.
    ///
    /// # Errors
    /// [`OpenError`]; nothing has changed then.
    pub fn renew_intermediates(&mut self, now: SystemTime) -> Result<bool, OpenError> {
        let Some(next) = self.state.with_fresh_intermediates(now)? else { return Ok(false) };
        self.replace(next)?;
        Ok(true)
    }

    fn create(path: PathBuf, state: State) -> Result<Self, OpenError> {
        durable::write_private(&path, state.to_text().as_bytes())?;
        Ok(Self { path, state })
    }

    /// On disk first: nothing is issued from what a crash would forget.
    fn replace(&mut self, next: State) -> Result<(), FileError> {
        durable::write_private(&self.path, next.to_text().as_bytes())?;
        self.state = next;
        Ok(())
    }
}

fn load(path: &Path) -> Result<Option<State>, OpenError> {
    let text = match durable::read_private(path, MAX_FILE) {
        Ok(text) => text,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    match State::from_text(&text) {
        Ok(state) => Ok(Some(state)),
        Err(source) => Err(OpenError::Damaged { path: path.to_owned(), source }),
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("fleet", &self.state.fleet)
            .field("bundle", &self.bundle())
            .field("issuing", &self.issuing_root())
            .finish_non_exhaustive()
    }
}
