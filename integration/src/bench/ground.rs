//! Where contenders stand: a namespace for the server, another for the load, and a cable between them.
//!
//! ```text
//!  server ns                              load ns
//!  served  10.64.0.1/12 ── veth pair ──── load  10.64.0.2/12, and every address of 10.68.0.0/14
//! ```
//!
//! A load goes over the cable ([`Place::Cable`]) or stands beside its server ([`Place::Beside`]), where the kernel takes the
//! shorter way through its loopback interface. Every contender has the same address and the same files, and each runs
//! alone. Nothing of this is seen outside of the namespaces.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use ipnet::Ipv4Net;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::cores::Cores;
use crate::lab::netns::NAMESPACES;
use crate::lab::{LabFolder, Launch, Namespace, Run};

/// The segment.
pub const NETWORK: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 64, 0, 0), 12);
/// The server's address, whoever it is.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 1);
/// The load generator's own address.
pub const LOAD: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 2);
/// What is also the load generator's: 262,144 addresses for machines that fetch from their own.
pub const MACHINES: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 68, 0, 0), 14);
/// The address of a machine of its own there, by its number.
pub fn machine_address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(MACHINES.network().to_bits() + number)
}

/// The server's interface.
pub const SERVED: &str = "served";
/// The load's.
pub const LOADING: &str = "load";

/// Nobody is loaded for so long: it would outlive a bench that hangs.
const LONGEST_LIFE: Duration = Duration::from_secs(2 * 3_600);

/// Where a load stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// At the other end of the cable.
    Cable,
    /// In the server's namespace.
    Beside,
}

/// The namespaces and folders of a bench. Dropping it takes them away.
#[derive(Debug)]
pub struct Ground {
    server: Namespace,
    load: Namespace,
    cores: Cores,
    lab: LabFolder,
    folder: PathBuf,
    run: Run,
    /// Has something been measured, and has nothing failed? Then nobody wants the logs.
    measured: AtomicBool,
    failed: AtomicBool,
}

impl Ground {
    /// Makes the namespaces and the cable, whose packets are at most `mtu` bytes.
    ///
    /// # Errors
    /// Without root, or when the network cannot be changed.
    pub fn create(lab: &LabFolder, cores: Cores, mtu: u16) -> anyhow::Result<Self> {
        let run = Run::begin(lab)?;
        let (server, load) = (Namespace::create(&run, "server")?, Namespace::create(&run, "load")?);
        server.connect(SERVED, &load, LOADING)?;
        for (namespace, interface, address) in [(&server, SERVED, SERVER), (&load, LOADING, LOAD)] {
            namespace.ip(["link", "set", interface, "mtu", &mtu.to_string()])?;
            namespace.add_address(interface, Ipv4Net::new(address, NETWORK.prefix_len())?)?;
        }
        load.ip(["route", "add", "local", &MACHINES.to_string(), "dev", LOADING])?;
        // So the kernel would also claim each of them when a server asks whether it is free (RFC 5227 §2.1.1).
        load.shell(
            "nft 'add table arp free; add chain arp free probes { type filter hook input priority 0; }; \
             add rule arp free probes arp saddr ip 0.0.0.0 drop'",
        )?;
        let folder = run.folder().join("bench");
        fs::create_dir_all(folder.join("files")).context("failed to make the bench's folder")?;
        Ok(Self {
            server,
            load,
            cores,
            lab: lab.clone(),
            folder,
            run,
            measured: AtomicBool::new(false),
            failed: AtomicBool::new(false),
        })
    }

