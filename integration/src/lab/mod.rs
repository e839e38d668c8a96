//! The lab's machinery: network namespaces, virtual machines with real firmware, and what they boot.
//!
//! A [`Run`] is one use of the lab by one process. It owns a folder of logs and a name that all its
//! namespaces and processes carry, so that everything can be taken away again: by the guards when
//! they are dropped, by the kernel when the process dies (each child asks for a signal), and by
//! [`sweep()`] when a run was killed before it could tidy up.
//!
//! The calls here block; they start processes and wait for files to grow. Asynchronous callers use
//! `spawn_blocking`. Everything needs root, Linux and a Debian package archive.
//!
//! Which cases are run, and what they judge, is not decided here.

pub mod capture;
pub mod chromium;
pub mod collector;
pub mod folder;
pub mod machine;
pub mod media;
pub mod netns;
pub mod packages;
pub mod pcap;
pub mod process;
pub mod qemu;
pub mod run;
pub mod serial;
pub mod site;
pub mod sweep;

pub use folder::LabFolder;
pub use machine::Machine;
pub use netns::Namespace;
pub use process::{Launch, Process};
pub use qemu::MachineSpec;
pub use run::Run;
pub use site::{FleetNetwork, Site};
pub use sweep::sweep;
