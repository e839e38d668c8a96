//! Transfers of a loader that come to nothing: the machine's packets before the agent's TFTP engine, and what its shelf
//! tells the site of them.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use controller::diagnosis::Cause;
use edge_agent::core::{ReportReply, Stopped};
use edge_agent::desk::{Answered, Desk, Found, Sent};
use edge_agent::disk::cache::Cache;
use edge_agent::images::Images;
use edge_agent::library::Shelf;
use edge_agent::tftp::Library as _;
use netboot::site::{FileRequest, FileTold, ReportRequest, Served, Source};
use netboot::tftp::{Action, Config, ErrorCode, Input, Local, Name, Packet, Server, Terms, TftpEvent};
use netboot::time::Now;
use tokio::sync::mpsc;

use super::boot::{Scene, at_its_address};
use super::cause;
use super::plan::ADDRESS;

const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(ADDRESS), 2_070);
const NAME: &str = "snponly.efi";
const SIZE: u64 = 1_000_000;

/// What the machine does with its loader.
#[derive(Clone, Copy)]
enum Client {
    /// It asks for the size and wants no more (QUIRKS 38).
    Probes,
    /// It acknowledges the options; nothing larger reaches it.
    LosesBlocks,
    /// It gets some blocks, then nothing.
    GetsBlocks(u16),
    /// It says that its disk is full.
    Fails,
}

/// The site engine as the shelf asks it.
struct SiteDesk(Arc<Mutex<Scene>>);

impl Desk for SiteDesk {
    type Ticket = Served;

    async fn file(&self, request: FileRequest) -> Result<Answered<Served>, Stopped> {
        let given = self.0.lock().expect("whole").give(request);
        // The bytes do not matter here, and need no cache.
        let found = given.map(|ticket| Found {
            source: Source::Bytes(vec![0; SIZE as usize].into()),
            ticket,
            standing: None,
        });
        Ok(found.into())
    }

    async fn report(&self, _: ReportRequest) -> Result<ReportReply, Stopped> {
        Err(Stopped)
    }

    fn told(&self, served: Served, sent: Sent) {
        let Sent { transport, bytes, took, retransmissions, repeats, end } = sent;
        let told = FileTold { served, transport, bytes, took, retransmissions, repeats, end };
        self.0.lock().expect("whole").told(told);
    }
}

/// The engine, before a machine of this kind.
struct Transfer {
    server: Server,
    now: Now,
    client: Client,
    events: Vec<TftpEvent>,
}

impl Transfer {
    fn run(client: Client) -> Vec<TftpEvent> {
        let (server, now) = (Server::new(Config::default()), Now::default());
        let mut transfer = Self { server, now, client, events: Vec::new() };
        let request = b"\0\x01snponly.efi\0octet\0tsize\x000\0blksize\x001428\0";
        transfer.receive(Local::Listener, request);
        for _ in 0..200 {
            let Some(next) = transfer.server.poll_timeout() else { break };
            transfer.now = transfer.now.plus(next.since(transfer.now.mono));
            transfer.server.handle_timeout(transfer.now);
            transfer.perform();
        }
        transfer.events
    }

    fn receive(&mut self, local: Local, bytes: &[u8]) {
        self.server.handle(self.now, Input::Datagram { local, peer: PEER, bytes });
        self.perform();
    }

    fn perform(&mut self) {
        while let Some(action) = self.server.poll_action() {
            match action {
                Action::Open { transfer, .. } => {
                    let opened =
                        Input::Opened { transfer, size: SIZE, available: SIZE, terms: Terms::default() };
                    self.server.handle(self.now, opened);
                }
                Action::Send { local, bytes, .. } => self.options(local, &bytes),
                Action::SendBlocks(blocks) => self.block(blocks.local, blocks.range.first),
                Action::Report(event) => self.events.push(event),
                Action::Close { .. } => {}
            }
        }
    }

    fn options(&mut self, local: Local, bytes: &[u8]) {
        let Ok(Packet::OptionAck(_)) = Packet::parse(bytes) else { return };
        let reply = match self.client {
            Client::Probes => error(ErrorCode::OPTION_NEGOTIATION, "User aborted the transfer"),
            Client::Fails => error(ErrorCode(3), "disk full"),
            Client::LosesBlocks | Client::GetsBlocks(_) => Packet::Ack { block: 0 }.to_vec(),
        };
        self.receive(local, &reply);
    }

    fn block(&mut self, local: Local, number: u16) {
        if let Client::GetsBlocks(most) = self.client
            && number <= most
        {
            self.receive(local, &Packet::Ack { block: number }.to_vec());
        }
    }
}

fn error(code: ErrorCode, message: &str) -> Vec<u8> {
    Packet::Error { code, message: message.into() }.to_vec()
}

/// The answer, after the machine has its address and did this.
async fn caused(client: Client) -> Option<Cause> {
    let scene = Arc::new(Mutex::new(at_its_address()));
    let folder = tempfile::tempdir().expect("a folder");
    let (cache, _) = Cache::open(folder.path(), SystemTime::now(), Duration::from_secs(60)).expect("a cache");
    let images = Images::new(Arc::new(cache), mpsc::channel(1).0);
    let subnet = "10.1.0.0/24".parse().expect("a subnet");
    let shelf = Shelf::new(Arc::new(SiteDesk(Arc::clone(&scene))), images, super::boot::arrival(), subnet);
    let name = Name::clean(NAME.as_bytes()).expect("a legal name");
    shelf.open(PEER, &name).await.outcome.expect("it is there");
    let (events, told) = mpsc::channel(16);
    for event in Transfer::run(client) {
        events.send(event).await.expect("there is room");
    }
    drop(events);
    shelf.tell(told).await;
    let events = scene.lock().expect("whole").events();
    cause(events)
}

#[tokio::test]
async fn a_transfer_that_comes_to_nothing_is_found() {
    assert_eq!(caused(Client::Probes).await, Some(Cause::StoppedAtSizeProbe));
    assert_eq!(caused(Client::LosesBlocks).await, Some(Cause::BlockTooLarge));
    assert_eq!(caused(Client::GetsBlocks(40)).await, Some(Cause::StuckRetransmitting));
    assert_eq!(caused(Client::Fails).await, Some(Cause::TransferBroken));
}
