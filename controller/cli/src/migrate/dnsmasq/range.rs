//! `dhcp-range`.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use proto::{Range, Span};

use super::value::{address, lease, tags};

/// What a range is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Machines of any kind.
    Pool(Range),
    /// Hosts with fixed addresses alone.
    Static,
    /// Another server gives the addresses.
    Proxy,
}

/// One range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DhcpRange {
    /// Machines without these get nothing of it.
    pub(super) asked: Vec<String>,
    /// What it puts on machines.
    pub(super) set: Option<String>,
    pub(super) network: Ipv4Net,
    /// The line has no netmask.
    pub(super) is_assumed: bool,
    pub(super) mode: Mode,
    pub(super) lease: Option<Span>,
}

/// Reads the value of a `dhcp-range`; None: it is for IPv6.
///
/// # Errors
/// What was expected.
pub(super) fn read(fields: &[String]) -> Result<Option<DhcpRange>, String> {
    let (mut asked, rest) = tags(fields);
    let (set, rest) = set_tag(rest);
    let (more, rest) = tags(rest);
    asked.extend(more);
    let (first, rest) = rest.split_first().ok_or("expected an address, found nothing")?;
    if first.contains(':') {
        return Ok(None);
    }
    let first = address(first)?;
    let (last, rest) = rest.split_first().map_or((None, rest), |(last, rest)| (Some(last.as_str()), rest));
    let (masks, rest) = rest.split_at(rest.iter().take(2).take_while(|field| field.contains('.')).count());
    let lease = match rest {
        [] => None,
        [time] => {
            Some(lease(time).ok_or_else(|| format!("expected a lease time such as 12h, found {time:?}"))?)
        }
        [_, more, ..] => return Err(format!("{more:?} is more than a range has")),
    };
    let end = match last {
        Some("static" | "proxy") | None => first,
        Some(last) => address(last)?,
    };
    let network = network(first, end, masks.first().map(String::as_str))?;
    let mode = match last {
        Some("static") => Mode::Static,
        Some("proxy") => Mode::Proxy,
        Some(_) => Mode::Pool(Range::new(first, end).ok_or_else(|| format!("{first} comes after {end}"))?),
        None => return Err("expected the last address, static or proxy behind the first".into()),
    };
    Ok(Some(DhcpRange { asked, set, network, is_assumed: masks.is_empty(), mode, lease }))
}

/// `set:NAME`, or a bare word of older versions.
fn set_tag(fields: &[String]) -> (Option<String>, &[String]) {
    let Some((first, rest)) = fields.split_first() else { return (None, fields) };
    let is_address = first.chars().all(|c| c.is_ascii_hexdigit() || matches!(c, '.' | ':' | ' '));
    match first.strip_prefix("set:") {
        Some(tag) => (Some(tag.to_owned()), rest),
        None if !is_address => (Some(first.clone()), rest),
        None => (None, fields),
    }
}

/// The mask that is written, else the smallest network from /24 up that holds both ends: dnsmasq takes its interface's.
fn network(first: Ipv4Addr, last: Ipv4Addr, mask: Option<&str>) -> Result<Ipv4Net, String> {
    let network = |prefix| Ipv4Net::new(first, prefix).ok().map(|network| network.trunc());
    if let Some(mask) = mask {
        let found = Ipv4Net::with_netmask(first, address(mask)?).map(|network| network.trunc());
        let found = found.map_err(|_| format!("{mask} is no netmask"))?;
        return if found.contains(&last) { Ok(found) } else { Err(format!("{last} is not in {found}")) };
    }
    (0..=24)
        .rev()
        .filter_map(network)
        .find(|network| network.contains(&last))
        .ok_or_else(|| "no network".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> Result<Option<DhcpRange>, String> {
        read(&text.split(',').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn every_form() {
        let pool = range("tag:pxe,set:red,10.1.0.50,10.1.0.99,255.255.0.0,10.1.255.255,12h");
        let pool = pool.expect("legal").expect("IPv4");
        assert_eq!((pool.asked, pool.set), (vec!["pxe".to_owned()], Some("red".to_owned())));
        assert_eq!((pool.network.to_string().as_str(), pool.is_assumed), ("10.1.0.0/16", false));
        assert_eq!(pool.lease, Some(Span::seconds(43_200)));
        let old = range("blue,192.168.4.10,192.168.5.99").expect("legal").expect("IPv4");
        assert_eq!((old.set.as_deref(), old.network.to_string().as_str()), (Some("blue"), "192.168.4.0/23"));
        let kind = |text| range(text).expect("legal").expect("IPv4").mode;
        assert_eq!(
            (kind("10.0.0.0,static,255.255.255.0"), kind("10.0.0.0,proxy")),
            (Mode::Static, Mode::Proxy)
        );
        assert_eq!(range("fd00::2,fd00::500,64"), Ok(None));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, expected) in [
            ("10.0.0.1", "expected the last address"),
            ("10.0.0.300,10.0.0.4", "10.0.0.300"),
            ("10.0.0.9,10.0.0.4", "comes after"),
            ("10.0.0.1,10.0.0.9,255.0.255.0", "no netmask"),
            ("10.0.0.1,10.0.9.9,255.255.255.0", "is not in"),
            ("10.0.0.1,10.0.0.9,soon", "lease time"),
        ] {
            let error = range(text).expect_err(text);
            assert!(error.contains(expected), "{error}");
        }
    }
}
