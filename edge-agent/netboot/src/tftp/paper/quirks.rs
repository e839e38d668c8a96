//! One test for each quirk and RFC rule, on paper time.

use std::num::{NonZeroU8, NonZeroU16};

use super::*;

const OVMF_PROBE: [(&str, &str); 3] = [("tsize", "0"), ("blksize", "1468"), ("windowsize", "4")];

#[test]
fn rfc_1350_without_options_the_first_answer_is_block_one() {
    let mut bench = Bench::with_file(1000);
    let sent = bench.request(machine(), &[]);
    assert_eq!(blocks(&sent), (1, 1));
    let slot = local(&sent);
    assert_ne!(slot, Local::Listener, "each transfer has a port of its own");
    assert_eq!(blocks(&bench.ack(slot, machine(), 1)), (2, 1));
    bench.now = bench.now.plus(Duration::from_millis(7));
    assert!(bench.ack(slot, machine(), 2).is_empty());
    let duration = Duration::from_millis(7);
    let completed = EventKind::Completed { bytes: 1000, blocks: 2, retransmissions: 0, duration };
    assert_eq!(bench.events, [EventKind::Began { size: 1000, block_size: 512, window: 1 }, completed]);
    assert_eq!((bench.server.transfers(), bench.open_files), (0, 0));
}

#[test]
fn quirk_37_options_are_granted_as_asked_and_no_others() {
    let mut bench = Bench::with_file(1000);
    let asked = [("BLKSIZE", "1024"), ("tsize", "0"), ("multicast", ""), ("x", "y")];
    let granted = granted(&bench.request(machine(), &asked));
    let expected =
        Options { block_size: BlockSize::new(1024), transfer_size: Some(1000), ..Options::default() };
    assert_eq!(granted, expected);
}

#[test]
fn quirk_37_all_four_options() {
    let mut bench = Bench::with_file(1_000_000);
    let asked = [("windowsize", "65535"), ("timeout", "255"), ("tsize", "0"), ("blksize", "512")];
    let granted = granted(&bench.request(machine(), &asked));
    assert_eq!(granted.window_size, NonZeroU16::new(64));
    assert_eq!(granted.timeout, NonZeroU8::new(255));
    assert_eq!(granted.transfer_size, Some(1_000_000));
    assert_eq!(granted.block_size, BlockSize::new(512));
}

#[test]
fn rfc_2347_without_a_known_option_there_is_no_option_acknowledgement() {
    let mut bench = Bench::with_file(1000);
    assert_eq!(blocks(&bench.request(machine(), &[("multicast", ""), ("blksize", "4")])), (1, 1));
}

#[test]
fn quirk_38_the_size_probe_is_no_failure() {
    for code in [8, 0] {
        let mut bench = Bench::with_file(1000);
        let sent = bench.request(machine(), &OVMF_PROBE);
        assert_eq!(granted(&sent).transfer_size, Some(1000));
        assert!(bench.error(local(&sent), machine(), code, "User aborted the transfer").is_empty());
        assert_eq!(bench.last_event(), &EventKind::Probed);
        assert_eq!((bench.server.transfers(), bench.open_files), (0, 0), "the session is free at once");
        assert!(bench.pass(Duration::from_secs(60)).is_empty(), "nothing is sent again");
        // The second request, from the same port, without tsize.
        let sent = bench.request(machine(), &OVMF_PROBE[1..]);
        assert_eq!(granted(&sent).window_size, NonZeroU16::new(4));
        assert_eq!(blocks(&bench.ack(local(&sent), machine(), 0)), (1, 1));
    }
}

