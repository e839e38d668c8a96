//! What sites hold of images and of what orders take; and what an order waits for.

use std::time::Duration;

use proto::catalog::{AnyResource, Kind};
use proto::v1;
use serde_json::json;
use tonic::Status;

use super::{known, refusal};
use crate::app::App;
use crate::readiness::{Images, of_order};

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
    let mut images = Images::new(app);
    let image = (!request.image.is_empty()).then_some(request.image.as_str());
    let mut entries = Vec::new();
    let wanted = |name: &str| site.as_ref().is_none_or(|site| site == name);
    let sites = app.planner.sites();
    for (site, _) in sites.iter().filter(|(site, _)| **site > request.after && wanted(site)) {
        if entries.len() >= limit {
            let next = entries.last().map(|entry: &v1::Readiness| entry.site.clone()).unwrap_or_default();
            return Ok(v1::ImageStatusResponse { entries, next });
        }
        entries.extend(images.of_site(site, image).await.map_err(refusal::read)?);
    }
    Ok(v1::ImageStatusResponse { entries, next: String::new() })
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
