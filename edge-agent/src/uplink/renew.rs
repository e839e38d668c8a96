//! A new certificate at half the life of the old one, on the open connection (S12).

use std::{
    convert::Infallible,
    time::{Duration, SystemTime},
};

use certs::renew_at;
use proto::v1;
use tonic::transport::Channel;
use tracing::Instrument as _;

use super::{LinkError, Session, agents, call_failed, enrol, in_time};

/// How long a clock may jump unnoticed.
const LOOK: Duration = Duration::from_secs(60);

impl Session {
    pub(super) async fn renew(&self, channel: Channel) -> Result<Infallible, LinkError> {
        let seed = rand::random();
        loop {
            let due = {
                let identity = self.identity.lock().await;
                let leaf = identity.credential().leaf();
                renew_at(leaf.not_before, leaf.not_after, seed)
            };
            match due.duration_since(SystemTime::now()) {
                Ok(rest) if !rest.is_zero() => tokio::time::sleep(rest.min(LOOK)).await,
                Ok(_) | Err(_) => self.renew_now(channel.clone()).await?,
            }
        }
    }

    async fn renew_now(&self, channel: Channel) -> Result<(), LinkError> {
        let credential = self.identity.lock().await.credential().clone();
        let key = credential.key().clone();
        let csr = key.request(&credential.leaf().identity).map_err(enrol::EnrolError::from)?;
        let mut client = agents(channel);
        let span = tracing::info_span!("renew the certificate", otel.kind = "client");
        let renewal = client.renew(v1::RenewRequest { csr_der: csr.into() }).instrument(span);
        let given = in_time(renewal).await;
        let given = given.map_err(call_failed("the renewal"))?.into_inner();
        let new = enrol::join(key, given)?;
        tracing::info!(not_after = ?new.credential().leaf().not_after, "renewed the certificate");
        self.take(&mut *self.identity.lock().await, new)
    }
}
