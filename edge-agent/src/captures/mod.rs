//! Captures of boots: written to disk when a boot has failed, and read for whoever asks.
//!
//! The engine says which boots have failed, the rings have their packets ([`crate::Tap`]), and the folder keeps the files.
//! A boot that is under way, or of which nothing was kept, is read from the rings as long as they have it.

mod folder;

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use netboot::{
    capture::{Party, Station, pcap},
    site::{CaptureKept, FailedBoot, Input, KnownBoot},
};
use proto::AttemptId;
use tokio::{sync::mpsc, task};

use crate::{
    Tap,
    core::{Core, Stopped},
    disk::DiskError,
    outage::chain,
    tap::micros,
};
use folder::Folder;

/// By so much earlier than its attempt a packet may have come: it is taken from the socket before it is looked at.
const BEFORE: Duration = Duration::from_secs(2);

/// What may be had of boots' packets; cheap to clone.
#[derive(Debug, Clone)]
pub struct Captures {
    tap: Tap,
    core: Core,
    folder: Arc<Mutex<Folder>>,
    stations: Arc<[Station]>,
}

/// Why a capture cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// By configuration.
    #[error("this agent keeps no packets: `captures` or `capture_memory` of its configuration file is 0")]
    Off,
    /// Nothing is known of such a boot.
    #[error(
        "this agent has no packets of it: of failed boots the last captures are kept, of others the last packets"
    )]
    Unknown,
    /// The file.
    #[error("failed to read the capture")]
    Disk(#[from] DiskError),
    /// The agent ends.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// A capture as a file.
struct Written {
    packets: u32,
    pcap: Vec<u8>,
}

impl Captures {
    /// Keeps captures in `folder`, `budget` bytes of them; `stations` are our ends of links.
    ///
    /// # Errors
    /// If the folder cannot be used.
    pub fn open(
        (folder, budget): (&Path, u64),
        tap: Tap,
        core: Core,
        stations: Vec<Station>,
    ) -> Result<Self, DiskError> {
        let folder = Arc::new(Mutex::new(Folder::open(folder, budget)?));
        Ok(Self { tap, core, folder, stations: stations.into() })
    }

    /// Keeps the packets of boots that have failed, until the core ends.
    pub async fn keep(self, mut failed: mpsc::Receiver<FailedBoot>) {
        while let Some(boot) = failed.recv().await {
            let keeper = self.clone();
            let kept = task::spawn_blocking(move || keeper.keep_one(boot)).await;
            if let Ok(Some(kept)) = kept
                && self.core.input(Input::CaptureKept(kept)).await.is_err()
            {
                return;
            }
        }
    }

    /// The capture of a boot: the file that was kept or what the rings have, whichever is more.
    ///
    /// # Errors
    /// [`CaptureError`] says why there is none.
    pub async fn read(&self, attempt: AttemptId) -> Result<Vec<u8>, CaptureError> {
        if self.tap.is_off() {
            return Err(CaptureError::Off);
        }
        let reader = self.clone();
        let kept = task::spawn_blocking(move || reader.folder().read(attempt)).await;
        let kept = kept.map_err(|_| Stopped)??;
        let known = self.core.boot(attempt).await?;
        let seen = known.and_then(|KnownBoot { mac, address, began }| {
            self.collect(&parties(mac, address), mac, began).map(|written| written.pcap)
        });
        kept.into_iter().chain(seen).max_by_key(Vec::len).ok_or(CaptureError::Unknown)
    }

    /// None: there is nothing to keep, or no room.
    fn keep_one(&self, boot: FailedBoot) -> Option<CaptureKept> {
        let attempt = boot.attempt;
        if self.core.view().borrow().disk_low {
            tracing::debug!(boot = %attempt, "the packets of a failed boot are not kept: the disk is filling up");
            return None;
        }
        let Written { packets, pcap } =
            self.collect(&parties(boot.mac, boot.address), boot.mac, boot.began)?;
        match self.folder().keep(boot.mac, attempt, &pcap) {
            Ok(true) => {
                tracing::info!(boot = %attempt, mac = %boot.mac, packets, why = boot.why, "a boot has failed: its packets are kept");
                Some(CaptureKept { boot, packets, bytes: pcap.len() as u64 })
            }
            Ok(false) => None,
            Err(error) => {
                tracing::warn!(boot = %attempt, error = chain(&error), "failed to keep the packets of a failed boot");
                None
            }
        }
    }

    fn collect(&self, parties: &[Party], mac: proto::Mac, began: Duration) -> Option<Written> {
        let now = micros();
        let before = u64::try_from((began + BEFORE).as_micros()).unwrap_or(u64::MAX);
        let written = self.tap.look(|rings| {
            let packets = rings.collect(parties, now.saturating_sub(before), now);
            let count = u32::try_from(packets.len()).unwrap_or(u32::MAX);
            Written { packets: count, pcap: pcap(&packets, mac, &self.stations) }
        });
        written.filter(|written| written.packets > 0)
    }

    fn folder(&self) -> MutexGuard<'_, Folder> {
        // Its index is whole between any two of its steps.
        self.folder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was heard before the machine's address was known lies under the address.
fn parties(mac: proto::Mac, address: Option<std::net::Ipv4Addr>) -> Vec<Party> {
    std::iter::once(Party::Machine(mac)).chain(address.map(Party::Address)).collect()
}
