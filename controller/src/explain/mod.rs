//! Gathers what is known of a machine, and has it judged: the shell of [`crate::diagnosis`].
//!
//! An [`Inquiry`] answers questions of one moment. What many attempts share it reads once: a site's plan and alarms, an
//! agent's link, a profile. What the store does not tell is left out of the [`Context`], so that a controller which lacks a
//! part says less and fails nobody. Whoever judges attempts does it here, so one attempt has one cause wherever it is shown.

mod addresses;
mod agent;
mod host;
mod installs;
mod machine;
mod neighbours;
mod order;
mod plan;
mod supply;

pub(crate) use agent::AgentLink;
pub(crate) use host::{HostExplained, Subject};

use std::collections::HashMap;
use std::time::Duration;

use proto::catalog::{HostSpec, Resource};
use proto::event::AlarmKind;
use proto::{AttemptId, HostId, Wall};

use crate::app::App;
use crate::catalog::ReadError;
use crate::diagnosis::{Context, Diagnosis, HostFacts, Progress, Standing, Step, examine, progress};
use crate::events::{self, BootSummary, StoredEvent};

/// Attempts of one machine that are looked at.
const ATTEMPTS: usize = 50;
/// Attempts whose events are in memory at once, of a list that is judged.
const AT_ONCE: usize = 32;
/// An alarm about another DHCP server counts for so long, and what other machines did.
const FRESH: Duration = Duration::from_secs(86_400);

