//! The option codes that this server reads or writes (RFC 2132 unless said otherwise), and an ordered list of
//! options with the rules of RFC 3396 for long ones.

use std::{fmt, net::Ipv4Addr};

pub(super) const PAD: u8 = 0;
pub(super) const SUBNET_MASK: u8 = 1;
pub(super) const ROUTER: u8 = 3;
pub(super) const DNS: u8 = 6;
/// RFC 2132 §3.9: syslog servers.
pub(super) const LOG_SERVER: u8 = 7;
pub(super) const HOST_NAME: u8 = 12;
pub(super) const DOMAIN_NAME: u8 = 15;
pub(super) const BROADCAST_ADDRESS: u8 = 28;
pub(super) const NTP: u8 = 42;
pub(super) const VENDOR_SPECIFIC: u8 = 43;
pub(super) const REQUESTED_ADDRESS: u8 = 50;
pub(super) const LEASE_TIME: u8 = 51;
pub(super) const OVERLOAD: u8 = 52;
pub(super) const MESSAGE_TYPE: u8 = 53;
pub(super) const SERVER_ID: u8 = 54;
pub(super) const PARAMETER_LIST: u8 = 55;
pub(super) const MESSAGE: u8 = 56;
pub(super) const MAX_MESSAGE_SIZE: u8 = 57;
pub(super) const RENEWAL_TIME: u8 = 58;
pub(super) const REBINDING_TIME: u8 = 59;
pub(super) const VENDOR_CLASS: u8 = 60;
pub(super) const CLIENT_ID: u8 = 61;
pub(super) const TFTP_SERVER: u8 = 66;
pub(super) const BOOT_FILE: u8 = 67;
/// RFC 3004.
pub(super) const USER_CLASS: u8 = 77;
/// RFC 3046.
pub(super) const RELAY_AGENT: u8 = 82;
/// RFC 4578 §2.1.
pub(super) const ARCHITECTURE: u8 = 93;
/// RFC 4578 §2.2.
pub(super) const INTERFACE: u8 = 94;
/// RFC 4578 §2.3.
pub(super) const MACHINE_ID: u8 = 97;
/// RFC 3011.
pub(super) const SUBNET_SELECTION: u8 = 118;
/// iPXE's encapsulated options (QUIRKS 26).
pub(super) const IPXE: u8 = 175;
/// RFC 5071 §5: what PXELINUX puts before names.
pub(super) const PATH_PREFIX: u8 = 210;
/// Inside option 43: the PXE menu entry that was chosen.
pub(super) const BOOT_ITEM: u8 = 71;
pub(super) const END: u8 = 255;

/// The longest value of one option on the wire; longer ones are split (RFC 3396 §5).
const MAX_PIECE: usize = 255;

/// Options in the order in which they stand in a message, each code once.
#[derive(Clone, Eq, Default)]
pub struct Options {
    places: Vec<Place>,
    /// All values, one behind the other; of one that was set anew the former bytes stay behind.
    bytes: Vec<u8>,
}

/// Where the value of an option stands in the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    code: u8,
    from: u32,
    length: u32,
}

impl Place {
    fn of(self, bytes: &[u8]) -> &[u8] {
        let from = self.from as usize;
        bytes.get(from..from + self.length as usize).unwrap_or_default()
    }
}

impl PartialEq for Options {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_map().entries(self.iter()).finish()
    }
}

impl Options {
    /// None, with room for as many bytes of values as a message usually has.
    pub(super) fn with_room() -> Self {
        const OPTIONS: usize = 20;
        const BYTES: usize = 256;
        Self { places: Vec::with_capacity(OPTIONS), bytes: Vec::with_capacity(BYTES) }
    }

    /// The value of an option.
    #[must_use]
    pub fn get(&self, code: u8) -> Option<&[u8]> {
        self.places.iter().find(|place| place.code == code).map(|place| place.of(&self.bytes))
    }

    /// The value of an option that is one address.
    #[must_use]
    pub fn address(&self, code: u8) -> Option<Ipv4Addr> {
        let octets: [u8; 4] = self.get(code)?.try_into().ok()?;
        Some(octets.into())
    }

