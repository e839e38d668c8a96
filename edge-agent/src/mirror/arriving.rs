//! A file on its way from an upstream: how much of it is there, for those who follow it.

use std::{fs::File, sync::Arc};

use tokio::sync::watch;

use super::given::Given;

/// Where a name promises a digest, so much of the end is withheld until it holds. In bytes.
pub(super) const WITHHELD: u64 = 64 << 10;

/// A file that arrives.
#[derive(Debug)]
pub(super) struct Arriving {
    /// Read it by position.
    pub(super) file: Arc<File>,
    /// In bytes; None: the upstream does not say before the end.
    pub(super) size: Option<u64>,
    pub(super) given: Given,
    withheld: u64,
    state: watch::Sender<State>,
}

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// So many bytes are there, and more are coming.
    Coming(u64),
    /// All are there: so many.
    Whole(u64),
    /// It was given up.
    Broken,
}

impl Arriving {
    /// `verified`: its digest is known beforehand.
    pub(super) fn new(file: Arc<File>, size: Option<u64>, given: Given, verified: bool) -> Arc<Self> {
        let withheld = if verified { WITHHELD } else { 0 };
        Arc::new(Self { file, size, given, withheld, state: watch::Sender::new(State::Coming(0)) })
    }

    pub(super) fn advance(&self, written: u64) {
        self.state.send_replace(State::Coming(written));
    }

    /// The first end counts.
    pub(super) fn end(&self, state: State) {
        self.state.send_if_modified(|current| {
            let coming = matches!(current, State::Coming(_));
            if coming {
                *current = state;
            }
            coming
        });
    }

    /// Waits until a byte beyond `offset` may be read, or the end. Of what is coming only what may be read is counted.
    pub(super) async fn beyond(&self, offset: u64) -> State {
        self.wait(|state| !matches!(state, State::Coming(readable) if *readable <= offset)).await
    }

    /// Waits for the end.
    pub(super) async fn ended(&self) -> State {
        self.wait(|state| !matches!(state, State::Coming(_))).await
    }

    async fn wait(&self, enough: impl Fn(&State) -> bool) -> State {
        let mut follower = self.state.subscribe();
        let seen = follower.wait_for(|state| enough(&self.readable(*state))).await.map(|state| *state);
        // The sender is ours and lives as long as we do.
        self.readable(seen.unwrap_or(State::Broken))
    }

    fn readable(&self, state: State) -> State {
        match state {
            State::Coming(written) => State::Coming(written.saturating_sub(self.withheld)),
            State::Whole(_) | State::Broken => state,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arriving(verified: bool) -> Arc<Arriving> {
        Arriving::new(Arc::new(tempfile::tempfile().expect("a file")), None, Given::default(), verified)
    }

    #[tokio::test]
    async fn followers_wake_on_bytes_and_on_the_end() {
        let arriving = arriving(false);
        let follower = tokio::spawn({
            let arriving = Arc::clone(&arriving);
            async move { (arriving.beyond(0).await, arriving.ended().await) }
        });
        tokio::task::yield_now().await;
        arriving.advance(5);
        tokio::task::yield_now().await;
        arriving.end(State::Whole(5));
        arriving.end(State::Broken);
        let (first, end) = follower.await.expect("no panic");
        assert!(matches!(first, State::Coming(5) | State::Whole(5)));
        assert_eq!(end, State::Whole(5), "the first end counts");
    }

    #[tokio::test]
    async fn the_end_of_a_verified_file_is_withheld() {
        let arriving = arriving(true);
        arriving.advance(WITHHELD + 10);
        assert_eq!(arriving.beyond(9).await, State::Coming(10));
        arriving.end(State::Broken);
        assert_eq!(arriving.beyond(10).await, State::Broken);
    }
}
