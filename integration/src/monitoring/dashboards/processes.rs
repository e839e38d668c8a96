//! *Agents and controller*: how the programs do themselves.

use super::super::grafana::{Column, Dashboard, Levels, Link, Meaning, Panel, Query, Row, Unit};
use super::super::promql::lately;
use super::{Colour, HEARD, agents, sites, uid};

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: uid::PROCESSES,
        title: "Agents and controller",
        about: "How the programs do: links, versions, memory, disks, certificates, stores, calls and telemetry.",
        shows: "6h",
        variables: vec![sites(), agents()],
        rows: vec![
            Row::new("Is anything wrong?", wrong()),
            Row::new("Agents", vec![table()].into_iter().chain(of_agents()).collect()),
            Row::new("Controller", of_controller()),
        ],
    }
}

/// A metric of the agents that are chosen, one number for each: several controllers may tell of the same.
fn each(metric: &str) -> String {
    format!(r#"max by (site, agent) ({metric}{{site=~"$site", agent=~"$agent"}})"#)
}

fn wrong() -> Vec<Panel> {
    vec![
        Panel::number(
            "Agents not heard",
            "Agents, not revoked, that no controller hears. The table says which, and since when.",
            format!("sum(({}) == bool 0)", each("bootlane_agent_up")),
        )
        .levels(Levels::none_wanted()),
        Panel::number(
            "Stores that take writes",
            "0: the catalog or the event store is read-only, as after a full disk. Free some room and restart the controller; \
             its log says which.",
            "min(bootlane_controller_store_writable)",
        )
        .meaning(&[
            Meaning { value: 0, word: "read-only", colour: Colour::Red },
            Meaning { value: 1, word: "all", colour: Colour::Green },
        ])
        .levels(Levels::falling(0.5, 1.0)),
        Panel::number(
            "Planner's lag",
            "For how long changes of the catalog have been waiting to be in the plans. It falls within seconds; if it grows, the \
             controller's log says which plan fails.",
            "max(bootlane_controller_planner_lag_seconds)",
        )
        .unit(Unit::Seconds)
        .levels(Levels::rising(10.0, 60.0)),
        Panel::number(
            "Calls refused",
            "gRPC calls of the time shown that were not answered with OK, without those that found nothing to tell. \
             See below by method and code.",
            format!(
                "sum({}) or vector(0)",
                lately(r#"bootlane_controller_calls_total{code!~"(?i)ok|cancelled|not_?found"}"#, "$__range")
            ),
        )
        .levels(Levels::rising(1.0, 100.0)),
        Panel::number(
            "Fullest disk",
            "Of agents and controllers. At 95 % an agent gives no pool addresses and takes no new orders; fixed addresses and \
             local boots go on.",
            format!(
                "1 - min(({} / {}) or label_replace(min(bootlane_controller_disk_free_bytes / bootlane_controller_disk_size_bytes), \"agent\", \"controller\", \"\", \"\"))",
                each("bootlane_agent_disk_free_bytes"),
                each("bootlane_agent_disk_size_bytes"),
            ),
        )
        .unit(Unit::Share)
        .levels(Levels::rising(0.8, 0.95)),
        Panel::number(
            "Authority ends in",
            "How long the fleet's certificate authority lives. Roll it over in time: docs/backup.md.",
            r#"min(bootlane_controller_certificate_expiry_timestamp_seconds{certificate="authority"}) - time()"#,
        )
        .unit(Unit::Seconds)
        .levels(Levels::falling(2_592_000.0, 7_776_000.0)),
        Panel::number(
            "Events lost to counting",
            "Events of the time shown that the counting of boots was too slow for. They are stored; boots are counted by \
             reading them again.",
            format!("sum({})", lately("bootlane_controller_events_missed_total", "$__range")),
        )
        .levels(Levels::rising(1.0, 1_000.0)),
        Panel::number(
            "Spans dropped",
            "Spans of boots and of the controller that the OTLP collector did not take. Boots are in `bootlane boot list` all the same.",
            format!(
                r#"sum({}) or vector(0)"#,
                lately(r#"bootlane_boot_traces_total{outcome="dropped"}"#, "$__range")
            ),
        )
        .levels(Levels::rising(1.0, 1_000.0)),
    ]
}

fn table() -> Panel {
    let columns = vec![
        Column::label("Site", "site").leading(Link::from_row(
            "Dashboard of this site",
            uid::SITE,
            &[("site", "Site"), ("agent", "Agent")],
        )),
        Column::label("Agent", "agent"),
        Column::value("Link", Unit::Count).meaning(HEARD).levels(Levels::falling(0.5, 1.0)),
        Column::value("Heard before", Unit::Seconds).levels(Levels::rising(120.0, 600.0)),
        Column::value("Plan", Unit::Count)
            .meaning(&[
                Meaning { value: 0, word: "newest", colour: Colour::Green },
                Meaning { value: 1, word: "behind", colour: Colour::Orange },
            ])
            .levels(Levels::rising(1.0, 2.0)),
        Column::value("Running for", Unit::Seconds),
        Column::value("Memory", Unit::Bytes),
        Column::value("Certificate ends in", Unit::Seconds).levels(Levels::falling(3_600.0, 21_600.0)),
        Column::value("Events waiting", Unit::Count).levels(Levels::rising(1_000.0, 10_000.0)),
    ];
    let age = |metric: &str| format!("time() - {}", each(metric));
    Panel::table("Agents", "A row for each agent. What is empty is not told while it is not heard.", columns)
        .asks(Query::present(each("bootlane_agent_up"), "Link"))
        .asks(Query::present(age("bootlane_agent_last_contact_timestamp_seconds"), "Heard before"))
        .asks(Query::present(each("bootlane_agent_plan_behind"), "Plan"))
        .asks(Query::present(age("bootlane_agent_start_timestamp_seconds"), "Running for"))
        .asks(Query::present(each("bootlane_agent_resident_memory_bytes"), "Memory"))
        .asks(Query::present(
            format!("{} - time()", each("bootlane_agent_certificate_expiry_timestamp_seconds")),
            "Certificate ends in",
        ))
        .asks(Query::present(each("bootlane_agent_journal_events"), "Events waiting"))
}

fn of_agents() -> Vec<Panel> {
    let versions = r#"count by (version) (max by (site, agent, version) (bootlane_agent_build_info{site=~"$site", agent=~"$agent"}))"#;
    vec![
        Panel::lines("Memory of agents", "Resident memory of each agent; an idle one stays below 64 MiB.")
            .asks(Query::course(each("bootlane_agent_resident_memory_bytes"), "{{site}} {{agent}}"))
            .unit(Unit::Bytes)
            .wide(8),
        Panel::lines("Processor of agents", "Cores that each agent keeps busy.")
            .asks(Query::course(
                r#"sum by (site, agent) (rate(bootlane_agent_cpu_seconds_total{site=~"$site", agent=~"$agent"}[$__rate_interval]))"#,
                "{{site}} {{agent}}",
            ))
            .unit(Unit::Cores)
            .wide(8),
        Panel::lines(
            "Journals",
            "Events that wait for the controller, beside how many may. At 100 % the oldest diagnostics give way; orders and leases never do.",
        )
        .asks(Query::course(
            format!("{} / {}", each("bootlane_agent_journal_events"), each("bootlane_agent_journal_limit_events")),
            "{{site}} {{agent}}",
        ))
        .unit(Unit::Share)
        .wide(8),
        Panel::lines("Free disk of agents", "Free space of each agent's disk, beside its size.")
            .asks(Query::course(
                format!("{} / {}", each("bootlane_agent_disk_free_bytes"), each("bootlane_agent_disk_size_bytes")),
                "{{site}} {{agent}}",
            ))
            .unit(Unit::Share)
            .wide(8),
        Panel::states("Links", "Whether a controller hears each agent.", HEARD)
            .asks(Query::course(each("bootlane_agent_up"), "{{site}} {{agent}}"))
            .levels(Levels::falling(0.5, 1.0))
            .wide(8),
        Panel::ranking("Versions", "How many agents run which version; two versions work with each other.")
            .asks(Query::present(versions, "{{version}}"))
            .wide(8),
    ]
}

fn of_controller() -> Vec<Panel> {
    vec![
        Panel::lines("Events taken in", "Events of agents that were stored.")
            .asks(Query::course("sum by (instance) (rate(bootlane_controller_events_total[$__rate_interval]))", "{{instance}}"))
            .unit(Unit::PerSecond)
            .wide(8),
        Panel::lines("Calls, by method and code", "gRPC calls that were answered. A stream is counted when it begins.")
            .asks(Query::course(
                "sum by (method, code) (rate(bootlane_controller_calls_total[$__rate_interval]))",
                "{{method}} {{code}}",
            ))
            .unit(Unit::PerSecond)
            .wide(8),
        Panel::lines("Time to answer, 19 of 20 calls", "Nineteen of twenty calls were answered within this.")
            .asks(Query::course(
                "histogram_quantile(0.95, sum by (le, method) (rate(bootlane_controller_call_duration_seconds_bucket[$__rate_interval])))",
                "{{method}}",
            ))
            .unit(Unit::Seconds)
            .wide(8),
        Panel::lines("Memory of controllers", "Resident memory of each controller.")
            .asks(Query::course("bootlane_controller_resident_memory_bytes", "{{instance}}"))
            .unit(Unit::Bytes)
            .wide(8),
        Panel::lines("Processor of controllers", "Cores that each controller keeps busy.")
            .asks(Query::course("rate(bootlane_controller_cpu_seconds_total[$__rate_interval])", "{{instance}}"))
            .unit(Unit::Cores)
            .wide(8),
        Panel::lines("Free disk of controllers", "Free space of the disks of state and image files, beside their size.")
            .asks(Query::course(
                "bootlane_controller_disk_free_bytes / bootlane_controller_disk_size_bytes",
                "{{instance}} {{disk}}",
            ))
            .unit(Unit::Share)
            .wide(8),
        Panel::lines("Image files held", "What the controller's own store of image files holds.")
            .asks(Query::course("bootlane_controller_blobs_used_bytes", "{{instance}}"))
            .unit(Unit::Bytes),
        spans(),
    ]
}

fn spans() -> Panel {
    let rate = |metric: &str| format!("sum by (outcome) (rate({metric}[$__rate_interval]))");
    Panel::lines(
        "Spans, by what became of them",
        "Spans for the OTLP collector: of boots, of the controller's own work and of the agents'. `dropped`: the collector is away or too \
         slow; nothing else suffers from that.",
    )
    .asks(Query::course(rate("bootlane_boot_traces_total"), "boots {{outcome}}"))
    .asks(Query::course(rate("bootlane_controller_spans_total"), "controller {{outcome}}"))
    .asks(Query::course(
        r#"sum by (outcome) (rate(bootlane_agent_spans_total{site=~"$site", agent=~"$agent"}[$__rate_interval]))"#,
        "agents {{outcome}}",
    ))
    .unit(Unit::PerSecond)
}
