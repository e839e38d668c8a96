//! What the kernel can do: TFTP with no server behind it.
//!
//! A file's packets lie ready in memory. Whoever acknowledges block N gets the window behind it, so nothing is remembered,
//! looked up, read or timed: what is left are the system calls that the work cannot do without. It assumes that files
//! have less than 65,536 blocks and that nothing is lost.

use std::fs;
use std::net::{SocketAddr, UdpSocket};

use anyhow::{Context as _, bail};
use edge_agent::datagrams::{BATCH, Inbox, Outgoing, Sender};
use rustix::event::{PollFd, PollFlags, poll};

use super::super::ground::SERVER;

/// Bytes before a block's own.
const HEADER: usize = 4;
/// The most that the kernel cuts from one send.
const LONGEST_SEND: usize = 65_507;

/// Serves the file `words[0]` in blocks of `words[1]` bytes and windows of `words[2]`, whatever is asked for.
///
/// # Errors
/// When the words are no such, or the socket fails.
pub fn run(words: &[String]) -> anyhow::Result<()> {
    let [path, block_size, window] = words else { bail!("not a file, a block size and a window") };
    let file = fs::read(path).context("failed to read the file")?;
    let limit = Limit::new(&file, block_size.parse()?, window.parse()?);
    let socket = UdpSocket::bind((SERVER, 69)).context("failed to listen")?;
    let (mut inbox, mut sender) = (Inbox::new(BATCH, 512), Sender::default());
    loop {
        // Nothing waits: then so does this.
        if inbox.receive(&socket).is_err() {
            poll(&mut [PollFd::new(&socket, PollFlags::IN)], None).context("failed to wait")?;
            continue;
        }
        let mut out: Vec<Outgoing<'_>> = Vec::with_capacity(2 * BATCH);
        inbox.datagrams().for_each(|(peer, packet)| limit.answer(peer, packet, &mut out));
        let mut rest = out.as_slice();
        while !rest.is_empty() {
            match sender.send(&socket, rest.iter().copied()) {
                Ok(sent) => rest = &rest[sent..],
                Err(_) => drop(poll(&mut [PollFd::new(&socket, PollFlags::OUT)], None)),
            }
        }
    }
}

struct Limit {
    packets: Vec<u8>,
    segment: usize,
    window: usize,
    grant: Vec<u8>,
}

impl Limit {
    fn new(file: &[u8], block_size: usize, window: usize) -> Self {
        let mut packets = Vec::with_capacity(file.len() + file.len() / block_size * HEADER + HEADER);
        for (number, block) in (1_u16..).zip(file.chunks(block_size)) {
            packets.extend_from_slice(&[0, 3]);
            packets.extend_from_slice(&number.to_be_bytes());
            packets.extend_from_slice(block);
        }
        let size = file.len();
        let mut grant = format!("\0\x06tsize\0{size}\0blksize\0{block_size}\0").into_bytes();
        if window > 1 {
            grant.extend_from_slice(format!("windowsize\0{window}\0").as_bytes());
        }
        Self { packets, segment: block_size + HEADER, window, grant }
    }

    fn answer<'a>(&'a self, to: SocketAddr, packet: &[u8], out: &mut Vec<Outgoing<'a>>) {
        match packet {
            [0, 1, ..] => out.push(Outgoing { to, payload: &self.grant, segment: None }),
            [0, 4, high, low] => {
                let start = usize::from(u16::from_be_bytes([*high, *low])) * self.segment;
                let end = (start + self.window * self.segment).min(self.packets.len());
                let window = self.packets.get(start..end).unwrap_or_default();
                let most = LONGEST_SEND / self.segment * self.segment;
                let cut = u16::try_from(self.segment).ok().filter(|_| self.window > 1);
                out.extend(window.chunks(most).map(|payload| Outgoing {
                    to,
                    payload,
                    segment: cut.filter(|segment| payload.len() > usize::from(*segment)),
                }));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::machine::{Ask, Step, Transfer};
    use super::*;

    #[test]
    fn a_machine_gets_the_whole_file() {
        let file: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
        for window in [1, 4, 64] {
            let limit = Limit::new(&file, 1468, window);
            let peer = SocketAddr::from(([127, 0, 0, 1], 2000));
            let ask = Ask { name: "f".into(), block_size: 1468, window: window as u16 };
            let (mut transfer, mut said, mut is_done) = (Transfer::new(), ask.request(), false);
            while !is_done {
                let mut out = Vec::new();
                limit.answer(peer, &said, &mut out);
                let packets = out
                    .iter()
                    .flat_map(|out| out.payload.chunks(out.segment.map_or(out.payload.len(), usize::from)));
                for packet in packets {
                    let is_right = |from: u64, body: &[u8]| file[from as usize..].starts_with(body);
                    match transfer.take(packet, is_right) {
                        Step::Silence => {}
                        Step::Acknowledge(block) => {
                            said = super::super::machine::acknowledgement(block).into()
                        }
                        Step::Finish(_) => is_done = true,
                        Step::Broken => panic!("broken at {:?}", transfer.tally()),
                    }
                }
            }
            assert_eq!(transfer.tally().bytes, 100_000);
        }
    }
}
