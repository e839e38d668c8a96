//! How real clients begin, as the lab captured them: the engine must say the same again.
//!
//! `golden.txt` is recorded by `cargo run -p integration --example record-transfers`; CONTRIBUTING says how. A line is a
//! packet, `>` from the client and `<` to it: its kind, and the fields that stand in it with a NUL behind each.
//!
//! ```text
//! # which program it was
//! size 293032                                            of the file; or `absent`
//! > RRQ ipxe/snponly.efi octet tsize 0 blksize 1468
//! < OACK tsize 293032 blksize 1468
//! ```

use super::*;

const RECORDED: &str = include_str!("golden.txt");

#[test]
fn recorded_clients_are_answered_as_they_were() {
    let mut transfers = 0;
    for transfer in transfers_of(RECORDED) {
        assert_eq!(replay(&transfer), transfer, "was, left, and is, right");
        transfers += 1;
    }
    assert!(transfers > 10, "{transfers}");
}

/// The lines of each transfer, from its file's size on.
fn transfers_of(text: &str) -> Vec<Vec<String>> {
    let mut transfers: Vec<Vec<String>> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if line.starts_with("size") || line == "absent" {
            transfers.push(Vec::new());
        }
        transfers.last_mut().expect("a file before its packets").push(line.to_owned());
    }
    transfers
}

/// What is said to the same client again.
fn replay(transfer: &[String]) -> Vec<String> {
    let mut bench = Bench::new(Config::default());
    bench.manual = true;
    let size = transfer[0].strip_prefix("size ").map(|size| size.parse().expect("a size"));
    let (mut lines, mut local) = (vec![transfer[0].clone()], Local::Listener);
    for line in transfer {
        let Some(packet) = line.strip_prefix("> ") else { continue };
        lines.push(line.clone());
        let mut sent = bench.receive(local, machine(), &bytes(packet));
        while let Some(transfer) = bench.opens.pop() {
            sent.extend(bench.input(opened(transfer, size)));
        }
        for sent in &sent {
            local = said(sent, &mut lines);
        }
    }
    lines
}

/// What the library says of the file, in the agent's words.
fn opened(transfer: TransferId, size: Option<u64>) -> Input<'static> {
    let terms = Terms::default();
    let (code, message) = (ErrorCode::FILE_NOT_FOUND, "file not found".to_owned());
    match size {
        Some(size) => Input::Opened { transfer, size, available: size, terms },
        None => Input::Refused { transfer, refusal: Refusal::Answer { code, message }, terms },
    }
}

/// A client's packet.
fn bytes(line: &str) -> Vec<u8> {
    let (kind, fields) = line.split_once(' ').expect("a kind and its fields");
    let number = |text: &str| text.parse::<u16>().expect("a number").to_be_bytes();
    match kind {
        "RRQ" => [&[0, 1], fields.replace(' ', "\0").as_bytes(), &[0]].concat(),
        "ACK" => [&[0, 4][..], &number(fields)].concat(),
        "ERROR" => {
            let (code, text) = fields.split_once(' ').expect("a code and a text");
            [&[0, 5][..], &number(code), text.as_bytes(), &[0]].concat()
        }
        other => panic!("no client sends {other}"),
    }
}

/// The server's packets, and where they come from.
fn said(sent: &Sent, lines: &mut Vec<String>) -> Local {
    match sent {
        Sent::Blocks(blocks) => {
            let full = u64::from(blocks.block_size);
            // The last one is short, and empty where the file ends with a full block.
            let count = blocks.range.len.div_ceil(full).max(1);
            let number = |at: u64| u64::from(blocks.range.first) + at;
            lines.extend((0..count).map(|at| format!("< DATA {}", number(at))));
            blocks.local
        }
        Sent::Packet { local, bytes, .. } => {
            let text = |fields: &[u8]| {
                let fields = fields.strip_suffix(&[0]).expect("a NUL behind each field");
                String::from_utf8_lossy(fields).replace('\0', " ")
            };
            lines.push(match bytes.as_slice() {
                [0, 6, fields @ ..] => format!("< OACK {}", text(fields)),
                [0, 5, high, low, fields @ ..] => {
                    format!("< ERROR {} {}", u16::from_be_bytes([*high, *low]), text(fields))
                }
                other => panic!("no first packet of a server: {other:?}"),
            });
            *local
        }
    }
}
