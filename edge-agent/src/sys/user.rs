//! Becoming an unprivileged user for good (S16).

use std::{ffi::CString, io, mem::MaybeUninit, ptr};

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
    let (uid, gid) = look_up(name)?;
    let refused = |source| UserError::Refused { user: name.into(), source };
    let c_name = CString::new(name).map_err(|_| UserError::Unknown(name.into()))?;
    // SAFETY: the calls take numbers and a NUL-terminated string that outlives them. They are made before the
    // process has a second thread, and glibc would apply them to all threads.
    let results = unsafe { [libc::initgroups(c_name.as_ptr(), gid), libc::setgid(gid), libc::setuid(uid)] };
    if results.contains(&-1) {
        return Err(refused(io::Error::last_os_error()));
    }
    Ok(())
}

fn look_up(name: &str) -> Result<(libc::uid_t, libc::gid_t), UserError> {
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
    Ok((entry.pw_uid, entry.pw_gid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name() {
        assert_eq!(look_up("root").expect("every system has it"), (0, 0));
        assert!(matches!(look_up("no such user"), Err(UserError::Unknown(_))));
        assert!(matches!(look_up("nul\0"), Err(UserError::Unknown(_))));
    }
}