#[test]
fn quirk_39_aborts_are_told_from_failures() {
    for (code, text) in [(8, "User aborted"), (0, "TFTP Aborted")] {
        let mut bench = Bench::with_file(5000);
        let slot = local(&bench.request(machine(), &[]));
        bench.ack(slot, machine(), 1);
        assert!(bench.error(slot, machine(), code, text).is_empty());
        assert_eq!(bench.last_event(), &EventKind::Aborted { bytes: 512 });
    }
    let mut bench = Bench::with_file(5000);
    let slot = local(&bench.request(machine(), &[]));
    bench.error(slot, machine(), 3, "disk full");
    let why = Why::PeerError { code: ErrorCode(3), message: "disk full".to_owned() };
    assert_eq!(bench.failure(), (why, 0));
}

#[test]
fn quirk_39_pxelinux_closes_a_file_that_it_has_whole() {
    let mut bench = Bench::with_file(1024);
    let slot = local(&bench.request(machine(), &[]));
    bench.ack(slot, machine(), 1);
    assert!(bench.error(slot, machine(), 0, "No error, file close").is_empty());
    assert!(matches!(bench.last_event(), EventKind::Completed { bytes: 1024, .. }));
    let mut bench = Bench::with_file(1025);
    let slot = local(&bench.request(machine(), &[]));
    bench.ack(slot, machine(), 1);
    bench.error(slot, machine(), 0, "No error, file close");
    assert_eq!(bench.last_event(), &EventKind::Aborted { bytes: 512 }, "the last byte has not left");
}

#[test]
fn quirk_39_a_file_of_one_block_is_not_served_by_an_error() {
    for size in [0, 100, 512] {
        for options in [&[][..], &[("blksize", "512")]] {
            let mut bench = Bench::with_file(size);
            let slot = local(&bench.request(machine(), options));
            if !options.is_empty() {
                bench.ack(slot, machine(), 0);
            }
            assert!(bench.error(slot, machine(), 0, "TFTP Aborted").is_empty());
            assert_eq!(bench.last_event(), &EventKind::Aborted { bytes: 0 }, "{size} bytes, {options:?}");
        }
    }
}

#[test]
fn quirk_40_blocks_fit_the_link() {
    let mut bench = Bench::with_file(1000);
    let granted = granted(&bench.request(machine(), &[("blksize", "65464")]));
    assert_eq!(granted.block_size, BlockSize::new(1468));
}

#[test]
fn quirk_40_blocks_fit_the_path() {
    let mut bench = Bench::with_file(1000);
    for (mtu, block) in [(1500, 1468), (1400, 1368), (9000, 1468), (576, 544)] {
        bench.terms.path_mtu = Some(mtu);
        let peer = SocketAddr::new(machine().ip(), mtu);
        let granted = granted(&bench.request(peer, &[("blksize", "65464")]));
        assert_eq!(granted.block_size, BlockSize::new(block), "MTU {mtu}");
    }
}

#[test]
fn quirk_40_three_losses_of_block_one_make_the_next_request_small() {
    let mut bench = Bench::with_file(100_000);
    let slot = local(&bench.request(machine(), &[("blksize", "1468")]));
    assert_eq!(blocks(&bench.ack(slot, machine(), 0)), (1, 1));
    bench.pass(Duration::from_secs(60));
    assert_eq!(bench.failure(), (Why::Silent, 0));
    let again = SocketAddr::new(machine().ip(), 2071);
    assert_eq!(granted(&bench.request(again, &[("blksize", "1468")])).block_size, BlockSize::new(512));
    let other = SocketAddr::from(([10, 0, 0, 2], 2071));
    assert_eq!(granted(&bench.request(other, &[("blksize", "1468")])).block_size, BlockSize::new(1468));
    bench.pass(Duration::from_secs(601));
    let later = SocketAddr::new(machine().ip(), 2072);
    assert_eq!(granted(&bench.request(later, &[("blksize", "1468")])).block_size, BlockSize::new(1468));
}

