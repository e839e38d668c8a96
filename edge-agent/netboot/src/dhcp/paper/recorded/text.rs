//! Recordings as text that people can read and compare.
//!
//! ```text
//! # what it is
//! site demo                               which of the lab's networks
//! host bios 52:54:00:7b:6d:3d             the catalog's host, if it is one
//! answer script http://…                  what the machine is to boot, from here on
//! heard 0.0.0.0:68 255.255.255.255:67     a datagram of the client, from and to
//!   01010600 …                            its bytes; 0*192 are so many zeros
//! said 192.168.77.132:68                  the reply, and where it goes
//!   02010600 …
//! ```

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddrV4},
};

use proto::Mac;

use crate::dhcp::{BootAnswer, Destination};

/// The end of what stands at fixed places, and of the cookie behind it (RFC 2131 §2).
const FIXED: usize = 236;
const COOKIE: usize = FIXED + 4;
/// A shorter run of zeros is written out.
const RUN: usize = 5;

/// One exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recording {
    /// Comments.
    pub(super) about: Vec<String>,
    pub(super) site: String,
    pub(super) host: Option<(String, Mac)>,
    pub(super) lines: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    Answer(BootAnswer),
    Heard { from: SocketAddrV4, to: SocketAddrV4, bytes: Vec<u8> },
    Said { to: SocketAddrV4, bytes: Vec<u8> },
}

impl Line {
    pub(super) fn is_heard(&self) -> bool {
        matches!(self, Self::Heard { .. })
    }
}

/// Where a reply is addressed to in the end.
pub(super) fn on_the_wire(to: Destination) -> SocketAddrV4 {
    match to {
        Destination::Broadcast => SocketAddrV4::new(Ipv4Addr::BROADCAST, 68),
        Destination::Unicast { address, .. } => SocketAddrV4::new(address, 68),
        Destination::Relay(address) => SocketAddrV4::new(address, 67),
        Destination::Address(address, port) => SocketAddrV4::new(address, port),
        Destination::Servers => SocketAddrV4::new(Ipv4Addr::BROADCAST, 67),
        Destination::BootService(to) => to,
    }
}

impl Recording {
    /// Reads a file; whatever is wrong with it is the recorder's fault.
    pub(super) fn parse(text: &str) -> Self {
        let (mut about, mut site, mut host, mut lines) = (Vec::new(), String::new(), None, Vec::new());
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let end = |at: usize| words[at].parse().expect("an address with a port");
            match words[0] {
                "#" => about.push(line.to_owned()),
                "site" => site = words[1].to_owned(),
                "host" => host = Some((words[1].to_owned(), words[2].parse().expect("a MAC"))),
                "answer" => lines.push(Line::Answer(answer(&words[1..]))),
                "heard" => lines.push(Line::Heard { from: end(1), to: end(2), bytes: Vec::new() }),
                "said" => lines.push(Line::Said { to: end(1), bytes: Vec::new() }),
                _ => match lines.last_mut() {
                    Some(Line::Heard { bytes, .. } | Line::Said { bytes, .. }) => {
                        words.iter().for_each(|word| bytes.extend(read(word)));
                    }
                    Some(Line::Answer(_)) | None => panic!("bytes of nothing: {line}"),
                },
            }
        }
        Self { about, site, host, lines }
    }
}

fn answer(words: &[&str]) -> BootAnswer {
    match *words {
        ["nothing"] => BootAnswer::AddressOnly,
        ["local-disk"] => BootAnswer::LocalDisk,
        ["loader", name] => BootAnswer::Loader { name: name.into() },
        ["script", url] => BootAnswer::Script { url: url.into() },
        _ => panic!("no answer: {words:?}"),
    }
}

fn read(word: &str) -> Vec<u8> {
    if let Some(zeros) = word.strip_prefix("0*") {
        return vec![0; zeros.parse().expect("a number")];
    }
    let digits = |at: usize| u8::from_str_radix(&word[at..at + 2], 16).expect("hexadecimal digits");
    (0..word.len()).step_by(2).map(digits).collect()
}

impl fmt::Display for Recording {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.about {
            writeln!(out, "{line}")?;
        }
        writeln!(out, "site {}", self.site)?;
        if let Some((name, mac)) = &self.host {
            writeln!(out, "host {name} {mac}")?;
        }
        self.lines.iter().try_for_each(|line| write!(out, "{line}"))
    }
}

impl fmt::Display for Line {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(BootAnswer::AddressOnly) => writeln!(out, "answer nothing"),
            Self::Answer(BootAnswer::LocalDisk) => writeln!(out, "answer local-disk"),
            Self::Answer(BootAnswer::Loader { name }) => writeln!(out, "answer loader {name}"),
            Self::Answer(BootAnswer::Script { url }) => writeln!(out, "answer script {url}"),
            Self::Heard { from, to, bytes } => write!(out, "heard {from} {to}\n{}", written(bytes)),
            Self::Said { to, bytes } => write!(out, "said {to}\n{}", written(bytes)),
        }
    }
}

/// The fields of a message in their groups, then an option a line.
fn written(bytes: &[u8]) -> String {
    let (fixed, rest) = bytes.split_at(FIXED.min(bytes.len()));
    let groups: Vec<String> = fixed[..28].chunks(4).map(hex).collect();
    let mut text = format!("  {}\n  {}\n", groups.join(" "), dense(&fixed[28..]));
    let (cookie, mut options) = rest.split_at((COOKIE - FIXED).min(rest.len()));
    text.push_str(&format!("  {}\n", hex(cookie)));
    while let [code @ 1..=254, length, behind @ ..] = options
        && let Some((value, behind)) = behind.split_at_checked(usize::from(*length))
    {
        let option = format!("  {code:02x} {length:02x} {}", dense(value));
        text.push_str(option.trim_end());
        text.push('\n');
        options = behind;
    }
    if !options.is_empty() {
        text.push_str(&format!("  {}\n", dense(options)));
    }
    text
}

/// With long runs of zeros counted.
fn dense(mut bytes: &[u8]) -> String {
    let mut words: Vec<String> = Vec::new();
    while !bytes.is_empty() {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let plain = (0..bytes.len()).find(|at| is_run(&bytes[*at..])).unwrap_or(bytes.len());
        let (word, length) =
            if plain == 0 { (format!("0*{zeros}"), zeros) } else { (hex(&bytes[..plain]), plain) };
        words.push(word);
        bytes = &bytes[length..];
    }
    words.join(" ")
}

fn is_run(bytes: &[u8]) -> bool {
    bytes.first_chunk::<RUN>() == Some(&[0; RUN])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
