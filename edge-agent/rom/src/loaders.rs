//! What other loaders than iPXE ask for by themselves, and in which words. From their vendors' documentation and what others
//! have seen of them: none of them was ever in the lab (QUIRKS 31, 41, 45, 58).

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use netboot::dhcp::Message;

use super::{Firmware, Identity, dora::option};

/// A loader that fetches files of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loader {
    /// bootmgfw.efi.
    Windows,
    /// The Raspberry Pi's, in ROM.
    RaspberryPi,
}

/// Mixed case, and both slashes.
const WINDOWS: [&str; 5] = [
    "\\Boot\\BCD",
    "\\boot\\fonts\\wgl4_boot.ttf",
    "/boot\\Fonts\\segmono_boot.ttf",
    "\\Boot\\boot.sdi",
    "\\sources\\boot.wim",
];
/// Below the serial number.
const RASPBERRY_PI: [&str; 4] = ["config.txt", "start4.elf", "recover4.elf", "fixup4.dat"];
/// Behind option 43's sub-option 9, the menu: with trailing blanks.
const RASPBERRY_PI_BOOT: &[u8] = b"Raspberry Pi Boot   ";

/// The names, in their order.
pub(super) fn names(loader: Loader, identity: Identity) -> VecDeque<String> {
    match loader {
        Loader::Windows => WINDOWS.map(str::to_owned).into(),
        Loader::RaspberryPi => {
            let serial = raspberry_pi_serial(identity);
            RASPBERRY_PI.map(|name| format!("{serial}/{name}")).into()
        }
    }
}

/// The end of the address that the maker gave it.
pub(super) fn raspberry_pi_serial(identity: Identity) -> String {
    let [.., a, b, c, d] = identity.mac.0;
    format!("{a:02x}{b:02x}{c:02x}{d:02x}")
}

/// How option 97 of a Raspberry Pi begins (QUIRKS 16), as the four bytes of a UUID's first field.
const RASPBERRY_PI_4: [u8; 4] = *b"4iPR";

/// The UUID that the firmware shows: its machine's. A Raspberry Pi has none, and makes one of its model, its address and its serial
/// number, unless the machine's is such a one. Only the model and the address are made here.
pub(super) fn shown_uuid(Identity { mac, uuid, firmware }: Identity) -> [u8; 16] {
    let is_pis = uuid[1..4] == RASPBERRY_PI_4[1..];
    if firmware != Firmware::RaspberryPi || is_pis {
        return uuid;
    }
    let mut shown = [0; 16];
    shown[..4].copy_from_slice(&RASPBERRY_PI_4);
    shown[10..].copy_from_slice(&mac.0);
    shown
}

/// The server, if the reply is one that it obeys: option 66 in digits, else siaddr.
pub(super) fn raspberry_pi_server(ack: &Message) -> Option<Ipv4Addr> {
    let named = option(ack, 43).windows(RASPBERRY_PI_BOOT.len()).any(|window| window == RASPBERRY_PI_BOOT);
    let given = String::from_utf8_lossy(option(ack, 66)).trim_end_matches('\0').parse().ok();
    given.or(Some(ack.siaddr)).filter(|server| named && !server.is_unspecified())
}

/// What is asked for beside a file. The older machines here ask for nothing.
pub(super) fn options(firmware: Firmware) -> &'static [(&'static str, &'static str)] {
    match firmware {
        Firmware::UefiWindows => {
            &[("tsize", "0"), ("blksize", "1456"), ("windowsize", "4"), ("msftwindow", "31416")]
        }
        Firmware::RaspberryPi => &[("tsize", "0"), ("blksize", "1024")],
        Firmware::Pxe(_) | Firmware::Http(_) | Firmware::Ipxe(_) | Firmware::UefiPxeOld => &[],
    }
}
