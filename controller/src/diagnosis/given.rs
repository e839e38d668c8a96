//! What a machine would be given if it asked now, as far as the catalog and its site's agent tell; the agent decides.

use netboot::decide::ORDERS_WAIT;
use netboot::dhcp::POOLS_WAIT;
use proto::plan::{DhcpMode, UnknownMachines};

use super::context::{Context, OrderState};

/// What, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// A noun.
    pub what: String,
    /// A clause.
    pub why: String,
}

/// What it would be given now.
#[must_use]
pub fn given(context: &Context) -> Given {
    let (what, why) = match context.site {
        Some((DhcpMode::Off, _)) => ("nothing".to_owned(), "its site says `dhcp: off`".to_owned()),
        Some((DhcpMode::Authoritative, unknown)) if waits_for_room(context, unknown) => {
            ("nothing, unless it holds a lease".to_owned(), POOLS_WAIT.to_owned())
        }
        Some(_) | None => boots(context),
    };
    Given { what, why }
}

/// Does its agent have no room to write down the lease that it would need?
fn waits_for_room(context: &Context, unknown: UnknownMachines) -> bool {
    let leases = match &context.host {
        Some(host) => !host.has_address,
        None => unknown == UnknownMachines::Lease,
    };
    leases && context.disk_is_full()
}

fn boots(context: &Context) -> (String, String) {
    let Some(host) = &context.host else { return stranger(context) };
    let disk = "its local disk".to_owned();
    match &context.order {
        Some(_) if host.locked => (disk, format!("host {} is locked: no order is obeyed", host.name)),
        Some(order) => match order.state {
            OrderState::Armed | OrderState::Offered if context.now > order.not_after => {
                (disk, format!("order {} has expired", order.number))
            }
            OrderState::Armed | OrderState::Offered if context.disk_is_full() => (disk, ORDERS_WAIT.into()),
            OrderState::Armed | OrderState::Offered => {
                (format!("the installation of {}", order.profile), format!("order {} stands", order.number))
            }
            OrderState::Waiting => (disk, format!("order {} still waits for its image", order.number)),
            OrderState::Started => (disk, format!("order {} has begun to install it already", order.number)),
            OrderState::Ended => runs(context),
        },
        None => runs(context),
    }
}

/// Without an order.
fn runs(context: &Context) -> (String, String) {
    match &context.boots {
        Some(boots) if !boots.installs => (boots.profile.clone(), "that is what its profile runs".into()),
        Some(_) | None => ("its local disk".into(), "no order stands".into()),
    }
}

fn stranger(context: &Context) -> (String, String) {
    let no_host = "no host of the catalog has its address".to_owned();
    match context.site {
        Some((_, UnknownMachines::Ignore)) => {
            ("nothing".into(), format!("{no_host}, and its site ignores such machines"))
        }
        Some((_, UnknownMachines::Lease)) => ("an address and its local disk".into(), no_host),
        None => ("what its site gives strangers".into(), no_host),
    }
}
