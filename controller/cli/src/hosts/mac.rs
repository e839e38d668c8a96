//! Link addresses as people and old configuration files write them.

use proto::Mac;

/// Every notation of [`Mac`]'s own reader, groups without leading zeros (`0:1a:2b:3:4:5`), `0x` in front, and
/// PXELINUX's file names with the hardware type in front (`01-52-54-00-12-34-56`).
pub(super) fn parse(text: &str) -> Option<Mac> {
    let text = text.trim();
    if let Ok(mac) = text.parse() {
        return Some(mac);
    }
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return digits.parse().ok();
    }
    let groups: Vec<_> = text.split([':', '-']).collect();
    match groups.as_slice() {
        ["01", rest @ ..] if rest.len() == 6 => groups_of(rest),
        groups if groups.len() == 6 => groups_of(groups),
        _ => None,
    }
}

fn groups_of(groups: &[&str]) -> Option<Mac> {
    let mut bytes = [0; 6];
    for (byte, group) in bytes.iter_mut().zip(groups) {
        let plain = (1..=2).contains(&group.len()) && group.bytes().all(|digit| digit.is_ascii_hexdigit());
        *byte = u8::from_str_radix(group, 16).ok().filter(|_| plain)?;
    }
    Some(Mac(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notation() {
        let mac = Some(Mac([0, 0x1a, 0x2b, 3, 4, 5]));
        for text in
            ["00:1a:2b:03:04:05", "0:1A:2b:3:4:5", "001a.2b03.0405", "0x001A2B030405", "01-00-1a-2b-03-04-05"]
        {
            assert_eq!(parse(text), mac, "{text}");
        }
        for text in ["", "mac", "0:1:2:3:4", "0:1:2:3:4:+5", "0:1:2:3:4:555", "02-00-1a-2b-03-04-05"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
