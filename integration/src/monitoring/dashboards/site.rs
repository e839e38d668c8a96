//! *Site*: one VLAN or remote location, from its leases to its orders.

use super::super::grafana::{Dashboard, Levels, Panel, Query, Row, Unit, Variable};
use super::super::promql::lately;
use super::{
    HEARD, agents, boots_by_outcome, causes, foreign_servers, quantile, uid, under_way_by_stage, went_well,
};

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: uid::SITE,
        title: "Site",
        about: "One site: its agents, addresses, boots, files and orders.",
        shows: "6h",
        variables: vec![
            Variable::one("site", "Site", "label_values(bootlane_site_plan_revision, site)"),
            agents(),
        ],
        rows: vec![
            Row::new("Is anything wrong?", wrong()),
            Row::new("Boots", boots()),
            Row::new("Addresses", addresses()),
            Row::new("Files", files()),
            Row::new("Orders and alarms", orders()),
        ],
    }
}

fn wrong() -> Vec<Panel> {
    vec![
        Panel::number(
            "Agents not heard",
            "Agents of this site that no controller hears. Machines go on booting by the last plan; check the agent's machine, \
             then its way to the controller.",
            r#"sum((max by (site, agent) (bootlane_agent_up{site=~"$site", agent=~"$agent"})) == bool 0)"#,
        )
        .levels(Levels::none_wanted()),
        Panel::number(
            "Agents behind the plan",
            "Agents of this site that do not obey its newest plan. Usual for a minute after a change. Longer: the agent may have \
             refused it, `bootlane agent get NAME` says why.",
            r#"max(bootlane_site_agents_behind{site=~"$site"})"#,
        )
        .levels(Levels::rising(1.0, 2.0)),
        went_well(""),
        Panel::number(
            "Fullest pool",
            "Leases that stand in the fullest pool of this site, beside its addresses. At 100 % unknown machines and hosts \
             without a fixed address get none: make the pool larger or the lease time shorter (`bootlane site set`).",
            r#"max(bootlane_agent_pool_leases{site=~"$site", agent=~"$agent"} / (bootlane_agent_pool_addresses{site=~"$site", agent=~"$agent"} > 0))"#,
        )
        .unit(Unit::Share)
        .levels(Levels::rising(0.8, 0.9)),
        foreign_servers(r#"site=~"$site", agent=~"$agent""#),
        Panel::number(
            "Oldest installation",
            "How long the installation runs that was started first of those that have not ended. `bootlane order list` \
             names it.",
            r#"time() - min(bootlane_site_order_oldest_timestamp_seconds{site=~"$site", phase="started"})"#,
        )
        .unit(Unit::Seconds)
        .levels(Levels::rising(3_600.0, 7_200.0)),
        Panel::number(
            "Events waiting",
            "Events in the fullest journal that the controller has not taken yet. It grows while the link is cut, and \
             empties by itself. If it grows while the agent is heard, the controller's event store is full or read-only.",
            r#"max(bootlane_agent_journal_events{site=~"$site", agent=~"$agent"})"#,
        )
        .levels(Levels::rising(1_000.0, 10_000.0)),
        Panel::number(
            "Certificate ends in",
            "How long the certificate lives that ends first. Agents renew at half of a day's life: below 6 hours the \
             renewal has failed several times, and the agent's log says why.",
            r#"min(bootlane_agent_certificate_expiry_timestamp_seconds{site=~"$site", agent=~"$agent"}) - time()"#,
        )
        .unit(Unit::Seconds)
        .levels(Levels::falling(3_600.0, 21_600.0)),
    ]
}

fn boots() -> Vec<Panel> {
    let stages = r#"bootlane_boot_stage_duration_seconds_bucket{site=~"$site"}"#;
    vec![
        boots_by_outcome(""),
        causes(""),
        under_way_by_stage(),
        Panel::lines(
            "Time by stage, 19 of 20 machines",
            "Nineteen of twenty boots of the last hour took at most so long for this stage. The points are single boots: \
             click on one for its trace.",
        )
        .asks(Query::with_traces(quantile("0.95", stages, "stage"), "{{stage}}"))
        .unit(Unit::Seconds),
    ]
}

fn addresses() -> Vec<Panel> {
    let rate = |metric: &str| {
        format!(r#"sum by (type) (rate({metric}{{site=~"$site", agent=~"$agent"}}[$__rate_interval]))"#)
    };
    vec![
        Panel::lines(
            "DHCP messages from machines",
            "What machines say. Many `discover` and few `request`: offers are not taken, because another server wins or replies \
             do not arrive. `decline`: somebody else uses an address.",
        )
        .asks(Query::course(rate("bootlane_agent_dhcp_requests_total"), "{{type}}"))
        .unit(Unit::PerSecond)
        .wide(8),
        Panel::lines(
            "DHCP messages to machines",
            "What agents answer. `nak`: machines ask for addresses that are not theirs, as after a move to another VLAN.",
        )
        .asks(Query::course(rate("bootlane_agent_dhcp_replies_total"), "{{type}}"))
        .unit(Unit::PerSecond)
        .wide(8),
        Panel::lines(
            "Pools",
            "Leases that stand within the pools of each subnet, beside their addresses.",
        )
        .asks(Query::course(
            r#"sum by (subnet) (bootlane_agent_pool_leases{site=~"$site", agent=~"$agent"}) / (sum by (subnet) (bootlane_agent_pool_addresses{site=~"$site", agent=~"$agent"}) > 0)"#,
            "{{subnet}}",
        ))
        .unit(Unit::Share)
        .wide(8),
    ]
}

fn files() -> Vec<Panel> {
    vec![
        Panel::lines(
            "Bytes to machines",
            "Files that were sent, by protocol and by what they were to the machine. Counted when a transfer ends.",
        )
        .asks(Query::course(
            r#"sum by (transport, stage) (rate(bootlane_agent_transferred_bytes_total{site=~"$site", agent=~"$agent"}[$__rate_interval]))"#,
            "{{transport}} {{stage}}",
        ))
        .unit(Unit::BytesPerSecond)
        .wide(8),
        Panel::lines(
            "Transfers that broke, names that are not there",
            "Machines that gave up in the middle of a file, and requests for names without a file. A few not found are usual: \
             loaders try several names.",
        )
        .asks(Query::course(
            r#"sum by (transport) (rate(bootlane_agent_transfers_total{site=~"$site", agent=~"$agent", outcome="broken"}[$__rate_interval]))"#,
            "{{transport}} broken",
        ))
        .asks(Query::course(
            r#"sum by (transport) (rate(bootlane_agent_files_not_found_total{site=~"$site", agent=~"$agent"}[$__rate_interval]))"#,
            "{{transport}} not found",
        ))
        .unit(Unit::PerSecond)
        .wide(8),
        Panel::lines(
            "TFTP blocks sent again",
            "Lost packets between agent and machines. Steady: a bad cable or port, or a path with a smaller MTU.",
        )
        .asks(Query::course(
            r#"sum by (agent) (rate(bootlane_agent_tftp_retransmissions_total{site=~"$site", agent=~"$agent"}[$__rate_interval]))"#,
            "{{agent}}",
        ))
        .unit(Unit::PerSecond)
        .wide(8),
    ]
}

fn orders() -> Vec<Panel> {
    let alarms = lately(r#"bootlane_site_alarms_total{site=~"$site"}"#, "$__range");
    vec![
        Panel::stacked(
            "Open orders, by phase",
            "`armed` waits for its machine to boot, `offered` has met it, `started` installs. What stays in `offered` has \
             met a machine that never fetched its installer.",
        )
        .asks(Query::course(
            r#"sum by (phase) (bootlane_site_orders{site=~"$site"})"#,
            "{{phase}}",
        ))
        .wide(6),
        Panel::ranking(
            "Alarms",
            "Alarms of the time shown, by kind. `bootlane alarm list --site SITE` has each with its words.",
        )
        .asks(Query::present(format!("sum by (kind) ({alarms})"), "{{kind}}"))
        .levels(Levels { base: super::Colour::Orange, steps: Vec::new() })
        .wide(6),
        Panel::states("Agents", "Whether the controller hears each agent.", HEARD)
            .asks(Query::course(
                r#"max by (agent) (bootlane_agent_up{site=~"$site", agent=~"$agent"})"#,
                "{{agent}}",
            ))
            .levels(Levels::falling(0.5, 1.0))
            .wide(6),
        Panel::number(
            "What the plan lacks",
            "What the newest plan of this site could not have, such as an image that is not there. `bootlane site get SITE` says \
             what; the machines that it concerns boot their disks.",
            r#"max(bootlane_site_plan_problems{site=~"$site"})"#,
        )
        .levels(Levels::rising(1.0, 10.0))
        .wide(6)
        .high(8),
    ]
}
