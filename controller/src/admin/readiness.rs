//! What sites hold of images and of what orders take; and what an order waits for.

use std::collections::HashMap;
use std::time::Duration;

use proto::catalog::{AnyResource, ImageSpec, Kind};
use proto::v1;
use serde_json::json;
use tonic::Status;

use super::{known, refusal};
use crate::app::App;
use crate::readiness::{SiteReadiness, of_order};

/// Lines of one page, or a few more: a site's stay together.
const PAGE: usize = 1_000;
/// How long a new order may take until its agent speaks of it.
const PATIENCE: Duration = Duration::from_secs(4);
const LOOK: Duration = Duration::from_millis(100);

pub(super) async fn images(
    app: &App,
    request: v1::ImageStatusRequest,
) -> Result<v1::ImageStatusResponse, Status> {
    known::resource(app, Kind::Image, &request.image).await?;
    let site = known::site(app, request.site).await?;
    let limit = if request.limit == 0 { PAGE } else { PAGE.min(request.limit as usize) };
    let mut images = Images { app, known: HashMap::new() };
    let mut entries = Vec::new();
    let wanted = |name: &str| site.as_ref().is_none_or(|site| site == name);
    let sites = app.planner.sites();
    for (site, _) in sites.iter().filter(|(site, _)| **site > request.after && wanted(site)) {
        if entries.len() >= limit {
            let next = entries.last().map(|entry: &v1::Readiness| entry.site.clone()).unwrap_or_default();
            return Ok(v1::ImageStatusResponse { entries, next });
        }
        entries.extend(of_site(app, site, &request.image, &mut images).await?);
    }
    Ok(v1::ImageStatusResponse { entries, next: String::new() })
}

/// What the agents of one site hold of its images.
pub(crate) async fn images_of(app: &App, site: &str) -> Result<Vec<v1::Readiness>, Status> {
    of_site(app, site, "", &mut Images { app, known: HashMap::new() }).await
}

async fn of_site(
    app: &App,
    site: &str,
    image: &str,
    images: &mut Images<'_>,
) -> Result<Vec<v1::Readiness>, Status> {
    let Some(mut readiness) = SiteReadiness::of(app, site) else { return Ok(vec![]) };
    let plan = readiness.plan().clone();
    let mut entries = Vec::new();
    for agent in &plan.agents {
        for name in plan.images.iter().filter(|name| image.is_empty() || *name == image) {
            let Some(spec) = images.get(name).await? else { continue };
            let blobs = readiness.blobs_of(spec);
            if !blobs.is_empty() {
                entries.push(readiness.message(agent, name, &blobs).await);
            }
        }
    }
    Ok(entries)
}

/// The images of one answer, read once.
struct Images<'a> {
    app: &'a App,
    known: HashMap<String, Option<ImageSpec>>,
}

impl Images<'_> {
    async fn get(&mut self, name: &str) -> Result<Option<&ImageSpec>, Status> {
        if !self.known.contains_key(name) {
            let found = self.app.catalog.get_image(name).await.map_err(refusal::read)?;
            self.known.insert(name.to_owned(), found.map(|image| image.spec));
        }
        Ok(self.known.get(name).and_then(Option::as_ref))
    }
}

/// An order that was just made is in no plan for a moment, and its agent speaks of that plan a moment later.
pub(super) async fn order(
    app: &App,
    request: v1::OrderReadinessRequest,
) -> Result<v1::OrderReadinessResponse, Status> {
    known::resource(app, Kind::Order, &request.order).await?;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let found = of_order(app, &request.order).await.map_err(refusal::read)?;
        let settled = found.as_ref().is_some_and(|(_, settled)| *settled);
        if settled || tokio::time::Instant::now() >= deadline {
            return Ok(v1::OrderReadinessResponse { readiness: found.map(|(readiness, _)| readiness) });
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// A document as callers see it: an order that waits says for what.
pub(super) async fn with_readiness(app: &App, mut any: AnyResource) -> AnyResource {
    let AnyResource::Order(order) = &any else { return any };
    if order.spec.waiting.is_none() {
        return any;
    }
    // What cannot be read now is left out.
    let Ok(Some((readiness, _))) = of_order(app, &order.name).await else { return any };
    let mut status = any.to_value().get("status").cloned().unwrap_or_else(|| json!({}));
    let ended = status.get("phase").is_some();
    if let (Some(fields), false) = (status.as_object_mut(), ended) {
        fields.insert("readiness".into(), fields_of(&readiness));
        any.set_status(Some(status));
    }
    any
}

fn fields_of(readiness: &v1::Readiness) -> serde_json::Value {
    json!({
        "state": readiness.state,
        "bytes": readiness.bytes,
        "held_bytes": readiness.held_bytes,
        "bytes_per_second": readiness.bytes_per_second,
        "done_ms": readiness.done_ms,
        "why": readiness.why,
        "remedy": readiness.remedy,
        "as_of_ms": readiness.as_of_ms,
    })
}
