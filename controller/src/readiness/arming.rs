//! Arms the orders that have waited, as soon as their agents hold what they need.
//!
//! What to do follows from the catalog, the plans and what agents say; nothing is remembered here. A controller that was
//! started anew hears from all agents again, and goes on.

use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;

use super::view::is_ready;
use crate::app::App;

/// How often all sites are looked at, whatever agents say: a plan may have changed alone.
const LOOK: Duration = Duration::from_secs(2);

/// Never ends by itself.
pub(crate) async fn arm_orders(app: App) {
    let mut changes = app.holdings.changes();
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let site = tokio::select! {
            changed = changes.recv() => match changed {
                Ok(site) => Some(site),
                Err(RecvError::Lagged(_)) => None,
                // The app holds the sender for as long as this runs.
                Err(RecvError::Closed) => return,
            },
            _ = look.tick() => None,
        };
        match site {
            Some(site) => arm_at(&app, &site).await,
            None => {
                for (site, _) in app.planner.sites() {
                    arm_at(&app, &site).await;
                }
            }
        }
    }
}

async fn arm_at(app: &App, site: &str) {
    let Some(plan) = app.planner.latest(site) else { return };
    let waiting = plan.orders.iter().filter(|(_, need)| need.waits);
    for (name, need) in waiting {
        if !is_ready(app, &plan, name).await {
            continue;
        }
        match app.catalog.arm_order(name, app.clock.wall()).await {
            Ok(true) => {
                tracing::info!(order = name, site, agent = need.agent, "armed: the site holds what it needs")
            }
            Ok(false) => {}
            Err(error) => tracing::warn!(order = name, site, %error, "cannot arm an order that has waited"),
        }
    }
}
