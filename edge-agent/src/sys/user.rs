//! Becoming an unprivileged user for good (S16).

use std::{ffi::CString, fs::Metadata, io, mem::MaybeUninit, os::unix::fs::MetadataExt, ptr};

/// Why the process is still who it was.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// There is no such user.
    #[error("there is no user {0:?}: create it, or correct `user` in the configuration")]
    Unknown(String),
    /// The system refuses.
    #[error("failed to become user {user:?}")]
    Refused {
        /// Whom.
        user: String,
        /// Why.
        source: io::Error,
    },
}

/// Becomes `name`: its groups, then its group, then itself. Nothing leads back.
///
/// # Errors
/// When there is no such user or the system refuses; the process must then end.
pub(crate) fn become_user(name: &str) -> Result<(), UserError> {
    let Ids { uid, gid } = look_up(name)?;
    let refused = |source| UserError::Refused { user: name.into(), source };
    let c_name = CString::new(name).map_err(|_| UserError::Unknown(name.into()))?;
    // They are made before the process has a second thread, and glibc would apply them to all threads. Groups first:
    // who is no longer root may not change them.
    // SAFETY: `c_name` is NUL-terminated and outlives the call.
    done(unsafe { libc::initgroups(c_name.as_ptr(), gid) }).map_err(refused)?;
    // SAFETY: the call takes a number.
    done(unsafe { libc::setgid(gid) }).map_err(refused)?;
    // SAFETY: the call takes a number.
    done(unsafe { libc::setuid(uid) }).map_err(refused)
}

/// Is the process root?
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A user by number, with its first group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ids {
    pub(crate) uid: libc::uid_t,
    pub(crate) gid: libc::gid_t,
}

impl Ids {
    /// Who the process is.
    pub(crate) fn ours() -> Self {
        Self { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() }
    }

    pub(crate) fn is_root(self) -> bool {
        self.uid == 0
    }

    /// May it do to a file what these bits (4 read, 2 write, 1 enter) say, as far as owner and mode tell? A group that
    /// is not its first may still be its own, so what any group may do counts.
    pub(crate) fn may(self, file: &Metadata, bits: u32) -> bool {
        let allowed = |class: u32| (file.mode() >> class) & bits == bits;
        self.is_root() || if file.uid() == self.uid { allowed(6) } else { allowed(3) || allowed(0) }
    }
}

/// To be asked at once after the call: the next one overwrites its error.
fn done(status: libc::c_int) -> io::Result<()> {
    if status == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

pub(crate) fn look_up(name: &str) -> Result<Ids, UserError> {
    let unknown = || UserError::Unknown(name.to_owned());
    let c_name = CString::new(name).map_err(|_| unknown())?;
    let mut buffer = vec![0; 16 * 1024];
    let mut entry = MaybeUninit::<libc::passwd>::zeroed();
    let mut found = ptr::null_mut();
    // SAFETY: all pointers are to live memory of the stated length; `entry` is read only if `found` points to it.
    let entry = unsafe {
        let status = libc::getpwnam_r(
            c_name.as_ptr(),
            entry.as_mut_ptr(),
            buffer.as_mut_ptr(),
            buffer.len(),
            &raw mut found,
        );
        if status != 0 || found.is_null() {
            return Err(unknown());
        }
        entry.assume_init()
    };
    Ok(Ids { uid: entry.pw_uid, gid: entry.pw_gid })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_call_says_its_own_reason() {
        // SAFETY: the path is NUL-terminated.
        let status = unsafe { libc::access(c"/nonexistent".as_ptr(), 0) };
        assert_eq!(done(status).expect_err("no such file").kind(), io::ErrorKind::NotFound);
        assert!(done(0).is_ok());
    }

    #[test]
    fn users_are_found_by_name() {
        assert_eq!(look_up("root").expect("every system has it"), Ids { uid: 0, gid: 0 });
        assert!(matches!(look_up("no such user"), Err(UserError::Unknown(_))));
        assert!(matches!(look_up("nul\0"), Err(UserError::Unknown(_))));
    }
}
