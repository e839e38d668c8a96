//! Where agents give blobs to others of their site: their own word, which plans are made of.

use std::net::SocketAddr;

use proto::catalog::{AgentSpec, AnyResource, Kind, Resource};

use super::{Catalog, ReadError, draft::encode, orders::RecordError, read};
use crate::store::{Txn, TxnError};

/// Addresses of one agent that are kept.
const ADDRESSES: usize = 4;
/// How often it is tried anew when somebody else writes the agent meanwhile.
const TRIES: usize = 8;

impl Catalog {
    /// Notes where an agent gives blobs; true if that was news. Safe to repeat.
    ///
    /// # Errors
    /// [`RecordError`]; call again.
    pub async fn note_peer_addresses(&self, agent: &str, said: &[SocketAddr]) -> Result<bool, RecordError> {
        let said: Vec<_> = said.iter().copied().take(ADDRESSES).collect();
        let mut tries = 1;
        loop {
            match self.try_note(agent, &said).await {
                Err(RecordError::Store(TxnError::Conflict { .. })) if tries < TRIES => tries += 1,
                done => return done,
            }
        }
    }

    async fn try_note(&self, agent: &str, said: &[SocketAddr]) -> Result<bool, RecordError> {
        let Some(key) = self.locate(Kind::Agent, agent).await? else { return Ok(false) };
        let Some(stored) = self.store.get(&key).await.map_err(ReadError::from)? else { return Ok(false) };
        let mut agent: Resource<AgentSpec> = read::parse(&key, &stored)?;
        if agent.spec.peer_addresses == said {
            return Ok(false);
        }
        agent.spec.peer_addresses = said.to_vec();
        let json = encode(&AnyResource::Agent(agent));
        let txn = Txn::new().expect(key.clone(), stored.mod_revision).put(key, json);
        self.store.txn(txn).await.map(|_| true).map_err(RecordError::from)
    }
}
