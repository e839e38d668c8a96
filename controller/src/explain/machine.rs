//! The other attempts of a machine, which several of a list may share.

use std::collections::HashMap;

use proto::{HostId, Mac};

use super::{ATTEMPTS, Inquiry, Unreadable};
use crate::events::{BootFilter, BootSummary};

/// Machines whose attempts are held at a time: of each as many summaries as are looked at.
const MACHINES: usize = 500;

/// The attempts of machines at a site, the latest first.
pub(super) type Attempts = HashMap<(Machine, String), Vec<BootSummary>>;

/// Who boots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Machine {
    Host(HostId),
    Stranger(Mac),
}

impl Inquiry {
    /// The machine's attempts at this site, the latest first, as they were when the first of them was asked about.
    pub(super) async fn attempts_of(&mut self, boot: &BootSummary) -> Result<&[BootSummary], Unreadable> {
        // Of a machine without an address nothing tells which others are its.
        let machine = boot.host.map(Machine::Host).or(boot.mac.map(Machine::Stranger));
        let Some(machine) = machine else { return Ok(&[]) };
        let which = (machine, boot.site.clone());
        let machines = &mut self.read.machines;
        if !machines.contains_key(&which) {
            if machines.len() >= MACHINES {
                machines.clear();
            }
            let (host, site) = (boot.host, Some(boot.site.clone()));
            let filter = BootFilter { host, stranger: boot.mac, site, limit: ATTEMPTS };
            machines.insert(which.clone(), self.app.events.boots(filter).await?);
        }
        Ok(machines.get(&which).map(Vec::as_slice).unwrap_or_default())
    }
}
