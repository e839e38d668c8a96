//! A connection's socket with its deadlines: who does not speak, or does not take what is sent, is cut off.
//!
//! One timer serves all deadlines of a connection. It is moved only when it has run out or a deadline comes before it, so
//! that a connection which is busy never touches the runtime's clock.

use std::{
    cell::RefCell, future::poll_fn, io, pin::Pin, task::Context, task::Poll, task::ready, time::Duration,
};

use netboot::capture::Way;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWriteExt, Interest, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep},
};
use tokio_util::sync::CancellationToken;

use crate::tap::Tape;

/// What is read in one go, at most.
const PIECE: usize = 16 << 10;
/// What a client may still say after our last word.
const LAST_WORDS: usize = 1 << 20;
/// How long.
const LINGER: Duration = Duration::from_secs(1);

thread_local! {
    /// Everything that comes is read into this first: connections that are idle hold no memory for it.
    static ARRIVING: RefCell<[u8; PIECE]> = const { RefCell::new([0; PIECE]) };
}

/// Why nothing more comes or leaves by a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// The client did not speak in time.
    Silent,
    /// The client took no byte for too long.
    Stalled,
    /// The socket is closed or broken.
    Gone,
    /// The server stops.
    Stopping,
}

/// The socket.
#[derive(Debug)]
pub(super) struct Wire {
    socket: TcpStream,
    timer: Timer,
    stall: Duration,
    stopping: CancellationToken,
    /// A call is saved where nothing changes.
    corked: bool,
    /// Bytes that the socket has taken.
    sent: u64,
    tape: Option<Tape>,
}

impl Wire {
    /// A client that takes nothing for as long as `stall` is cut off; after `stopping` nobody is waited for.
    pub(super) fn new(socket: TcpStream, stall: Duration, stopping: CancellationToken) -> Self {
        Self { socket, timer: Timer::default(), stall, stopping, corked: false, sent: 0, tape: None }
    }

    /// Heads that come and leave are kept there.
    pub(super) fn taped(self, tape: Option<Tape>) -> Self {
        Self { tape, ..self }
    }

    /// With what is kept of the connection, and how many bytes have left.
    pub(super) fn into_socket(self) -> (TcpStream, Option<(Tape, u64)>) {
        let sent = self.sent;
        (self.socket, self.tape.map(|tape| (tape, sent)))
    }

    /// This is the head of a request that has come.
    pub(super) fn heard(&mut self, head: &[u8]) {
        if let Some(tape) = self.tape.as_mut().filter(|tape| !tape.is_full()) {
            tape.heard(head, self.sent);
        }
    }

    /// This is the head of an answer that is about to leave.
    pub(super) fn says(&mut self, head: &[u8]) {
        if let Some(tape) = self.tape.as_mut().filter(|tape| !tape.is_full()) {
            tape.said(head, self.sent);
        }
    }

    /// Nothing more comes or leaves.
    pub(super) fn ended(&mut self, by: Way) {
        if let Some(tape) = &mut self.tape {
            tape.ended(by, self.sent);
        }
    }

    /// While it is corked, nothing leaves but whole segments, for 200 ms at most (`TCP_CORK`, tcp(7)).
    pub(super) fn cork(&mut self, corked: bool) -> Result<(), Over> {
        if self.corked != corked {
            SockRef::from(&self.socket).set_tcp_cork(corked).map_err(|_| Over::Gone)?;
            self.corked = corked;
        }
        Ok(())
    }

    /// Waits for more, until `by`; puts it at the end of `into`, which is empty between two requests.
    pub(super) async fn read(&mut self, into: &mut Vec<u8>, by: Instant) -> Result<(), Over> {
        let idle = into.is_empty();
        poll_fn(|cx| match poll_read(&mut self.socket, cx, into) {
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(Err(Over::Gone)),
            Poll::Ready(Ok(_)) => Poll::Ready(Ok(())),
            Poll::Pending if idle && self.stopping.is_cancelled() => Poll::Ready(Err(Over::Stopping)),
            Poll::Pending => self.timer.poll(cx, by).map(|()| Err(Over::Silent)),
        })
        .await
    }

    /// Lets `write` write once the socket takes something. `Err`: the client is to be cut off, or is gone.
    pub(super) async fn write(
        &mut self,
        mut write: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> Result<io::Result<usize>, Over> {
        loop {
            match self.socket.try_io(Interest::WRITABLE, || write(&self.socket)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable().await?,
                Err(error) if is_of_socket(&error) => return Err(Over::Gone),
                Ok(wrote) => {
                    self.sent += wrote as u64;
                    return Ok(Ok(wrote));
                }
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    async fn writable(&mut self) -> Result<(), Over> {
        let by = Instant::now() + self.stall;
        poll_fn(|cx| match self.socket.poll_write_ready(cx) {
            Poll::Ready(ready) => Poll::Ready(ready.map_err(|_| Over::Gone)),
            Poll::Pending => self.timer.poll(cx, by).map(|()| Err(Over::Stalled)),
        })
        .await
    }

    /// Does `work`, unless the client closes its side before that is done.
    pub(super) async fn unless_gone<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Over> {
        let mut work = std::pin::pin!(work);
        // Who sends the next request already is there; what it closes after that shows when it is answered.
        let mut speaks = false;
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Ok(done));
            }
            if speaks {
                return Poll::Pending;
            }
            let mut byte = [0];
            match ready!(self.socket.poll_peek(cx, &mut ReadBuf::new(&mut byte))) {
                Ok(0) | Err(_) => Poll::Ready(Err(Over::Gone)),
                Ok(_) => {
                    speaks = true;
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Closes our side, and takes what the client still says: a socket that is closed over unread bytes is reset, and the
    /// client may lose our last word to that (RFC 9112 §9.6).
    pub(super) async fn linger(mut self) {
        let by = Instant::now() + LINGER;
        if self.socket.shutdown().await.is_err() {
            return;
        }
        let (mut heard, mut words) = (0, Vec::new());
        while heard < LAST_WORDS && self.read(&mut words, by).await.is_ok() {
            heard += words.len();
            words.clear();
        }
    }
}

fn poll_read(socket: &mut TcpStream, cx: &mut Context<'_>, into: &mut Vec<u8>) -> Poll<io::Result<usize>> {
    ARRIVING.with_borrow_mut(|arriving| {
        let mut piece = ReadBuf::new(arriving);
        ready!(Pin::new(socket).poll_read(cx, &mut piece))?;
        into.extend_from_slice(piece.filled());
        Poll::Ready(Ok(piece.filled().len()))
    })
}

/// Not the file's, when both take part.
fn is_of_socket(error: &io::Error) -> bool {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionReset, HostUnreachable, NetworkDown, NetworkUnreachable,
        NotConnected, TimedOut,
    };
    matches!(
        error.kind(),
        BrokenPipe
            | ConnectionAborted
            | ConnectionReset
            | HostUnreachable
            | NetworkDown
            | NetworkUnreachable
            | NotConnected
            | TimedOut
    )
}

/// A deadline that moves.
#[derive(Debug, Default)]
struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    fn poll(&mut self, cx: &mut Context<'_>, by: Instant) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(by)));
        if by < sleep.deadline() {
            sleep.as_mut().reset(by);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if by <= sleep.deadline() {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(by);
        }
    }
}
