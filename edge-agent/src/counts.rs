//! What passes through the agent's core and its file servers, counted as it does.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use netboot::dhcp::{Malformed, MessageType};
use netboot::site::FileEnd;
use proto::{
    event::{AlarmKind, Transport},
    plan::Stage,
};

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn one(&self) {
        self.add(1);
    }

    pub(crate) fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One number for each word of a list.
#[derive(Debug)]
pub(crate) struct Words<const N: usize> {
    words: [&'static str; N],
    counts: [Count; N],
}

impl<const N: usize> Words<N> {
    fn new(words: [&'static str; N]) -> Self {
        Self { words, counts: std::array::from_fn(|_| Count::default()) }
    }

    /// One more of the nth word.
    fn one(&self, place: usize) {
        self.counts[place].one();
    }

    /// Each word with its number.
    pub(crate) fn now(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.words.into_iter().zip(self.counts.iter().map(Count::now))
    }
}

/// How the sending of a file went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// By which protocol.
    pub transport: Transport,
    /// How many bytes left; of one that was probed, its size.
    pub bytes: u64,
    /// From the request on.
    pub took: Duration,
    /// TFTP blocks sent more than once.
    pub retransmissions: u32,
    /// How often it was sent whole again in that time: bytes and time are those of all.
    pub repeats: u32,
    /// How it ended.
    pub end: FileEnd,
}

/// Of one protocol, what became of the files of one stage.
#[derive(Debug, Default)]
pub(crate) struct Transfers {
    pub(crate) sent: Count,
    pub(crate) broken: Count,
    pub(crate) bytes: Count,
}

const STAGES: [Stage; 7] =
    [Stage::Loader, Stage::Script, Stage::Kernel, Stage::Initrd, Stage::Answer, Stage::Image, Stage::Other];
const TRANSPORTS: [(Transport, &str); 2] = [(Transport::Tftp, "tftp"), (Transport::Http, "http")];

/// All of it.
#[derive(Debug)]
pub(crate) struct Counts {
    pub(crate) requests: Words<8>,
    pub(crate) replies: Words<5>,
    pub(crate) alarms: Words<11>,
    pub(crate) not_found: Words<2>,
    pub(crate) retransmissions: Count,
    transfers: [[Transfers; 7]; 2],
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            requests: Words::new([
                "discover",
                "request",
                "decline",
                "release",
                "inform",
                "bootp",
                "other",
                "malformed",
            ]),
            replies: Words::new(["offer", "ack", "nak", "bootp", "other"]),
            alarms: Words::new(AlarmKind::ALL.map(AlarmKind::word)),
            not_found: Words::new(TRANSPORTS.map(|(_, word)| word)),
            retransmissions: Count::default(),
            transfers: Default::default(),
        }
    }
}

impl Counts {
    /// A message has come to a DHCP port.
    pub(crate) fn heard(&self, kind: Result<MessageType, &Malformed>) {
        self.requests.one(match kind {
            Ok(MessageType::Discover) => 0,
            Ok(MessageType::Request) => 1,
            Ok(MessageType::Decline) => 2,
            Ok(MessageType::Release) => 3,
            Ok(MessageType::Inform) => 4,
            Ok(MessageType::Bootp) => 5,
            Err(Malformed::MessageType(_)) => 6,
            Err(_) => 7,
        });
    }

    /// A message leaves by a DHCP port.
    pub(crate) fn said(&self, datagram: &[u8]) {
        self.replies.one(match message_type(datagram) {
            Some(2) => 0,
            Some(5) => 1,
            Some(6) => 2,
            None => 3,
            Some(_) => 4,
        });
    }

    pub(crate) fn alarm(&self, kind: AlarmKind) {
        if let Some(place) = AlarmKind::ALL.iter().position(|known| *known == kind) {
            self.alarms.one(place);
        }
    }

    /// A machine asked for what it has not.
    pub(crate) fn absent(&self, transport: Transport) {
        self.not_found.one(place(transport));
    }

    /// A file went out, or not.
    pub(crate) fn told(&self, stage: Stage, sent: &Sent) {
        let Some(stage) = STAGES.iter().position(|known| *known == stage) else { return };
        let of = &self.transfers[place(sent.transport)][stage];
        match sent.end {
            // A question for the size is no transfer (QUIRKS 38).
            FileEnd::Probed => return,
            FileEnd::Whole => of.sent.add(1 + u64::from(sent.repeats)),
            FileEnd::Broken(_) => {
                of.sent.add(u64::from(sent.repeats));
                of.broken.one();
            }
        }
        of.bytes.add(sent.bytes);
        self.retransmissions.add(u64::from(sent.retransmissions));
    }

    /// Protocol, stage and what became of its files.
    pub(crate) fn transfers(&self) -> impl Iterator<Item = (&'static str, &'static str, &Transfers)> {
        let transports = TRANSPORTS.iter().zip(&self.transfers);
        transports.flat_map(|((_, transport), stages)| {
            STAGES.iter().zip(stages).map(|(stage, transfers)| (*transport, stage.word(), transfers))
        })
    }
}

fn place(transport: Transport) -> usize {
    match transport {
        Transport::Tftp => 0,
        Transport::Http => 1,
    }
}

/// Option 53 of a message of ours (RFC 2132 §9.6), which stands among the first; None: BOOTP.
fn message_type(datagram: &[u8]) -> Option<u8> {
    const OPTIONS: usize = 240;
    let mut rest = datagram.get(OPTIONS..)?;
    loop {
        match *rest {
            [53, 1, kind, ..] => return Some(kind),
            [0, ..] => rest = &rest[1..],
            [255, ..] | [] | [_] => return None,
            [_, length, ..] => rest = rest.get(2 + usize::from(length)..)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use netboot::site::Broken;
    use proto::event::Breakage;

    use super::*;

    fn of<const N: usize>(words: &Words<N>, word: &str) -> u64 {
        words.now().find(|(known, _)| *known == word).expect("a word").1
    }

    #[test]
    fn messages_are_counted_by_type() {
        let counts = Counts::default();
        counts.heard(Ok(MessageType::Discover));
        counts.heard(Err(&Malformed::MessageType(99)));
        let mut datagram = vec![0; 240];
        counts.said(&datagram);
        datagram.extend([1, 4, 255, 255, 255, 0, 0, 53, 1, 5, 255]);
        counts.said(&datagram);
        counts.said(&datagram[..246]);
        assert_eq!((of(&counts.requests, "discover"), of(&counts.requests, "other")), (1, 1));
        assert_eq!((of(&counts.replies, "ack"), of(&counts.replies, "bootp")), (1, 2));
    }

    #[test]
    fn what_was_sent_again_and_again_is_counted_each_time() {
        let counts = Counts::default();
        let sent = Sent {
            transport: Transport::Http,
            bytes: 70,
            took: Duration::ZERO,
            retransmissions: 0,
            repeats: 6,
            end: FileEnd::Whole,
        };
        counts.told(Stage::Kernel, &sent);
        let cut = Broken { why: "cut".into(), breakage: Breakage::Stopped, block_size: 0 };
        counts.told(Stage::Kernel, &Sent { repeats: 0, end: FileEnd::Broken(cut), ..sent.clone() });
        counts.told(Stage::Kernel, &Sent { repeats: 0, end: FileEnd::Probed, ..sent });
        let (_, _, kernel) = counts
            .transfers()
            .find(|(transport, stage, _)| (*transport, *stage) == ("http", "kernel"))
            .expect("a stage");
        assert_eq!((kernel.sent.now(), kernel.broken.now(), kernel.bytes.now()), (7, 1, 140));
    }
}
