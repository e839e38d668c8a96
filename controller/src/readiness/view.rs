//! The facts of one site: its plan, its agents and what they said.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use proto::Digest;
use proto::catalog::ImageSpec;
use proto::plan::{BlobRef, SitePlan, Wan};
use proto::{Wall, v1};

use super::judge::{Facts, Judged, judge};
use crate::app::App;
use crate::catalog::ReadError;
use crate::holdings::Known;
use crate::planner::Published;
use crate::status::last_heard;

/// One site as of now.
pub(crate) struct SiteReadiness<'a> {
    app: &'a App,
    site: &'a str,
    plan: Arc<Published>,
    /// In order of need, and the rates; read from the plan when something is missing.
    supply: Option<(Vec<BlobRef>, Wan)>,
    agents: HashMap<String, (Option<Known>, Option<Wall>)>,
    now: Wall,
}

impl<'a> SiteReadiness<'a> {
    /// Of a site that has a plan.
    pub(crate) fn of(app: &'a App, site: &'a str) -> Option<Self> {
        let plan = app.planner.latest(site)?;
        Some(Self { app, site, plan, supply: None, agents: HashMap::new(), now: app.clock.wall() })
    }

    /// The plan that it is judged by.
    pub(crate) fn plan(&self) -> &Arc<Published> {
        &self.plan
    }

    /// Where these blobs, given with their sizes, stand at this agent.
    async fn judge(&mut self, agent: &str, blobs: &BTreeMap<Digest, u64>) -> Judged {
        let (known, away) = self.heard(agent).await;
        let holding = known.as_ref().map(|known| known.holding.as_ref());
        let current = known.as_ref().is_some_and(|known| speaks_of(known, &self.plan));
        let (connected, now) = (away.is_none(), self.now);
        let (queue, wan) = match holding.is_some_and(|holding| !holding.is_complete()) {
            true => self.supply(),
            false => (&[][..], &Wan::default()),
        };
        judge(blobs, &Facts { holding, current, connected, queue, wan, now })
    }

    /// The same in a message.
    pub(crate) async fn message(
        &mut self,
        agent: &str,
        image: &str,
        blobs: &BTreeMap<Digest, u64>,
    ) -> v1::Readiness {
        let judged = self.judge(agent, blobs).await;
        let as_of = self.heard(agent).await.1;
        let now = self.now;
        let in_force = match judged.missing {
            0 => Wan::default().in_force(now),
            _ => self.supply().1.in_force(now),
        };
        let count = |count| u32::try_from(count).unwrap_or(u32::MAX);
        v1::Readiness {
            site: self.site.to_owned(),
            agent: agent.to_owned(),
            image: image.to_owned(),
            state: judged.state.word().to_owned(),
            blobs: count(judged.blobs),
            missing_blobs: count(judged.missing),
            bytes: judged.bytes,
            held_bytes: judged.held,
            bytes_per_second: judged.bytes_per_second,
            done_ms: judged.done.map_or(0, |done| done.0),
            why: judged.why,
            remedy: judged.remedy,
            as_of_ms: as_of.map_or(0, |at| at.0),
            wan_bits_per_second: in_force.rate.bits_per_second().unwrap_or(0),
            wan_until_ms: in_force.until.map_or(0, |at| at.0),
        }
    }

    /// What the plan names of an image.
    pub(crate) fn blobs_of(&self, image: &ImageSpec) -> BTreeMap<Digest, u64> {
        let files = image.files.values().map(|file| (file.sha256, file.size));
        files.filter(|(digest, _)| self.plan.blobs.contains_key(digest)).collect()
    }

    async fn heard(&mut self, agent: &str) -> (Option<Known>, Option<Wall>) {
        if let Some(heard) = self.agents.get(agent) {
            return heard.clone();
        }
        let known = self.app.holdings.known(self.app.store.as_ref(), agent).await;
        let heard = (known, last_heard(self.app, agent).await);
        self.agents.insert(agent.to_owned(), heard.clone());
        heard
    }

    fn supply(&mut self) -> (&[BlobRef], &Wan) {
        let plan = &self.plan;
        let (queue, wan) = self.supply.get_or_insert_with(|| match SitePlan::decode(&plan.document) {
            Ok(plan) => (plan.blobs().collect(), plan.network.wan),
            // This controller made it; then there is nothing to foretell.
            Err(_) => (Vec::new(), Wan::default()),
        });
        (queue, wan)
    }
}

