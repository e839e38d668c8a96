//! What a controller does by itself as time goes by: makes stores take writes again after their disk has failed or was
//! full, and says whether they do; ends orders whose time is over.

use std::time::Duration;

use tokio::sync::watch;

use crate::app::App;
use crate::store::Health;

/// How often stores that take writes are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long to wait after the first failed attempt; doubled after each.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait between two attempts: each writes a copy of the catalog.
const LONGEST: Duration = Duration::from_secs(60);

/// How often orders are looked through for those whose time is over.
const OVERDUE: Duration = Duration::from_secs(30);

/// Ends orders that nobody will report the end of. Never ends by itself.
pub(crate) async fn end_overdue_orders(app: App) {
    loop {
        tokio::time::sleep(OVERDUE).await;
        match app.catalog.end_overdue_orders(app.clock.wall()).await {
            Ok(0) => {}
            Ok(ended) => tracing::info!(ended, "ended orders whose time is over"),
            Err(error) => tracing::warn!(%error, "cannot end orders whose time is over"),
        }
    }
}

/// Looks after the stores until they are closed. `writable` is told whether both take writes.
pub(crate) async fn keep_writable(app: App, writable: watch::Sender<bool>) {
    let mut pause = LOOK;
    loop {
        let catalog = match app.store.health() {
            Health::Writable => true,
            Health::ReadOnly { cause } => {
                set(&writable, false);
                reopen(&app, &cause).await
            }
            Health::Closed => return set(&writable, false),
        };
        let events = app.events.takes_events().await;
        app.metrics.note_events_taken(events);
        set(&writable, catalog && events);
        tokio::time::sleep(pause).await;
        pause = if catalog && events { FIRST } else { (pause * 2).min(LONGEST) };
    }
}

async fn reopen(app: &App, cause: &str) -> bool {
    match app.store.reopen().await {
        Ok(()) => true,
        Err(error) => {
            tracing::error!(
                cause,
                %error,
                "the catalog is read-only: make room on its disk, or replace it; it is tried again, plans are served on"
            );
            false
        }
    }
}

fn set(writable: &watch::Sender<bool>, now: bool) {
    writable.send_if_modified(|was| std::mem::replace(was, now) != now);
}
