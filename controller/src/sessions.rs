//! The open streams of agents, so that a revocation can close them within seconds (S12), and it is known who is there.

mod contact;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub(crate) use contact::{Contact, Heard};

/// The open streams by agent. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Sessions {
    table: Arc<Mutex<Table>>,
    stopping: CancellationToken,
}

/// Why a stream is to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// Its agent may not call any more.
    Revoked,
    /// The controller is stopping: the agent is to call again.
    Stopping,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    by_agent: HashMap<String, HashMap<u64, Stream>>,
}

#[derive(Debug)]
struct Stream {
    closed: CancellationToken,
    contact: Option<Contact>,
}

/// One open stream; it is open for as long as this lives.
#[derive(Debug)]
#[must_use]
pub struct Session {
    sessions: Sessions,
    agent: String,
    number: u64,
    closed: CancellationToken,
}

impl Sessions {
    /// Enters a stream of this agent. `contact` says when its connection was last heard, where both ends keep it busy
    /// for as long as the agent lives.
    pub(crate) fn open(&self, agent: &str, contact: Option<Contact>) -> Session {
        let closed = CancellationToken::new();
        let mut table = self.lock();
        table.next += 1;
        let number = table.next;
        table
            .by_agent
            .entry(agent.to_owned())
            .or_default()
            .insert(number, Stream { closed: closed.clone(), contact });
        Session { sessions: self.clone(), agent: agent.to_owned(), number, closed }
    }

    /// Closes every stream there is and will be.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// Closes every stream of this agent; returns how many there were.
    pub fn close(&self, agent: &str) -> u32 {
        let streams = self.lock().by_agent.remove(agent).unwrap_or_default();
        streams.values().for_each(|stream| stream.closed.cancel());
        u32::try_from(streams.len()).unwrap_or(u32::MAX)
    }

    /// The agents that have an open stream.
    #[must_use]
    pub fn agents(&self) -> Vec<String> {
        self.lock().by_agent.keys().cloned().collect()
    }

    /// How many streams of this agent are open: to be asked before its revocation is written, which closes them.
    #[must_use]
    pub fn count(&self, agent: &str) -> u32 {
        let open = self.lock().by_agent.get(agent).map_or(0, HashMap::len);
        u32::try_from(open).unwrap_or(u32::MAX)
    }

    /// How long ago this agent was last heard on a stream that is open; None where there is no such stream.
    #[must_use]
    pub fn heard(&self, agent: &str) -> Option<Duration> {
        let table = self.lock();
        let streams = table.by_agent.get(agent).into_iter().flat_map(HashMap::values);
        streams.filter_map(|stream| stream.contact.as_ref().map(Contact::ago)).min()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Nothing panics between two steps of a change, so a poisoned table is whole.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    /// Ends when the stream is to be closed.
    pub async fn closed(&self) -> Closing {
        tokio::select! {
            biased;
            () = self.closed.cancelled() => Closing::Revoked,
            () = self.sessions.stopping.cancelled() => Closing::Stopping,
        }
    }

    /// Was it closed?
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed.is_cancelled() || self.sessions.stopping.is_cancelled()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut table = self.sessions.lock();
        if let Some(streams) = table.by_agent.get_mut(&self.agent) {
            streams.remove(&self.number);
            if streams.is_empty() {
                table.by_agent.remove(&self.agent);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_reaches_every_stream_of_that_agent_alone() {
        let sessions = Sessions::default();
        let (one, two, other) =
            (sessions.open("a", None), sessions.open("a", None), sessions.open("b", None));
        assert_eq!(sessions.close("a"), 2);
        assert!(one.is_closed() && two.is_closed() && !other.is_closed());
        assert_eq!(sessions.close("a"), 0);
    }

    #[test]
    fn a_stream_that_ended_is_not_counted() {
        let sessions = Sessions::default();
        drop(sessions.open("a", None));
        assert_eq!(sessions.count("a"), 0);
        assert_eq!(sessions.close("a"), 0);
    }

    #[test]
    fn a_new_stream_after_a_close_outlives_the_old_one() {
        let sessions = Sessions::default();
        let old = sessions.open("a", None);
        sessions.close("a");
        let new = sessions.open("a", None);
        drop(old);
        assert!(sessions.count("a") == 1 && !new.is_closed());
    }
}
