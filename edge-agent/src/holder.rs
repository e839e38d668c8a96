//! Which program has a port, as far as the kernel shows it to this process (proc(5): `net/udp`, `net/tcp`, `PID/fd`). Only
//! root sees the programs of others.

use std::{fmt, fs, net::Ipv4Addr};

use proto::words::plain;

/// A port that somebody may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Port {
    /// TCP or UDP.
    pub(crate) protocol: Protocol,
    /// None: whatever address has it stands in the way.
    pub(crate) address: Option<Ipv4Addr>,
    /// Its number.
    pub(crate) number: u16,
}

/// What a port is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// A listener.
    Tcp,
    /// A bound socket.
    Udp,
}

/// A program that runs here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    /// As the kernel calls it, up to 15 characters.
    pub(crate) name: String,
    /// Its process.
    pub(crate) pid: u32,
}

impl fmt::Display for Holder {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} (process {})", self.name, self.pid)
    }
}

impl Port {
    /// The program that has it; None: nobody has, or it is not shown.
    pub(crate) fn holder(self) -> Option<Holder> {
        let sockets = self.sockets();
        if sockets.is_empty() {
            return None;
        }
        let processes = fs::read_dir("/proc").ok()?.filter_map(Result::ok);
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|pid| has_one_of(*pid, &sockets)).find_map(named)
    }

    /// The inodes of the sockets that are bound to it.
    fn sockets(self) -> Vec<String> {
        let (tables, state) = match self.protocol {
            // TCP_LISTEN of the kernel's tcp_states.h.
            Protocol::Tcp => (["tcp", "tcp6"], Some("0A")),
            Protocol::Udp => (["udp", "udp6"], None),
        };
        let read = |table: &str| fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default();
        let all = tables.map(read).concat();
        all.lines().filter_map(|line| self.socket(line, state)).collect()
    }

    fn socket(self, line: &str, wanted: Option<&str>) -> Option<String> {
        let fields: Vec<_> = line.split_whitespace().collect();
        let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        let (address, port) = local.split_once(':')?;
        let here = u16::from_str_radix(port, 16) == Ok(self.number) && self.is_at(address);
        (here && wanted.is_none_or(|wanted| wanted == *state)).then(|| (*inode).to_owned())
    }

    /// Addresses are written as the machine keeps them, in words of four bytes.
    fn is_at(self, address: &str) -> bool {
        let Some(own) = self.address else { return true };
        let any = address.bytes().all(|digit| digit == b'0');
        let same = u32::from_str_radix(address, 16).is_ok_and(|word| word.to_ne_bytes() == own.octets());
        any || same
    }
}

fn has_one_of(pid: u32, sockets: &[String]) -> bool {
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    let targets = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
    targets.filter_map(|target| socket_of(target.to_str()?)).any(|inode| sockets.contains(&inode))
}

/// `socket:[4711]`.
fn socket_of(target: &str) -> Option<String> {
    Some(target.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
}

fn named(pid: u32) -> Option<Holder> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(Holder { name: plain(name.trim_end()), pid })
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    #[test]
    fn the_program_that_has_a_port_is_named() {
        let (tcp, udp) = (TcpListener::bind("127.0.0.1:0"), UdpSocket::bind("0.0.0.0:0"));
        let (tcp, udp) = (tcp.expect("free"), udp.expect("free"));
        let number = tcp.local_addr().expect("bound").port();
        let port = Port { protocol: Protocol::Tcp, address: Some(Ipv4Addr::LOCALHOST), number };
        let pid = |port: Port| port.holder().map(|holder| holder.pid);
        assert_eq!(pid(port), Some(std::process::id()));
        let elsewhere = Ipv4Addr::new(127, 0, 0, 9);
        assert_eq!(pid(Port { address: Some(elsewhere), ..port }), None, "it is bound to another address");
        let number = udp.local_addr().expect("bound").port();
        let everywhere = Port { protocol: Protocol::Udp, address: Some(elsewhere), number };
        assert_eq!(pid(everywhere), Some(std::process::id()), "it is bound to every address");
        drop(tcp);
        assert_eq!(pid(port), None);
    }

    #[test]
    fn lines_of_other_forms_name_nothing() {
        let port = Port { protocol: Protocol::Udp, address: None, number: 67 };
        for line in ["", "sl local_address rem_address", "0: zz 0 07 0 0 0 0 0 12", "0: 0:43"] {
            assert_eq!(port.socket(line, None), None, "{line}");
        }
        let line =
            "  4: 00000000:0043 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 4711 2 0 0";
        assert_eq!(port.socket(line, None).as_deref(), Some("4711"));
    }
}
