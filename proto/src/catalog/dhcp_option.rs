//! DHCP options that operators set: by name or number, with a type.

use std::{collections::BTreeMap, fmt, net::Ipv4Addr};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, IgnoredAny, MapAccess, Visitor},
};

use super::Problem;
use crate::plan::{CustomOption, is_reserved};

/// Options by name or number, for example `150: {addresses: [10.1.0.2]}` or `time-offset: {u32: 3600}`.
pub type DhcpOptions = BTreeMap<String, OptionValue>;

/// The value of an option: a map of its kind and the value, in YAML as in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptionValue {
    /// An IPv4 address.
    Address(Ipv4Addr),
    /// IPv4 addresses.
    Addresses(Vec<Ipv4Addr>),
    /// Printable ASCII, without a NUL at its end.
    Text(String),
    /// One byte.
    U8(u8),
    /// Two bytes.
    U16(u16),
    /// Four bytes.
    U32(u32),
    /// One byte, 0 or 1.
    Bool(bool),
    /// Hexadecimal digits, two for each byte.
    Hex(String),
}

impl<'de> Deserialize<'de> for OptionValue {
    /// YAML has tags for enums, which nobody would think of writing.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OneKind)
    }
}

struct OneKind;

impl<'de> Visitor<'de> for OneKind {
    type Value = OptionValue;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(
            "a kind and its value, such as {address: 10.1.0.2}; the kinds are address, addresses, text, u8, u16, u32, \
             bool and hex",
        )
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<OptionValue, M::Error> {
        let kind = map.next_key()?.ok_or_else(|| M::Error::invalid_length(0, &self))?;
        let value = match kind {
            Type::Address => OptionValue::Address(map.next_value()?),
            Type::Addresses => OptionValue::Addresses(map.next_value()?),
            Type::Text => OptionValue::Text(map.next_value()?),
            Type::U8 => OptionValue::U8(map.next_value()?),
            Type::U16 => OptionValue::U16(map.next_value()?),
            Type::U32 => OptionValue::U32(map.next_value()?),
            Type::Bool => OptionValue::Bool(map.next_value()?),
            Type::Bytes => OptionValue::Hex(map.next_value()?),
        };
        match map.next_key::<IgnoredAny>()? {
            None => Ok(value),
            Some(_) => Err(M::Error::custom("has two kinds, expected one")),
        }
    }
}

/// The longest value, in bytes: what a message of 576 bytes has room for.
const LONGEST: usize = 255;

/// What a value is, by its word in documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Type {
    Address,
    Addresses,
    Text,
    U8,
    U16,
    U32,
    Bool,
    #[serde(rename = "hex")]
    Bytes,
}

impl Type {
    const fn word(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Addresses => "addresses",
            Self::Text => "text",
            Self::U8 => "u8",
            Self::U16 => "u16",
            Self::U32 => "u32",
            Self::Bool => "bool",
            Self::Bytes => "hex",
        }
    }
}

/// Options with a name and a known type (IANA's "BOOTP Vendor Extensions and DHCP Options").
const NAMED: [(&str, u8, Type); 34] = [
    ("time-offset", 2, Type::U32),
    ("routers", 3, Type::Addresses),
    ("domain-name-servers", 6, Type::Addresses),
    ("log-servers", 7, Type::Addresses),
    ("lpr-servers", 9, Type::Addresses),
    ("host-name", 12, Type::Text),
    ("domain-name", 15, Type::Text),
    ("root-path", 17, Type::Text),
    ("ip-forwarding", 19, Type::Bool),
    ("default-ip-ttl", 23, Type::U8),
    ("interface-mtu", 26, Type::U16),
    ("broadcast-address", 28, Type::Address),
    ("static-routes", 33, Type::Addresses),
    ("arp-cache-timeout", 35, Type::U32),
    ("nis-domain", 40, Type::Text),
    ("nis-servers", 41, Type::Addresses),
    ("ntp-servers", 42, Type::Addresses),
    ("vendor-encapsulated-options", 43, Type::Bytes),
    ("netbios-name-servers", 44, Type::Addresses),
    ("netbios-node-type", 46, Type::U8),
    ("smtp-servers", 69, Type::Addresses),
    ("uuid-servers", 98, Type::Bytes),
    ("posix-timezone", 100, Type::Text),
    ("tzdb-timezone", 101, Type::Text),
    ("captive-portal", 114, Type::Text),
    ("domain-search", 119, Type::Bytes),
    ("sip-servers", 120, Type::Bytes),
    ("classless-static-routes", 121, Type::Bytes),
    ("vendor-specific-information", 125, Type::Bytes),
    ("tftp-server-addresses", 150, Type::Addresses),
    ("pxelinux-magic", 208, Type::Bytes),
    ("pxelinux-config-file", 209, Type::Text),
    ("pxelinux-path-prefix", 210, Type::Text),
    ("pxelinux-reboot-time", 211, Type::U32),
];

