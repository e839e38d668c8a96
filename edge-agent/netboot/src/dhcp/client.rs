//! Who speaks: which program of the boot chain, on which firmware, of which machine (QUIRKS 13-16, 25, 26).

use proto::{Mac, Platform, event::Client};

use super::option::{self, Options};

/// Which program of the chain sent these options; None of them: BOOTP.
pub(super) fn program(options: &Options) -> Client {
    let class = |prefix: &[u8]| options.get(option::VENDOR_CLASS).is_some_and(|v| v.starts_with(prefix));
    if has_user_class(options, b"gPXE") {
        Client::Gpxe
    } else if has_user_class(options, b"iPXE") || options.get(option::IPXE).is_some() {
        Client::Ipxe
    } else if class(b"HTTPClient") {
        Client::HttpRom
    } else if class(b"PXEClient") || options.get(option::ARCHITECTURE).is_some() {
        // QUIRKS 13: only the prefix counts; "PXEClient" may stand alone.
        Client::PxeRom
    } else {
        Client::Os
    }
}

/// QUIRKS 25: iPXE sends the bare text, others put a length before each class (RFC 3004).
fn has_user_class(options: &Options, name: &[u8]) -> bool {
    let Some(mut classes) = options.get(option::USER_CLASS) else { return false };
    if classes == name {
        return true;
    }
    while let Some((&length, rest)) = classes.split_first() {
        let Some((class, rest)) = rest.split_at_checked(usize::from(length)) else { return false };
        if class == name {
            return true;
        }
        classes = rest;
    }
    false
}

/// The architectures of option 93: a list of 16-bit numbers (RFC 4578 §2.1, QUIRKS 14).
pub(super) fn architectures(options: &Options) -> Vec<u16> {
    let list = options.get(option::ARCHITECTURE).unwrap_or_default();
    list.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect()
}

/// The first architecture that we have a name for. Never taken from option 60, which iPXE overwrites with what
/// it inherited (LAB: undionly sends a bare `PXEClient`).
pub(super) fn platform(mac: Mac, architectures: &[u16]) -> Option<Platform> {
    // QUIRKS 15: a Raspberry Pi's ROM says 0 and is no PC.
    let lies = |architecture: u16| architecture == 0 && is_raspberry_pi(mac);
    architectures.iter().filter(|a| !lies(**a)).find_map(|a| platform_of(*a))
}

/// IANA's "Processor Architecture Types", which every later RFC refers to.
fn platform_of(architecture: u16) -> Option<Platform> {
    match architecture {
        0 | 20 => Some(Platform::Bios),
        6 | 15 => Some(Platform::UefiIa32),
        // RFC 4578 has x64 at 9 and EBC at 7, the registry the other way round (erratum 4624), and firmware that
        // says EBC wants the x64 loader all the same (QUIRKS 14, 15).
        7 | 9 | 16 | 17 => Some(Platform::UefiX64),
        10 | 18 => Some(Platform::UefiArm32),
        11 | 19 => Some(Platform::UefiArm64),
        27 | 28 => Some(Platform::UefiRiscv64),
        _ => None,
    }
}

/// The blocks that the Raspberry Pi makers hold (IEEE registry).
fn is_raspberry_pi(mac: Mac) -> bool {
    const BLOCKS: [[u8; 3]; 6] = [
        [0xb8, 0x27, 0xeb],
        [0xdc, 0xa6, 0x32],
        [0xe4, 0x5f, 0x01],
        [0xd8, 0x3a, 0xdd],
        [0x2c, 0xcf, 0x67],
        [0x28, 0xcd, 0xc1],
    ];
    BLOCKS.contains(&[mac.0[0], mac.0[1], mac.0[2]])
}

/// Option 97 in the order in which a UUID is written: SMBIOS has the first three fields little-endian
/// (QUIRKS 16). With or without the type byte 0; None when the firmware does not know its own.
pub(super) fn uuid(value: &[u8]) -> Option<[u8; 16]> {
    let bytes: [u8; 16] = match value {
        [0, uuid @ ..] if uuid.len() == 16 => uuid.try_into().ok()?,
        uuid => uuid.try_into().ok()?,
    };
    if bytes == [0; 16] || bytes == [0xff; 16] {
        return None;
    }
    let [a, b, c, d, e, f, g, h, rest @ ..] = bytes;
    let [i, j, k, l, m, n, o, p] = rest;
    Some([d, c, b, a, f, e, h, g, i, j, k, l, m, n, o, p])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(u8, &[u8])]) -> Options {
        let mut options = Options::default();
        for (code, value) in pairs {
            options.set(*code, *value);
        }
        options
    }

    #[test]
    fn programs_are_told_apart() {
        let rom: &[u8] = b"PXEClient:Arch:00000:UNDI:002001";
        for (pairs, expected) in [
            (&[(60, rom)][..], Client::PxeRom),
            (&[(60, b"HTTPClient:Arch:00016:UNDI:003000")], Client::HttpRom),
            (&[(60, rom), (77, b"iPXE")], Client::Ipxe),
            (&[(60, rom), (77, b"\x04iPXE")], Client::Ipxe),
            (&[(60, rom), (77, b"\x03lab\x04iPXE")], Client::Ipxe),
            (&[(60, rom), (175, &[235, 3, 1, 0, 0])], Client::Ipxe),
            (&[(60, rom), (77, b"gPXE"), (175, &[1])], Client::Gpxe),
            (&[(93, &[0, 7])], Client::PxeRom),
            (&[(60, b"d-i")], Client::Os),
            (&[(60, b"MSFT 5.0"), (77, b"\x09iPXE")], Client::Os),
            (&[], Client::Os),
        ] {
            assert_eq!(program(&options(pairs)), expected, "{pairs:?}");
        }
    }

    #[test]
    fn platforms_by_both_readings_and_from_lists() {
        let mac = Mac([0x52, 0x54, 0, 0, 0, 1]);
        for (list, expected) in [
            (&[0][..], Some(Platform::Bios)),
            (&[7], Some(Platform::UefiX64)),
            (&[9], Some(Platform::UefiX64)),
            (&[16], Some(Platform::UefiX64)),
            (&[11], Some(Platform::UefiArm64)),
            (&[0x27, 6], Some(Platform::UefiIa32)),
            (&[999], None),
            (&[], None),
        ] {
            assert_eq!(platform(mac, list), expected, "{list:?}");
        }
        assert_eq!(platform(Mac([0xdc, 0xa6, 0x32, 0, 0, 1]), &[0]), None);
        assert_eq!(architectures(&options(&[(93, &[0, 9, 0, 7, 0])])), [9, 7]);
    }

    #[test]
    fn a_uuid_in_its_written_order() {
        let smbios = [0, 0x78, 0x56, 0x34, 0x12, 0xbc, 0x9a, 0xf0, 0xde, 1, 2, 3, 4, 5, 6, 7, 8];
        let written = [0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(uuid(&smbios), Some(written));
        assert_eq!(uuid(&smbios[1..]), Some(written));
        assert_eq!(uuid(&[0; 17]), None);
        assert_eq!(uuid(&[1; 17]), None, "an unknown type");
        assert_eq!(uuid(&[0, 1, 2]), None);
    }
}
