//! What is fuzzed: each target takes any bytes and panics where a promise is broken.
//!
//! The same functions run bounded and seeded on the stable toolchain (`tests/fuzz.rs`) and without end under libFuzzer
//! (`fuzz_targets`). They use netboot's public interface alone.

pub mod chunk_list;
pub mod dhcp_codec;
pub mod dhcp_server;
pub mod syslog;
pub mod tftp_codec;
pub mod tftp_server;