/// Names of options that no operator sets, so that the refusal says why.
const REFUSED: [(&str, u8); 9] = [
    ("subnet-mask", 1),
    ("requested-address", 50),
    ("lease-time", 51),
    ("message-type", 53),
    ("server-identifier", 54),
    ("vendor-class", 60),
    ("client-identifier", 61),
    ("bootfile-name", 67),
    ("relay-agent-information", 82),
];

/// Every mistake among options.
pub(super) fn validate(field: &str, options: &DhcpOptions, problems: &mut Vec<Problem>) {
    let mut seen = BTreeMap::new();
    for (key, value) in options {
        let at = format!("{field}.{key}");
        match encode(key, value) {
            Err(message) => problems.push(Problem::new(at, message)),
            Ok(option) => {
                if let Some(other) = seen.insert(option.code, key) {
                    problems.push(Problem::new(at, format!("is option {}, as is {other}", option.code)));
                }
            }
        }
    }
}

/// The options as they go out; those that [`validate`] finds fault with are left out.
#[must_use]
pub fn encode_options(options: &DhcpOptions) -> Vec<CustomOption> {
    let mut encoded: Vec<_> = options.iter().filter_map(|(key, value)| encode(key, value).ok()).collect();
    encoded.sort_by_key(|option| option.code);
    encoded.dedup_by_key(|option| option.code);
    encoded
}

fn encode(key: &str, value: &OptionValue) -> Result<CustomOption, String> {
    let (code, expected) = look_up(key)?;
    if is_reserved(code) {
        return Err(format!("option {code} is not an operator's to set: DHCP itself or the boot says it"));
    }
    if let Some(expected) = expected.filter(|expected| !fits(*expected, value)) {
        return Err(format!("expected {}", expected.word()));
    }
    let value = bytes(value)?;
    if value.is_empty() || value.len() > LONGEST {
        return Err(format!("is {} bytes, expected 1 to {LONGEST}", value.len()));
    }
    // QUIRKS 29: PXELINUX puts names right behind it.
    if code == 210 && value.last() != Some(&b'/') {
        return Err("expected a path that ends in /".into());
    }
    Ok(CustomOption { code, value: value.into() })
}

fn look_up(key: &str) -> Result<(u8, Option<Type>), String> {
    if let Ok(code) = key.parse::<u8>() {
        let named = NAMED.iter().find(|(_, known, _)| *known == code);
        return Ok((code, named.map(|(_, _, kind)| *kind)));
    }
    let named = NAMED.iter().find(|(name, _, _)| *name == key).map(|(_, code, kind)| (*code, Some(*kind)));
    let refused = || REFUSED.iter().find(|(name, _)| *name == key).map(|(_, code)| (*code, None));
    named.or_else(refused).ok_or_else(|| "is no option by name: give its number, 1 to 254".into())
}

/// Hexadecimal digits fit any type.
fn fits(expected: Type, value: &OptionValue) -> bool {
    match value {
        OptionValue::Hex(_) => true,
        OptionValue::Address(_) => matches!(expected, Type::Address | Type::Addresses),
        OptionValue::Addresses(_) => expected == Type::Addresses,
        OptionValue::Text(_) => expected == Type::Text,
        OptionValue::U8(_) => expected == Type::U8,
        OptionValue::U16(_) => expected == Type::U16,
        OptionValue::U32(_) => expected == Type::U32,
        OptionValue::Bool(_) => expected == Type::Bool,
    }
}

