//! What a store keeps its revisions on: the one part that differs between the engines.

use std::sync::Arc;

use super::Batch;
use super::state::State;

/// Where revisions become durable. Called from the writer's thread alone, and may block it.
///
/// After an error nothing is known about what reached the medium: only [`Medium::replace`] is called
/// from then on, with the last state that was durable.
pub(super) trait Medium: Send {
    /// Makes the next revisions durable: all of them, or after a crash the first few.
    fn append(&mut self, batches: &[Arc<Batch>]) -> Result<(), MediumError>;

    /// Moves the oldest revisions of the log into the base that the log starts from.
    fn fold(&mut self, batches: &[Arc<Batch>]) -> Result<(), MediumError>;

    /// Makes `state` all that the medium holds, atomically. On an error the old content stays.
    fn replace(&mut self, state: &State) -> Result<(), MediumError>;
}

/// A medium failed; the text is for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct MediumError(pub(super) String);

/// No medium at all: what is in memory is all there is.
#[derive(Debug)]
pub(super) struct Volatile;

impl Medium for Volatile {
    fn append(&mut self, _batches: &[Arc<Batch>]) -> Result<(), MediumError> {
        Ok(())
    }

    fn fold(&mut self, _batches: &[Arc<Batch>]) -> Result<(), MediumError> {
        Ok(())
    }

    fn replace(&mut self, _state: &State) -> Result<(), MediumError> {
        Ok(())
    }
}
