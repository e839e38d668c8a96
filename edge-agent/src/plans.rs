//! The last two plans on disk: the agent starts from them with no controller up (DESIGN §4 "Generations").
//!
//! `current.plan` and `former.plan` hold a SHA-256 of what follows and then the plan without its secrets, which lie
//! beside them, a sealed file for each order. `trial` counts how often the agent ran under the current plan without
//! lasting; after the third such run the former takes its place for good, and `rejected` names the one that was given
//! up, and the agent's version: another version may try it again.

mod secrets;

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use prost::Message;
use proto::{
    Digest, OrderId, PlanId,
    plan::{PlanDocument, SitePlan},
    v1,
};

use crate::disk::{DiskError, atomic};
use secrets::{Secrets, order_of};

/// Runs that may end soon after a plan was adopted, before the former is taken again.
const TRIALS: u32 = 3;
/// The plan in force.
const CURRENT: &str = "current.plan";
/// The one before it.
const FORMER: &str = "former.plan";
/// How often the agent began with the plan in force.
const TRIAL: &str = "trial";
/// The plan that it fell over.
const REJECTED: &str = "rejected";
/// The largest plan file, in bytes.
const LARGEST: u64 = 64 << 20;

/// Plans on disk.
#[derive(Debug)]
pub struct PlanStore {
    folder: PathBuf,
    current: Option<PlanDocument>,
    /// The content of a plan that this agent fell over, not to be adopted again.
    rejected: Option<Digest>,
    secrets: Secrets,
    /// Orders at their end: whatever a plan says of their secrets, they do not come back. The engine tells all of them
    /// again at each start.
    ended: BTreeSet<OrderId>,
}

/// What was found on disk.
#[derive(Debug)]
pub struct Found {
    /// A plan that was given up because the agent fell over it.
    pub rejected: Option<PlanId>,
    /// What went wrong with files, for the log.
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
    /// The disk took no note; the plan is obeyed all the same.
    #[error("failed to note how the agent fares under a plan")]
    Note(#[from] DiskError),
}

impl PlanStore {
    /// Opens the folder, or makes it. A current plan that is damaged, that is not understood, or that the agent fell
    /// over, gives way to the former one.
    ///
    /// # Errors
    /// When the folder cannot be made. A disk that takes no notes is no error: it is among what was found.
    pub fn open(folder: &Path) -> Result<(Self, Found), DiskError> {
        atomic::make_directory(folder)?;
        let secrets = Secrets::open(&folder.join("secrets"))?;
        let ended = BTreeSet::new();
        let mut store = Self { folder: folder.into(), current: None, rejected: None, secrets, ended };
        store.rejected = store.read_rejected();
        let mut found = Found { rejected: None, damaged: Vec::new() };
        let current = store.load(CURRENT, &mut found.damaged);
        let fell = current.as_ref().is_some_and(|plan| store.fell_over(plan.id(), &mut found.damaged));
        if current.is_some() && !fell {
            store.current = current;
            return Ok((store, found));
        }
        let former = store.load(FORMER, &mut found.damaged);
        if let (Some(current), Some(_)) = (&current, &former) {
            found.rejected = Some(current.id());
            store.rejected = Some(current.id().digest);
            if let Err(error) = store.go_back(current.id()) {
                found.damaged.push(error.into());
            }
        }
        store.current = former.or(current);
        Ok((store, found))
    }

    /// The plan in force.
    #[must_use]
    pub fn current(&self) -> Option<&PlanDocument> {
        self.current.as_ref()
    }

    /// Makes `plan` the one in force, without the secrets of orders at their end; on disk when this returns, which takes
    /// a while. False: it already is.
    ///
    /// # Errors
    /// When it is older than the one in force, was rejected, or cannot be written.
    pub fn adopt(&mut self, plan: PlanDocument) -> Result<bool, AdoptError> {
        let offered = plan.id();
        if self.rejected == Some(offered.digest) {
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
        let plan = without(plan, &self.ended);
        self.write(&plan)?;
        self.current = Some(plan);
        Ok(true)
    }

    /// The agent has run well for a while under `plan`; nothing happens if another is in force by now.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn settle(&self, plan: PlanId) -> Result<(), DiskError> {
        match self.trial() {
            Some((tried, _)) if tried == plan.digest.to_string() => self.remove(TRIAL),
            Some(_) | None => Ok(()),
        }
    }

    /// An order is at its end: its secrets are destroyed, in both plans and in memory.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn destroy_secrets(&mut self, order: OrderId) -> Result<(), DiskError> {
        self.ended.insert(order);
        let named = |plan: &PlanDocument| plan.entries().any(|(key, _)| order_of(key) == Some(order));
        if self.current.as_ref().is_some_and(named) {
            self.current = self.current.take().map(|plan| without(plan, &self.ended));
        }
        self.secrets.destroy(order)
    }

    /// Secrets first, then the former plan's place, then the new plan: at each step a restart finds a whole plan.
    fn write(&mut self, plan: &PlanDocument) -> Result<(), AdoptError> {
        let (open, sealed) = plan.split(|key| key.starts_with("secret/"));
        self.secrets.keep_only(&sealed)?;
        for entry in &sealed {
            self.secrets.seal(entry)?;
        }
        self.keep_former()?;
        self.write_trial(plan.id(), 1)?;
        atomic::write_file(&self.folder.join(CURRENT), 0o600, &file_of(&open))?;
        Ok(())
    }

