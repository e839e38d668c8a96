//! What others say on the wire, brought to the core.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::Core;
use crate::dhcp::Wire;

/// After an error of a socket, such as that the interface is down.
const PAUSE: Duration = Duration::from_millis(100);

/// Hands to the core what others say on the wire, until it is told to end.
pub async fn overhear(core: Core, wire: Arc<Wire>, shutdown: CancellationToken) {
    loop {
        let frame = tokio::select! {
            frame = wire.overhear() => frame,
            () = shutdown.cancelled() => return,
        };
        match frame {
            Ok(frame) => core.overheard(&frame),
            Err(error) => {
                let interface = wire.interface();
                tracing::debug!(interface, %error, "failed to listen to the wire");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
