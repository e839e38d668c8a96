//! A TFTP client (RFC 1350, 2347, 2348, 2349, 7440): the least that firmware does.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::fetch::Fetched;

/// How much a client puts up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How long a server may say nothing before a packet is sent again.
    pub still: Duration,
    /// How often a packet is sent before the server is taken for dead.
    pub tries: u32,
}

impl Patience {
    /// With a server that may be killed, and then says nothing more.
    pub const SHORT: Self = Self { still: Duration::from_millis(700), tries: 3 };
    /// As firmware has it.
    pub const FIRMWARE: Self = Self { still: Duration::from_secs(1), tries: 10 };
}

/// Without an option, in bytes (RFC 1350 §2).
const BLOCK: usize = 512;
/// Longer than any packet here.
const LONGEST: usize = 2_048;

/// Fetches a file with these options, and no others in the server's answer.
///
/// # Errors
/// What the socket says.
pub async fn get(
    from: Ipv4Addr,
    server: Ipv4Addr,
    name: &str,
    options: &[(&str, &str)],
    patience: Patience,
) -> io::Result<Fetched> {
    let socket = UdpSocket::bind((from, 0)).await?;
    let mut send = [&[0, 1], name.as_bytes(), b"\0octet\0"].concat();
    options.iter().for_each(|(name, value)| send.extend(format!("{name}\0{value}\0").bytes()));
    let mut transfer = Transfer { file: Vec::new(), next: 1, block: BLOCK, window: 1, in_window: 0 };
    let (mut to, mut buffer) = (SocketAddr::from((server, 69)), vec![0; LONGEST]);
    loop {
        let Some((length, peer)) = ask(&socket, &send, to, &mut buffer, patience).await? else {
            return Ok(Fetched::Broken(transfer.file.len()));
        };
        to = peer;
        // Within a window the next packet comes by itself.
        send = match transfer.take(&buffer[..length], options) {
            Taken::Ack(block) => ack(block),
            Taken::Wait => Vec::new(),
            Taken::Last(block) => {
                socket.send_to(&ack(block), to).await?;
                return Ok(Fetched::Whole(transfer.file));
            }
            Taken::Absent => return Ok(Fetched::Refused),
            Taken::Broken => return Ok(Fetched::Broken(transfer.file.len())),
        };
    }
}

/// How far a transfer is.
struct Transfer {
    file: Vec<u8>,
    /// The block that is due.
    next: u16,
    block: usize,
    window: u16,
    /// Blocks since the last acknowledgement.
    in_window: u16,
}

#[derive(Debug, PartialEq, Eq)]
enum Taken {
    Ack(u16),
    Wait,
    Last(u16),
    Absent,
    Broken,
}

impl Transfer {
    fn take(&mut self, packet: &[u8], asked: &[(&str, &str)]) -> Taken {
        match packet {
            [0, 3, high, low, data @ ..] => self.take_block(u16::from_be_bytes([*high, *low]), data),
            [0, 5, 0, 1, ..] => Taken::Absent,
            // What was not asked for, or more than that, may not be granted (RFC 2347).
            [0, 6, fields @ ..] if self.file.is_empty() => {
                if self.grant(fields, asked).is_some() {
                    Taken::Ack(0)
                } else {
                    Taken::Broken
                }
            }
            [0, 5, ..] => Taken::Broken,
            _ => Taken::Wait,
        }
    }

    fn take_block(&mut self, block: u16, data: &[u8]) -> Taken {
        if block != self.next {
            // RFC 7440 §4: a gap is told by the last block before it.
            self.in_window = 0;
            return Taken::Ack(self.next.wrapping_sub(1));
        }
        self.file.extend_from_slice(data);
        self.next = block.wrapping_add(1);
        self.in_window += 1;
        if data.len() < self.block {
            return Taken::Last(block);
        }
        if self.in_window < self.window {
            return Taken::Wait;
        }
        self.in_window = 0;
        Taken::Ack(block)
    }

    fn grant(&mut self, fields: &[u8], asked: &[(&str, &str)]) -> Option<()> {
        let text = std::str::from_utf8(fields.strip_suffix(&[0])?).ok()?;
        let words: Vec<&str> = text.split('\0').collect();
        for pair in words.chunks(2) {
            let [name, value] = pair else { return None };
            let (_, wish) = asked.iter().find(|(asked, _)| asked.eq_ignore_ascii_case(name))?;
            let (value, wish): (u64, u64) = (value.parse().ok()?, wish.parse().ok()?);
            match *name {
                "tsize" => {}
                _ if value > wish => return None,
                "blksize" => self.block = usize::try_from(value).ok()?,
                "windowsize" => self.window = u16::try_from(value).ok()?,
                _ => {}
            }
        }
        Some(())
    }
}

fn ack(block: u16) -> Vec<u8> {
    [[0, 4], block.to_be_bytes()].concat()
}

/// Sends, and sends again, until something comes; None: nothing does. An empty packet is not sent.
async fn ask(
    socket: &UdpSocket,
    packet: &[u8],
    to: SocketAddr,
    buffer: &mut [u8],
    patience: Patience,
) -> io::Result<Option<(usize, SocketAddr)>> {
    for _ in 0..patience.tries {
        if !packet.is_empty() {
            socket.send_to(packet, to).await?;
        }
        if let Ok(received) = timeout(patience.still, socket.recv_from(buffer)).await {
            return received.map(Some);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transfer() -> Transfer {
        Transfer { file: Vec::new(), next: 1, block: BLOCK, window: 1, in_window: 0 }
    }

    fn data(block: u8, length: usize) -> Vec<u8> {
        [&[0, 3, 0, block][..], &vec![7; length]].concat()
    }

    fn granted(fields: &[&str]) -> Vec<u8> {
        [&b"\0\x06"[..], fields.join("\0").as_bytes(), b"\0"].concat()
    }

    const ASKED: &[(&str, &str)] = &[("tsize", "0"), ("blksize", "1456"), ("windowsize", "2")];

    #[test]
    fn every_second_block_of_a_window_of_two_is_acknowledged() {
        let mut transfer = transfer();
        let granted = granted(&["blksize", "1000", "tsize", "2001", "windowsize", "2"]);
        assert_eq!(transfer.take(&granted, ASKED), Taken::Ack(0));
        assert_eq!(transfer.take(&data(1, 1000), ASKED), Taken::Wait);
        assert_eq!(transfer.take(&data(2, 1000), ASKED), Taken::Ack(2));
        assert_eq!(transfer.take(&data(4, 1000), ASKED), Taken::Ack(2), "a gap");
        assert_eq!(transfer.take(&data(3, 1), ASKED), Taken::Last(3));
        assert_eq!(transfer.file.len(), 2001);
    }

    #[test]
    fn what_was_not_asked_for_is_not_taken() {
        for fields in [&["timeout", "1"][..], &["blksize", "1468"], &["blksize"]] {
            assert_eq!(transfer().take(&granted(fields), ASKED), Taken::Broken, "{fields:?}");
        }
        assert_eq!(transfer().take(b"\0\x05\0\x01no\0", ASKED), Taken::Absent);
        assert_eq!(transfer().take(b"\0\x05\0\x02no\0", ASKED), Taken::Broken);
    }
}
