//! Whole transfers with the reference client, over perfect and bad networks.

use super::client::{Network, fetch};
use super::*;

fn sizes(block: u64) -> Vec<u64> {
    let borders = [0, 1, block - 1, block, block + 1, 2 * block, 7 * block - 1, 16 * block, 16 * block + 1];
    borders.into_iter().chain([511, 512, 513, 1467, 1468, 1469, 100_000]).collect()
}

#[test]
fn every_size_around_a_block_arrives_with_no_packet_too_many() {
    for block in [8, 512, 1408, 1432, 1468] {
        for window in [1, 2, 4, 16, 64] {
            for size in sizes(u64::from(block)) {
                let outcome = fetch(size, block, window, Network::PERFECT);
                assert!(outcome.done, "{size} bytes in blocks of {block}, window {window}");
                assert_eq!(outcome.received, size);
                assert_eq!(outcome.data_packets, size / u64::from(block) + 1);
            }
        }
    }
}

#[test]
fn files_arrive_whole_over_bad_networks() {
    let mut longest = Duration::ZERO;
    for seed in 0..40 {
        for (block, window) in [(512, 1), (1468, 1), (1468, 4), (1468, 32)] {
            for (loss, repeat) in [(0.005, 0.0), (0.05, 0.05), (0.2, 0.2)] {
                let jitter = Duration::from_micros(10 * (seed % 3));
                let network = Network { seed, loss, repeat, jitter, ..Network::PERFECT };
                let outcome = fetch(300_000, block, window, network);
                assert!(outcome.done, "seed {seed}, block {block}, window {window}, loss {loss}");
                assert_eq!(outcome.received, 300_000);
                longest = longest.max(outcome.took);
            }
        }
    }
    // 586 blocks in lockstep, each of them or its acknowledgement lost more than once in three times, and the client's own
    // second of waiting where nothing of the handshake came.
    assert!(longest < Duration::from_secs(30), "{longest:?}");
}

#[test]
fn windows_under_heavy_loss_are_not_slower_than_blocks_one_by_one() {
    let times = |window| {
        let each = (0..40).map(|seed| {
            let network = Network { seed, loss: 0.2, repeat: 0.2, ..Network::PERFECT };
            fetch(300_000, 1468, window, network).took
        });
        each.collect::<Vec<_>>()
    };
    let (one_by_one, windows) = (times(1), times(32));
    assert!(windows.iter().all(|took| *took < Duration::from_secs(15)), "{windows:?}");
    assert!(windows.iter().sum::<Duration>() <= one_by_one.iter().sum(), "{windows:?}");
}

#[test]
fn a_repeating_network_does_not_double_the_data() {
    for seed in 0..10 {
        let network = Network { seed, repeat: 0.5, ..Network::PERFECT };
        let lockstep = fetch(512 * 1000, 512, 1, network);
        assert_eq!(lockstep.data_packets, 1001, "sorcerer's apprentice");
        let windows = fetch(512 * 1000, 512, 16, network);
        assert!(windows.data_packets < 5 * 1001 / 2, "{} packets for 1001 blocks", windows.data_packets);
    }
}

#[test]
fn loss_costs_few_repeats_and_little_time() {
    for seed in 0..10 {
        let network = Network { seed, loss: 0.005, delay: Duration::from_micros(500), ..Network::PERFECT };
        // 7000 blocks, 35 lost: a lost block costs a window and a round trip, or 20 ms.
        let lockstep = fetch(7000 * 1468, 1468, 1, network);
        assert!(lockstep.data_packets < 7001 + 150, "{} packets", lockstep.data_packets);
        assert!(lockstep.took < Duration::from_secs(7 + 4), "{:?}", lockstep.took);
        let windows = fetch(7000 * 1468, 1468, 32, network);
        assert!(windows.data_packets < 7001 + 35 * 3 * 32, "{} packets", windows.data_packets);
        assert!(windows.took < Duration::from_secs(3), "{:?}", windows.took);
    }
}

#[test]
fn a_lost_acknowledgement_costs_no_window() {
    for window in [8, 32] {
        let (mut packets, mut duplicates) = (0, 0);
        for seed in 0..10 {
            let network =
                Network { seed, loss: 0.005, delay: Duration::from_micros(500), ..Network::PERFECT };
            let outcome = fetch(7000 * 1468, 1468, window, network);
            (packets, duplicates) = (packets + outcome.data_packets, duplicates + outcome.duplicates);
        }
        assert!(duplicates * 200 < packets, "window {window}: {duplicates} of {packets}");
    }
}

#[test]
fn a_slow_path_is_not_flooded() {
    for window in [1, 4, 64] {
        let network = Network { delay: Duration::from_millis(150), ..Network::PERFECT };
        let outcome = fetch(1468 * 200, 1468, window, network);
        assert_eq!((outcome.done, outcome.data_packets), (true, 201), "window {window}");
    }
}

#[test]
fn a_path_that_becomes_slower_is_measured_anew() {
    let mut bench = Bench::with_file(512 * 200);
    let slot = local(&bench.request(machine(), &[]));
    let mut repeats = 0;
    for block in 1..=160 {
        // Its time-out is 120 ms by then: the first acknowledgement that takes longer comes 5 ms after a repeat.
        repeats += bench.pass_millis(if block <= 60 { 100 } else { 125 }).len();
        bench.ack(slot, machine(), block);
    }
    assert_eq!(repeats, 1);
}

#[test]
fn more_blocks_than_numbers_over_a_bad_network() {
    let network = Network { seed: 7, loss: 0.001, ..Network::PERFECT };
    let size = 1468 * 70_000 + 3;
    let outcome = fetch(size, 1468, 32, network);
    assert_eq!((outcome.done, outcome.received), (true, size));
}
