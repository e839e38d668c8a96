//! The last two plans on disk: the agent starts from them with no controller up (DESIGN §4 "Generations").
//!
//! `current.plan` and `former.plan` hold a SHA-256 of what follows and then the plan without its secrets. An order's
//! secrets lie beside them, sealed with a key of their own: destroying `ORDER.key` destroys them. `trial` counts how
//! often the agent ran under the current plan without lasting; after the third such run it returns to the former.

mod secrets;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use prost::Message;
use proto::{Digest, OrderId, PlanId, plan::PlanDocument, v1};

use crate::disk::{DiskError, atomic};
use secrets::Secrets;

/// Runs that may end soon after a plan was adopted, before the former is taken again.
const TRIALS: u32 = 3;
/// The largest plan file, in bytes.
const LARGEST: u64 = 64 << 20;

/// Plans on disk.
#[derive(Debug)]
pub struct PlanStore {
    folder: PathBuf,
    current: Option<PlanDocument>,
    /// A plan that this agent fell over, not to be adopted again.
    rejected: Option<PlanId>,
    secrets: Secrets,
}

/// What was found on disk.
#[derive(Debug)]
pub struct Found {
    /// A plan that was given up because the agent fell over it.
    pub rejected: Option<PlanId>,
    /// Files that could not be read, for the log.
    pub damaged: Vec<PlanError>,
}

/// Why a plan is not adopted.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// An older one.
    #[error("plan {offered} is older than {held}, which is in force")]
    Older {
        /// The one that came.
        offered: PlanId,
        /// The one in force.
        held: PlanId,
    },
    /// The agent fell over it before.
    #[error("this agent fell over plan {0} {TRIALS} times and went back to the one before it")]
    Rejected(PlanId),
    /// It could not be written: the former one stays in force.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Its secrets could not be sealed.
    #[error("failed to seal the plan's secrets")]
    Seal,
}

/// Why a stored plan cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The disk.
    #[error("failed to read {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its bytes are not those that were written.
    #[error("{path} is damaged: its checksum does not hold")]
    Checksum {
        /// Which file.
        path: PathBuf,
    },
    /// Its bytes are no plan.
    #[error("{path} holds no plan: {problem}")]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

impl PlanStore {
    /// Opens the folder, or makes it. A current plan that is damaged, or that the agent fell over, gives way to the
    /// former one.
    ///
    /// # Errors
    /// When the folder cannot be made or written.
    pub fn open(folder: &Path) -> Result<(Self, Found), DiskError> {
        atomic::make_directory(folder)?;
        let secrets = Secrets::open(&folder.join("secrets"))?;
        let mut store = Self { folder: folder.into(), current: None, rejected: None, secrets };
        let mut found = Found { rejected: None, damaged: Vec::new() };
        let current = store.load("current.plan", &mut found.damaged);
        let starts = current.as_ref().map(|plan| store.count_trial(plan.id())).transpose()?.unwrap_or(0);
        if current.is_some() && starts < TRIALS {
            store.current = current;
            return Ok((store, found));
        }
        let former = store.load("former.plan", &mut found.damaged);
        if former.is_some() {
            store.rejected = current.as_ref().map(PlanDocument::id);
            found.rejected = store.rejected;
        }
        store.current = former.or(current);
        Ok((store, found))
    }

    /// The plan in force.
    #[must_use]
    pub fn current(&self) -> Option<&PlanDocument> {
        self.current.as_ref()
    }

    /// Makes `plan` the one in force, on disk when this returns. False: it already is.
    ///
    /// # Errors
    /// When it is older than the one in force, was rejected, or cannot be written.
    pub fn adopt(&mut self, plan: PlanDocument) -> Result<bool, AdoptError> {
        let offered = plan.id();
        if self.rejected == Some(offered) {
            return Err(AdoptError::Rejected(offered));
        }
        if let Some(held) = self.current.as_ref().map(PlanDocument::id) {
            if held == offered {
                return Ok(false);
            }
            if offered.generation < held.generation {
                return Err(AdoptError::Older { offered, held });
            }
        }
        self.write(&plan)?;
        self.current = Some(plan);
        Ok(true)
    }

    /// The agent has run well for a while under the plan in force.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn settle(&self) -> Result<(), DiskError> {
        let path = self.folder.join("trial");
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(DiskError::at("remove", &path)(error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// An order is at its end: its secrets are destroyed, in both plans.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn destroy_secrets(&self, order: OrderId) -> Result<(), DiskError> {
        self.secrets.destroy(order)
    }

    /// Secrets first, then the former plan's place, then the new plan: at each step a restart finds a whole plan.
    fn write(&self, plan: &PlanDocument) -> Result<(), AdoptError> {
        let (open, sealed) = plan.split(|key| key.starts_with("secret/"));
        self.secrets.keep_only(&sealed)?;
        for entry in &sealed {
            self.secrets.seal(entry)?;
        }
        let (current, former) = (self.folder.join("current.plan"), self.folder.join("former.plan"));
        if let Ok(bytes) = fs::read(&current) {
            atomic::write_file(&former, 0o600, &bytes)?;
        }
        let bytes = open.encode_to_vec();
        let file = [&Digest::of(&bytes).0[..], &bytes].concat();
        self.write_trial(plan.id(), 1)?;
        atomic::write_file(&current, 0o600, &file)?;
        Ok(())
    }

    fn load(&self, name: &str, damaged: &mut Vec<PlanError>) -> Option<PlanDocument> {
        let path = self.folder.join(name);
        match self.read(&path) {
            Ok(plan) => plan,
            Err(error) => {
                damaged.push(error);
                None
            }
        }
    }

    fn read(&self, path: &Path) -> Result<Option<PlanDocument>, PlanError> {
        let at = |source| PlanError::Read { path: path.into(), source };
        let content = |problem: String| PlanError::Content { path: path.into(), problem };
        let length = match fs::metadata(path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(at(error)),
        };
        if length > LARGEST {
            return Err(content(format!("it has {length} bytes, at most {LARGEST} are read")));
        }
        let bytes = fs::read(path).map_err(at)?;
        let Some((checksum, plan)) =
            bytes.split_at_checked(32).filter(|(sum, plan)| Digest::of(plan).0 == **sum)
        else {
            return Err(PlanError::Checksum { path: path.into() });
        };
        debug_assert_eq!(checksum.len(), 32);
        let plan = v1::Plan::decode(plan).map_err(|error| content(error.to_string()))?;
        let secrets = self.secrets.unseal_all();
        PlanDocument::rejoin(plan, secrets).map(Some).map_err(|error| content(error.to_string()))
    }

    /// How often the agent has run under this plan without settling, this start not counted.
    fn count_trial(&self, plan: PlanId) -> Result<u32, DiskError> {
        let text = fs::read_to_string(self.folder.join("trial")).unwrap_or_default();
        let Some((id, starts)) = text.trim().split_once(' ') else { return Ok(0) };
        if id != plan.digest.to_string() {
            return Ok(0);
        }
        let starts = starts.parse().unwrap_or(0);
        if starts < TRIALS {
            self.write_trial(plan, starts + 1)?;
        }
        Ok(starts)
    }

    fn write_trial(&self, plan: PlanId, starts: u32) -> Result<(), DiskError> {
        atomic::write_file(
            &self.folder.join("trial"),
            0o600,
            format!("{} {starts}\n", plan.digest).as_bytes(),
        )
    }
}

#[cfg(test)]
mod tests;