#[test]
fn quirk_40_a_later_loss_is_no_reason_for_small_blocks() {
    let mut bench = Bench::with_file(100_000);
    let slot = local(&bench.request(machine(), &[("blksize", "1468")]));
    bench.ack(slot, machine(), 0);
    bench.ack(slot, machine(), 1);
    bench.pass(Duration::from_secs(60));
    let again = SocketAddr::new(machine().ip(), 2071);
    assert_eq!(granted(&bench.request(again, &[("blksize", "1468")])).block_size, BlockSize::new(1468));
}

#[test]
fn quirk_42_a_duplicate_acknowledgement_sends_nothing() {
    let mut bench = Bench::with_file(5000);
    let slot = local(&bench.request(machine(), &[]));
    assert_eq!(blocks(&bench.ack(slot, machine(), 1)), (2, 1));
    for _ in 0..5 {
        bench.now = bench.now.plus(Duration::from_millis(3));
        assert!(bench.ack(slot, machine(), 1).is_empty(), "sorcerer's apprentice");
    }
    assert_eq!(blocks(&bench.ack(slot, machine(), 2)), (3, 1));
    assert!(bench.ack(slot, machine(), 7).is_empty(), "a block that was never sent");
}

#[test]
fn quirk_42_more_blocks_than_numbers() {
    let size = 70_000 * 1468 + 11;
    let mut bench = Bench::with_file(size);
    let slot = local(&bench.request(machine(), &[("blksize", "1468"), ("windowsize", "64")]));
    let mut sent = bench.ack(slot, machine(), 0);
    let (mut offset, mut block) = (0, 1_u64);
    while let [Sent::Blocks(blocks)] = sent.as_slice() {
        assert_eq!((blocks.range.offset, u64::from(blocks.range.first)), (offset, block & 0xffff));
        offset += blocks.range.len;
        block += u64::from(blocks.range.count);
        let last = u16::try_from((block - 1) & 0xffff).expect("sixteen bits");
        sent = bench.ack(slot, machine(), last);
    }
    assert_eq!((offset, block - 1), (size, 70_001));
    assert!(matches!(bench.last_event(), EventKind::Completed { blocks: 70_001, retransmissions: 0, .. }));
}

#[test]
fn quirk_43_single_port_mode() {
    let mut bench = Bench::with_file(600);
    bench.terms.single_port = true;
    let sent = bench.request(machine(), &[]);
    assert_eq!(local(&sent), Local::Listener);
    assert_eq!(blocks(&bench.ack(Local::Listener, machine(), 1)), (2, 1));
    let missing = bench.receive(Local::Listener, machine(), &request("none", &[]));
    assert_eq!((local(&missing), error_code(&missing)), (Local::Listener, ErrorCode::FILE_NOT_FOUND));
}

#[test]
fn quirk_43_what_begins_no_transfer_is_answered_from_the_port_that_was_asked() {
    for bytes in [&b"\0\x02file\0octet\0"[..], b"\0\x01file\0mail\0", b"\0\x01..\0octet\0"] {
        let sent = Bench::with_file(600).receive(Local::Listener, machine(), bytes);
        assert_eq!(local(&sent), Local::Listener, "{bytes:?}: {sent:?}");
    }
}

#[test]
fn quirk_43_two_machines_in_two_modes() {
    let mut bench = Bench::with_file(600);
    let own_port = bench.request(machine(), &[]);
    bench.terms.single_port = true;
    let other = SocketAddr::from(([10, 0, 0, 2], 2070));
    let single_port = bench.request(other, &[]);
    assert_ne!(local(&own_port), Local::Listener);
    assert_eq!(local(&single_port), Local::Listener);
    assert_eq!(blocks(&bench.ack(local(&own_port), machine(), 1)), (2, 1));
    assert_eq!(blocks(&bench.ack(Local::Listener, other, 1)), (2, 1));
    assert_eq!(error_code(&bench.ack(Local::Listener, machine(), 1)), ErrorCode::UNKNOWN_TRANSFER);
}

