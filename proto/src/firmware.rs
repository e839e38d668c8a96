//! Names a firmware model, as far as its network boot shows it.

use std::{fmt, str::FromStr};

use crate::{
    Digest, Mac,
    text::written_as_text,
    wire::{WireError, array},
};

/// Machines of one model are told what to boot in one form (QUIRKS 20, 22): the first bytes of a digest over what their ROM
/// says of itself. Not a secret, and no proof of anything.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FirmwareModel(pub [u8; 8]);

/// Beyond these options 55 are not looked at: EDK2 leaves a byte of its list uninitialised, the 24th (QUIRKS 10).
const PARAMETERS: usize = 23;

impl FirmwareModel {
    /// Of a ROM that shows these: its vendor class (option 60), architectures (93), network interface (94), parameter list
    /// (55), and the maker of its card.
    #[must_use]
    pub fn of(class: &[u8], architectures: &[u16], interface: &[u8], parameters: &[u8], mac: Mac) -> Self {
        let architectures: Vec<u8> = architectures.iter().flat_map(|code| code.to_be_bytes()).collect();
        let parameters = &parameters[..parameters.len().min(PARAMETERS)];
        let mut shown = Vec::new();
        for field in [class, &architectures, interface, parameters, &mac.0[..3]] {
            shown.extend((field.len() as u64).to_le_bytes());
            shown.extend(field);
        }
        let [a, b, c, d, e, f, g, h, ..] = Digest::of(&shown).0;
        Self([a, b, c, d, e, f, g, h])
    }

    pub(crate) fn to_wire(self) -> prost::bytes::Bytes {
        self.0.to_vec().into()
    }

    pub(crate) fn from_wire(field: &str, bytes: &[u8]) -> Result<Self, WireError> {
        array(field, bytes).map(Self)
    }
}

impl fmt::Display for FirmwareModel {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for FirmwareModel {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "FirmwareModel({self})")
    }
}

/// A text that names no model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected 16 hexadecimal digits, found {0:?}")]
pub struct NotAModel(String);

impl FromStr for FirmwareModel {
    type Err = NotAModel;

    fn from_str(text: &str) -> Result<Self, NotAModel> {
        let plain = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = plain.then(|| u64::from_str_radix(text, 16).ok()).flatten();
        number.map(|number| Self(number.to_be_bytes())).ok_or_else(|| NotAModel(text.into()))
    }
}

written_as_text!(FirmwareModel);

#[cfg(test)]
mod tests {
    use super::*;

    const CLASS: &[u8] = b"PXEClient:Arch:00007:UNDI:003000";

    fn model(class: &[u8], parameters: &[u8], mac: Mac) -> FirmwareModel {
        FirmwareModel::of(class, &[7], &[1, 3, 0], parameters, mac)
    }

    #[test]
    fn one_model_whatever_the_machine_and_the_garbage() {
        let list: Vec<u8> = (1..=35).collect();
        let garbage: Vec<u8> = (1..=23).chain([0xa5]).chain(25..=35).collect();
        let first = model(CLASS, &list, Mac([0x0c, 0xc4, 0x7a, 1, 2, 3]));
        assert_eq!(model(CLASS, &garbage, Mac([0x0c, 0xc4, 0x7a, 9, 9, 9])), first, "QUIRKS 10");
        assert_ne!(model(CLASS, &list, Mac([0x52, 0x54, 0, 1, 2, 3])), first);
        assert_ne!(model(CLASS, &list[1..], Mac([0x0c, 0xc4, 0x7a, 1, 2, 3])), first);
        assert_ne!(model(b"PXEClient", &list, Mac([0x0c, 0xc4, 0x7a, 1, 2, 3])), first);
    }

    #[test]
    fn text_and_back() {
        let model = FirmwareModel([0, 1, 2, 3, 0xfc, 0xfd, 0xfe, 0xff]);
        assert_eq!(model.to_string(), "00010203fcfdfeff");
        assert_eq!(model.to_string().parse(), Ok(model));
        for wrong in ["", "00010203fcfdfef", "+0010203fcfdfeff", "00010203fcfdfefg"] {
            wrong.parse::<FirmwareModel>().expect_err(wrong);
        }
        let json = serde_json::to_string(&model).expect("a text");
        assert_eq!(serde_json::from_str::<FirmwareModel>(&json).expect("a model"), model);
    }
}
