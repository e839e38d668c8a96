//! `dhcp-option`: which option, for whom, and its value in the catalog's types.

use std::net::Ipv4Addr;

use proto::catalog::OptionValue;

use super::value::tags;

/// The options that dnsmasq has names for (`opttab` of its `dhcp-common.c`), and how many bytes numbers have there.
const NAMED: [(&str, u8, u8); 49] = [
    ("netmask", 1, 0),
    ("time-offset", 2, 4),
    ("router", 3, 0),
    ("dns-server", 6, 0),
    ("log-server", 7, 0),
    ("lpr-server", 9, 0),
    ("hostname", 12, 0),
    ("boot-file-size", 13, 2),
    ("domain-name", 15, 0),
    ("swap-server", 16, 0),
    ("root-path", 17, 0),
    ("extension-path", 18, 0),
    ("ip-forward-enable", 19, 1),
    ("non-local-source-routing", 20, 1),
    ("policy-filter", 21, 0),
    ("max-datagram-reassembly", 22, 2),
    ("default-ttl", 23, 1),
    ("mtu", 26, 2),
    ("all-subnets-local", 27, 1),
    ("broadcast", 28, 0),
    ("router-discovery", 31, 1),
    ("router-solicitation", 32, 0),
    ("static-route", 33, 0),
    ("trailer-encapsulation", 34, 1),
    ("arp-timeout", 35, 4),
    ("ethernet-encap", 36, 1),
    ("tcp-ttl", 37, 1),
    ("tcp-keepalive", 38, 4),
    ("nis-domain", 40, 0),
    ("nis-server", 41, 0),
    ("ntp-server", 42, 0),
    ("vendor-encap", 43, 0),
    ("netbios-ns", 44, 0),
    ("netbios-dd", 45, 0),
    ("netbios-nodetype", 46, 1),
    ("netbios-scope", 47, 0),
    ("x-windows-fs", 48, 0),
    ("x-windows-dm", 49, 0),
    ("lease-time", 51, 4),
    ("server-identifier", 54, 0),
    ("T1", 58, 4),
    ("T2", 59, 4),
    ("vendor-class", 60, 0),
    ("tftp-server", 66, 0),
    ("bootfile-name", 67, 0),
    ("smtp-server", 69, 0),
    ("posix-timezone", 100, 0),
    ("tzdb-timezone", 101, 0),
    ("tftp-server-address", 150, 0),
];

/// Options whose texts and addresses dnsmasq packs in forms of their own.
const PACKED: [u8; 3] = [119, 120, 121];
/// Options that hold one byte which is 0 or 1, as the catalog has them.
const TRUTH: [u8; 1] = [19];

/// One `dhcp-option`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DhcpOption {
    /// Machines without these do not get it.
    pub(super) asked: Vec<String>,
    pub(super) code: u8,
    /// Empty: dnsmasq is to leave the option out.
    pub(super) values: Vec<String>,
}

/// Reads the value of a `dhcp-option`.
///
/// # Errors
/// What was expected.
pub(super) fn read(fields: &[String]) -> Result<Result<DhcpOption, &'static str>, String> {
    let (asked, rest) = tags(fields);
    let (first, values) = rest.split_first().ok_or("expected an option, found nothing")?;
    if first.starts_with("option6:") {
        return Ok(Err("it is for IPv6, which the agent does not serve"));
    }
    if ["encap:", "vi-encap:", "vendor:"].iter().any(|start| first.starts_with(start)) {
        return Ok(Err("options within a vendor's option are not carried over"));
    }
    let code = match first.strip_prefix("option:") {
        Some(name) => NAMED.iter().find(|(known, _, _)| *known == name).map(|(_, code, _)| *code),
        None => first.parse().ok(),
    };
    let code = match (code, first.as_str()) {
        (Some(code), _) => code,
        (None, "option:domain-search") => 119,
        (None, "option:sip-server") => 120,
        (None, "option:classless-static-route") => 121,
        (None, word) if word.starts_with("option:") => {
            return Ok(Err("an option of this name is not known here: give its number"));
        }
        (None, word) => return Err(format!("expected an option's number or option:NAME, found {word:?}")),
    };
    Ok(Ok(DhcpOption { asked, code, values: values.iter().filter(|v| !v.is_empty()).cloned().collect() }))
}