    /// Has the kernel begin the server's TCP connections with this congestion control.
    ///
    /// # Errors
    /// When the kernel does not have it, or not for namespaces.
    pub fn begin_connections_with(&self, congestion: &str) -> anyhow::Result<()> {
        let path = "/proc/sys/net/ipv4/tcp_congestion_control";
        let refused = || {
            format!(
                "the kernel does not take {congestion:?}: see /proc/sys/net/ipv4/tcp_allowed_congestion_control"
            )
        };
        anyhow::ensure!(congestion.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), refused());
        self.server.shell(&format!("echo {congestion} > {path}")).with_context(refused)?;
        Ok(())
    }

    /// Which core is whose.
    #[must_use]
    pub fn cores(&self) -> Cores {
        self.cores
    }

    /// The lab's folder.
    #[must_use]
    pub fn lab(&self) -> &LabFolder {
        &self.lab
    }

    /// The run that all processes belong to.
    #[must_use]
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// The server's namespace.
    #[must_use]
    pub fn server(&self) -> &Namespace {
        &self.server
    }

    /// The load's namespace.
    #[must_use]
    pub fn load(&self) -> &Namespace {
        &self.load
    }

    /// A program to be run as a server: in its namespace, on its core.
    #[must_use]
    pub fn command(&self, name: &str, program: impl AsRef<std::ffi::OsStr>) -> Launch {
        self.server.command(name, program).on_core(self.cores.server).bound(LONGEST_LIFE)
    }

    /// An empty folder for a contender, which has none of what a former start left there.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn fresh_folder(&self, name: &str) -> io::Result<PathBuf> {
        let folder = self.folder.join(name);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => fs::create_dir_all(&folder)?,
        }
        Ok(folder)
    }

    /// The folder of the files that all contenders serve.
    #[must_use]
    pub fn files(&self) -> PathBuf {
        self.folder.join("files")
    }

    /// Makes a file there, of this many bytes that no two places of it share.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn make_file(&self, name: &str, bytes: u64) -> io::Result<PathBuf> {
        let path = self.files().join(name);
        write_file(&path, bytes)?;
        Ok(path)
    }

    /// Does `work` in a thread at `place`, on the load's core. Threads that it starts are there too.
    ///
    /// # Errors
    /// When the thread cannot go there.
    pub fn at<T: Send>(&self, place: Place, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        let namespace = match place {
            Place::Cable => &self.load,
            Place::Beside => &self.server,
        };
        let handle = File::open(Path::new(NAMESPACES).join(namespace.name()))?;
        let there = || {
            move_into_link_name_space(handle.as_fd(), Some(LinkNameSpaceType::Network))?;
            self.cores.take_load_core()?;
            Ok(work())
        };
        std::thread::scope(|scope| match scope.spawn(there).join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }

    /// Something was measured here. If it was not good, the logs of all servers stay.
    pub fn went(&self, good: bool) {
        self.measured.store(true, Ordering::Relaxed);
        self.failed.fetch_or(!good, Ordering::Relaxed);
    }

    /// Where a server of this port listens.
    #[must_use]
    pub fn address(&self, port: u16) -> SocketAddr {
        SocketAddr::from((SERVER, port))
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        // Files of gigabytes go in any case; the logs beside them stay where something went wrong.
        let good = self.measured.load(Ordering::Relaxed) && !self.failed.load(Ordering::Relaxed);
        let folder = if good { self.run.folder() } else { &self.folder };
        if let Err(error) = fs::remove_dir_all(folder) {
            tracing::warn!(folder = %folder.display(), %error, "the bench's files were not removed");
        }
    }
}

/// Every eight bytes are their own place, so that a block in the wrong place shows.
fn write_file(path: &Path, bytes: u64) -> io::Result<()> {
    let mut file = io::BufWriter::with_capacity(1 << 20, File::create(path)?);
    for place in 0..bytes / 8 {
        file.write_all(&place.wrapping_mul(PLACE).to_le_bytes())?;
    }
    file.write_all(&[0xa5; 8][..usize::try_from(bytes % 8).expect("less than 8")])?;
    file.into_inner()?.sync_all()
}

/// Odd, so that no two places are alike (Knuth's multiplicative hash).
const PLACE: u64 = 0x9e37_79b9_7f4a_7c15;

/// The bytes of such a file from `start` on, as many as `buffer` has room for; for a load that looks at what comes.
pub fn expected(start: u64, buffer: &mut [u8], bytes: u64) {
    for (at, byte) in (start..).zip(buffer) {
        let whole = bytes / 8 * 8;
        *byte = match at < whole {
            true => (at / 8).wrapping_mul(PLACE).to_le_bytes()[(at % 8) as usize],
            false => 0xa5,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_what_loads_expect() {
        let folder = tempfile::tempdir().expect("a folder");
        for bytes in [0, 7, 8, 1_003] {
            let path = folder.path().join("file");
            write_file(&path, bytes).expect("written");
            let written = fs::read(&path).expect("read");
            let mut buffer = vec![0; written.len()];
            expected(0, &mut buffer, bytes);
            assert_eq!(written, buffer);
            assert_eq!(written.len() as u64, bytes);
        }
        let mut tail = [0; 5];
        expected(1_000 - 2, &mut tail, 1_003);
        let path = folder.path().join("file");
        assert_eq!(tail, fs::read(path).expect("read")[998..]);
    }

    #[test]
    fn addresses_lie_on_the_segment() {
        assert!(NETWORK.contains(&SERVER) && NETWORK.contains(&LOAD) && NETWORK.contains(&MACHINES));
        assert!(!MACHINES.contains(&SERVER) && !MACHINES.contains(&LOAD));
    }
}
