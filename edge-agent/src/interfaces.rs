//! The interfaces that machines are served at, and the sockets there, opened before privileges drop.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    num::NonZeroU8,
};

use ipnet::Ipv4Net;
use netboot::site::Arrival;

use crate::{config::Config, config::InterfaceConfig, dhcp, ipv6, link, syslog, tftp};

/// Sockets for TFTP transfers at each interface, for each core: a machine that asks again and again from one port gets
/// another one each time.
pub(crate) const TFTP_SOCKETS: NonZeroU8 = NonZeroU8::new(4).expect("4 is not zero");
/// The port of RFC 1350.
pub(crate) const TFTP_PORT: u16 = 69;

/// An interface with its sockets.
#[derive(Debug)]
pub struct Interface {
    /// Its number here, its address, its URL.
    pub arrival: Arrival,
    /// Its subnet.
    pub subnet: Ipv4Net,
    /// DHCP.
    pub dhcp: dhcp::Bound,
    /// The refusal of IPv6.
    pub ipv6: link::Bound,
    /// TFTP.
    pub tftp: tftp::Sockets,
    /// HTTP.
    pub http: TcpListener,
    /// Syslog; None: somebody else has the port.
    pub syslog: Option<UdpSocket>,
}

/// Why an interface cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum InterfaceError {
    /// The system does not say.
    #[error("failed to list the interfaces")]
    List(#[source] io::Error),
    /// It is not there.
    #[error("there is no interface {name}: correct [[interface]] in the configuration")]
    Missing {
        /// Its name.
        name: String,
    },
    /// It has no address.
    #[error(
        "interface {name} has no IPv4 address{wanted}: give it one, or correct [[interface]] in the configuration"
    )]
    NoAddress {
        /// Its name.
        name: String,
        /// ` 10.1.0.2`, if one was named.
        wanted: String,
    },
    /// DHCP.
    #[error(transparent)]
    Dhcp(#[from] dhcp::OpenError),
    /// A packet socket.
    #[error(transparent)]
    Link(#[from] link::OpenError),
    /// TFTP.
    #[error(transparent)]
    Tftp(#[from] tftp::BindError),
    /// HTTP.
    #[error("failed to listen at {address}")]
    Http {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// Opens the sockets of every interface that the configuration names.
///
/// # Errors
/// Names the interface and the socket.
pub fn open(config: &Config) -> Result<Vec<Interface>, InterfaceError> {
    let numbered = (0..).zip(&config.interfaces);
    numbered.map(|(number, interface)| open_one(number, interface, config.http_port)).collect()
}

fn open_one(number: u32, config: &InterfaceConfig, http_port: u16) -> Result<Interface, InterfaceError> {
    let (subnet, _) = look(config)?;
    let address = subnet.addr();
    let listen = SocketAddr::from((address, http_port));
    let base_url = if http_port == 80 { format!("http://{address}") } else { format!("http://{listen}") };
    Ok(Interface {
        arrival: Arrival { interface: number, server: address, base_url: base_url.into() },
        subnet,
        dhcp: dhcp::Bound::open(&config.name)?,
        ipv6: ipv6::open(&config.name)?,
        tftp: tftp::Sockets::bind(address, TFTP_PORT, TFTP_SOCKETS, tftp::Sockets::for_all_cores())?,
        http: TcpListener::bind(listen).map_err(|source| InterfaceError::Http { address: listen, source })?,
        syslog: syslog::bind(address).ok(),
    })
}

/// Our address at the interface, with its prefix, and whether its link is up.
pub(crate) fn look(config: &InterfaceConfig) -> Result<(Ipv4Net, bool), InterfaceError> {
    if !link::is_interface(&config.name) {
        return Err(InterfaceError::Missing { name: config.name.clone() });
    }
    let fits = |address: Ipv4Addr| config.address.is_none_or(|wanted| wanted == address);
    let all = if_addrs::get_if_addrs().map_err(InterfaceError::List)?;
    let here = all.into_iter().filter(|interface| interface.name == config.name);
    let mut nets = here.filter_map(|interface| match &interface.addr {
        if_addrs::IfAddr::V4(v4) if fits(v4.ip) => {
            Some((Ipv4Net::with_netmask(v4.ip, v4.netmask).ok()?, interface.is_oper_up()))
        }
        if_addrs::IfAddr::V4(_) | if_addrs::IfAddr::V6(_) => None,
    });
    nets.next().ok_or_else(|| InterfaceError::NoAddress {
        name: config.name.clone(),
        wanted: config.address.map(|address| format!(" {address}")).unwrap_or_default(),
    })
}
