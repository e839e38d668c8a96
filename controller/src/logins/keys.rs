//! Who may look: codes that open the page once, and the sessions that they open.
//!
//! Pure tables in memory: the present is passed in, and a restart of the controller ends every session. What a holder may do is
//! not kept here but asked of the catalog on every request.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use proto::{Digest, Uid};

use super::secret::{NoRandomness, Secret};

/// How long a code may be used, and for as long it counts against its operator.
pub(super) const CODE_LIFE: Duration = Duration::from_secs(60);
/// How long a session lasts, whether it is used or not.
pub(crate) const SESSION_LIFE: Duration = Duration::from_secs(12 * 3_600);
/// Codes of one operator within [`CODE_LIFE`], used ones among them.
const CODES_OF_ONE: usize = 10;
/// Sessions of one operator: the oldest gives way to a new one.
const SESSIONS_OF_ONE: usize = 16;
/// Codes, and sessions, of all.
const OF_ALL: usize = 1_024;

/// An operator. By its id: one that is removed and made again under the same name is another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) id: Uid,
    pub(crate) name: String,
}

/// Why there is no code or no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyError {
    /// Of one operator.
    #[error("{CODES_OF_ONE} logins were asked for within a minute: wait one")]
    TooManyOfOne,
    /// Of all.
    #[error("too many are logged in: wait until a session ends")]
    TooMany,
    /// No secret can be made.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// Codes and sessions.
#[derive(Debug, Default)]
pub(super) struct Keys {
    codes: HashMap<Digest, Code>,
    sessions: HashMap<Digest, Session>,
}

#[derive(Debug)]
struct Code {
    holder: Holder,
    until: Instant,
    used: bool,
}

#[derive(Debug)]
struct Session {
    holder: Holder,
    until: Instant,
}

impl Keys {
    /// A code for an operator.
    pub(crate) fn code(&mut self, now: Instant, holder: Holder) -> Result<Secret, KeyError> {
        self.codes.retain(|_, code| now < code.until);
        if self.codes.values().filter(|code| code.holder.id == holder.id).count() >= CODES_OF_ONE {
            return Err(KeyError::TooManyOfOne);
        }
        if self.codes.len() >= OF_ALL {
            return Err(KeyError::TooMany);
        }
        let secret = Secret::generate()?;
        self.codes.insert(secret.hash(), Code { holder, until: now + CODE_LIFE, used: false });
        Ok(secret)
    }

    /// Whose code this is, if it may still be used; it may be used afterwards.
    pub(crate) fn holder_of_code(&self, now: Instant, code: &Secret) -> Option<&Holder> {
        let code = self.codes.get(&code.hash())?;
        (!code.used && now < code.until).then_some(&code.holder)
    }

    /// Uses a code up, whatever comes of it.
    pub(crate) fn use_code(&mut self, now: Instant, code: &Secret) -> Option<Holder> {
        let code = self.codes.get_mut(&code.hash())?;
        if std::mem::replace(&mut code.used, true) || now >= code.until {
            return None;
        }
        Some(code.holder.clone())
    }

    /// Opens a session.
    pub(crate) fn open(&mut self, now: Instant, holder: Holder) -> Result<Secret, KeyError> {
        self.sessions.retain(|_, session| now < session.until);
        let own = self.sessions.iter().filter(|(_, session)| session.holder.id == holder.id);
        let own: Vec<_> = own.map(|(hash, session)| (session.until, *hash)).collect();
        if own.len() >= SESSIONS_OF_ONE
            && let Some((_, oldest)) = own.iter().min()
        {
            self.sessions.remove(oldest);
        }
        if self.sessions.len() >= OF_ALL {
            return Err(KeyError::TooMany);
        }
        let secret = Secret::generate()?;
        self.sessions.insert(secret.hash(), Session { holder, until: now + SESSION_LIFE });
        Ok(secret)
    }

    /// Whose session this is.
    pub(crate) fn holder(&self, now: Instant, session: &Digest) -> Option<&Holder> {
        let session = self.sessions.get(session)?;
        (now < session.until).then_some(&session.holder)
    }

    /// Ends a session.
    pub(crate) fn close(&mut self, session: &Digest) {
        self.sessions.remove(session);
    }

