//! The one place of the agent with unsafe code: structures of the kernel that no library wraps.

pub mod datagrams;
pub(crate) mod packet;
#[expect(unsafe_code, reason = "changing users is a matter of libc calls that no library in the tree wraps")]
pub(crate) mod user;
