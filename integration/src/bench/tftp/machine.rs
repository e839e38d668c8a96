//! One machine that fetches a file by TFTP (RFC 1350, 2347, 2348, 2349, 7440), without time and sockets.
//!
//! It acknowledges a full window, the last block, a gap (once for each window that has one), and the block that it
//! acknowledged last when that comes again: its acknowledgement was lost then. Other repeats are counted and not answered.

/// What a machine asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The file's name.
    pub name: String,
    /// Bytes of a block; 512 asks for nothing.
    pub block_size: u16,
    /// Blocks of a window; 1 asks for nothing.
    pub window: u16,
}

impl Ask {
    /// The request.
    #[must_use]
    pub fn request(&self) -> Vec<u8> {
        let mut bytes = [b"\0\x01", self.name.as_bytes(), b"\0octet\0"].concat();
        let mut option = |name: &str, value: u16| {
            bytes.extend_from_slice(format!("{name}\0{value}\0").as_bytes());
        };
        option("tsize", 0);
        if self.block_size != 512 {
            option("blksize", self.block_size);
        }
        if self.window != 1 {
            option("windowsize", self.window);
        }
        bytes
    }
}

/// What a packet of the server's leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing is to be said.
    Silence,
    /// Acknowledge this block.
    Acknowledge(u16),
    /// Acknowledge this block: it was the last.
    Finish(u16),
    /// The server has ended the transfer, or speaks no TFTP.
    Broken,
}

/// What has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// DATA packets.
    pub data: u64,
    /// Those that brought what was there already.
    pub duplicates: u64,
    /// Those that were of no use because one before them is missing.
    pub beyond_a_gap: u64,
    /// Bytes of file, in order.
    pub bytes: u64,
}

/// A transfer, from the request on.
#[derive(Debug)]
pub struct Transfer {
    block_size: usize,
    window: u16,
    /// The block that is due, counted from 1 without end.
    due: u64,
    in_window: u16,
    /// The last block that came although another was due, since that was told to the server.
    beyond: Option<u64>,
    tally: Tally,
}

impl Transfer {
    /// Nothing has arrived yet: without an option acknowledgement blocks are of 512 bytes, one by one.
    #[must_use]
    pub fn new() -> Self {
        Self { block_size: 512, window: 1, due: 1, in_window: 0, beyond: None, tally: Tally::default() }
    }

    /// What has arrived.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// What to say again after silence; None: the request.
    #[must_use]
    pub fn last_word(&self) -> Option<u16> {
        (self.due > 1).then(|| low_bits(self.due - 1))
    }

    /// Takes in a packet. `is_right` looks at the bytes of a block that is due, and where in the file they begin.
    pub fn take(&mut self, packet: &[u8], is_right: impl FnOnce(u64, &[u8]) -> bool) -> Step {
        match packet {
            [0, 3, high, low, body @ ..] => self.data(u16::from_be_bytes([*high, *low]), body, is_right),
            [0, 6, options @ ..] if self.due == 1 => self.options(options),
            [0, 6, ..] => Step::Silence,
            _ => Step::Broken,
        }
    }

    fn options(&mut self, mut options: &[u8]) -> Step {
        while let Some((name, value, rest)) = pair(options) {
            match (name.to_ascii_lowercase().as_str(), value.parse::<u16>()) {
                ("blksize", Ok(size)) => self.block_size = usize::from(size),
                ("windowsize", Ok(window)) => self.window = window.max(1),
                _ => {}
            }
            options = rest;
        }
        Step::Acknowledge(0)
    }

    fn data(&mut self, number: u16, body: &[u8], is_right: impl FnOnce(u64, &[u8]) -> bool) -> Step {
        self.tally.data += 1;
        let ahead = number.wrapping_sub(low_bits(self.due));
        if ahead == 0 {
            return self.due(body, is_right);
        }
        if ahead >= u16::MAX / 2 {
            return self.again(number);
        }
        self.tally.beyond_a_gap += 1;
        let block = self.due + u64::from(ahead);
        // Blocks of one window rise: one that does not is of another window, sent because of what was said.
        let is_told = self.beyond.replace(block).is_some_and(|before| block > before);
        self.in_window = 0;
        if is_told { Step::Silence } else { Step::Acknowledge(low_bits(self.due - 1)) }
    }

    fn due(&mut self, body: &[u8], is_right: impl FnOnce(u64, &[u8]) -> bool) -> Step {
        if body.len() > self.block_size || !is_right((self.due - 1) * self.block_size as u64, body) {
            return Step::Broken;
        }
        let number = low_bits(self.due);
        self.due += 1;
        self.in_window += 1;
        self.beyond = None;
        self.tally.bytes += body.len() as u64;
        if body.len() < self.block_size {
            return Step::Finish(number);
        }
        if self.in_window < self.window {
            return Step::Silence;
        }
        self.in_window = 0;
        Step::Acknowledge(number)
    }

