//! The fuzz targets, bounded and seeded, on any toolchain: docs/fuzzing.md says how to run them without end.

#![expect(unreachable_pub, reason = "the targets are a library to the fuzzer")]

#[path = "../fuzz/src/targets/mod.rs"]
mod targets;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// Inputs for each target.
const INPUTS: u64 = 20_000;

#[test]
fn tftp_codec() {
    let starts: [&[u8]; 6] = [
        b"",
        b"\0\x01f\0octet\0tsize\x000\0blksize\x001468\0",
        b"\0\x03\0\x01",
        b"\0\x04\0\x01",
        b"\0\x05\0\x08",
        b"\0\x06",
    ];
    each(|random, bytes| {
        let mut input = starts[random.random_range(0..starts.len())].to_vec();
        input.extend_from_slice(bytes);
        for _ in 0..random.random_range(0..3) {
            let at = random.random_range(0..=input.len().saturating_sub(1));
            input.get_mut(at).into_iter().for_each(|byte| *byte = random.random());
        }
        targets::tftp_codec::run(&input);
    });
}

#[test]
fn tftp_server() {
    each(|_, bytes| targets::tftp_server::run(bytes));
}

fn each(mut target: impl FnMut(&mut SmallRng, &[u8])) {
    for seed in 0..INPUTS {
        let mut random = SmallRng::seed_from_u64(seed);
        let len = random.random_range(0..400);
        let bytes: Vec<u8> = (0..len).map(|_| random.random()).collect();
        target(&mut random, &bytes);
    }
}
