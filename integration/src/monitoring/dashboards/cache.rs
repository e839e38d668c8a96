//! *Cache and WAN*: what sites hold, what they lack, and what they fetch over which link.

use super::super::grafana::{Dashboard, Levels, Panel, Query, Row, Unit};
use super::super::promql::lately;
use super::{agents, sites, uid};

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: uid::CACHE,
        title: "Cache and WAN",
        about: "Images and packages at the sites: what is held, what is missing, and what crossed the WAN for it.",
        shows: "24h",
        variables: vec![sites(), agents()],
        rows: vec![
            Row::new("Is anything wrong?", wrong()),
            Row::new("Images", images()),
            Row::new("Package mirrors", mirrors()),
        ],
    }
}

/// A metric of the agents that are chosen.
fn of(metric: &str) -> String {
    of_those(metric, "")
}

/// The same, with further matchers.
fn of_those(metric: &str, further: &str) -> String {
    format!(r#"{metric}{{site=~"$site", agent=~"$agent"{further}}}"#)
}

fn rate(label: &str, metric: &str) -> String {
    format!("sum by ({label}) (rate({}[$__rate_interval]))", of(metric))
}

fn wrong() -> Vec<Panel> {
    let increase = |selector: &str| lately(selector, "$__range");
    let lookups = of("bootlane_agent_cache_lookups_total");
    let hits = of_those("bootlane_agent_cache_lookups_total", r#", result="hit""#);
    let failed = of_those("bootlane_agent_cache_fills_total", r#", outcome="failed""#);
    vec![
        Panel::number(
            "Asked for and held",
            "The part of image files that machines asked for while the site held all of it. Lower: machines wait for the WAN; \
             let the site fetch ahead (`prefetch`, docs/cache.md).",
            format!("(sum({}) or vector(0)) / sum({})", increase(&hits), increase(&lookups)),
        )
        .unit(Unit::Share)
        .levels(Levels::falling(0.5, 0.9))
        .wide(4),
        Panel::number(
            "Files missing",
            "Files that plans name and that no cache of the agent holds whole. It falls while they come; `bootlane image status` \
             says when they will be there.",
            format!("sum({})", of("bootlane_agent_cache_missing_blobs")),
        )
        .levels(Levels::rising(1.0, 1_000.0))
        .wide(4),
        Panel::number(
            "Fetches that failed",
            "Fetches into caches of the time shown that failed, of files that may have come later. The agent's log says from whom and why.",
            format!("sum({}) or vector(0)", increase(&failed)),
        )
        .levels(Levels::rising(1.0, 100.0))
        .wide(4),
        Panel::number(
            "Corrupt on disk",
            "Files that were read again and found corrupt. They are fetched anew and never served; more than one from one \
             agent: its disk is dying.",
            format!("sum({})", increase(&of("bootlane_agent_cache_corrupt_blobs_total"))),
        )
        .levels(Levels::none_wanted())
        .wide(4),
        Panel::number(
            "Fullest cache",
            "What the fullest cache holds, beside its budget. A cache that is full makes room by what was used least; too \
             small, it fetches the same again and again.",
            format!("max({} / ({} > 0))", of("bootlane_agent_cache_used_bytes"), of("bootlane_agent_cache_budget_bytes")),
        )
        .unit(Unit::Share)
        .levels(Levels::rising(0.9, 0.98))
        .wide(4),
        Panel::number(
            "Mirrors' upstreams away",
            "Upstreams of package mirrors that do not answer. What is held is served all the same.",
            format!("sum({}) or vector(0)", of("bootlane_agent_mirror_upstreams_away")),
        )
        .levels(Levels::rising(1.0, 5.0))
        .wide(4),
    ]
}

fn images() -> Vec<Panel> {
    vec![
        Panel::lines(
            "Bytes of images that came in, by source",
            "`controller` and `url` crossed the WAN, `agent` came from another agent of the site.",
        )
        .asks(Query::course(rate("source", "bootlane_agent_fetched_bytes_total"), "{{source}}"))
        .unit(Unit::BytesPerSecond),
        Panel::lines(
            "Bytes in over the WAN, bytes out to machines",
            "A byte is to cross the WAN once and to be served often: the wider the lines are apart, the better.",
        )
        .asks(Query::course(
            format!(
                "sum(rate({}[$__rate_interval]))",
                of_those("bootlane_agent_fetched_bytes_total", r#", source!="agent""#)
            ),
            "images in",
        ))
        .asks(Query::course(
            format!("sum(rate({}[$__rate_interval]))", of("bootlane_agent_transferred_bytes_total")),
            "files out",
        ))
        .unit(Unit::BytesPerSecond),
        Panel::stacked(
            "Lookups, by what the cache had",
            "`hit`: all of it. `arriving`: served while it came. `miss`: nothing in time, so the machine went without.",
        )
        .asks(Query::course(rate("result", "bootlane_agent_cache_lookups_total"), "{{result}}"))
        .unit(Unit::PerSecond)
        .wide(8),
        Panel::lines("Caches, beside their budgets", "What each agent's cache holds, beside what it may take.")
            .asks(Query::course(
                format!("{} / ({} > 0)", of("bootlane_agent_cache_used_bytes"), of("bootlane_agent_cache_budget_bytes")),
                "{{site}} {{agent}}",
            ))
            .unit(Unit::Share)
            .wide(8),
        Panel::lines("Files missing, by agent", "Files that the plan names and the agent does not hold whole.")
            .asks(Query::course(of("bootlane_agent_cache_missing_blobs"), "{{site}} {{agent}}"))
            .wide(8),
    ]
}

fn mirrors() -> Vec<Panel> {
    vec![
        Panel::lines(
            "Bytes from upstreams, bytes to machines",
            "What mirrors fetched over the WAN and what they served for it.",
        )
        .asks(Query::course(rate("mirror", "bootlane_agent_mirror_fetched_bytes_total"), "{{mirror}} in"))
        .asks(Query::course(rate("mirror", "bootlane_agent_mirror_served_bytes_total"), "{{mirror}} out"))
        .unit(Unit::BytesPerSecond)
        .wide(8),
        Panel::stacked(
            "Answers, by where they came from",
            "`held` cost nothing, `checked` a question, `fetched` its bytes; `unavailable`: an upstream was away and nothing \
             was held.",
        )
        .asks(Query::course(rate("mirror, result", "bootlane_agent_mirror_answers_total"), "{{mirror}} {{result}}"))
        .unit(Unit::PerSecond)
        .wide(8),
        Panel::lines("Held", "What is held of each mirror, over the agents that are chosen.")
            .asks(Query::course(
                format!("sum by (mirror) ({})", of("bootlane_agent_mirror_used_bytes")),
                "{{mirror}}",
            ))
            .unit(Unit::Bytes)
            .wide(8),
    ]
}
