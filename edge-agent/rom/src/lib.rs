//! What firmware and loaders do: a machine made of paper, as a pure engine with the four verbs of DESIGN §3.
//!
//! It asks for an address, fetches what it is told, becomes iPXE, runs a script as far as boot scripts go, and says
//! how it ended. It sends what the lab's real clients send (LAB "Telling clients apart"); sockets, transfers and the
//! clock are its driver's, so thousands of them make a fleet, and one of them a kill loop.
//!
//! It executes nothing: a loader is taken for what its driver says, and a kernel that is fetched has booted.

#![forbid(unsafe_code)]

mod boot_program;
mod boot_service;
mod config;
mod dora;
mod firmware;
mod loaders;
mod machine;
mod menu;
mod script;
#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, SocketAddrV4};

use proto::{Mac, Program};

pub use firmware::{Firmware, NotAFirmware};
pub use machine::Machine;
pub use script::{Script, ScriptError};

/// What makes a machine itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The card that boots.
    pub mac: Mac,
    /// In the order that a UUID is written.
    pub uuid: [u8; 16],
    /// What it starts with.
    pub firmware: Firmware,
}

/// What arrives at a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input<'a> {
    /// A UDP payload for port 68.
    Datagram(&'a [u8]),
    /// The end of the fetch that was asked for; None: it is not there, or did not arrive.
    Fetched(Option<&'a [u8]>),
    /// The loader that was asked for has come, and is this program. [`Input::Fetched`] takes it for iPXE.
    Loader(Program),
}

/// What the machine's driver is to do, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send a DHCP message from port 68 to 255.255.255.255:67.
    Broadcast(Vec<u8>),
    /// Send a DHCP message from `from` to a boot service; its answer comes as [`Input::Datagram`].
    Ask {
        /// The machine's new address and port 4011.
        from: SocketAddrV4,
        /// The boot service.
        to: SocketAddrV4,
        /// The message.
        datagram: Vec<u8>,
    },
    /// Fetch a file from `from`, the machine's new address, and answer with [`Input::Fetched`]. One at a time.
    Fetch {
        /// The machine's address.
        from: Ipv4Addr,
        /// What.
        source: Source,
    },
    /// It is over.
    End(End),
}

/// Where a file is fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// By TFTP.
    Tftp {
        /// The server.
        server: Ipv4Addr,
        /// As given.
        name: String,
        /// What is asked for beside it (RFC 2347), by name and value.
        options: &'static [(&'static str, &'static str)],
    },
    /// By HTTP.
    Http {
        /// In full.
        url: String,
    },
}

/// How a boot ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The local disk was asked for.
    LocalDisk,
    /// The firmware went on to its next boot device because the network led nowhere.
    NextDevice {
        /// Where it stopped.
        why: &'static str,
    },
    /// A loader that is not iPXE has asked for its own files; these were there.
    Files(Vec<String>),
    /// A kernel and its initial RAM disks were fetched.
    Kernel {
        /// Its command line.
        arguments: String,
        /// The address that it starts with.
        address: Ipv4Addr,
    },
}
