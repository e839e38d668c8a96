//! Named steps at which a test may let the ledger fail or die. Outside tests every step passes.

use std::io;

/// A step that changes the disk, in the order of its file's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Setting blocks aside, for the live segment or the reserve.
    Allocate,
    /// Writing a group of frames to the live segment.
    WriteBatch,
    /// Writing zeros behind it.
    WriteZeros,
    /// `fdatasync` of the live segment.
    SyncBatch,
    /// Cutting the zeros off the live segment.
    CutZeros,
    /// Cutting what did not become durable off the live segment.
    CutSegment,
    /// Creating a segment under its temporary name.
    CreateSegment,
    /// Writing header and first frames to a temporary segment.
    WriteSegment,
    /// `fsync` of a temporary segment.
    SyncSegment,
    /// Giving a segment its name.
    RenameSegment,
    /// `fsync` of the directory.
    SyncDirectory,
    /// Removing a segment or a temporary file.
    RemoveFile,
    /// Shrinking the reserve.
    GiveReserve,
}

/// Asked before each step; an error takes the place of the step.
#[derive(Clone, Default)]
pub(crate) struct Faults {
    #[cfg(test)]
    hook: Option<std::sync::Arc<dyn Fn(Step) -> io::Result<()> + Send + Sync>>,
}

impl Faults {
    #[cfg(test)]
    pub(crate) fn hooked(hook: impl Fn(Step) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self { hook: Some(std::sync::Arc::new(hook)) }
    }

    #[cfg(test)]
    pub(crate) fn before(&self, step: Step) -> io::Result<()> {
        self.hook.as_ref().map_or(Ok(()), |hook| hook(step))
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "the shape that tests hook into")]
    pub(crate) fn before(&self, _step: Step) -> io::Result<()> {
        Ok(())
    }
}

impl std::fmt::Debug for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Faults")
    }
}
