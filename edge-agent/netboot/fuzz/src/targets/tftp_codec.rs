//! The TFTP codec: what it reads it writes, and reads again as the same.

use netboot::tftp::{Name, Packet};

/// Reads `bytes` as a datagram and as a name.
pub fn run(bytes: &[u8]) {
    if let Ok(packet) = Packet::parse(bytes) {
        let again = packet.to_vec();
        assert_eq!(Packet::parse(&again), Ok(packet));
        assert!(again.len() <= 2 * bytes.len() + 512, "{} bytes became {}", bytes.len(), again.len());
    }
    if let Ok(name) = Name::clean(bytes) {
        assert_eq!(Name::clean(name.as_str().as_bytes()), Ok(name));
    }
}