    /// Every option, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &[u8])> {
        self.places.iter().map(|place| (place.code, place.of(&self.bytes)))
    }

    /// Puts an option behind the others; a code that stands already is set where it stands.
    pub fn set(&mut self, code: u8, value: impl AsRef<[u8]>) {
        let place = self.put(code, value.as_ref());
        match self.places.iter_mut().find(|place| place.code == code) {
            Some(known) => *known = place,
            None => self.places.push(place),
        }
    }

    /// Only those stay that are to.
    pub(super) fn retain(&mut self, stays: impl Fn(u8) -> bool) {
        self.places.retain(|place| stays(place.code));
    }

    /// What is longer than any message is cut: nobody could be told of it.
    fn put(&mut self, code: u8, value: &[u8]) -> Place {
        let from = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(value);
        Place { code, from, length }
    }

    /// Reads one area of options. A value whose code stands already is a continuation of it (RFC 3396 §7).
    /// Reading ends at the end option, at the end of the area, or at an option that is cut off.
    pub(super) fn read(&mut self, mut area: &[u8]) {
        while let Some((&code, rest)) = area.split_first() {
            match code {
                PAD => area = rest,
                END => return,
                _ => match split_value(rest) {
                    Some((value, rest)) => {
                        self.append(code, value);
                        area = rest;
                    }
                    None => return,
                },
            }
        }
    }

    /// Writes the options without the end option.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for (code, value) in self.iter() {
            write(out, code, value);
        }
    }

    fn append(&mut self, code: u8, piece: &[u8]) {
        match self.get(code).map(|value| [value, piece].concat()) {
            Some(joined) => self.set(code, joined),
            None => {
                let place = self.put(code, piece);
                self.places.push(place);
            }
        }
    }
}

/// How many bytes an option takes on the wire.
pub(super) fn wire_size(value: &[u8]) -> usize {
    value.len() + 2 * value.len().div_ceil(MAX_PIECE).max(1)
}

/// Writes one option, in pieces if it is long (RFC 3396 §5).
pub(super) fn write(out: &mut Vec<u8>, code: u8, value: &[u8]) {
    if value.is_empty() {
        out.extend([code, 0]);
    }
    for piece in value.chunks(MAX_PIECE) {
        out.extend([code, u8::try_from(piece.len()).expect("chunks of at most 255")]);
        out.extend_from_slice(piece);
    }
}

/// Type-length-value triples inside an option (43, 82, 175), the first of each type; ends at what is cut off.
pub(super) fn encapsulated(area: &[u8], code: u8) -> Option<&[u8]> {
    let mut area = area;
    while let Some((&found, rest)) = area.split_first() {
        match found {
            PAD => area = rest,
            END => return None,
            _ => {
                let (value, rest) = split_value(rest)?;
                if found == code {
                    return Some(value);
                }
                area = rest;
            }
        }
    }
    None
}

/// Splits a length byte and that many bytes off.
fn split_value(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&length, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_split_and_joined() {
        let value: Vec<u8> = (0..600).map(|n| u8::try_from(n % 251).expect("below 251")).collect();
        let mut out = Vec::new();
        write(&mut out, 67, &value);
        assert_eq!(out.len(), wire_size(&value));
        assert_eq!(out[..2], [67, 255]);
        assert_eq!(out[2 * 257..2 * 257 + 2], [67, 90]);
        let mut options = Options::default();
        options.read(&out);
        assert_eq!(options.get(67), Some(value.as_slice()));
    }

    #[test]
    fn what_is_cut_off_is_left_out() {
        let mut options = Options::default();
        options.read(&[0, 0, 53, 1, 3, 61, 7, 1, 2]);
        assert_eq!(options.iter().collect::<Vec<_>>(), [(53, &[3][..])]);
    }

    #[test]
    fn nothing_is_read_behind_the_end() {
        let mut options = Options::default();
        options.read(&[53, 1, 1, 255, 54, 4, 1, 2, 3, 4]);
        assert_eq!(options.address(54), None);
    }

    #[test]
    fn encapsulated_values_are_found() {
        let area = [6, 1, 8, 71, 4, 0, 1, 0, 0, 255, 10, 1, 1];
        assert_eq!(encapsulated(&area, 71), Some(&[0, 1, 0, 0][..]));
        assert_eq!(encapsulated(&area, 10), None);
        assert_eq!(encapsulated(&[6, 9, 8], 6), None);
    }
}
