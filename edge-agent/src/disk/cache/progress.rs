//! How far a fill has come, for readers that follow a blob while it arrives.

use tokio::sync::watch;

/// The end of an arriving blob is withheld from readers until the digest holds (S15): no reader can take a
/// blob for complete that was not verified. In bytes.
pub const WITHHELD_BYTES: u64 = 64 << 10;

/// Where a fill stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FillState {
    /// It goes on.
    Arriving,
    /// The digest holds: all of it may be read. It is put on its shelf, or would be if the disk had let it.
    Published,
    /// It was given up; a later fill may resume it.
    Stopped,
    /// Digest or size were wrong: nothing that was read may be trusted.
    Refused,
}

/// Shared between the one that fills and those that follow.
#[derive(Debug)]
pub struct FillProgress {
    size: u64,
    state: watch::Sender<(u64, FillState)>,
}

impl FillProgress {
    pub(super) fn new(size: u64, written: u64) -> Self {
        Self { size, state: watch::Sender::new((written, FillState::Arriving)) }
    }

    pub(super) fn advance(&self, written: u64) {
        self.state.send_modify(|(length, _)| *length = written);
    }

    /// How it ends. What was once found right stays right.
    pub(super) fn end(&self, state: FillState) {
        self.state.send_if_modified(|(_, current)| {
            let changes = *current != FillState::Published;
            if changes {
                *current = state;
            }
            changes
        });
    }

    /// The declared size of the blob, in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// How many bytes from the start may be read now, and where the fill stands.
    #[must_use]
    pub fn now(&self) -> (u64, FillState) {
        self.readable(*self.state.borrow())
    }

    /// Waits until a byte beyond `offset` may be read, or the fill ends. Returns what [`Self::now`] does.
    pub async fn beyond(&self, offset: u64) -> (u64, FillState) {
        let mut follower = self.state.subscribe();
        let changed = follower.wait_for(|seen| {
            let (readable, state) = self.readable(*seen);
            readable > offset || state != FillState::Arriving
        });
        match changed.await {
            Ok(seen) => self.readable(*seen),
            // The sender is ours and lives as long as we do.
            Err(_) => self.now(),
        }
    }

    fn readable(&self, (written, state): (u64, FillState)) -> (u64, FillState) {
        let readable = match state {
            FillState::Published => self.size,
            FillState::Refused => 0,
            FillState::Arriving | FillState::Stopped => written.min(self.size.saturating_sub(WITHHELD_BYTES)),
        };
        (readable, state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_withheld_until_publication() {
        let progress = FillProgress::new(WITHHELD_BYTES + 10, 0);
        progress.advance(4);
        assert_eq!(progress.now(), (4, FillState::Arriving));
        progress.advance(WITHHELD_BYTES + 10);
        assert_eq!(progress.now(), (10, FillState::Arriving));
        progress.end(FillState::Published);
        assert_eq!(progress.now(), (WITHHELD_BYTES + 10, FillState::Published));
    }

    #[test]
    fn nothing_of_a_refused_blob_may_be_read() {
        let progress = FillProgress::new(WITHHELD_BYTES * 2, WITHHELD_BYTES);
        progress.end(FillState::Refused);
        assert_eq!(progress.now(), (0, FillState::Refused));
    }

    #[tokio::test]
    async fn followers_wake_on_bytes_and_on_the_end() {
        let progress = std::sync::Arc::new(FillProgress::new(WITHHELD_BYTES + 10, 0));
        let follower = tokio::spawn({
            let progress = progress.clone();
            async move { (progress.beyond(0).await, progress.beyond(5).await) }
        });
        tokio::task::yield_now().await;
        progress.advance(5);
        tokio::task::yield_now().await;
        progress.end(FillState::Stopped);
        let (first, second) = follower.await.expect("no panic");
        assert_eq!(first.0, 5);
        assert_eq!(second, (5, FillState::Stopped));
    }
}
