//! Arbitrary sequences of events: no panic, bounded memory, and never more than S4 allows to a silent source.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Event {
    Request { peer: u8, name: u8, options: u8 },
    Ack { peer: u8, slot: u8, block: u16 },
    Error { peer: u8, slot: u8, code: u16 },
    Bytes { peer: u8, slot: u8, bytes: Vec<u8> },
    Open { which: usize, size: u64, available: u64 },
    Refuse { which: usize, silent: bool },
    Grow { which: usize, available: u64 },
    Break { which: usize },
    Wait { millis: u64 },
}

fn event() -> impl Strategy<Value = Event> {
    let block = prop_oneof![0u16..20, any::<u16>()];
    let bytes = proptest::collection::vec(any::<u8>(), 0..40);
    let size = prop_oneof![0u64..20_000, any::<u64>()];
    prop_oneof![
        4 => (0u8..12, 0u8..4, 0u8..6).prop_map(|(peer, name, options)| Event::Request { peer, name, options }),
        6 => (0u8..12, 0u8..6, block).prop_map(|(peer, slot, block)| Event::Ack { peer, slot, block }),
        1 => (0u8..12, 0u8..6, 0u16..10).prop_map(|(peer, slot, code)| Event::Error { peer, slot, code }),
        1 => (0u8..12, 0u8..6, bytes).prop_map(|(peer, slot, bytes)| Event::Bytes { peer, slot, bytes }),
        6 => (0usize..8, size, 0u64..20_000)
            .prop_map(|(which, size, available)| Event::Open { which, size, available }),
        1 => (0usize..8, any::<bool>()).prop_map(|(which, silent)| Event::Refuse { which, silent }),
        2 => (0usize..8, 0u64..40_000).prop_map(|(which, available)| Event::Grow { which, available }),
        1 => (0usize..8).prop_map(|which| Event::Break { which }),
        4 => prop_oneof![0u64..100, 0u64..20_000].prop_map(|millis| Event::Wait { millis }),
    ]
}

/// Peers 0 to 7 may acknowledge; 8 to 11 never do.
fn address(peer: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, peer / 4, 1], 2000 + u16::from(peer)))
}

fn socket(slot: u8) -> Local {
    if slot == 0 { Local::Listener } else { Local::Ephemeral(slot - 1) }
}

fn options(which: u8) -> &'static [(&'static str, &'static str)] {
    [
        &[][..],
        &[("tsize", "0")],
        &[("blksize", "1468"), ("windowsize", "4")],
        &[("blksize", "65464"), ("windowsize", "65535"), ("tsize", "0"), ("timeout", "255")],
        &[("blksize", "8"), ("windowsize", "64")],
        &[("timeout", "1")],
    ][usize::from(which)]
}

#[derive(Default)]
struct Ledger {
    requests: BTreeMap<SocketAddr, u64>,
    /// Files that broke: their machines are told, once more than they asked.
    breaks: u64,
    volume: BTreeMap<SocketAddr, (u64, u64)>,
}

impl Ledger {
    fn enter(&mut self, sent: &[Sent]) {
        for sent in sent {
            let peer = match sent {
                Sent::Packet { peer, .. } => *peer,
                Sent::Blocks(blocks) => blocks.peer,
            };
            let (bytes, packets) = volume(std::slice::from_ref(sent));
            let sum = self.volume.entry(peer).or_default();
            *sum = (sum.0 + bytes, sum.1 + packets);
        }
    }

    fn check_silent(&self) {
        for peer in (8..12).map(address) {
            let requests = self.requests.get(&peer).copied().unwrap_or(0);
            let (bytes, packets) = self.volume.get(&peer).copied().unwrap_or((0, 0));
            assert!(packets <= requests + self.breaks, "{peer}: {packets} packets for {requests} requests");
            assert!(bytes <= 516 * packets, "{peer}: {bytes} bytes in {packets} packets");
        }
    }
}

fn play(bench: &mut Bench, ledger: &mut Ledger, event: Event) {
    let opened = |bench: &Bench, which: usize| bench.opens.iter().rev().nth(which).copied();
    let sent = match event {
        Event::Request { peer, name, options: which } => {
            *ledger.requests.entry(address(peer)).or_default() += 1;
            let bytes = request(["a", "b", "../c", ""][usize::from(name)], options(which));
            bench.receive(Local::Listener, address(peer), &bytes)
        }
        Event::Ack { peer, .. } | Event::Error { peer, .. } | Event::Bytes { peer, .. } if peer >= 8 => {
            Vec::new()
        }
        Event::Ack { peer, slot, block } => bench.ack(socket(slot), address(peer), block),
        Event::Error { peer, slot, code } => bench.error(socket(slot), address(peer), code, "x"),
        Event::Bytes { peer, slot, bytes } => bench.receive(socket(slot), address(peer), &bytes),
        Event::Wait { millis } => bench.pass_millis(millis),
        Event::Open { which, size, available } => match opened(bench, which) {
            Some(transfer) => {
                bench.input(Input::Opened { transfer, size, available, terms: Terms::default() })
            }
            None => Vec::new(),
        },
        Event::Refuse { which, silent } => match opened(bench, which) {
            Some(transfer) => {
                bench.input(Input::Refused { transfer, refusal: refusal(silent), terms: Terms::default() })
            }
            None => Vec::new(),
        },
        Event::Grow { which, available } => match opened(bench, which) {
            Some(transfer) => bench.input(Input::Available { transfer, available }),
            None => Vec::new(),
        },
        Event::Break { which } => match opened(bench, which) {
            Some(transfer) => {
                ledger.breaks += 1;
                bench.input(Input::SourceFailed { transfer, why: "broken".to_owned() })
            }
            None => Vec::new(),
        },
    };
    ledger.enter(&sent);
}

fn refusal(silent: bool) -> Refusal {
    if silent {
        Refusal::Silence
    } else {
        Refusal::Answer { code: ErrorCode::FILE_NOT_FOUND, message: "none".to_owned() }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_is_survived_and_bounded(events in proptest::collection::vec(event(), 1..200)) {
        let mut bench = Bench::new(Config::default());
        bench.manual = true;
        let mut ledger = Ledger::default();
        for event in events {
            play(&mut bench, &mut ledger, event);
            prop_assert!(bench.server.transfers() <= 12, "one transfer for each address and port");
            prop_assert_eq!(bench.server.transfers(), bench.open_files, "every file is let go of");
        }
        let sent = bench.pass(Duration::from_secs(3 * 60 * 60));
        ledger.enter(&sent);
        ledger.check_silent();
        prop_assert_eq!((bench.server.transfers(), bench.open_files), (0, 0), "everything ends");
        prop_assert_eq!(bench.server.poll_timeout(), None);
    }
}
