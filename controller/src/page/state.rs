//! What every route of the page shares.

use tokio_util::sync::CancellationToken;

use super::live::Room;
use crate::app::App;
use crate::logins::Logins;

/// The page of one controller. Cheap to clone.
#[derive(Clone)]
pub(super) struct Page {
    pub(super) app: App,
    pub(super) logins: Logins,
    /// Streams that are open.
    pub(super) room: Room,
    /// Ends streams when the controller stops.
    pub(super) stop: CancellationToken,
}
