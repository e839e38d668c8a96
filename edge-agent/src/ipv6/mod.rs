//! IPv6 declined at an interface: frames in and out of [`netboot::ipv6::Decliner`].
//!
//! A packet socket, opened before privileges drop, and no socket of IPv6: the system may have IPv6 switched off, and
//! must not take part in what is said here with an address of its own.

mod filter;
mod socket;
#[cfg(test)]
mod tests;

use std::{
    future::pending,
    sync::Arc,
    time::{Duration, Instant},
};

use netboot::{ipv6::Decliner, time::Mono};
use proto::plan::SitePlan;
use tokio::{sync::watch, time::sleep_until};
use tokio_util::sync::CancellationToken;

use crate::link::Socket;

pub use socket::open;

/// After an error of the socket, such as that the interface is down.
const PAUSE: Duration = Duration::from_secs(1);

/// Answers until it is told to end.
pub async fn decline(
    socket: Socket,
    plan: watch::Receiver<Option<Arc<SitePlan>>>,
    shutdown: CancellationToken,
) {
    let began = Instant::now();
    let now = || Mono(began.elapsed());
    let mut decliner = Decliner::new(socket.mac(), rand::random());
    loop {
        send_all(&mut decliner, &socket);
        let wake = decliner.poll_timeout().map(|at| (began + at.0).into());
        let time_is_up = async {
            match wake {
                Some(at) => sleep_until(at).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = time_is_up => decliner.handle_timeout(now(), plan.borrow().as_deref()),
            frame = socket.recv() => match frame {
                Ok(frame) => handle(&mut decliner, now(), &frame, &socket, plan.borrow().as_deref()),
                Err(error) => {
                    let interface = socket.interface();
                    tracing::debug!(interface, %error, "failed to receive IPv6 frames");
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
    }
}

fn handle(decliner: &mut Decliner, now: Mono, frame: &[u8], socket: &Socket, plan: Option<&SitePlan>) {
    let Some(plan) = plan else { return };
    let gave_way = decliner.gives_way(now);
    decliner.handle(now, frame, plan);
    if decliner.gives_way(now) && !gave_way && plan.network.decline_ipv6 {
        let interface = socket.interface();
        tracing::info!(interface, "there is an IPv6 router: machines are not told that there is no IPv6");
    }
}

/// A machine that hears nothing asks again.
fn send_all(decliner: &mut Decliner, socket: &Socket) {
    while let Some(frame) = decliner.poll_frame() {
        if let Err(error) = socket.send(&frame) {
            tracing::debug!(interface = socket.interface(), %error, "failed to decline IPv6");
        }
    }
}
