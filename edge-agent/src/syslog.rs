//! The syslog port of an interface: what iPXE and installers say of themselves, handed to the core.
//!
//! Datagrams alone (RFC 5426): nothing that boots speaks syslog over TCP. A flood of them costs lines, also of other machines, and
//! nothing else: what is too much waits in the socket's buffer, and what the core has no room for is dropped. A port that somebody
//! else has is theirs: the agent serves without it.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket as StdSocket},
    time::Duration,
};

use netboot::syslog::{LONGEST, Line};
use tokio::{net::UdpSocket, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::core::Core;

/// RFC 5426 §3.3.
pub(crate) const PORT: u16 = 514;
/// Lines that are looked at in each window; those beyond it wait.
const LINES: u32 = 1_000;
const WINDOW: Duration = Duration::from_secs(1);
/// After an error of the socket, such as that the interface is down.
const PAUSE: Duration = Duration::from_millis(100);

/// Binds the port at `address`, before privileges are dropped.
///
/// # Errors
/// Usually that another syslog server has it.
pub(crate) fn bind(address: Ipv4Addr) -> io::Result<StdSocket> {
    let socket = StdSocket::bind((address, PORT))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Hands lines to the core until `shutdown`.
///
/// # Panics
/// Outside a tokio runtime.
pub(crate) async fn serve(socket: StdSocket, core: Core, shutdown: CancellationToken) {
    let socket = match UdpSocket::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::warn!(%error, "failed to watch the syslog port: no lines of machines are taken");
            return shutdown.cancelled().await;
        }
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = listen(&socket, &core) => {}
    }
}

async fn listen(socket: &UdpSocket, core: &Core) {
    let mut datagram = [0; LONGEST];
    let (mut began, mut taken) = (Instant::now(), 0);
    loop {
        if began.elapsed() >= WINDOW {
            (began, taken) = (Instant::now(), 0);
        } else if taken >= LINES {
            tokio::time::sleep_until(began + WINDOW).await;
        }
        match socket.recv_from(&mut datagram).await {
            Ok((length, from)) => {
                taken += 1;
                hand_over(core, from, &datagram[..length]);
            }
            Err(error) => {
                tracing::debug!(%error, "failed to receive a syslog line");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn hand_over(core: &Core, from: SocketAddr, datagram: &[u8]) {
    if let (IpAddr::V4(from), Some(line)) = (from.ip(), Line::parse(datagram)) {
        core.said(from, line);
    }
}