#[test]
fn quirk_44_not_found_is_error_1_with_text_at_once() {
    let mut bench = Bench::with_file(1);
    for name in ["x86_64-efi/command.lst", "../file", "bad\u{1}name", "", "\u{ff}\u{fe}"] {
        let sent = bench.receive(Local::Listener, machine(), &request(name, &OVMF_PROBE));
        assert_eq!(error_code(&sent), ErrorCode::FILE_NOT_FOUND, "{name:?}");
        assert!(matches!(bench.last_event(), EventKind::Refused { code: ErrorCode(1), .. }));
    }
    let dozens = (0..60).map(|n| SocketAddr::new(machine().ip(), 3000 + n));
    for peer in dozens {
        let sent = bench.receive(Local::Listener, peer, &request("none.lst", &[]));
        assert_eq!(error_code(&sent), ErrorCode::FILE_NOT_FOUND);
    }
    assert_eq!((bench.server.transfers(), bench.open_files), (0, 0));
}

#[test]
fn quirk_45_windows_names_reach_the_shell_clean() {
    let mut bench = Bench::with_file(0);
    bench.files.insert("Boot/BCD".to_owned(), 3);
    let sent = bench.receive(Local::Listener, machine(), &request(r"\Boot\BCD", &[]));
    assert_eq!(blocks(&sent), (1, 1));
    assert_eq!(bench.names, ["Boot/BCD"]);
}

#[test]
fn quirk_47_the_first_reply_comes_again_with_the_request() {
    for options in [&[][..], &OVMF_PROBE] {
        let mut bench = Bench::with_file(5000);
        let first = bench.request(machine(), options);
        for _ in 0..3 {
            assert!(bench.pass_millis(1000).is_empty(), "not by itself");
            assert_eq!(bench.request(machine(), options), first);
        }
        assert!(bench.pass_millis(1000).is_empty());
        assert!(bench.request(machine(), options).is_empty(), "four in all");
        let (slot, next) = (local(&first), u16::from(options.is_empty()));
        assert_eq!(blocks(&bench.ack(slot, machine(), next)).0, next + 1, "the fourth may be the one");
    }
}

#[test]
fn quirk_47_a_request_that_the_network_repeats_is_answered_once() {
    let mut bench = Bench::with_file(5000);
    bench.request(machine(), &[]);
    assert!(bench.pass_millis(19).is_empty());
    assert!(bench.request(machine(), &[]).is_empty());
}

#[test]
fn quirk_47_a_first_reply_that_nobody_wanted_is_forgotten() {
    let mut bench = Bench::with_file(5000);
    bench.request(machine(), &[]);
    assert!(bench.pass(Duration::from_secs(10)).is_empty());
    assert_eq!(bench.failure(), (Why::NeverAcknowledged, 0));
    assert_eq!(blocks(&bench.request(machine(), &[])), (1, 1));
}

#[test]
fn quirk_47_after_a_measured_round_trip_20_ms_and_then_slower() {
    let mut bench = Bench::with_file(5000);
    let slot = local(&bench.request(machine(), &[]));
    bench.now = bench.now.plus(Duration::from_millis(1));
    bench.ack(slot, machine(), 1);
    for gap in [21, 42, 84, 168, 336, 672, 1344, 2688, 4000, 4000] {
        assert!(bench.pass_millis(gap - 1).is_empty());
        assert_eq!(blocks(&bench.pass_millis(1)), (2, 1), "after {gap} ms");
    }
    bench.pass(Duration::from_secs(60));
    assert_eq!(bench.failure(), (Why::Silent, 512));
}

#[test]
fn rfc_2349_the_clients_time_out_is_honoured() {
    let mut bench = Bench::with_file(5000);
    let slot = local(&bench.request(machine(), &[("timeout", "3")]));
    bench.ack(slot, machine(), 0);
    for _ in 0..5 {
        assert!(bench.pass_millis(2_999).is_empty());
        assert_eq!(blocks(&bench.pass_millis(1)), (1, 1));
    }
    let bounded = bench.pass(Duration::from_secs(120));
    assert!(bounded.len() < 10);
    assert_eq!(bench.server.transfers(), 0);
}

