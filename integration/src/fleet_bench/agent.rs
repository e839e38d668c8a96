//! An agent without a site: it enrols, follows, decodes, and notes when.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, bail};
use certs::tls::{Alpn, DefaultTimeProvider, ReloadableClient, first_contact};
use certs::{Credential, Identity, JoinToken, KeyPair, TrustBundle};
use proto::plan::{LEVEL, PlanDocument, SitePlan};
use proto::v1::agents_client::AgentsClient;
use proto::v1::enrolment_client::EnrolmentClient;
use proto::v1::{self, update::Change};
use proto::{Generation, PlanId};
use tokio::sync::mpsc;

use crate::kills::dial;

/// A plan that an agent holds, decoded.
#[derive(Debug, Clone, Copy)]
pub struct Applied {
    /// The agent's number.
    pub agent: usize,
    /// The plan's.
    pub generation: Generation,
    /// When it was decoded.
    pub at: Instant,
}

/// An enrolled agent.
pub struct Simulated {
    number: usize,
    tls: ReloadableClient,
}

impl Simulated {
    /// Enrols by a token, under `name`.
    ///
    /// # Errors
    /// When the controller refuses.
    pub async fn enrol(enrol: &str, token: &str, name: &str, number: usize) -> anyhow::Result<Self> {
        let parsed = JoinToken::parse(token)?;
        let (fleet, site) = (parsed.fleet.clone(), parsed.site.clone());
        let key = Arc::new(KeyPair::generate()?);
        let identity = Identity::Agent { fleet: fleet.clone(), site, agent: name.parse()? };
        let csr = key.request(&identity)?;
        let tls = first_contact(&parsed, Arc::new(DefaultTimeProvider))?;
        let mut client = EnrolmentClient::new(dial::channel(enrol, tls).await?);
        let request = v1::EnrolRequest {
            token: token.into(),
            agent: name.into(),
            csr_der: csr.into(),
            version: proto::VERSION.into(),
        };
        let given = client.enrol(request).await.context("failed to enrol")?.into_inner();
        let credential = Credential::new(key, &given.chain_der)?;
        let bundle = TrustBundle::from_der(given.bundle_der)?;
        let tls = ReloadableClient::new(fleet, &credential, &bundle, Arc::new(DefaultTimeProvider))?;
        Ok(Self { number, tls })
    }

    /// Follows until the stream ends, and tells of every plan.
    ///
    /// # Errors
    /// When the stream breaks off, or says what cannot be used.
    pub async fn follow(self, fleet: &str, applied: mpsc::Sender<Applied>) -> anyhow::Result<()> {
        let channel = dial::channel(fleet, self.tls.fleet_config(&[Alpn::Http2])?).await?;
        let mut client = AgentsClient::new(channel).max_decoding_message_size(proto::MESSAGE_LIMIT);
        let request = v1::FollowRequest { applied: None, level: LEVEL, version: proto::VERSION.into() };
        let mut updates = client.follow(request).await?.into_inner();
        let mut held: Option<PlanDocument> = None;
        while let Some(update) = updates.message().await? {
            let Some(plan) = next(held.as_ref(), update.change)? else { continue };
            let PlanId { generation, .. } = SitePlan::decode(&plan)?.id;
            let now = Applied { agent: self.number, generation, at: Instant::now() };
            if applied.send(now).await.is_err() {
                return Ok(());
            }
            held = Some(plan);
        }
        bail!("the controller ended the stream")
    }
}

/// The plan that an update leads to; None: it is about something else.
fn next(held: Option<&PlanDocument>, change: Option<Change>) -> anyhow::Result<Option<PlanDocument>> {
    match (change, held) {
        (Some(Change::Snapshot(plan)), _) => Ok(Some(PlanDocument::try_from(plan)?)),
        (Some(Change::Delta(delta)), Some(held)) => Ok(Some(held.apply(delta)?)),
        (Some(Change::Delta(_)), None) => bail!("a change came before any plan"),
        (
            Some(Change::Bundle(_) | Change::Current(_) | Change::Release(_) | Change::Capture(_)) | None,
            _,
        ) => Ok(None),
    }
}
