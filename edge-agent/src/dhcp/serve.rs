//! What comes in at an interface, brought to the core.

use std::{sync::Arc, time::Duration};

use netboot::site::Arrival;
use tokio_util::sync::CancellationToken;

use super::Sockets;
use crate::core::Core;

/// After an error of a socket, such as that the interface is down.
const PAUSE: Duration = Duration::from_millis(100);

/// Hands requests to the core until it is told to end; the core answers them.
pub async fn serve(core: Core, sockets: Arc<Sockets>, arrival: Arrival, shutdown: CancellationToken) {
    loop {
        let datagram = tokio::select! {
            datagram = sockets.recv() => datagram,
            () = shutdown.cancelled() => return,
        };
        match datagram.map(|datagram| datagram.parse()) {
            Ok(Ok(request)) => core.dhcp(arrival.clone(), request),
            Ok(Err(malformed)) => tracing::trace!(%malformed, "not a DHCP message"),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "failed to receive DHCP messages");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Hands to the core what others say on the wire, until it is told to end.
pub async fn overhear(core: Core, sockets: Arc<Sockets>, shutdown: CancellationToken) {
    loop {
        let frame = tokio::select! {
            frame = sockets.overhear() => frame,
            () = shutdown.cancelled() => return,
        };
        match frame {
            Ok(frame) => core.overheard(&frame),
            Err(error) => {
                let interface = sockets.interface();
                tracing::debug!(interface, %error, "failed to listen to the wire");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
