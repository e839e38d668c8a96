//! The DATA packets of one window, laid out one after the other in equal segments.
//!
//! ```text
//!  | header | block 1 | header | block 2 | ... | header | last |
//!  |<--- segment ---->|<--- segment ---->|     |<-- shorter -->|
//! ```
//!
//! One read from the file fills all of them, and the layout is the one that the kernel's segmentation offload
//! takes.

use std::io;

use netboot::tftp::{Blocks, DATA_HEADER, data_header};

use super::library::Source;

/// A reusable buffer of packets.
#[derive(Debug, Default)]
pub(super) struct Segments {
    bytes: Vec<u8>,
    segment: usize,
}

impl Segments {
    /// Reads `blocks` from `source`, in place of what was here.
    ///
    /// # Errors
    /// What reading gave; then there are no packets.
    pub(super) fn fill(&mut self, source: &Source, blocks: &Blocks) -> io::Result<()> {
        let (count, block) = (usize::from(blocks.range.count), usize::from(blocks.block_size));
        let len = usize::try_from(blocks.range.len).map_err(io::Error::other)?;
        let headers = count * DATA_HEADER;
        self.segment = block + DATA_HEADER;
        self.bytes.clear();
        self.bytes.resize(headers + len, 0);
        if let Err(error) = source.read(blocks.range.offset, &mut self.bytes[headers..]) {
            self.bytes.clear();
            return Err(error);
        }
        for index in 0..count {
            let from = headers + index * block;
            let until = (from + block).min(headers + len);
            let to = index * self.segment;
            // Never ahead of what is still to be moved: the headers of later blocks lie between.
            self.bytes.copy_within(from..until, to + DATA_HEADER);
            let number = blocks.range.first.wrapping_add(u16::try_from(index).map_err(io::Error::other)?);
            self.bytes[to..to + DATA_HEADER].copy_from_slice(&data_header(number));
        }
        Ok(())
    }

    /// The packets, in order.
    pub(super) fn packets(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks(self.segment.max(1))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// What the engine describes for a whole file of `size` bytes with blocks of 8, as packets.
    fn packets(size: usize, first: u16) -> Vec<Vec<u8>> {
        let bytes: Vec<u8> = (0..size).map(|n| u8::try_from(n % 251).expect("a byte")).collect();
        let blocks = netboot_blocks(size as u64, first);
        let mut segments = Segments::default();
        segments.fill(&Source::Bytes(Bytes::from(bytes)), &blocks).expect("all bytes are there");
        segments.packets().map(<[u8]>::to_vec).collect()
    }

    /// A transfer's id can only come from an engine: run one to its first window.
    fn netboot_blocks(size: u64, first: u16) -> Blocks {
        use netboot::tftp::{Action, Config, Input, Local, Range, Server};
        let mut server = Server::new(Config::default());
        let peer = std::net::SocketAddr::from(([127, 0, 0, 1], 2070));
        let bytes = b"\0\x01f\0octet\0";
        server.handle(netboot::time::Now::default(), Input::Datagram { local: Local::Listener, peer, bytes });
        let Some(Action::Open { transfer, .. }) = server.poll_action() else { panic!("it opens the file") };
        let count = u16::try_from(size / 8 + 1).expect("few blocks");
        let range = Range { first, count, offset: 0, len: size };
        Blocks { transfer, local: Local::Ephemeral(0), peer, block_size: 8, range }
    }

    #[test]
    fn each_packet_has_its_number_and_its_bytes() {
        for size in [0, 1, 7, 8, 9, 15, 16, 17, 64, 100] {
            let packets = packets(size, 65_534);
            assert_eq!(packets.len(), size / 8 + 1);
            let mut offset = 0_usize;
            for (index, packet) in packets.iter().enumerate() {
                let number = 65_534_u16.wrapping_add(u16::try_from(index).expect("few"));
                assert_eq!(packet[..4], data_header(number));
                let expected: Vec<u8> = (offset..(offset + 8).min(size))
                    .map(|n| u8::try_from(n % 251).expect("a byte"))
                    .collect();
                assert_eq!(packet[4..], expected);
                offset += 8;
            }
        }
    }

    #[test]
    fn a_short_source_is_an_error() {
        let mut segments = Segments::default();
        let source = Source::Bytes(Bytes::from_static(b"short"));
        assert!(segments.fill(&source, &netboot_blocks(6, 1)).is_err());
        assert_eq!(segments.packets().count(), 0);
    }
}
