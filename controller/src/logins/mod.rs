//! The logins of one controller's page, shared by the service that gives out codes and the page that takes them.

mod keys;
mod secret;
mod tries;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use proto::{Digest, Uid};

use keys::{CODE_LIFE, Keys};
use tries::Tries;

pub(crate) use keys::{Holder, KeyError, SESSION_LIFE};
pub(crate) use secret::Secret;

/// Who may look at the page, and where it is. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Logins(Arc<Shared>);

struct Shared {
    url: String,
    keys: Mutex<Keys>,
    tries: Mutex<Tries>,
}

/// A way in.
pub(crate) struct Ticket {
    /// With the code in it: for its operator alone.
    pub(crate) url: String,
    /// How long it is good for.
    pub(crate) life: Duration,
}

impl Logins {
    /// Of the page that people reach at this URL, which has no path.
    #[must_use]
    pub fn new(url: String) -> Self {
        Self(Arc::new(Shared { url, keys: Mutex::default(), tries: Mutex::default() }))
    }

    /// Where people reach the page.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// A way in for an operator.
    pub(crate) fn ticket(&self, holder: Holder) -> Result<Ticket, KeyError> {
        let code = self.keys().code(Instant::now(), holder)?;
        Ok(Ticket { url: format!("{}/login?code={}", self.0.url, *code.reveal()), life: CODE_LIFE })
    }

    /// Whose code this is, if it may still be used. What is no code counts as a wrong one.
    pub(crate) fn look(&self, from: IpAddr, code: &str) -> Result<Holder, CodeError> {
        self.with_code(from, code, |keys, now, code| keys.holder_of_code(now, code).cloned())
    }

    /// Uses a code up.
    pub(crate) fn take(&self, from: IpAddr, code: &str) -> Result<Holder, CodeError> {
        self.with_code(from, code, Keys::use_code)
    }

    fn with_code(
        &self,
        from: IpAddr,
        code: &str,
        find: impl FnOnce(&mut Keys, Instant, &Secret) -> Option<Holder>,
    ) -> Result<Holder, CodeError> {
        let now = Instant::now();
        let mut tries = self.0.tries.lock().unwrap_or_else(PoisonError::into_inner);
        if !tries.may(now, from) {
            return Err(CodeError::TooManyTries);
        }
        let found = Secret::parse(code).and_then(|code| find(&mut self.keys(), now, &code));
        found.ok_or_else(|| {
            tries.wrong(now, from);
            CodeError::NotGood
        })
    }

    pub(crate) fn open(&self, holder: Holder) -> Result<Secret, KeyError> {
        self.keys().open(Instant::now(), holder)
    }

    pub(crate) fn holder(&self, session: &Digest) -> Option<Holder> {
        self.keys().holder(Instant::now(), session).cloned()
    }

    pub(crate) fn close(&self, session: &Digest) {
        self.keys().close(session);
    }

    pub(crate) fn forget(&self, operator: Uid) {
        self.keys().forget(operator);
    }

    fn keys(&self) -> MutexGuard<'_, Keys> {
        // Nothing panics between two steps of a change, so poisoned tables are whole.
        self.0.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a code does not open the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CodeError {
    /// Unknown, used or too old: who asks is not told which.
    #[error("this code is used up, too old, or none of this controller")]
    NotGood,
    /// Of this address.
    #[error("too many wrong codes came from your address: wait a minute")]
    TooManyTries,
}