#[test]
fn the_clients_time_out_in_microseconds_is_where_the_back_off_starts() {
    let mut bench = Bench::with_file(5000);
    let sent = bench.request(machine(), &[("utimeout", "500000")]);
    assert_eq!(granted(&sent).micro_timeout, MicroTimeout::new(500_000));
    bench.now = bench.now.plus(Duration::from_millis(1));
    bench.ack(local(&sent), machine(), 0);
    for gap in [501, 1002, 2004, 4000] {
        assert!(bench.pass_millis(gap - 1).is_empty());
        assert_eq!(blocks(&bench.pass_millis(1)), (1, 1), "after {gap} ms");
    }
}

#[test]
fn rfc_7440_a_loss_behind_takes_the_window_back() {
    let mut bench = Bench::with_file(1_000_000);
    let slot = local(&bench.request(machine(), &[("windowsize", "8")]));
    bench.now = bench.now.plus(Duration::from_millis(2));
    assert_eq!(blocks(&bench.ack(slot, machine(), 0)), (1, 8));
    bench.now = bench.now.plus(Duration::from_millis(2));
    assert_eq!(blocks(&bench.ack(slot, machine(), 8)), (9, 8));
    bench.now = bench.now.plus(Duration::from_millis(2));
    assert_eq!(blocks(&bench.ack(slot, machine(), 11)), (12, 8));
}

#[test]
fn a_window_that_nobody_answers_is_asked_after_with_its_last_block() {
    let unanswered = || {
        let mut bench = Bench::with_file(1_000_000);
        let slot = local(&bench.request(machine(), &[("windowsize", "8")]));
        for (acknowledged, next) in [(0, 1), (8, 9)] {
            bench.now = bench.now.plus(Duration::from_millis(2));
            assert_eq!(blocks(&bench.ack(slot, machine(), acknowledged)), (next, 8));
        }
        assert!(bench.pass_millis(21).is_empty());
        assert_eq!(blocks(&bench.pass_millis(1)), (16, 1));
        (bench, slot)
    };
    let (mut bench, slot) = unanswered();
    assert_eq!(blocks(&bench.ack(slot, machine(), 16)), (17, 8), "the acknowledgement was lost, or late");
    assert!(bench.ack(slot, machine(), 16).is_empty(), "both answers came");
    let (mut bench, slot) = unanswered();
    assert_eq!(blocks(&bench.ack(slot, machine(), 11)), (12, 8), "some of it was lost, and what told that");
    let (mut bench, slot) = unanswered();
    assert_eq!(blocks(&bench.ack(slot, machine(), 8)), (9, 8), "all of it was lost");
    let (mut bench, _) = unanswered();
    assert!(bench.pass_millis(43).is_empty());
    assert_eq!(blocks(&bench.pass_millis(1)), (9, 8), "this client says nothing of a single block");
}

#[test]
fn the_same_base_within_a_round_trip_makes_no_second_window() {
    let mut bench = Bench::with_file(1_000_000);
    let slot = local(&bench.request(machine(), &[("windowsize", "8")]));
    bench.now = bench.now.plus(Duration::from_millis(2));
    bench.ack(slot, machine(), 0);
    assert!(bench.ack(slot, machine(), 0).is_empty());
    bench.now = bench.now.plus(Duration::from_millis(1));
    assert!(bench.ack(slot, machine(), 0).is_empty());
    bench.now = bench.now.plus(Duration::from_millis(1));
    assert_eq!(blocks(&bench.ack(slot, machine(), 0)), (1, 8), "a round trip later: block 1 was lost");
    bench.now = bench.now.plus(Duration::from_millis(5));
    assert!(bench.ack(slot, machine(), 0).is_empty(), "once; then the time-out decides");
}