impl DhcpOption {
    /// All of its values as addresses; None: one is none, or is dnsmasq's own (`0.0.0.0`).
    pub(super) fn addresses(&self) -> Option<Vec<Ipv4Addr>> {
        let addresses: Vec<Ipv4Addr> = self.values.iter().map(|v| v.parse().ok()).collect::<Option<_>>()?;
        (!addresses.is_empty() && !addresses.iter().any(Ipv4Addr::is_unspecified)).then_some(addresses)
    }

    /// The value as dnsmasq would send it.
    ///
    /// # Errors
    /// Why the catalog cannot say that.
    pub(super) fn value(&self) -> Result<OptionValue, String> {
        if PACKED.contains(&self.code) {
            return Err("dnsmasq packs its value in a form of its own".into());
        }
        if self.values.iter().any(|value| value == "0.0.0.0") {
            return Err("0.0.0.0 stands for the machine that dnsmasq runs on".into());
        }
        let joined = self.values.join(",");
        if let Some(addresses) = self.addresses() {
            return Ok(match addresses.as_slice() {
                [one] => OptionValue::Address(*one),
                _ => OptionValue::Addresses(addresses),
            });
        }
        let width = NAMED.iter().find(|(_, code, _)| *code == self.code).map_or(0, |(_, _, width)| *width);
        if let Some(number) = number(&joined, width, TRUTH.contains(&self.code))? {
            return Ok(number);
        }
        match joined.contains(':') && is_bytes(&joined) {
            true => Ok(OptionValue::Hex(joined.split(':').map(|byte| format!("{byte:0>2}")).collect())),
            false => Ok(OptionValue::Text(joined)),
        }
    }
}

/// Of `width` bytes, or as short as it can be; a letter behind it says its width (`1b`, `2s`, `4i`).
fn number(text: &str, width: u8, is_truth: bool) -> Result<Option<OptionValue>, String> {
    let (digits, width) = match text.as_bytes() {
        [.., b'b'] => (&text[..text.len() - 1], 1),
        [.., b's'] => (&text[..text.len() - 1], 2),
        [.., b'i'] => (&text[..text.len() - 1], 4),
        _ => (text, width),
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let Some(value) = is_number.then(|| digits.parse::<u32>().ok()).flatten() else { return Ok(None) };
    if is_truth {
        return Ok(Some(OptionValue::Bool(value != 0)));
    }
    let fits = |width| format!("{value} does not fit {width} bytes");
    Ok(Some(match (width, value) {
        (1, _) | (0, 0..=0xff) => OptionValue::U8(value.try_into().map_err(|_| fits(1))?),
        (2, _) | (0, 0x100..=0xffff) => OptionValue::U16(value.try_into().map_err(|_| fits(2))?),
        _ => OptionValue::U32(value),
    }))
}

fn is_bytes(text: &str) -> bool {
    text.split(':')
        .all(|byte| (1..=2).contains(&byte.len()) && byte.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(text: &str) -> DhcpOption {
        let fields: Vec<_> = text.split(',').map(str::to_owned).collect();
        read(&fields).expect("legal").expect("carried")
    }

    #[test]
    fn options_by_number_and_name() {
        let router = option("tag:red,option:router,10.0.0.1");
        assert_eq!((router.code, router.asked.as_slice()), (3, ["red".to_owned()].as_slice()));
        assert_eq!(router.addresses(), Some(vec![[10, 0, 0, 1].into()]));
        assert_eq!(option("3").values, Vec::<String>::new());
        assert_eq!(option("26,1500").value(), Ok(OptionValue::U16(1_500)));
        assert_eq!(option("224,70000").value(), Ok(OptionValue::U32(70_000)));
        assert_eq!(option("224,1i").value(), Ok(OptionValue::U32(1)));
        assert_eq!(option("19,1").value(), Ok(OptionValue::Bool(true)));
        assert_eq!(option("225,1:2:ff").value(), Ok(OptionValue::Hex("0102ff".into())));
        assert_eq!(option("100,EST5EDT").value(), Ok(OptionValue::Text("EST5EDT".into())));
        assert!(option("23,300").value().is_err() && option("option:ntp-server,0.0.0.0").value().is_err());
    }

    #[test]
    fn what_is_not_carried_and_what_is_wrong() {
        let read = |text: &str| read(&text.split(',').map(str::to_owned).collect::<Vec<_>>());
        assert!(read("option6:dns-server,[fd00::1]").expect("legal").is_err());
        assert!(read("vendor:PXEClient,1,0.0.0.0").expect("legal").is_err());
        assert!(read("routre,10.0.0.1").is_err() && read("tag:x").is_err());
    }
}
