//! Who speaks: which program of the boot chain, on which firmware, of which machine (QUIRKS 13-16, 25, 26).

use proto::{Architecture, Mac, Platform, event::Client};

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
    } else if class(b"PXEClient") {
        // QUIRKS 13: only the prefix counts; "PXEClient" may stand alone.
        Client::PxeRom
    } else if options.get(option::ARCHITECTURE).is_some() {
        // QUIRKS 33: the architecture tells which of the two, where the class does not.
        let http = architectures(options).iter().any(|code| Architecture::of(*code).is_some_and(|a| a.http));
        if http { Client::HttpRom } else { Client::PxeRom }
    } else {
        Client::Os
    }
}

/// Does an iPXE that lists what it can leave HTTP out (QUIRKS 26)? One that lists nothing is not asked for more.
pub(super) fn lacks_http(options: &Options) -> bool {
    const HTTP: u8 = 0x13;
    let Some(features) = options.get(option::IPXE).filter(|features| !features.is_empty()) else {
        return false;
    };
    program(options) == Client::Ipxe && option::encapsulated(features, HTTP).is_none()
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

/// The first architecture that some loader is for. Never taken from option 60, which iPXE overwrites with what
/// it inherited (LAB: undionly sends a bare `PXEClient`).
pub(super) fn platform(mac: Mac, machine_id: Option<&[u8]>, architectures: &[u16]) -> Option<Platform> {
    // QUIRKS 15: a Raspberry Pi's ROM says 0 and is no PC.
    let is_pi = || is_raspberry_pi(mac) || machine_id.is_some_and(names_raspberry_pi);
    architectures.iter().find_map(|code| match Architecture::of(*code)?.platform {
        Some(Platform::Bios) if *code == 0 && is_pi() => Some(Platform::RaspberryPi),
        platform => platform,
    })
}

/// QUIRKS 16: a Raspberry Pi's option 97 begins, behind the type, with four letters such as "RPi4".
fn names_raspberry_pi(machine_id: &[u8]) -> bool {
    machine_id.starts_with(b"\0RPi") || machine_id.starts_with(b"RPi")
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
            (&[(93, &[0, 16])], Client::HttpRom),
            (&[(60, b"d-i")], Client::Os),
            (&[(60, b"MSFT 5.0"), (77, b"\x09iPXE")], Client::Os),
            (&[], Client::Os),
        ] {
            assert_eq!(program(&options(pairs)), expected, "{pairs:?}");
        }
    }

    #[test]
    fn quirk_26_an_ipxe_says_whether_it_can_http() {
        let ipxe = |features: &[u8]| lacks_http(&options(&[(77, b"iPXE"), (175, features)]));
        assert!(ipxe(&[235, 3, 1, 0, 0, 0x15, 1, 1]), "TFTP alone");
        assert!(!ipxe(&[235, 3, 1, 0, 0, 0x13, 1, 1]) && !ipxe(&[]));
        assert!(!lacks_http(&options(&[(77, b"iPXE")])));
        assert!(!lacks_http(&options(&[(60, b"PXEClient")])));
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
            (&[0x1f, 6], Some(Platform::UefiIa32)),
            (&[0x29], Some(Platform::RaspberryPi)),
            (&[999], None),
            (&[], None),
        ] {
            assert_eq!(platform(mac, None, list), expected, "{list:?}");
        }
        assert_eq!(architectures(&options(&[(93, &[0, 9, 0, 7, 0])])), [9, 7]);
    }

    #[test]
    fn quirk_15_a_raspberry_pi_is_no_pc_whatever_it_says() {
        let (pi, other) = (Mac([0xdc, 0xa6, 0x32, 0, 0, 1]), Mac([0x52, 0x54, 0, 0, 0, 1]));
        assert_eq!(platform(pi, None, &[0]), Some(Platform::RaspberryPi));
        assert_eq!(
            platform(other, Some(b"\0RPi5\x17\x04\x00\x01\x01\x02\x03\x04\x05\x06\x07\x08"), &[0]),
            Some(Platform::RaspberryPi)
        );
        assert_eq!(platform(pi, None, &[11]), Some(Platform::UefiArm64), "its UEFI");
        assert_eq!(platform(other, Some(&[0; 17]), &[0]), Some(Platform::Bios));
    }

    #[test]
    fn every_number_of_the_registry_is_the_platform_that_its_row_says() {
        let mac = Mac([0x52, 0x54, 0, 0, 0, 1]);
        for row in proto::REGISTRY {
            assert_eq!(platform(mac, None, &[row.code]), row.platform, "{row}");
        }
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