#[test]
fn a_client_that_acknowledges_each_block_of_a_window_gets_no_flood() {
    let mut bench = Bench::with_file(512 * 400);
    let slot = local(&bench.request(machine(), &[("windowsize", "16")]));
    bench.now = bench.now.plus(Duration::from_millis(2));
    let mut sent = volume(&bench.ack(slot, machine(), 0)).1;
    for round in 0..25_u16 {
        bench.now = bench.now.plus(Duration::from_millis(2));
        for block in 1..=16 {
            sent += volume(&bench.ack(slot, machine(), round * 16 + block)).1;
        }
    }
    assert!(sent < 2 * 401, "{sent} packets for 401 blocks");
}

#[test]
fn a_repeated_request_makes_no_second_transfer() {
    let mut bench = Bench::with_file(5000);
    let first = bench.request(machine(), &OVMF_PROBE);
    assert!(bench.request(machine(), &OVMF_PROBE).is_empty());
    bench.ack(local(&first), machine(), 0);
    assert!(bench.request(machine(), &OVMF_PROBE).is_empty());
    assert_eq!(bench.server.transfers(), 1);
    assert_eq!(bench.server.counters().duplicate_requests, 2);
}

#[test]
fn another_request_from_the_same_port_begins_anew() {
    let mut bench = Bench::with_file(5000);
    let first = bench.request(machine(), &OVMF_PROBE);
    let second = bench.request(machine(), &[]);
    assert_eq!(blocks(&second), (1, 1));
    assert_ne!(local(&first), local(&second));
    assert_eq!(bench.events[1], EventKind::Aborted { bytes: 0 });
    assert_eq!((bench.server.transfers(), bench.open_files), (1, 1));
    assert!(bench.ack(local(&first), machine(), 0).is_empty(), "a late packet of the first is swallowed");
}

#[test]
fn the_same_request_after_silence_begins_anew() {
    let mut bench = Bench::with_file(5000);
    let first = bench.request(machine(), &OVMF_PROBE);
    bench.ack(local(&first), machine(), 0);
    bench.pass_millis(1500);
    assert!(matches!(packet(&bench.request(machine(), &OVMF_PROBE)), Packet::OptionAck(_)));
    assert_eq!(bench.server.transfers(), 1);
}

#[test]
fn late_packets_of_an_ended_transfer_are_swallowed_for_a_while() {
    let mut bench = Bench::with_file(100);
    let slot = local(&bench.request(machine(), &[]));
    bench.ack(slot, machine(), 1);
    assert!(bench.ack(slot, machine(), 1).is_empty());
    bench.pass(Duration::from_secs(11));
    assert_eq!(error_code(&bench.ack(slot, machine(), 1)), ErrorCode::UNKNOWN_TRANSFER);
}

#[test]
fn a_file_that_is_still_arriving_is_sent_as_it_arrives() {
    let mut bench = Bench::with_file(0);
    bench.manual = true;
    bench.request(machine(), &[("blksize", "1000"), ("windowsize", "4"), ("tsize", "0")]);
    let transfer = bench.opens[0];
    let sent = bench.input(Input::Opened { transfer, size: 4500, available: 0, terms: Terms::default() });
    assert_eq!(granted(&sent).transfer_size, Some(4500));
    let slot = local(&sent);
    assert!(bench.ack(slot, machine(), 0).is_empty());
    assert!(bench.input(Input::Available { transfer, available: 999 }).is_empty());
    assert_eq!(blocks(&bench.input(Input::Available { transfer, available: 2100 })), (1, 2));
    assert!(
        bench.pass(Duration::from_secs(50)).is_empty(),
        "half a window is not acknowledged, nor sent again"
    );
    assert_eq!(blocks(&bench.input(Input::Available { transfer, available: 4000 })), (3, 2));
    assert!(bench.ack(slot, machine(), 4).is_empty());
    assert_eq!(blocks(&bench.input(Input::Available { transfer, available: 4500 })), (5, 1));
    bench.ack(slot, machine(), 5);
    assert!(matches!(bench.last_event(), EventKind::Completed { bytes: 4500, retransmissions: 0, .. }));
}

