//! What keeping a packet costs: `capture-cost [MACHINES…]`.
//!
//! Messages of DHCP of 320 bytes, each machine's four behind each other as in an exchange, and the address that two of them
//! give. With more machines than there is room for each exchange also pays for a ring and for the one that gives way.
//! Figures of one machine and minute.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement: it reads the clock and prints"
)]

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    time::Instant,
};

use netboot::capture::{Limits, Packet, Party, Rings, Standing, Way};
use proto::Mac;

const EXCHANGES: u32 = 400_000;
const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 2), 67);
const CLIENT: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68);

fn main() {
    let asked: Vec<u32> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let steps = if asked.is_empty() { vec![1, 64, 500, 100_000] } else { asked };
    println!("{:>10} {:>8} {:>9} {:>12}", "machines", "rings", "KiB", "ns a packet");
    for machines in steps {
        let mut rings = Rings::new(Limits::of_total(8 << 20));
        let began = Instant::now();
        (0..EXCHANGES).for_each(|n| exchange(&mut rings, n % machines));
        let each = began.elapsed().as_nanos() as f64 / f64::from(4 * EXCHANGES);
        println!("{machines:>10} {:>8} {:>9} {each:>12.0}", rings.len(), rings.bytes() >> 10);
    }
}

fn exchange(rings: &mut Rings, machine: u32) {
    let [a, b, c, d] = machine.to_be_bytes();
    let (mac, bytes) = (Mac([2, 0, a, b, c, d]), [1; 320]);
    for (at, way) in (0..).zip([Way::In, Way::Out, Way::In, Way::Out]) {
        let (from, to) = if way == Way::In { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
        rings.record(Party::Machine(mac), &Packet::udp(at, way, from, to, &bytes), || Some(Standing::Host));
        if way == Way::Out {
            rings.given(mac, Ipv4Addr::from_bits(0x0a01_0000 + machine));
        }
    }
}