/// Is it the plan's content that the agent speaks of? The same content may have got a newer id since.
fn speaks_of(known: &Known, plan: &Published) -> bool {
    known.holding.plan.has_content_of(&plan.document.id())
}

/// Where what a site's plan names of an image stands at an agent; None: nothing of it is in the plan.
///
/// # Errors
/// [`ReadError`].
pub(crate) async fn of_image(
    app: &App,
    site: &str,
    agent: &str,
    image: &str,
) -> Result<Option<v1::Readiness>, ReadError> {
    let Some(resource) = app.catalog.get_image(image).await? else { return Ok(None) };
    let Some(mut readiness) = SiteReadiness::of(app, site) else { return Ok(None) };
    let blobs = readiness.blobs_of(&resource.spec);
    if blobs.is_empty() {
        return Ok(None);
    }
    Ok(Some(readiness.message(agent, image, &blobs).await))
}

/// The images of one answer, read once.
pub(crate) struct Images<'a> {
    app: &'a App,
    known: HashMap<String, Option<ImageSpec>>,
}

impl<'a> Images<'a> {
    /// None is read yet.
    pub(crate) fn new(app: &'a App) -> Self {
        Self { app, known: HashMap::new() }
    }

    /// What the agents of one site hold of its images, or of this one.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) async fn of_site(
        &mut self,
        site: &str,
        image: Option<&str>,
    ) -> Result<Vec<v1::Readiness>, ReadError> {
        let Some(mut readiness) = SiteReadiness::of(self.app, site) else { return Ok(vec![]) };
        let plan = Arc::clone(readiness.plan());
        let mut entries = Vec::new();
        for agent in &plan.agents {
            for name in plan.images.iter().filter(|name| image.is_none_or(|image| image == *name)) {
                let Some(spec) = self.get(name).await? else { continue };
                let blobs = readiness.blobs_of(spec);
                if !blobs.is_empty() {
                    entries.push(readiness.message(agent, name, &blobs).await);
                }
            }
        }
        Ok(entries)
    }

    async fn get(&mut self, name: &str) -> Result<Option<&ImageSpec>, ReadError> {
        if !self.known.contains_key(name) {
            let found = self.app.catalog.get_image(name).await?;
            self.known.insert(name.to_owned(), found.map(|image| image.spec));
        }
        Ok(self.known.get(name).and_then(Option::as_ref))
    }
}

/// Does the order's agent hold all that the order takes, by its own word to this controller and of the newest plan, and would it
/// obey the order? One whose disk is full starts none.
pub(super) async fn is_ready(app: &App, plan: &Published, order: &str) -> bool {
    let Some(need) = plan.orders.get(order) else { return false };
    let Some(known) = app.holdings.known(app.store.as_ref(), &need.agent).await else { return false };
    let nothing_awaited = need.blobs.keys().all(|digest| !known.holding.awaited.contains_key(digest));
    let holds_all = known.heard && speaks_of(&known, plan) && known.holding.unnamed == 0 && nothing_awaited;
    // What cannot be read is no reason to keep an order from its agent, which judges by itself.
    holds_all && !app.catalog.has_no_room(&need.agent).await.unwrap_or(false)
}

/// Where an order's blobs stand, and whether waiting a moment would not tell more: its agent speaks of the newest plan, or
/// is away. None: the site has no plan, or that lacks the order.
///
/// # Errors
/// [`ReadError`].
pub(crate) async fn of_order(app: &App, name: &str) -> Result<Option<(v1::Readiness, bool)>, ReadError> {
    let Some(order) = app.catalog.get_order(name).await? else { return Ok(None) };
    let Some(mut site) = SiteReadiness::of(app, &order.spec.site) else { return Ok(None) };
    let Some(need) = site.plan().orders.get(name).cloned() else { return Ok(None) };
    let message = site.message(&need.agent, "", &need.blobs).await;
    let (known, away) = site.heard(&need.agent).await;
    let settled = away.is_some() || known.is_some_and(|known| speaks_of(&known, &site.plan));
    Ok(Some((message, settled)))
}