    fn again(&mut self, number: u16) -> Step {
        self.tally.duplicates += 1;
        // In the middle of a window the server goes on by itself.
        let is_last = number == low_bits(self.due - 1) && self.in_window == 0;
        if is_last { Step::Acknowledge(number) } else { Step::Silence }
    }
}

impl Default for Transfer {
    fn default() -> Self {
        Self::new()
    }
}

/// The packet that acknowledges a block.
#[must_use]
pub fn acknowledgement(number: u16) -> [u8; 4] {
    let [high, low] = number.to_be_bytes();
    [0, 4, high, low]
}

fn pair(options: &[u8]) -> Option<(&str, &str, &[u8])> {
    let mut parts = options.splitn(3, |byte| *byte == 0);
    let name = str::from_utf8(parts.next()?).ok()?;
    let value = str::from_utf8(parts.next()?).ok()?;
    Some((name, value, parts.next()?))
}

fn low_bits(block: u64) -> u16 {
    (block & 0xffff) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(number: u16, len: usize) -> Vec<u8> {
        let mut packet = vec![0; 4 + len];
        packet[1] = 3;
        packet[2..4].copy_from_slice(&number.to_be_bytes());
        packet
    }

    /// A transfer with windows of four blocks of eight bytes.
    fn windows() -> Transfer {
        let mut transfer = Transfer::new();
        let granted = b"\0\x06tsize\x00100\0BLKSIZE\x008\0windowsize\x004\0";
        assert_eq!(transfer.take(granted, |_, _| true), Step::Acknowledge(0));
        transfer
    }

    fn take(transfer: &mut Transfer, number: u16) -> Step {
        transfer.take(&data(number, 8), |_, _| true)
    }

    #[test]
    fn asks_for_what_is_not_the_default() {
        let ask = |block_size, window| Ask { name: "f".into(), block_size, window }.request();
        assert_eq!(ask(512, 1), b"\0\x01f\0octet\0tsize\x000\0");
        assert_eq!(ask(1468, 8), b"\0\x01f\0octet\0tsize\x000\0blksize\x001468\0windowsize\x008\0");
    }

    #[test]
    fn a_server_without_windows_is_obeyed() {
        let mut transfer = Transfer::new();
        assert_eq!(transfer.take(b"\0\x06tsize\x009\0blksize\x008\0", |_, _| true), Step::Acknowledge(0));
        assert_eq!(take(&mut transfer, 1), Step::Acknowledge(1));
        assert_eq!(transfer.take(&data(2, 1), |from, body| (from, body.len()) == (8, 1)), Step::Finish(2));
        assert_eq!(transfer.tally(), &Tally { data: 2, bytes: 9, ..Tally::default() });
    }

    #[test]
    fn a_window_is_acknowledged_when_it_is_full() {
        let mut transfer = windows();
        let said: Vec<Step> = (1..=4).map(|number| take(&mut transfer, number)).collect();
        assert_eq!(said, [Step::Silence, Step::Silence, Step::Silence, Step::Acknowledge(4)]);
    }

    #[test]
    fn a_gap_is_told_once_for_each_window() {
        let mut transfer = windows();
        take(&mut transfer, 1);
        assert_eq!(take(&mut transfer, 3), Step::Acknowledge(1));
        assert_eq!(take(&mut transfer, 4), Step::Silence);
        assert_eq!(take(&mut transfer, 3), Step::Acknowledge(1), "the next window lost its first block too");
        let said: Vec<Step> = (2..=5).map(|number| take(&mut transfer, number)).collect();
        assert_eq!(said, [Step::Silence, Step::Silence, Step::Silence, Step::Acknowledge(5)]);
        assert_eq!(transfer.tally(), &Tally { data: 8, beyond_a_gap: 3, bytes: 40, duplicates: 0 });
    }

    #[test]
    fn what_comes_again_is_acknowledged_at_its_end() {
        let mut transfer = windows();
        assert_eq!((1..=4).map(|number| take(&mut transfer, number)).last(), Some(Step::Acknowledge(4)));
        let said: Vec<Step> = (1..=4).map(|number| take(&mut transfer, number)).collect();
        assert_eq!(said, [Step::Silence, Step::Silence, Step::Silence, Step::Acknowledge(4)]);
        assert_eq!(transfer.tally().duplicates, 4);
        assert_eq!(transfer.last_word(), Some(4));
    }

    #[test]
    fn numbers_wrap() {
        let mut transfer = Transfer::new();
        transfer.take(b"\0\x06blksize\x008\0", |_, _| true);
        for block in 1..70_000_u64 {
            assert_eq!(take(&mut transfer, low_bits(block)), Step::Acknowledge(low_bits(block)));
        }
        assert_eq!(transfer.tally().duplicates, 0);
    }

    #[test]
    fn wrong_bytes_and_errors_break_it() {
        assert_eq!(Transfer::new().take(&data(1, 512), |_, _| false), Step::Broken);
        assert_eq!(Transfer::new().take(b"\0\x05\0\x01none\0", |_, _| true), Step::Broken);
        assert_eq!(Transfer::new().take(&data(1, 513), |_, _| true), Step::Broken);
    }
}