fn bytes(value: &OptionValue) -> Result<Vec<u8>, String> {
    Ok(match value {
        OptionValue::Address(address) => address.octets().into(),
        OptionValue::Addresses(list) => list.iter().flat_map(|address| address.octets()).collect(),
        OptionValue::Text(text) if text.bytes().all(|b| matches!(b, b' '..=b'~')) => {
            text.clone().into_bytes()
        }
        OptionValue::Text(_) => return Err("expected printable ASCII".into()),
        OptionValue::U8(value) => vec![*value],
        OptionValue::U16(value) => value.to_be_bytes().into(),
        OptionValue::U32(value) => value.to_be_bytes().into(),
        OptionValue::Bool(value) => vec![u8::from(*value)],
        OptionValue::Hex(digits) => hex(digits).ok_or("expected hexadecimal digits, two for each byte")?,
    })
}

fn hex(digits: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = digits.bytes().filter(|byte| *byte != b':').collect();
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let pairs = digits.chunks(2).map(|pair| Some(value(pair[0])? << 4 | value(*pair.get(1)?)?));
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(json: &str) -> DhcpOptions {
        serde_json::from_str(json).expect("well-formed")
    }

    #[test]
    fn options_by_name_and_number() {
        let json = r#"{"150":{"addresses":["10.1.0.2","10.1.0.3"]},"interface-mtu":{"u16":9000},
            "tzdb-timezone":{"text":"Europe/Paris"},"ip-forwarding":{"bool":false},"224":{"hex":"00:ff"},
            "pxelinux-reboot-time":{"u32":60}}"#;
        let mut problems = Vec::new();
        validate("options", &options(json), &mut problems);
        assert_eq!(problems, []);
        let encoded: Vec<_> =
            encode_options(&options(json)).into_iter().map(|o| (o.code, o.value.to_vec())).collect();
        let expected: [(u8, Vec<u8>); 6] = [
            (19, vec![0]),
            (26, vec![0x23, 0x28]),
            (101, b"Europe/Paris".to_vec()),
            (150, vec![10, 1, 0, 2, 10, 1, 0, 3]),
            (211, vec![0, 0, 0, 60]),
            (224, vec![0, 0xff]),
        ];
        assert_eq!(encoded, expected);
    }

    #[test]
    fn every_mistake_is_named() {
        let json = r#"{"53":{"u8":5},"server-identifier":{"address":"10.1.0.9"},"82":{"hex":"00"},"moon":{"u8":1},
            "interface-mtu":{"u32":9000},"26":{"u16":1400},"ntp-servers":{"addresses":[]},"225":{"hex":"0"},
            "226":{"text":"a\nb"},"pxelinux-path-prefix":{"text":"pxe"},"42":{"text":"x"}}"#;
        let mut problems = Vec::new();
        validate("options", &options(json), &mut problems);
        let fields: Vec<_> = problems.iter().map(|problem| problem.field.as_str()).collect();
        let expected = [
            "options.225",
            "options.226",
            "options.42",
            "options.53",
            "options.82",
            "options.interface-mtu",
            "options.moon",
            "options.ntp-servers",
            "options.pxelinux-path-prefix",
            "options.server-identifier",
        ];
        assert_eq!(fields, expected);
        let twice = options(r#"{"26":{"u16":1400},"interface-mtu":{"u16":9000}}"#);
        let mut problems = Vec::new();
        validate("options", &twice, &mut problems);
        assert_eq!(problems.len(), 1, "{problems:?}");
    }

    #[test]
    fn names_and_numbers_are_unique() {
        for (index, (name, code, _)) in NAMED.iter().enumerate() {
            assert!(!is_reserved(*code), "{name}");
            assert!(NAMED[..index].iter().all(|(other, known, _)| other != name && known != code), "{name}");
        }
        assert!(REFUSED.iter().all(|(_, code)| is_reserved(*code)));
    }
}
