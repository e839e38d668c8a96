//! Machines of a migration, each MAC address, name and fixed address once.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use proto::Mac;
use proto::catalog::{HostSpec, Resource};
use serde_json::json;

use super::Place;
use super::names::{Names, nearest};

/// The machines found so far.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    names: Names,
    macs: BTreeMap<Mac, Place>,
    addresses: BTreeMap<Ipv4Addr, Place>,
}

impl Hosts {
    /// A machine with nothing but its addresses.
    ///
    /// # Errors
    /// A MAC address that is no machine's, or that an earlier line has.
    pub(crate) fn host(
        &mut self,
        place: &Place,
        site: &str,
        called: Option<&str>,
        macs: &[Mac],
    ) -> Result<Resource<HostSpec>, String> {
        let first = macs.first().ok_or("names no MAC address")?;
        for mac in macs {
            if mac.0[0] & 1 == 1 || mac.0 == [0; 6] {
                return Err(format!("{mac} is no address of one machine"));
            }
            if let Some(earlier) = self.macs.get(mac) {
                return Err(format!("{mac} is named at {earlier} already"));
            }
        }
        self.macs.extend(macs.iter().map(|mac| (*mac, place.clone())));
        let by_mac = || format!("host-{}", first.to_string().replace(':', ""));
        let name = self.names.unique(&called.and_then(nearest).unwrap_or_else(by_mac));
        let spec = serde_json::from_value(json!({"site": site, "macs": macs}));
        Ok(Resource::new(name, spec.expect("what a host must have is there")))
    }

    /// Gives a fixed address to one machine alone.
    ///
    /// # Errors
    /// Which line has it already.
    pub(crate) fn take(&mut self, place: &Place, address: Ipv4Addr) -> Result<(), String> {
        match self.addresses.get(&address) {
            Some(earlier) => Err(format!("{address} is given at {earlier} already")),
            None => {
                self.addresses.insert(address, place.clone());
                Ok(())
            }
        }
    }
}
