//! One suite for every implementation of `Store`: what the catalog relies on, whatever is behind it.

#[path = "store_conformance/suite.rs"]
mod suite;

use std::path::Path;
use std::sync::Arc;

use controller::store::{LocalStore, Store, Tuning};

use suite::Factory;

/// Room for a history of the suite's size, and no more than it needs.
fn tuning() -> Tuning {
    Tuning { quota_bytes: 8 << 20, ..Tuning::default() }
}

struct InMemory;

impl Factory for InMemory {
    fn make(&self, _folder: &Path) -> Arc<dyn Store> {
        Arc::new(LocalStore::in_memory(tuning()))
    }

    fn is_durable(&self) -> bool {
        false
    }
}

struct OnSled;

impl Factory for OnSled {
    fn make(&self, folder: &Path) -> Arc<dyn Store> {
        Arc::new(LocalStore::open(folder, tuning()).expect("the folder is ours"))
    }

    fn is_durable(&self) -> bool {
        true
    }
}

/// Makes one test of each case for each implementation.
macro_rules! conformance {
    ($($case:ident),* $(,)?) => {
        mod in_memory {
            $(#[tokio::test] async fn $case() { super::suite::$case(&super::InMemory).await; })*
        }
        mod on_sled {
            $(#[tokio::test] async fn $case() { super::suite::$case(&super::OnSled).await; })*
        }
    };
}

conformance!(
    a_new_store_is_empty_at_revision_zero,
    each_change_gets_the_next_revision,
    what_changes_nothing_gets_no_revision,
    a_failed_compare_names_the_key_and_changes_nothing,
    of_many_writers_that_expect_absence_one_wins,
    limits_are_typed_errors,
    the_quota_stops_growth_and_lets_deletes_pass,
    a_scan_is_ordered_bounded_and_resumable,
    a_scan_shows_the_past,
    a_watch_replays_and_follows_without_gap,
    a_watch_sees_its_prefix_and_progress,
    a_watch_of_the_future_waits,
    a_lagging_watch_reads_the_log_and_stalls_no_writer,
    compaction_ends_old_watches_and_scans,
    history_is_bounded_by_itself,
    a_snapshot_carries_everything,
    an_import_starts_a_higher_epoch_and_ends_watches,
    a_snapshot_may_be_damaged_anywhere_and_is_refused,
    a_closed_store_refuses_writes_and_ends_watches,
    what_was_acknowledged_is_there_after_reopening,
);
