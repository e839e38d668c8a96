//! One connection: its requests one after the other, each answered before the next is looked at.
//!
//! ```text
//!  accepted ──► head ──request──► answer ──all of it handed over──► idle ──a byte──► head
//!             limits.head       limits.stall                     limits.idle      limits.head
//! ```
//!
//! Requests that were sent ahead wait where they came in, and so does their sender when that is full: nothing is read
//! while an answer is under way. GET and HEAD of files are answered here; whatever else is asked for goes to hyper with all
//! bytes that have come ([`super::odd`]).

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::Arc,
};

use netboot::{
    capture::Way,
    site::{Arrival, FileRequest, shown},
};
use proto::{AttemptId, event::Transport};
use tokio::{net::TcpStream, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    Shared, body,
    given::{Given, Out},
    mirrored, odd, path,
    reply::{Manner, Plain, healthy, not_found, not_now},
    report,
    request::{self, Parsed, Request},
    sending::Teller,
    wire::{Over, Wire},
};
use crate::{
    desk::{Answered, Desk, Found},
    mirror::Claimed,
    tap::{Tap, Tape, head_of},
};

/// Buffers that have grown beyond this are let go when the connection is idle.
const KEPT: usize = 1 << 10;

/// A connection.
pub(super) struct Connection<D: Desk> {
    shared: Arc<Shared<D>>,
    arrival: Arrival,
    peer: IpAddr,
    stopping: CancellationToken,
    wire: Wire,
    /// What has come and was not answered yet.
    unread: Vec<u8>,
    /// The head of the answer under way.
    head: Vec<u8>,
    /// What was asked for last, as far as the desk need not be asked for it again.
    last: Option<Box<Given<D>>>,
}

/// What is to become of a request.
enum Turn {
    /// It was answered.
    Answered,
    /// It is not ours.
    Odd,
}

/// What the desk says to a question, and of which boot.
type Asked<D> = (Result<Found<<D as Desk>::Ticket>, Plain>, Option<AttemptId>);

/// What is kept of a connection: machines have addresses of IPv4 alone.
fn tape(tap: &Tap, peer: SocketAddr, ours: SocketAddr) -> Option<Tape> {
    match (peer.ip().to_canonical(), ours) {
        (IpAddr::V4(peer_ip), SocketAddr::V4(ours)) => {
            Tape::new(tap, SocketAddrV4::new(peer_ip, peer.port()), ours)
        }
        _ => None,
    }
}

/// Why a connection ends by our will.
enum End {
    /// A request is not ours.
    Odd,
    /// What comes next is the content of a request that should have none.
    Content,
    /// The client wants no more, or the server stops.
    Enough,
}

impl<D: Desk> Connection<D> {
    pub(super) fn new(
        socket: TcpStream,
        (peer, ours): (SocketAddr, SocketAddr),
        arrival: Arrival,
        shared: Arc<Shared<D>>,
        stopping: CancellationToken,
    ) -> Self {
        let wire = Wire::new(socket, shared.limits.stall, stopping.clone());
        let wire = wire.taped(tape(&shared.tap, peer, ours));
        let peer = peer.ip();
        let (unread, head) = (Vec::new(), Vec::new());
        Self { shared, arrival, peer, stopping, wire, unread, head, last: None }
    }

    /// Answers requests until either side has had enough.
    pub(super) async fn run(mut self) {
        let peer = self.peer;
        match self.converse().await {
            Ok(End::Odd) => self.hand_over().await,
            Ok(End::Content) => {
                self.wire.ended(Way::Out);
                self.wire.linger().await;
            }
            Ok(End::Enough) => {
                self.wire.ended(Way::Out);
                tracing::trace!(%peer, "connection closed");
            }
            Err(over) => {
                self.wire.ended(if over == Over::Gone { Way::In } else { Way::Out });
                tracing::trace!(%peer, ?over, "connection over");
            }
        }
    }

    async fn converse(&mut self) -> Result<End, Over> {
        let mut by = Some(Instant::now() + self.shared.limits.head);
        loop {
            let request = self.request(by.take()).await?;
            let Some(request) = request else {
                self.wire.heard(head_of(&self.unread));
                return Ok(End::Odd);
            };
            self.wire.heard(&self.unread[..request.length]);
            let turn = self.answer(&request).await?;
            match turn {
                Turn::Odd => return Ok(End::Odd),
                Turn::Answered if request.has_content => return Ok(End::Content),
                Turn::Answered if !self.manner(&request).keep => return Ok(End::Enough),
                Turn::Answered => {}
            }
            self.unread.drain(..request.length);
            if self.unread.is_empty() && self.unread.capacity() > KEPT {
                self.unread = Vec::new();
            }
        }
    }

    /// The next request, whose head must be there by `by`; None: soon after its first byte. Gives None for what is not ours.
    async fn request(&mut self, mut by: Option<Instant>) -> Result<Option<Request>, Over> {
        let mut looked = 0;
        loop {
            if request::may_end(&self.unread, looked) {
                match request::parse(&self.unread, &self.shared.limits) {
                    Parsed::Request(request) => return Ok(Some(request)),
                    Parsed::Odd => return Ok(None),
                    Parsed::Partial => {}
                }
            }
            if self.unread.len() >= self.shared.limits.head_bytes {
                return Ok(None);
            }
            looked = self.unread.len();
            let idle = self.unread.is_empty();
            let until = match by {
                Some(by) => by,
                None if idle => Instant::now() + self.shared.limits.idle,
                None => *by.insert(Instant::now() + self.shared.limits.head),
            };
            self.more(until).await?;
        }
    }