    /// The plan in force becomes the former one, if it is what lies in the current one's place: after a damage or a
    /// rejection something else may lie there, and the former is then the only good one.
    fn keep_former(&self) -> Result<(), DiskError> {
        let (path, in_force) = (self.folder.join(CURRENT), self.current.as_ref().map(PlanDocument::id));
        match read_file(&path) {
            Ok(Some((bytes, plan))) if in_force.is_some() && id_of(&plan) == in_force => {
                atomic::write_file(&self.folder.join(FORMER), 0o600, &bytes)
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Has the agent ended three times soon after it began to obey `plan`? Counts this start.
    fn fell_over(&self, plan: PlanId, damaged: &mut Vec<PlanError>) -> bool {
        if self.rejected == Some(plan.digest) {
            return true;
        }
        let Some((_, starts)) = self.trial().filter(|(tried, _)| *tried == plan.digest.to_string()) else {
            return false;
        };
        if starts < TRIALS
            && let Err(error) = self.write_trial(plan, starts + 1)
        {
            damaged.push(error.into());
        }
        starts >= TRIALS
    }

    /// First the note, then the former plan: a crash between them finds a current plan that is rejected, and comes here.
    fn go_back(&self, rejected: PlanId) -> Result<(), DiskError> {
        let note = format!("{} {}\n", rejected.digest, proto::VERSION);
        let noted = atomic::write_file(&self.folder.join(REJECTED), 0o600, note.as_bytes());
        let (current, former) = (self.folder.join(CURRENT), self.folder.join(FORMER));
        // Also when the note found no room: renaming needs none.
        fs::rename(&former, &current).map_err(DiskError::at("rename to", &current))?;
        self.remove(TRIAL)?;
        noted
    }

    fn read_rejected(&self) -> Option<Digest> {
        let text = fs::read_to_string(self.folder.join(REJECTED)).ok()?;
        let (digest, version) = text.trim().split_once(' ')?;
        digest.parse().ok().filter(|_| version == proto::VERSION)
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        let path = self.folder.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(DiskError::at("remove", &path)(error)),
            Ok(()) => atomic::sync_directory(&self.folder),
        }
    }

    fn load(&self, name: &str, damaged: &mut Vec<PlanError>) -> Option<PlanDocument> {
        self.read(&self.folder.join(name)).unwrap_or_else(|error| {
            damaged.push(error);
            None
        })
    }

    fn read(&self, path: &Path) -> Result<Option<PlanDocument>, PlanError> {
        let content = |problem: String| PlanError::Content { path: path.into(), problem };
        let Some((_, plan)) = read_file(path)? else { return Ok(None) };
        let plan = PlanDocument::rejoin(plan, self.secrets.unseal_all());
        let plan = plan.map_err(|error| content(error.to_string()))?;
        SitePlan::decode(&plan).map_err(|error| content(error.to_string()))?;
        Ok(Some(plan))
    }

    /// The plan that is on trial, by its digest, and how often it was begun with.
    fn trial(&self) -> Option<(String, u32)> {
        let text = fs::read_to_string(self.folder.join(TRIAL)).ok()?;
        let (digest, starts) = text.trim().split_once(' ')?;
        Some((digest.into(), starts.parse().ok()?))
    }

    fn write_trial(&self, plan: PlanId, starts: u32) -> Result<(), DiskError> {
        let text = format!("{} {starts}\n", plan.digest);
        atomic::write_file(&self.folder.join(TRIAL), 0o600, text.as_bytes())
    }
}

/// The same plan, by the same name, without these orders' secrets.
fn without(plan: PlanDocument, ended: &BTreeSet<OrderId>) -> PlanDocument {
    let (rest, left_out) = plan.split(|key| order_of(key).is_some_and(|order| ended.contains(&order)));
    if left_out.is_empty() {
        return plan;
    }
    // What a plan was made of makes a plan again.
    PlanDocument::rejoin(rest, Vec::new()).unwrap_or(plan)
}

fn file_of(plan: &v1::Plan) -> Vec<u8> {
    let bytes = plan.encode_to_vec();
    [&Digest::of(&bytes).0[..], &bytes].concat()
}

fn id_of(plan: &v1::Plan) -> Option<PlanId> {
    plan.id.clone().and_then(|id| id.try_into().ok())
}

/// The file's bytes and the plan in them, if its checksum holds; None: there is no such file.
fn read_file(path: &Path) -> Result<Option<(Vec<u8>, v1::Plan)>, PlanError> {
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
    let plan = match bytes.split_at_checked(32) {
        Some((checksum, plan)) if Digest::of(plan).0 == *checksum => v1::Plan::decode(plan),
        Some(_) | None => return Err(PlanError::Checksum { path: path.into() }),
    };
    let plan = plan.map_err(|error| content(error.to_string()))?;
    Ok(Some((bytes, plan)))
}

#[cfg(test)]
mod tests;
