//! The one place of the agent with unsafe code: structures of the kernel that no library wraps.

pub mod datagrams;
pub(crate) mod packet;
#[cfg(test)]
pub(crate) mod refuse;
#[expect(unsafe_code, reason = "changing users is a matter of libc calls that no library in the tree wraps")]
pub(crate) mod user;
