//! Which rate over the WAN holds now, in words.

use proto::{RateLimit, Wall, v1};
use serde_json::Value;

use super::catalog::cell;
use crate::output::{plain, words};

/// Of a site, for a list: `5Mbit until 2026-03-27T18:00:00Z`; "" where it has no rates.
pub(crate) fn of_site(site: &Value) -> String {
    let until = site.pointer("/status/wan/until_ms").and_then(Value::as_u64).unwrap_or_default();
    with_end(cell(site, "/status/wan/rate"), until)
}

/// Of a site, as a comment of its YAML; "" where it has no rates.
pub(crate) fn comment(site: &Value, now: Wall) -> String {
    let rate = of_site(site);
    if rate.is_empty() {
        return rate;
    }
    let entry = cell(site, "/status/wan/entry");
    let until = site.pointer("/status/wan/until_ms").and_then(Value::as_u64);
    let when = until.map(|until| format!(" ({})", words::relative(Wall(until), now))).unwrap_or_default();
    plain(&format!("# over the WAN now: {rate}{when}, by wan.{entry}")) + "\n"
}

/// Of an agent that lacks something, as a remark; "" where nothing is held back.
pub(crate) fn of_agent(entry: &v1::Readiness) -> String {
    let rate = RateLimit::bits(entry.wan_bits_per_second);
    if rate == RateLimit::UNLIMITED {
        return String::new();
    }
    with_end(format!("`wan` lets {rate} pass"), entry.wan_until_ms)
}

fn with_end(text: String, until: u64) -> String {
    if text.is_empty() || until == 0 {
        return text;
    }
    format!("{text} until {}", words::moment(Wall(until)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// 2026-03-27, a Friday, 18:00 UTC.
    const SIX: u64 = 1_774_634_400_000;

    #[test]
    fn the_rate_that_holds_is_told_with_its_end() {
        let now = Wall(SIX - 7_200_000);
        let site = json!({"status": {"wan": {"rate": "5Mbit", "entry": "schedule[0]", "until_ms": SIX}}});
        assert_eq!(of_site(&site), "5Mbit until 2026-03-27T18:00:00Z");
        let expected = "# over the WAN now: 5Mbit until 2026-03-27T18:00:00Z (in 2h), by wan.schedule[0]\n";
        assert_eq!(comment(&site, now), expected);
        let always = json!({"status": {"wan": {"rate": "50Mbit", "entry": "rate", "until_ms": null}}});
        assert_eq!(comment(&always, now), "# over the WAN now: 50Mbit, by wan.rate\n");
        assert_eq!(comment(&json!({"status": {}}), now), "");
    }

    #[test]
    fn an_agent_that_is_held_back_says_so() {
        let entry = v1::Readiness { wan_bits_per_second: 2_500_000, ..v1::Readiness::default() };
        assert_eq!(of_agent(&entry), "`wan` lets 2500kbit pass");
        assert_eq!(of_agent(&v1::Readiness::default()), "");
    }
}