    /// Waits for more, until `until`. What was given last is let go as soon as it can answer nothing more: it may hold secrets,
    /// a file that has left the cache, and room of [`super::memory`].
    async fn more(&mut self, until: Instant) -> Result<(), Over> {
        if let Some(stands) = self.last.as_deref().and_then(Given::until).filter(|stands| *stands < until) {
            match self.wire.read(&mut self.unread, stands).await {
                Err(Over::Silent) => self.last = None,
                heard => return heard,
            }
        }
        self.wire.read(&mut self.unread, until).await
    }

    fn manner(&self, request: &Request) -> Manner {
        Manner { version: request.version, keep: request.keep && !self.stopping.is_cancelled() }
    }

    async fn answer(&mut self, request: &Request) -> Result<Turn, Over> {
        let since = Instant::now();
        let removals = self.shared.images.removals();
        let stands = |last: &Given<D>| last.stands(&request.target, since, removals);
        if !self.last.as_deref().is_some_and(stands) {
            // What was asked for before is told of before the next question.
            self.last = None;
            if let Some(claimed) = self.claimed_by_mirror(request) {
                return self.mirrored(claimed, request).await;
            }
            let Some(name) = request.path().and_then(path::clean) else {
                return self.say(&not_found(), request).await;
            };
            if report::Path::read(&name).is_some() {
                return Ok(Turn::Odd);
            }
            if name == "healthz" {
                return self.say(&healthy(), request).await;
            }
            let (found, boot) = self.ask(&name, request).await?;
            match found {
                Ok(found) => self.last = Some(Box::new(self.given(&name, request, found, boot))),
                Err(plain) => return self.say_to(boot, &plain, request).await,
            }
        }
        let manner = self.manner(request);
        let Some(given) = &mut self.last else { return Ok(Turn::Answered) };
        self.head.clear();
        let out = Out { wire: &mut self.wire, head: &mut self.head, manner };
        given.answer(request, since, &self.shared, out).await?;
        self.last.take_if(|given| given.until().is_none());
        Ok(Turn::Answered)
    }

    fn claimed_by_mirror(&self, request: &Request) -> Option<Claimed> {
        mirrored::claim(self.shared.mirrors.as_ref()?, request, self.from()?)
    }

    async fn mirrored(&mut self, claimed: Claimed, request: &Request) -> Result<Turn, Over> {
        let (manner, shared) = (self.manner(request), Arc::clone(&self.shared));
        let Some(mirrors) = &shared.mirrors else { return Ok(Turn::Odd) };
        let head = &self.unread[..request.length];
        mirrored::answer(&mut self.wire, head, (mirrors, claimed), manner, &shared.reads).await?;
        Ok(Turn::Answered)
    }

    /// Asks the desk: what there is, or what is said in its place, and whose boot it is.
    async fn ask(&mut self, name: &str, request: &Request) -> Result<Asked<D>, Over> {
        let Some(from) = self.from() else { return Ok((Err(not_found()), None)) };
        let asked = FileRequest {
            ask: 0,
            transport: Transport::Http,
            arrival: self.arrival.clone(),
            from,
            name: name.to_owned(),
            probe: request.head_only,
        };
        let answered = self.wire.unless_gone(self.shared.desk.file(asked)).await?;
        Ok(match answered {
            Ok(Answered { found, boot, .. }) => (found.ok_or_else(not_found), boot),
            Err(stopped) => {
                tracing::debug!(error = &stopped as &dyn std::error::Error, "not answered now");
                (Err(not_now()), None)
            }
        })
    }

    fn given(
        &self,
        name: &str,
        request: &Request,
        found: Found<D::Ticket>,
        boot: Option<AttemptId>,
    ) -> Given<D> {
        let (desk, stopping) = (Arc::clone(&self.shared.desk), self.stopping.clone());
        // Tokens are not shown (S2).
        let boot = boot.map(tracing::field::display);
        let span = tracing::debug_span!("http", boot, peer = %self.peer, name = shown(name));
        Given::new(request.target.clone(), name, found, |ticket| Teller { desk, ticket, stopping, span })
    }

    /// Leases are IPv4's: nobody else has anything here.
    fn from(&self) -> Option<Ipv4Addr> {
        match self.peer.to_canonical() {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        }
    }

    async fn say(&mut self, plain: &Plain, request: &Request) -> Result<Turn, Over> {
        self.say_to(None, plain, request).await
    }

    /// The same to the machine of this boot.
    async fn say_to(
        &mut self,
        boot: Option<AttemptId>,
        plain: &Plain,
        request: &Request,
    ) -> Result<Turn, Over> {
        let manner = self.manner(request);
        self.head.clear();
        plain.write(request.head_only, manner, &mut self.head);
        let boot = boot.map(tracing::field::display);
        tracing::debug!(boot, peer = %self.peer, status = plain.status().as_u16(), "answered");
        body::head(&mut self.wire, &self.head).await?;
        Ok(Turn::Answered)
    }

    async fn hand_over(self) {
        let Self { shared, peer, stopping, wire, unread, .. } = self;
        odd::converse(wire, unread, odd::Service { shared, peer }, stopping).await;
    }
}
