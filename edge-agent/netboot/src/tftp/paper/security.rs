//! S3 and S4, on paper time.

use super::*;

fn peer(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, host], port))
}

#[test]
fn s3_write_requests_are_refused() {
    let mut bench = Bench::with_file(10);
    let sent = bench.receive(Local::Listener, machine(), b"\0\x02file\0octet\0");
    assert_eq!(error_code(&sent), ErrorCode::ACCESS_VIOLATION);
    assert_eq!((bench.server.transfers(), bench.open_files), (0, 0));
}

#[test]
fn s3_only_octet_is_served() {
    let mut bench = Bench::with_file(10);
    for mode in [&b"netascii"[..], b"MAIL", b"binary"] {
        let bytes = [b"\0\x01file\0", mode, b"\0"].concat();
        let sent = bench.receive(Local::Listener, machine(), &bytes);
        assert_eq!(error_code(&sent), ErrorCode::ILLEGAL_OPERATION);
    }
}

#[test]
fn s4_a_silent_source_gets_one_small_packet_for_a_request() {
    let all = [("blksize", "65464"), ("tsize", "0"), ("timeout", "255"), ("windowsize", "65535")];
    let some: [&[(&str, &str)]; 4] = [&[], &all, &[("windowsize", "64")], &[("blksize", "1468")]];
    for options in some {
        let mut bench = Bench::with_file(1 << 30);
        let mut sent = bench.request(machine(), options);
        for _ in 0..4000 {
            sent.extend(bench.pass(Duration::from_secs(1)));
        }
        let (bytes, packets) = volume(&sent);
        assert!(packets == 1 && bytes <= 516, "{options:?}: {packets} packets, {bytes} bytes");
        assert_eq!(bench.failure(), (Why::NeverAcknowledged, 0));
    }
}

#[test]
fn s4_a_silent_source_that_repeats_its_request_gets_four_packets_and_2100_bytes() {
    let mut bench = Bench::with_file(1 << 30);
    let mut sent = bench.request(machine(), &[]);
    for _ in 0..9 {
        sent.extend(bench.pass_millis(900));
        sent.extend(bench.request(machine(), &[]));
    }
    let (bytes, packets) = volume(&sent);
    assert_eq!(packets, 4);
    assert!(bytes <= 2100, "{bytes} bytes");
}

#[test]
fn s4_four_pending_transfers_for_a_source() {
    let mut bench = Bench::with_file(5000);
    let slots: Vec<Local> = (0..4).map(|n| local(&bench.request(peer(1, 2000 + n), &[]))).collect();
    assert_eq!(error_code(&bench.request(peer(1, 2004), &[])), ErrorCode::NOT_DEFINED);
    assert_eq!(bench.server.transfers(), 4);
    assert_eq!(blocks(&bench.request(peer(2, 2004), &[])), (1, 1), "others are served");
    bench.ack(slots[0], peer(1, 2000), 1);
    assert_eq!(blocks(&bench.request(peer(1, 2004), &[])), (1, 1), "what is acknowledged is not pending");
    bench.pass(Duration::from_secs(60));
    assert_eq!(bench.server.transfers(), 0);
    assert_eq!(blocks(&bench.request(peer(1, 2005), &[])), (1, 1), "and all of it comes back");
}

#[test]
fn s4_a_source_with_too_many_transfers_is_told_so_and_not_at_each_request() {
    let mut bench = Bench::with_file(5000);
    for port in 2000..2004 {
        bench.request(peer(1, port), &[]);
    }
    let told: Vec<_> = (2004..2104).flat_map(|port| bench.request(peer(1, port), &[])).collect();
    let (bytes, packets) = volume(&told);
    assert_eq!((packets, bench.server.counters().over_limit), (4, 96));
    assert!(bytes < 4 * 60, "{bytes} bytes");
    assert_eq!(
        bench.last_event(),
        &EventKind::Refused {
            code: ErrorCode::NOT_DEFINED,
            message: "too many transfers from this address".into()
        }
    );
    bench.pass_millis(1_000);
    assert_eq!(
        error_code(&bench.request(peer(1, 2104), &[])),
        ErrorCode::NOT_DEFINED,
        "one more each second"
    );
}

#[test]
fn s4_a_total_of_transfers() {
    let mut bench = Bench::new(Config { transfers: 10, ..Config::default() });
    bench.files.insert("file".to_owned(), 5000);
    for host in 0..20 {
        bench.request(peer(host, 2000), &[]);
    }
    assert_eq!(bench.server.transfers(), 10);
}

#[test]
fn s4_a_source_that_asks_too_fast_hears_nothing() {
    let mut bench = Bench::with_file(5000);
    let answers = (0..1000).filter(|n| {
        let sent = bench.receive(Local::Listener, peer(1, 3000 + n), &request("none", &[]));
        !sent.is_empty()
    });
    assert_eq!(answers.count(), 128);
}

#[test]
fn s4_refused_in_silence() {
    let mut bench = Bench::with_file(5000);
    bench.manual = true;
    bench.request(machine(), &[]);
    let refused =
        Input::Refused { transfer: bench.opens[0], refusal: Refusal::Silence, terms: Terms::default() };
    assert!(bench.input(refused).is_empty());
    assert_eq!((bench.server.transfers(), bench.open_files, bench.events.len()), (0, 0, 0));
}

#[test]
fn s4_a_wrong_transfer_id_gets_error_5_and_harms_nothing() {
    let mut bench = Bench::with_file(5000);
    let slot = local(&bench.request(machine(), &[]));
    let wrong_port = SocketAddr::new(machine().ip(), 9999);
    assert_eq!(error_code(&bench.ack(slot, wrong_port, 1)), ErrorCode::UNKNOWN_TRANSFER);
    let other_slot = if slot == Local::Ephemeral(0) { Local::Ephemeral(1) } else { Local::Ephemeral(0) };
    assert_eq!(error_code(&bench.ack(other_slot, machine(), 1)), ErrorCode::UNKNOWN_TRANSFER);
    assert_eq!(error_code(&bench.ack(slot, peer(7, 2070), 1)), ErrorCode::UNKNOWN_TRANSFER);
    assert_eq!(blocks(&bench.ack(slot, machine(), 1)), (2, 1));
}

#[test]
fn s4_an_error_is_never_answered() {
    let mut bench = Bench::with_file(5000);
    let slot = local(&bench.request(machine(), &[]));
    for (local, from) in [(slot, peer(9, 9)), (Local::Listener, machine()), (Local::Listener, peer(9, 9))] {
        assert!(bench.error(local, from, 5, "unknown transfer ID").is_empty());
    }
    assert_eq!(bench.server.transfers(), 1);
    assert!(bench.error(slot, machine(), 1, "").is_empty());
    assert_eq!(bench.server.transfers(), 0);
    assert!(bench.error(slot, machine(), 1, "").is_empty());
}

#[test]
fn what_no_client_may_send_is_dropped() {
    let mut bench = Bench::with_file(5000);
    let slot = local(&bench.request(machine(), &[]));
    for bytes in [&b""[..], b"\0", b"\0\x03\0\x01data", b"\0\x06", b"\xff\xff\0\0", b"\0\x01file\0octet\0"] {
        assert!(bench.receive(slot, machine(), bytes).is_empty(), "{bytes:?}");
    }
    assert_eq!(bench.server.counters().malformed, 6);
    assert_eq!(blocks(&bench.ack(slot, machine(), 1)), (2, 1));
}
