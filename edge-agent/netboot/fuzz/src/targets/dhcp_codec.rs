//! The DHCP codec: what it reads it writes, and reads again as the same.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};

use netboot::arp::Claim;
use netboot::dhcp::{MAX_FILE, Message, Options, Port, Request, ServerMessage};

/// The longest datagram that is read.
const LONGEST: usize = 4096;

/// What the fields `file` and `sname` hold: options that lay there stand behind the others when they are written.
const OVERLOADED: usize = 128 + 64;

/// Reads `bytes` as a datagram at port 67 and at port 4011, and as what is overheard.
pub fn run(bytes: &[u8]) {
    overhear(bytes);
    let request = Request::parse(bytes);
    let from = SocketAddrV4::new(Ipv4Addr::new(10, 1, 0, 9), 4011);
    let mut at_boot_service = request.clone();
    at_boot_service.iter_mut().for_each(|request| request.port = Port::BootService(from));
    assert_eq!(Request::parse_boot_service(bytes, from), at_boot_service);
    let message = match Message::parse(bytes) {
        Ok(message) => message,
        Err(malformed) => return assert_eq!(request, Err(malformed)),
    };
    assert!(message.file.len() <= MAX_FILE);
    message.options.iter().for_each(check);
    let written = message.emit();
    assert!((300..=(bytes.len() + OVERLOADED + 1).max(300)).contains(&written.len()), "{}", written.len());
    if written.len() <= LONGEST {
        assert_eq!(Message::parse(&written), Ok(message));
        assert_eq!(Request::parse(&written), request);
    }
}

/// Reads `bytes` as frames that pass by, and as a server's datagram in one.
fn overhear(bytes: &[u8]) {
    const UDP: [u8; 8] = [0, 67, 0, 68, 0, 0, 0, 0];
    let claim = Claim::parse(bytes);
    assert!(claim.is_none_or(|claim| claim.mac.0[0] & 1 == 0 && !claim.address.is_unspecified()));
    let short = &bytes[..bytes.len().min(1_472)];
    let total = u16::try_from(28 + short.len()).expect("at most 1,500");
    let [high, low] = total.to_be_bytes();
    let mut frame = vec![0; 12];
    frame.extend([8, 0, 0x45, 0, high, low, 0, 0, 0, 0, 64, 17, 0, 0, 10, 1, 0, 9, 10, 1, 0, 8]);
    frame.extend(UDP);
    frame.extend(short);
    for heard in [ServerMessage::parse(bytes), ServerMessage::parse(&frame)].into_iter().flatten() {
        let boot = heard.boot;
        let texts = [boot.file, boot.tftp_server, boot.class];
        assert!(
            texts.iter().all(|text| text.len() <= 64 && text.bytes().all(|b| (b' '..=b'~').contains(&b)))
        );
    }
}

/// Each code stands once, and what pads or ends is no option.
fn check(options: &Options) {
    let codes: BTreeSet<u8> = options.iter().map(|(code, _)| code).collect();
    assert_eq!(codes.len(), options.iter().count());
    assert!(!codes.contains(&0) && !codes.contains(&255));
    assert!(options.iter().all(|(code, value)| options.get(code) == Some(value)));
    assert!(
        codes
            .iter()
            .all(|code| options.address(*code).is_none_or(|a| options.get(*code) == Some(&a.octets())))
    );
}