/// What is stored could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    /// The catalog.
    #[error(transparent)]
    Catalog(#[from] ReadError),
    /// The events.
    #[error(transparent)]
    Events(#[from] events::ReadError),
}

/// One attempt, and what is to be said of it.
#[derive(Debug)]
pub(crate) struct Explained {
    pub(crate) boot: BootSummary,
    pub(crate) events: Vec<StoredEvent>,
    pub(crate) diagnosis: Diagnosis,
}

/// Questions of one moment.
pub(crate) struct Inquiry {
    app: App,
    now: Wall,
    read: Read,
}

/// What was read already of what attempts share.
#[derive(Default)]
struct Read {
    plans: plan::Plans,
    profiles: HashMap<String, Option<plan::ProfileFacts>>,
    agents: HashMap<String, AgentLink>,
    foreign_servers: HashMap<String, Vec<String>>,
    neighbours: HashMap<String, Vec<neighbours::Known>>,
    lengths: HashMap<(String, String), Vec<installs::Length>>,
    machines: machine::Attempts,
}

impl Inquiry {
    /// As of now.
    pub(crate) fn new(app: &App) -> Self {
        Self { app: app.clone(), now: app.clock.wall(), read: Read::default() }
    }

    /// The present that silences are judged against.
    pub(crate) fn now(&self) -> Wall {
        self.now
    }

    /// One attempt with all that is known beside it; None: there is no such attempt (any more).
    ///
    /// # Errors
    /// [`Unreadable`].
    pub(crate) async fn attempt(&mut self, attempt: AttemptId) -> Result<Option<Explained>, Unreadable> {
        match self.app.events.boot(attempt).await? {
            Some(boot) => self.explain(boot).await.map(Some),
            None => Ok(None),
        }
    }

    /// The same of an attempt that was read.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub(crate) async fn explain(&mut self, boot: BootSummary) -> Result<Explained, Unreadable> {
        let events = self.app.events.boot_events(boot.attempt).await?;
        self.judge(boot, events).await
    }

    /// What is to be said of each of these attempts. Their events are read some at once, for each reading waits for another
    /// thread, and not kept.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub(crate) async fn diagnoses(
        &mut self,
        boots: Vec<BootSummary>,
    ) -> Result<Vec<(BootSummary, Diagnosis)>, Unreadable> {
        let mut all = Vec::with_capacity(boots.len());
        for boots in boots.chunks(AT_ONCE) {
            let histories = self.app.events.histories(boots.iter().map(|boot| boot.attempt).collect()).await;
            for (listed, history) in boots.iter().zip(histories) {
                // It may have been forgotten since it was listed.
                let (boot, events) = history?.unwrap_or_else(|| (listed.clone(), Vec::new()));
                let Explained { boot, diagnosis, .. } = self.judge(boot, events).await?;
                all.push((boot, diagnosis));
            }
        }
        Ok(all)
    }

    /// The same of an attempt that was read with its events.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub(crate) async fn judge(
        &mut self,
        boot: BootSummary,
        events: Vec<StoredEvent>,
    ) -> Result<Explained, Unreadable> {
        let context = self.context(&boot, &events).await?;
        let diagnosis = examine(&boot, &events, &context);
        Ok(Explained { boot, events, diagnosis })
    }

    /// What the rules are told of it. What is asked of those alone that have not ended is read of those alone.
    async fn context(&mut self, boot: &BootSummary, events: &[StoredEvent]) -> Result<Context, Unreadable> {
        let (former, next_began) = around(boot, self.attempts_of(boot).await?);
        let alone = Context { former, next_began, ..Context::at(self.now) };
        let progress = progress(boot, events, &alone);
        let ordered = self.order_of(events).await?;
        let host = self.host_of(boot.host).await?;
        let profile = ordered.as_ref().map(|order| order.spec.profile.as_str());
        let profile = profile.or_else(|| host.as_ref().and_then(|host| host.spec.profile.as_deref()));
        let context = Context {
            boots: self.boot_facts(profile, ordered.is_some()).await?,
            order: self.live_order(host.as_ref()).await?,
            ordered: ordered.as_ref().map(order::stored),
            agent: Some(self.agent_link(&boot.site, &boot.agent).await?.facts),
            foreign_servers: self.foreign_servers(&boot.site).await?,
            host: host.map(|host| facts(&host)),
            ..alone
        };
        let context = self.addresses(boot, events, context).await?;
        if progress.standing == Standing::Ended {
            return Ok(context);
        }
        let neighbours = match progress.standing {
            Standing::Silent => self.neighbours(&boot.site, boot.host, boot.mac).await?,
            Standing::UnderWay | Standing::Ended => Vec::new(),
        };
        let context = Context { neighbours, ..context };
        let supply = self.supply(boot, ordered.as_ref(), context.boots.as_ref()).await?;
        let usual = match (&ordered, progress.step) {
            (Some(order), Some(Step::Installation)) => self.usual(boot, &order.spec.profile).await?,
            _ => None,
        };
        Ok(self.loader(boot, events, progress, Context { supply, usual, ..context }).await)
    }

    /// What the plan and the bytes say of the loader, of a machine that fell silent with it.
    async fn loader(
        &mut self,
        boot: &BootSummary,
        events: &[StoredEvent],
        progress: Progress,
        mut context: Context,
    ) -> Context {
        if (progress.standing, progress.step) != (Standing::Silent, Some(Step::Loader)) {
            return context;
        }
        if let Some(boots) = &mut context.boots {
            boots.entries = self.entries(&boot.site, boot.mac);
        }
        Context { loader: self.loader_facts(&boot.site, events).await, ..context }
    }

    async fn host_of(&self, host: Option<HostId>) -> Result<Option<Resource<HostSpec>>, Unreadable> {
        let Some(host) = host else { return Ok(None) };
        let Some(name) = self.app.catalog.host_name(host).await? else { return Ok(None) };
        Ok(self.app.catalog.get_host(&name).await?)
    }

    /// The other DHCP servers that were heard at a site of late.
    async fn foreign_servers(&mut self, site: &str) -> Result<Vec<String>, Unreadable> {
        if let Some(known) = self.read.foreign_servers.get(site) {
            return Ok(known.clone());
        }
        let alarms = self.app.catalog.alarms(Some(site)).await?;
        let fresh = alarms
            .into_iter()
            .map(|(_, alarm)| alarm)
            .filter(|alarm| alarm.kind == AlarmKind::ForeignDhcp && self.now.since(alarm.last_ms) < FRESH);
        let servers: Vec<_> = fresh.map(|alarm| alarm.detail).collect();
        self.read.foreign_servers.insert(site.to_owned(), servers.clone());
        Ok(servers)
    }
}

/// The attempts before this one, the latest first, and when the next one began.
fn around(boot: &BootSummary, others: &[BootSummary]) -> (Vec<BootSummary>, Option<Wall>) {
    let mine = others.iter().filter(|other| other.attempt != boot.attempt);
    let (former, later): (Vec<_>, Vec<_>) = mine.cloned().partition(|other| other.began_ms <= boot.began_ms);
    (former, later.iter().map(|later| later.began_ms).min())
}

fn facts(host: &Resource<HostSpec>) -> HostFacts {
    let HostSpec { locked, address, .. } = &host.spec;
    HostFacts { name: host.name.clone(), locked: *locked, has_address: address.is_some() }
}