#[test]
fn growth_does_not_put_off_a_retransmission() {
    let mut bench = Bench::with_file(0);
    bench.manual = true;
    bench.request(machine(), &[("windowsize", "1")]);
    let transfer = bench.opens[0];
    let slot = local(&bench.input(Input::Opened {
        transfer,
        size: 1 << 20,
        available: 2000,
        terms: Terms::default(),
    }));
    bench.now = bench.now.plus(Duration::from_millis(1));
    assert_eq!(blocks(&bench.ack(slot, machine(), 0)), (1, 1));
    let mut sent = Vec::new();
    for step in 0..30 {
        sent.extend(bench.input(Input::Available { transfer, available: 2000 + step }));
        sent.extend(bench.pass_millis(1));
    }
    assert_eq!(blocks(&sent), (1, 1));
}

#[test]
fn a_file_that_stops_arriving_ends_the_transfer_with_an_error() {
    let mut bench = Bench::with_file(0);
    bench.manual = true;
    bench.request(machine(), &[]);
    bench.input(Input::Opened {
        transfer: bench.opens[0],
        size: 4500,
        available: 100,
        terms: Terms::default(),
    });
    assert_eq!(error_code(&bench.pass(Duration::from_secs(60))), ErrorCode::NOT_DEFINED);
    assert_eq!(bench.failure(), (Why::SourceStalled, 0));
}

#[test]
fn an_unreadable_file_ends_the_transfer_with_an_error() {
    let mut bench = Bench::with_file(0);
    bench.manual = true;
    bench.request(machine(), &[]);
    let transfer = bench.opens[0];
    bench.input(Input::Opened { transfer, size: 4500, available: 4500, terms: Terms::default() });
    let sent = bench.input(Input::SourceFailed { transfer, why: "input/output error".to_owned() });
    assert_eq!(error_code(&sent), ErrorCode::NOT_DEFINED);
    assert!(matches!(bench.last_event(), EventKind::Failed { why: Why::SourceFailed(_), .. }));
    assert!(bench.input(Input::SourceFailed { transfer, why: String::new() }).is_empty());
}

#[test]
fn a_file_that_is_not_opened_in_time() {
    let mut bench = Bench::with_file(0);
    bench.manual = true;
    bench.request(machine(), &[]);
    assert_eq!(error_code(&bench.pass(Duration::from_secs(10))), ErrorCode::NOT_DEFINED);
    let late = Input::Opened { transfer: bench.opens[0], size: 1, available: 1, terms: Terms::default() };
    assert!(bench.input(late).is_empty());
    assert_eq!((bench.events.len(), bench.failure()), (1, (Why::OpenTimedOut, 0)));
}

#[test]
fn no_transfer_lasts_for_ever() {
    let mut bench = Bench::with_file(1 << 30);
    let slot = local(&bench.request(machine(), &[]));
    let mut sent = Vec::new();
    for block in 1..2000_u16 {
        sent.clear();
        sent.extend(bench.ack(slot, machine(), block));
        if bench.server.transfers() == 0 {
            break;
        }
        sent = bench.pass(Duration::from_secs(29));
        if bench.server.transfers() == 0 {
            break;
        }
    }
    assert!(bench.now.mono < millis(1_000_000).plus(Duration::from_secs(2 * 60 * 60 + 60)));
    assert_eq!(error_code(&sent[sent.len() - 1..]), ErrorCode::NOT_DEFINED);
    assert!(matches!(bench.last_event(), EventKind::Failed { why: Why::TooLong, .. }));
}
