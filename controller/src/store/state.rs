//! The state of a store in memory. (Being written.)

/// The state of a store.
#[derive(Debug, Clone)]
pub(super) struct State {}
