//! Times and sizes as people read them.

use std::time::SystemTime;

use proto::Wall;
pub(crate) use proto::words::{count, moment, relative, rough, since, size};

/// The present, by this machine's clock.
pub(crate) fn now() -> Wall {
    SystemTime::now().into()
}
