//! `dhcp-host`.

use std::net::Ipv4Addr;

use proto::{Mac, Span};

use super::value::lease;

/// One `dhcp-host`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct DhcpHost {
    pub(super) macs: Vec<Mac>,
    /// Link addresses with `*`, of hardware that is no Ethernet, and client identifiers.
    pub(super) others: Vec<String>,
    /// What it puts on the machine.
    pub(super) set: Vec<String>,
    /// It is for machines with these alone.
    pub(super) asked: Vec<String>,
    pub(super) address: Option<Ipv4Addr>,
    pub(super) name: Option<String>,
    pub(super) lease: Option<Span>,
    pub(super) is_ignored: bool,
    /// IPv6 addresses.
    pub(super) ipv6: bool,
}

/// Reads the value of a `dhcp-host`: parts in any order, each known by its form.
///
/// # Errors
/// What was expected.
pub(super) fn read(fields: &[String]) -> Result<DhcpHost, String> {
    let mut host = DhcpHost::default();
    for field in fields.iter().filter(|field| !field.is_empty()) {
        host.take(field)?;
    }
    Ok(host)
}

impl DhcpHost {
    fn take(&mut self, field: &str) -> Result<(), String> {
        if field.starts_with('[') {
            self.ipv6 = true;
        } else if let Some((kind, rest)) = field.split_once(':') {
            self.take_prefixed(field, kind, rest)?;
        } else if field == "ignore" {
            self.is_ignored = true;
        } else if let Some(lease) = lease(field) {
            self.lease = Some(lease);
        } else if let Ok(address) = field.parse() {
            self.address = Some(address);
        } else if field.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return Err(format!("expected an IPv4 address, found {field:?}"));
        } else {
            self.name = Some(field.to_owned());
        }
        Ok(())
    }

    fn take_prefixed(&mut self, field: &str, kind: &str, rest: &str) -> Result<(), String> {
        match kind {
            "id" => self.others.push(field.to_owned()),
            "set" | "net" => self.set.push(rest.to_owned()),
            "tag" => self.asked.push(rest.to_owned()),
            _ => match link_address(field)? {
                Link::Of(mac) => self.macs.push(mac),
                Link::Other => self.others.push(field.to_owned()),
            },
        }
        Ok(())
    }
}

enum Link {
    Of(Mac),
    Other,
}

/// `52:54:00:12:34:56`, with `1-` in front for Ethernet, groups of one digit, and `*` for any.
fn link_address(text: &str) -> Result<Link, String> {
    let error = || format!("expected a MAC address such as 52:54:00:12:34:56, found {text:?}");
    let (hardware, groups) = text.split_once('-').unwrap_or(("1", text));
    let hardware = u8::from_str_radix(hardware, 16).map_err(|_| error())?;
    let groups: Vec<_> = groups.split(':').collect();
    let is_group = |group: &&str| {
        *group == "*" || (1..=2).contains(&group.len()) && group.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    if !groups.iter().all(is_group) {
        return Err(error());
    }
    if hardware != 1 || groups.contains(&"*") {
        return Ok(Link::Other);
    }
    let bytes: Result<Vec<_>, _> = groups.iter().map(|group| u8::from_str_radix(group, 16)).collect();
    let bytes = bytes.map_err(|_| error())?.try_into().map_err(|_| error())?;
    Ok(Link::Of(Mac(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Result<DhcpHost, String> {
        read(&text.split(',').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn every_form() {
        let full =
            host("11:22:33:44:55:66,12:34:56:78:90:12,set:red,tag:lab,192.168.0.60,Web_1.example.org,45m");
        let full = full.expect("legal");
        assert_eq!(
            (full.macs.len(), full.set, full.asked),
            (2, vec!["red".to_owned()], vec!["lab".to_owned()])
        );
        assert_eq!(
            (full.address, full.name.as_deref()),
            (Some([192, 168, 0, 60].into()), Some("Web_1.example.org"))
        );
        assert_eq!(full.lease, Some(Span::seconds(2_700)));
        let ethernet = host("01-0:1a:2b:3:4:5,ignore").expect("legal");
        assert_eq!((ethernet.macs, ethernet.is_ignored), (vec![Mac([0, 0x1a, 0x2b, 3, 4, 5])], true));
        let others =
            host("06-11:22:33:44:55:66,11:22:33:*:*:*,id:01:22,fred,infinite,[fd00::1]").expect("legal");
        assert_eq!((others.others.len(), others.macs.len(), others.ipv6), (3, 0, true));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for text in ["11:22:33:44:55", "11:22:33:44:55:zz", "192.168.0.300,web", "x-11:22:33:44:55:66"] {
            assert!(host(text).is_err(), "{text}");
        }
    }
}
