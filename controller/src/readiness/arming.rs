//! Arms the orders that have waited, as soon as their agents hold what they need, and ends those that have waited for too
//! long.
//!
//! What to do follows from the catalog, the plans and what agents say; nothing is remembered here. A controller that was
//! started anew hears from all agents again, and goes on.

use std::time::Duration;

use proto::Wall;
use tokio::sync::broadcast::error::RecvError;

use super::view::is_ready;
use crate::app::App;
use crate::planner::Published;

/// How often all sites are looked at, whatever agents say: a plan may have changed alone.
const LOOK: Duration = Duration::from_secs(2);

/// Never ends by itself.
pub(crate) async fn arm_orders(app: App) {
    let mut changes = app.holdings.changes();
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // As of the last look: no wait is too short to be seen before its end, but for one that ends within a look.
    let mut end = None;
    loop {
        let site = tokio::select! {
            changed = changes.recv() => match changed {
                Ok(site) => Some(site),
                Err(RecvError::Lagged(_)) => None,
                // The app holds the sender for as long as this runs.
                Err(RecvError::Closed) => return,
            },
            _ = look.tick() => None,
            () = reached(&app, end) => None,
        };
        match site {
            Some(site) => look_at(&app, &site).await,
            None => {
                for (site, _) in app.planner.sites() {
                    look_at(&app, &site).await;
                }
                end = next_end(&app);
            }
        }
    }
}

/// When the next wait is over, of all that are not.
fn next_end(app: &App) -> Option<Wall> {
    let now = app.clock.wall();
    let sites = app.planner.sites();
    let waits = sites.values().flat_map(|plan| plan.orders.values()).filter_map(|need| need.waits_until);
    waits.filter(|end| *end >= now).min()
}

/// Waits until a moment is over; for ever without one.
async fn reached(app: &App, moment: Option<Wall>) {
    match moment {
        Some(moment) => tokio::time::sleep(moment.since(app.clock.wall()) + Duration::from_millis(1)).await,
        None => std::future::pending().await,
    }
}

async fn look_at(app: &App, site: &str) {
    let Some(plan) = app.planner.latest(site) else { return };
    for (order, need) in &plan.orders {
        let Some(until) = need.waits_until else { continue };
        if app.clock.wall() > until {
            end_wait(app, site, order).await;
        } else if is_ready(app, &plan, order).await {
            arm(app, site, order, &plan).await;
        }
    }
}

async fn arm(app: &App, site: &str, order: &str, plan: &Published) {
    match app.catalog.arm_order(order, app.clock.wall()).await {
        Ok(true) => {
            let agent = plan.orders.get(order).map(|need| need.agent.as_str());
            tracing::info!(order, site, agent, "armed: the site holds what it needs");
        }
        Ok(false) => {}
        Err(error) => tracing::warn!(order, site, %error, "cannot arm an order that has waited"),
    }
}

async fn end_wait(app: &App, site: &str, order: &str) {
    match app.catalog.end_overdue_order(order, app.clock.wall()).await {
        Ok(true) => tracing::info!(order, site, "ended: the site did not hold what it needs in time"),
        Ok(false) => {}
        Err(error) => tracing::warn!(order, site, %error, "cannot end an order that has waited for too long"),
    }
}
