//! The fuzz targets, bounded and seeded, on any toolchain: docs/fuzzing.md says how to run them without end.

#![expect(unreachable_pub, reason = "the targets are a library to the fuzzer")]

#[path = "../fuzz/src/targets/mod.rs"]
mod targets;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// Inputs for each target.
const INPUTS: u64 = 20_000;

/// Inputs for the DHCP server, whose events cost more.
const SITES: u64 = 4_000;

#[test]
fn chunk_list() {
    each(INPUTS, |random, bytes| {
        let records = bytes.len() / 19;
        let mut input = b"BLCL\x01\x02\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
        input.push(u8::try_from(records).expect("few bytes"));
        let mut size = 0;
        for record in bytes.chunks_exact(19) {
            // Few names, so that some meet again; a name has one length.
            let name = record[3] % 8;
            size += 1 + u64::from(name) * 700;
            input.extend_from_slice(&(1 + u32::from(name) * 700).to_be_bytes()[1..]);
            input.extend_from_slice(&[name; 16]);
        }
        input[8..16].copy_from_slice(&size.to_be_bytes());
        damage(random, &mut input);
        targets::chunk_list::run(&input);
    });
}

#[test]
fn dhcp_codec() {
    each(INPUTS, |random, bytes| {
        let mut input = vec![0; 236];
        input[..4].copy_from_slice(&[1 + random.random::<u8>() % 2, 1, 6, 0]);
        input[28..34].copy_from_slice(&[2, 0, 0, 2, 0, 1]);
        input.extend([99, 130, 83, 99, 53, 1, random.random_range(1..9)]);
        if random.random() {
            // Options in `file` and `sname` too.
            input.extend([52, 1, random.random_range(1..4)]);
            random.fill(&mut input[44..236]);
        }
        input.extend_from_slice(bytes);
        damage(random, &mut input);
        targets::dhcp_codec::run(&input);
    });
}

#[test]
fn syslog() {
    each(INPUTS, |random, bytes| {
        let mut input = match random.random_range(0..3) {
            0 => b"<13>1 2026-11-22T02:00:00Z box apt 1 - [a x=\"y\"] ".to_vec(),
            1 => b"<13>Nov 22 02:00:00 box apt[1]: GET /o/".to_vec(),
            _ => Vec::new(),
        };
        input.extend_from_slice(bytes);
        damage(random, &mut input);
        targets::syslog::run(&input);
    });
}

#[test]
fn dhcp_server() {
    each(SITES, |_, bytes| targets::dhcp_server::run(bytes));
}

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
    each(INPUTS, |random, bytes| {
        let mut input = starts[random.random_range(0..starts.len())].to_vec();
        input.extend_from_slice(bytes);
        damage(random, &mut input);
        targets::tftp_codec::run(&input);
    });
}

#[test]
fn tftp_server() {
    each(INPUTS, |_, bytes| targets::tftp_server::run(bytes));
}

/// Up to two bytes become others.
fn damage(random: &mut SmallRng, input: &mut [u8]) {
    for _ in 0..random.random_range(0..3) {
        let at = random.random_range(0..=input.len().saturating_sub(1));
        input.get_mut(at).into_iter().for_each(|byte| *byte = random.random());
    }
}

fn each(inputs: u64, mut target: impl FnMut(&mut SmallRng, &[u8])) {
    for seed in 0..inputs {
        let mut random = SmallRng::seed_from_u64(seed);
        let len = random.random_range(0..400);
        let bytes: Vec<u8> = (0..len).map(|_| random.random()).collect();
        target(&mut random, &bytes);
    }
}
