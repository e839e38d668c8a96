//! Values that several directives have: tags, lease times, addresses.

use std::net::Ipv4Addr;

use proto::Span;

/// What `infinite` becomes: the catalog knows no lease without an end.
pub(super) const LONGEST_LEASE: Span = Span::seconds(52 * 604_800);
/// The shortest lease that dnsmasq gives (its manual, `dhcp-range`).
const SHORTEST_LEASE: u32 = 120;

/// The tags that a directive asks for, and what stands behind them.
pub(super) fn tags(fields: &[String]) -> (Vec<String>, &[String]) {
    let count = fields.iter().take_while(|field| asked_tag(field).is_some()).count();
    let (tags, rest) = fields.split_at(count);
    (tags.iter().filter_map(|field| asked_tag(field)).map(str::to_owned).collect(), rest)
}

/// `tag:NAME`, and `net:NAME` of older versions.
fn asked_tag(field: &str) -> Option<&str> {
    field.strip_prefix("tag:").or_else(|| field.strip_prefix("net:"))
}

/// A lease time such as `12h`, `45m`, `600` or `infinite`; None: it is none.
pub(super) fn lease(text: &str) -> Option<Span> {
    if text == "infinite" {
        return Some(LONGEST_LEASE);
    }
    let (digits, factor) = match text.chars().last()?.to_ascii_lowercase() {
        'w' => (&text[..text.len() - 1], 604_800),
        'd' => (&text[..text.len() - 1], 86_400),
        'h' => (&text[..text.len() - 1], 3_600),
        'm' => (&text[..text.len() - 1], 60),
        's' => (&text[..text.len() - 1], 1),
        _ => (text, 1),
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = is_number.then(|| digits.parse::<u32>().ok()?.checked_mul(factor)).flatten()?;
    Some(Span::seconds(seconds.max(SHORTEST_LEASE)).min(LONGEST_LEASE))
}

/// An IPv4 address.
///
/// # Errors
/// What was found instead.
pub(super) fn address(text: &str) -> Result<Ipv4Addr, String> {
    text.parse().map_err(|_| format!("expected an IPv4 address, found {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lease_times() {
        let seconds = |text| lease(text).map(Span::as_seconds);
        assert_eq!(seconds("12h"), Some(43_200));
        assert_eq!((seconds("45m"), seconds("600"), seconds("1D")), (Some(2_700), Some(600), Some(86_400)));
        assert_eq!(seconds("5"), Some(120), "as dnsmasq has it");
        assert_eq!(lease("infinite"), Some(LONGEST_LEASE));
        for text in ["", "h", "web", "1x", "99999999999w", "٣h"] {
            assert_eq!(lease(text), None, "{text}");
        }
    }
}
