//! Listeners and connections.

use std::{
    io,
    net::{SocketAddr, TcpListener as StdListener},
    sync::Arc,
    time::Duration,
};

use netboot::site::Arrival;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};

use super::{
    Limits, Shared,
    admission::{Admission, Admitted},
    body,
    connection::Connection,
};
use crate::{Tap, desk::Desk, images::Images, mirror::Mirrors};

/// Linux' own congestion control, and the one that every kernel allows everybody. Not BBR, which some kernels begin with: its
/// timers' pace costs up to three times the CPU time for a GB on a local network (docs/adr/0011).
const CONGESTION: [&str; 2] = ["cubic", "reno"];
/// How long nothing is accepted after the system refused to, which is for want of descriptors or memory.
const BREATH: Duration = Duration::from_millis(100);

/// Why a listener cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The runtime cannot use it.
    #[error("failed to watch the HTTP listener")]
    Listener(#[source] io::Error),
}

/// The server: what its listeners have in common.
#[derive(Debug)]
pub struct Server<D> {
    shared: Arc<Shared<D>>,
    admission: Arc<Admission>,
}

/// A listener that is being served; it stops by its cancellation token, and when this is dropped.
#[derive(Debug)]
pub struct Serving {
    address: SocketAddr,
    task: AbortOnDropHandle<()>,
}

impl Serving {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it has stopped and its connections are closed.
    ///
    /// # Errors
    /// If its task panicked.
    pub async fn stopped(&mut self) -> Result<(), tokio::task::JoinError> {
        (&mut self.task).await
    }
}

impl<D: Desk> Server<D> {
    /// Serves what `desk` gives, blobs from `images`.
    #[must_use]
    pub fn new(desk: Arc<D>, images: Images, limits: Limits) -> Self {
        Self::with(desk, images, None, limits)
    }

    /// Serves package mirrors too.
    #[must_use]
    pub fn with_mirrors(desk: Arc<D>, images: Images, mirrors: Mirrors, limits: Limits) -> Self {
        Self::with(desk, images, Some(mirrors), limits)
    }

    fn with(desk: Arc<D>, images: Images, mirrors: Option<Mirrors>, limits: Limits) -> Self {
        let admission = Admission::new(limits.connections, limits.connections_per_address);
        Self { shared: Arc::new(Shared::new(desk, images, mirrors, limits)), admission }
    }

    /// Hands over the heads of what is asked and answered.
    #[must_use]
    pub fn tapped(mut self, tap: Tap) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.tap = tap;
        }
        self
    }

    /// Serves `listener`, whose machines come in at `arrival`, until `shutdown`: then answers that are under way
    /// may go on for a while.
    ///
    /// # Errors
    /// [`ServeError`] if the listener cannot be used.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn serve(
        &self,
        listener: StdListener,
        arrival: Arrival,
        shutdown: CancellationToken,
    ) -> Result<Serving, ServeError> {
        prepare(&listener).map_err(ServeError::Listener)?;
        let listener = TcpListener::from_std(listener).map_err(ServeError::Listener)?;
        let address = listener.local_addr().map_err(ServeError::Listener)?;
        let (shared, admission) = (Arc::clone(&self.shared), Arc::clone(&self.admission));
        let shutdown = shutdown.child_token();
        let open = TaskTracker::new();
        let door = Door { listener, address, shared, admission, arrival, shutdown, open };
        Ok(Serving { address, task: AbortOnDropHandle::new(tokio::spawn(door.run())) })
    }
}

/// One listener and its connections.
struct Door<D> {
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared<D>>,
    admission: Arc<Admission>,
    arrival: Arrival,
    shutdown: CancellationToken,
    open: TaskTracker,
}

impl<D: Desk> Door<D> {
    async fn run(self) {
        // Also when this task is aborted, so that no connection outlives its listener.
        let _closing = self.shutdown.clone().drop_guard();
        loop {
            let accepted = tokio::select! {
                () = self.shutdown.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((socket, peer)) => self.admit(socket, peer),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "failed to accept");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
        self.open.close();
        self.open.wait().await;
    }

    fn admit(&self, socket: TcpStream, peer: SocketAddr) {
        let Some(admitted) = self.admission.admit(peer.ip()) else {
            return tracing::debug!(%peer, "too many connections");
        };
        let (shared, arrival) = (Arc::clone(&self.shared), self.arrival.clone());
        let drain = shared.limits.drain;
        let ends = (peer, self.address);
        let connection = Connection::new(socket, ends, arrival, shared, self.shutdown.clone());
        self.open.spawn(converse(connection, admitted, self.shutdown.clone(), drain));
    }
}

/// Its connections inherit all of this: what is written leaves at once, and little more is taken than what is on the wire.
fn prepare(listener: &StdListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let socket = SockRef::from(listener);
    socket.set_tcp_nodelay(true)?;
    choose_congestion(&socket);
    socket.set_tcp_notsent_lowat(body::UNSENT)
}

/// Where the system allows none of [`CONGESTION`], its own goes on.
fn choose_congestion(socket: &SockRef<'_>) {
    let refused = |name: &&str| socket.set_tcp_congestion(name.as_bytes()).is_err();
    if CONGESTION.iter().all(refused) {
        tracing::debug!("connections keep the system's congestion control");
    }
}

/// The errors that `accept` passes on from a connection which ended in the queue.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// One connection, to its end.
async fn converse<D: Desk>(
    connection: Connection<D>,
    _admitted: Admitted,
    shutdown: CancellationToken,
    drain: Duration,
) {
    let mut connection = std::pin::pin!(connection.run());
    tokio::select! {
        biased;
        () = connection.as_mut() => {}
        () = shutdown.cancelled() => drop(tokio::time::timeout(drain, connection).await),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn connections_inherit_what_the_listener_is_told() {
        let listener = StdListener::bind("127.0.0.1:0").expect("loopback has free ports");
        prepare(&listener).expect("the kernel knows all of it");
        let _client = TcpStream::connect(listener.local_addr().expect("bound")).expect("connects");
        listener.set_nonblocking(false).expect("allowed");
        let (accepted, _) = listener.accept().expect("it has connected");
        let socket = SockRef::from(&accepted);
        assert!(socket.tcp_nodelay().expect("known"));
        assert_eq!(socket.tcp_notsent_lowat().expect("known"), body::UNSENT);
        let congestion = socket.tcp_congestion().expect("known");
        let name = String::from_utf8_lossy(&congestion);
        assert!(CONGESTION.contains(&name.trim_end_matches('\0')), "{name}");
    }
}
