//! The kernel's limit: a process that turns each message round with the system calls that no server can do without, and keeps
//! nothing. What a real server costs beyond it is parsing, deciding, leases and the disk.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context as _;
use edge_agent::datagrams::{BATCH, Inbox, Outgoing, Sender};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::super::ground::SERVED;
use super::load::SERVER_PORT;
use super::message::echo;
use super::pool;

const LONGEST: usize = 1_500;
const CLIENT_PORT: u16 = 68;

/// Until it is ended.
///
/// # Errors
/// When its socket fails.
pub(super) fn run() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { serve().await.context("failed to turn messages round") })
}

async fn serve() -> io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM.cloexec().nonblocking(), Some(Protocol::UDP))?;
    socket.bind_device(Some(SERVED.as_bytes()))?;
    socket.set_broadcast(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, SERVER_PORT)).into())?;
    let socket = UdpSocket::from_std(socket.into())?;
    let (mut inbox, mut sender) = (Inbox::new(BATCH, LONGEST), Sender::default());
    loop {
        socket.readable().await?;
        let mut received = 0;
        let taken = socket.try_io(Interest::READABLE, || {
            received = inbox.receive(&socket)?;
            if inbox.is_full() { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
        });
        match taken {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let turned = inbox.datagrams().take(received).filter_map(|(from, datagram)| turn(from, datagram));
        let turned: Vec<_> = turned.collect();
        let outgoing =
            turned.iter().map(|(to, datagram)| Outgoing { to: *to, payload: datagram, segment: None });
        if !turned.is_empty() {
            sender.send(&socket, outgoing)?;
        }
    }
}

/// To the relay agent that it came from, or to everybody.
fn turn(from: SocketAddr, datagram: &[u8]) -> Option<(SocketAddr, Vec<u8>)> {
    let mut answer = datagram.to_vec();
    let place =
        |machine: u32| pool().first().to_bits() + machine % u32::try_from(pool().count()).unwrap_or(1);
    echo(&mut answer, |machine| Ipv4Addr::from_bits(place(machine)))?;
    let to = match from.port() {
        CLIENT_PORT => SocketAddr::from((Ipv4Addr::BROADCAST, CLIENT_PORT)),
        _ => from,
    };
    Some((to, answer))
}
