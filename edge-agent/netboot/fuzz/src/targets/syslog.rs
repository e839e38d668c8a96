//! Syslog lines and captures: whatever comes is shown cleaned and bounded, and no token is told.

use std::net::{Ipv4Addr, SocketAddrV4};

use netboot::capture::{
    Limits, Packet, Party, Rings, Standing, Way, mask_fields, mask_tokens, mask_tokens_of_start, pcap,
};
use netboot::syslog::Line;
use proto::Mac;

const TOKEN: &str = "00112233445566778899aabbccddeeff";

/// Reads `bytes` as a line, and keeps them as a packet.
pub fn run(bytes: &[u8]) {
    if let Some(line) = Line::parse(bytes) {
        let shown = |text: &str| text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        assert!(shown(&line.text) && shown(&line.program) && !line.text.is_empty());
        assert!(line.text.len() <= 256 && line.program.len() <= 48 && line.severity < 8);
    }
    let mut secret = bytes.to_vec();
    secret.extend_from_slice(b" /o/");
    secret.extend_from_slice(TOKEN.as_bytes());
    assert!(!Line::parse(&secret).is_some_and(|line| line.text.contains(TOKEN)));
    keep(&secret);
    let mut masked = secret.clone();
    mask_tokens(&mut masked);
    mask_tokens_of_start(&mut masked);
    mask_fields(&mut masked);
    assert_eq!(masked.len(), secret.len());
}

fn keep(secret: &[u8]) {
    let (machine, end) = (Mac([2, 0, 0, 0, 0, 9]), SocketAddrV4::new(Ipv4Addr::new(10, 1, 0, 9), 1_025));
    let ours = SocketAddrV4::new(Ipv4Addr::new(10, 1, 0, 2), 69);
    let limits = Limits { total: 64 << 10, machine: 8 << 10 };
    let (mut rings, party) = (Rings::new(limits), Party::Machine(machine));
    for part in secret.chunks(7).chain([secret]) {
        rings.record(party, &Packet::udp(1, Way::In, end, ours, part), || Some(Standing::Host));
        assert!(rings.bytes() <= limits.total);
    }
    let packets = rings.collect(&[party], 0, 1);
    let file = pcap(&packets[packets.len() - 1..], machine, &[]);
    assert!(!file.windows(TOKEN.len()).any(|window| window == TOKEN.as_bytes()));
}
