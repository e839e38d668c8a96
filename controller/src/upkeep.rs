//! Makes stores take writes again after their disk has failed or was full, and says whether they do.

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
