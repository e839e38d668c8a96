//! What the taps of DHCP and TFTP keep.

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket},
    num::NonZeroU8,
    sync::Arc,
    time::Duration,
};

use netboot::{
    capture::{Party, Standing, Way},
    dhcp::{Destination, Message, Operation, Request},
    tftp::{Local, Name},
};
use proto::Mac;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::tftp::{self, Answer, Library, Source};

const MAC: Mac = Mac([2, 0, 0, 0, 0, 9]);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 9);

/// Way, both ports, the payload's start and its real length, of all packets of a party.
fn kept(tap: &Tap, party: Party) -> Vec<(Way, u16, u16, Vec<u8>, u32)> {
    let look = |rings: &Rings| {
        let packets = rings.collect(&[party], 0, u64::MAX);
        packets.iter().map(|p| (p.way, p.from.port(), p.to.port(), p.bytes.to_vec(), p.original)).collect()
    };
    tap.look(look).expect("it is on")
}

fn message(operation: Operation, yiaddr: Ipv4Addr) -> Vec<u8> {
    let nobody = Ipv4Addr::UNSPECIFIED;
    let (hops, xid, secs, broadcast) = (0, 7, 0, false);
    let message = Message {
        operation,
        hops,
        xid,
        secs,
        broadcast,
        ciaddr: nobody,
        yiaddr,
        siaddr: nobody,
        giaddr: nobody,
        mac: MAC,
        file: vec![],
        options: None,
    };
    message.emit()
}

#[test]
fn dhcp_is_kept_both_ways_and_leads_from_the_address_to_the_machine() {
    let tap = Tap::new(1 << 20);
    let tapped = Tapped::new(&tap, SERVER);
    let (asks, offer) =
        (message(Operation::Request, Ipv4Addr::UNSPECIFIED), message(Operation::Reply, ADDRESS));
    let request = Request::parse(&asks).expect("BOOTP");
    let from = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68);
    tapped.heard(&request, Heard { at: micros(), from, port: 67, bytes: &asks }, || Some(Standing::Host));
    tapped.send([(offer.as_slice(), &Destination::Broadcast)].into_iter());
    let expected = [(Way::In, 68, 67, asks.clone(), 300), (Way::Out, 67, 68, offer, 300)];
    assert_eq!(kept(&tap, Party::Machine(MAC)), expected);
    assert_eq!(tap.look(|rings| rings.party_of(ADDRESS)), Some(Party::Machine(MAC)));
}

#[test]
fn who_is_not_admitted_and_a_tap_that_is_off_keep_nothing() {
    let asks = message(Operation::Request, Ipv4Addr::UNSPECIFIED);
    let (request, from) =
        (Request::parse(&asks).expect("BOOTP"), SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68));
    for (tap, standing) in [(Tap::new(1 << 20), None), (Tap::new(0), Some(Standing::Host))] {
        let tapped = Tapped::new(&tap, SERVER);
        tapped.heard(&request, Heard { at: micros(), from, port: 67, bytes: &asks }, || standing);
        tapped.send([(asks.as_slice(), &Destination::Broadcast)].into_iter());
        assert!(tap.look(Rings::is_empty).unwrap_or(true));
    }
}

#[test]
fn the_last_acknowledgement_before_a_block_goes_again_is_kept() {
    let tap = Tap::new(1 << 20);
    let mut transfers = Transfers::new(&tap, vec![SocketAddrV4::new(SERVER, 69)]).expect("it is on");
    let peer = SocketAddr::from((ADDRESS, 1_025));
    for block in [1_u8, 2, 3, 4, 5] {
        transfers.heard(block.into(), Local::Listener, peer, &[0, 4, 0, block]);
    }
    let numbers = |tap: &Tap| -> Vec<u8> {
        kept(tap, Party::Address(ADDRESS)).iter().map(|(.., bytes, _)| bytes[3]).collect()
    };
    assert_eq!(numbers(&tap), [1, 2]);
    transfers.ended(peer);
    transfers.ended(peer);
    assert_eq!(numbers(&tap), [1, 2, 5]);
}

/// One file under every name.
struct Always(usize);

impl Library for Always {
    async fn open(&self, _peer: SocketAddr, _name: &Name) -> Answer {
        Ok(Source::Bytes(vec![7; self.0].into())).into()
    }
}

/// Fetches all of a file by blocks of 512, in lockstep; how many there were.
fn fetch(server: SocketAddr) -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback has free ports");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("legal");
    socket.send_to(b"\0\x01o/00112233445566778899aabbccddeeff/x\0octet\0tsize\x000\0", server).expect("sent");
    let mut packet = [0; 1_024];
    loop {
        let (length, from) = socket.recv_from(&mut packet).expect("answered");
        let block = if packet[1] == 6 { 0 } else { u16::from_be_bytes([packet[2], packet[3]]) };
        let [high, low] = block.to_be_bytes();
        socket.send_to(&[0, 4, high, low], from).expect("sent");
        if packet[1] == 3 && length < 516 {
            return block;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_of_many_blocks_leaves_a_few_packets() {
    let (tap, one) = (Tap::new(1 << 20), NonZeroU8::MIN);
    let sockets = tftp::Sockets::bind(Ipv4Addr::LOCALHOST, 0, one, one).expect("loopback has free ports");
    let (events, mut told) = mpsc::channel(16);
    let library = Arc::new(Always(512 * 200 + 9));
    let sockets = sockets.tapped(tap.clone());
    let serving = tftp::serve(sockets, tftp::Config::default(), library, events, CancellationToken::new());
    let serving = serving.expect("it starts");
    let address = serving.address();
    assert_eq!(tokio::task::spawn_blocking(move || fetch(address)).await.expect("no panic"), 201);
    while !told.recv().await.expect("the server runs").kind.is_end() {}

    let packets = kept(&tap, Party::Address(Ipv4Addr::LOCALHOST));
    let shown: Vec<(Way, u8, u8, u32)> =
        packets.iter().map(|(way, _, _, bytes, original)| (*way, bytes[1], bytes[3], *original)).collect();
    let (oack, request) = (packets[1].4, packets[0].4);
    let expected = [
        (Way::In, 1, b'/', request),
        (Way::Out, 6, b's', oack),
        (Way::In, 4, 0, 4),
        (Way::Out, 3, 1, 516),
        (Way::In, 4, 1, 4),
        (Way::Out, 3, 2, 516),
        (Way::In, 4, 2, 4),
        (Way::Out, 3, 201, 13),
        (Way::In, 4, 201, 4),
    ];
    let bytes_kept = packets.iter().all(|(_, _, _, bytes, _)| !bytes.contains(&7));
    assert!(bytes_kept, "no byte of a file is kept");
    assert_eq!(shown, expected);
}