    /// Ends everything of an operator.
    pub(crate) fn forget(&mut self, operator: Uid) {
        self.codes.retain(|_, code| code.holder.id != operator);
        self.sessions.retain(|_, session| session.holder.id != operator);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(number: u8) -> Holder {
        Holder { id: Uid([number; 16]), name: format!("operator-{number}") }
    }

    #[test]
    fn a_code_opens_once_and_within_its_minute() {
        let (mut keys, now) = (Keys::default(), Instant::now());
        let code = keys.code(now, holder(1)).expect("there is room");
        let last = now + CODE_LIFE - Duration::from_millis(1);
        assert_eq!(keys.holder_of_code(last, &code), Some(&holder(1)), "looking does not use it up");
        assert_eq!(keys.use_code(last, &code), Some(holder(1)));
        assert_eq!(keys.use_code(last, &code), None, "it was used");
        assert_eq!(keys.holder_of_code(last, &code), None);
        let late = keys.code(now, holder(1)).expect("there is room");
        assert_eq!(keys.holder_of_code(now + CODE_LIFE, &late), None);
        assert_eq!(keys.use_code(now + CODE_LIFE, &late), None, "its minute is over");
        let wrong = Secret::generate().expect("random");
        assert_eq!(keys.use_code(now, &wrong), None);
    }

    #[test]
    fn codes_of_one_operator_are_few_and_used_ones_count() {
        let (mut keys, now) = (Keys::default(), Instant::now());
        for _ in 0..CODES_OF_ONE {
            let code = keys.code(now, holder(1)).expect("there is room");
            assert!(keys.use_code(now, &code).is_some());
        }
        assert_eq!(keys.code(now, holder(1)).map(drop), Err(KeyError::TooManyOfOne));
        assert!(keys.code(now, holder(2)).is_ok(), "another's");
        assert!(keys.code(now + CODE_LIFE, holder(1)).is_ok(), "a minute later");
    }

    #[test]
    fn a_session_ends_with_its_time_by_its_holder_and_with_its_operator() {
        let (mut keys, now) = (Keys::default(), Instant::now());
        let [one, two, three] = [1, 1, 2].map(|number| keys.open(now, holder(number)).expect("room").hash());
        let last = now + SESSION_LIFE - Duration::from_millis(1);
        assert_eq!(keys.holder(last, &one), Some(&holder(1)));
        assert_eq!(keys.holder(now + SESSION_LIFE, &one), None, "use does not lengthen it");
        keys.close(&one);
        assert_eq!((keys.holder(now, &one), keys.holder(now, &two)), (None, Some(&holder(1))));
        keys.forget(holder(1).id);
        assert_eq!((keys.holder(now, &two), keys.holder(now, &three)), (None, Some(&holder(2))));
    }

    #[test]
    fn the_oldest_session_of_an_operator_gives_way_and_no_other() {
        let (mut keys, now) = (Keys::default(), Instant::now());
        let other = keys.open(now, holder(2)).expect("room").hash();
        let mut opened = Vec::new();
        for second in 0..=SESSIONS_OF_ONE as u64 {
            let at = now + Duration::from_secs(second);
            opened.push(keys.open(at, holder(1)).expect("room").hash());
        }
        let alive: Vec<_> = opened.iter().map(|session| keys.holder(now, session).is_some()).collect();
        assert_eq!(alive.iter().filter(|alive| !**alive).count(), 1);
        assert!(!alive[0], "the first");
        assert!(keys.holder(now, &other).is_some());
    }

    #[test]
    fn all_together_are_bounded() {
        let (mut keys, now) = (Keys::default(), Instant::now());
        let many = |number: usize| Holder { id: Uid((number as u128).to_be_bytes()), name: String::new() };
        for number in 0..OF_ALL {
            assert!(keys.code(now, many(number)).is_ok() && keys.open(now, many(number)).is_ok());
        }
        assert_eq!(keys.code(now, many(OF_ALL)).map(drop), Err(KeyError::TooMany));
        assert_eq!(keys.open(now, many(OF_ALL)).map(drop), Err(KeyError::TooMany));
        assert!(keys.open(now + SESSION_LIFE, many(OF_ALL)).is_ok(), "the others have ended");
    }
}
