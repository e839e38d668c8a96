//! *Fleet*: is anything wrong anywhere, and at which site?

use super::super::grafana::{Column, Dashboard, Levels, Link, Panel, Query, Row, Unit};
use super::{
    boots_by, boots_by_outcome, causes, foreign_servers, share_of_wrong, sites, uid, under_way_by_stage,
    went_well,
};

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: uid::FLEET,
        title: "Fleet",
        about: "All sites at a glance: what is wrong, and where to look.",
        shows: "24h",
        variables: vec![sites()],
        rows: vec![
            Row::new("Is anything wrong?", wrong()),
            Row::new("Boots", boots()),
            Row::new("Sites", vec![by_site()]),
        ],
    }
}

fn wrong() -> Vec<Panel> {
    vec![
        alerts(),
        Panel::number(
            "Controllers answering",
            "Controllers that Prometheus could scrape at last. 0: agents go on by themselves, but nothing new reaches them \
             and nothing is counted; see `systemctl status bootlane-controller`.",
            r#"sum(up{job="bootlane-controller"})"#,
        )
        .levels(Levels { base: super::Colour::Red, steps: vec![(1.0, super::Colour::Green)] }),
        Panel::number(
            "Agents not heard",
            "Agents, not revoked, that no controller hears. Their sites go on booting by their last plan; what happens \
             there is told later. The table below says which sites; `bootlane agent list` since when.",
            r#"sum((max by (site, agent) (bootlane_agent_up{site=~"$site"})) == bool 0)"#,
        )
        .levels(Levels::none_wanted()),
        Panel::number(
            "Boots under way",
            "Attempts that have begun and not ended.",
            r#"sum(bootlane_boots_in_progress{site=~"$site"}) or vector(0)"#,
        ),
        went_well(""),
        Panel::number(
            "Sites behind their plan",
            "Sites with agents that do not obey the newest plan. For a minute after a change that is usual; longer: \
             `bootlane agent get NAME` says what an agent obeys, and whether it refused a plan.",
            r#"count((max by (site) (bootlane_site_agents_behind{site=~"$site"})) > 0) or vector(0)"#,
        )
        .levels(Levels::rising(1.0, 5.0)),
        foreign_servers(r#"site=~"$site""#),
        Panel::number(
            "Oldest installation",
            "How long the installation runs that was started first of those that have not ended. Longer than yours take: \
             `bootlane order list` names it, `bootlane host explain HOST` what it waits for.",
            r#"time() - min(bootlane_site_order_oldest_timestamp_seconds{site=~"$site", phase="started"})"#,
        )
        .unit(Unit::Seconds)
        .levels(Levels::rising(3_600.0, 7_200.0)),
    ]
}

fn alerts() -> Panel {
    Panel::number(
        "Alerts firing",
        "How many alerts of deploy/prometheus/rules fire. Each has a runbook link to its section of docs/monitoring.md.",
        r#"count(ALERTS{alertname=~"Bootlane.*", alertstate="firing"}) or vector(0)"#,
    )
    .levels(Levels::none_wanted())
}

fn boots() -> Vec<Panel> {
    vec![boots_by_outcome(""), causes("").wide(6), under_way_by_stage().wide(6)]
}

fn by_site() -> Panel {
    let columns = vec![
        Column::label("Site", "site").leading(Link::from_row(
            "Dashboard of this site",
            uid::SITE,
            &[("site", "Site")],
        )),
        Column::value("Agents heard", Unit::Count),
        Column::value("Agents", Unit::Count),
        Column::value("Boots", Unit::Count),
        Column::value("Went wrong", Unit::Share).levels(Levels::rising(0.02, 0.1)),
        Column::value("Open orders", Unit::Count),
        Column::value("Fullest pool", Unit::Share).levels(Levels::rising(0.8, 0.9)),
        Column::value("Plan lacks", Unit::Count).levels(Levels::rising(1.0, 10.0)),
        Column::value("Images missing", Unit::Count).levels(Levels::rising(1.0, 1_000.0)),
        Column::value("Events waiting", Unit::Count).levels(Levels::rising(1_000.0, 10_000.0)),
    ];
    Panel::table(
        "Sites",
        "A row for each site. Sort by a column; click on a site for its dashboard. What is empty was not told: that site's \
         agents are not heard.",
        columns,
    )
    .asks(Query::present(
        r#"sum by (site) (max by (site, agent) (bootlane_agent_up{site=~"$site"}))"#,
        "Agents heard",
    ))
    .asks(Query::present(r#"count by (site) (max by (site, agent) (bootlane_agent_up{site=~"$site"}))"#, "Agents"))
    .asks(Query::present(boots_by("site", "", "$__range"), "Boots"))
    .asks(Query::present(share_of_wrong("site", "", "$__range"), "Went wrong"))
    .asks(Query::present(r#"sum by (site) (max by (site, phase) (bootlane_site_orders{site=~"$site"}))"#, "Open orders"))
    .asks(Query::present(
        r#"max by (site) (bootlane_agent_pool_leases{site=~"$site"} / (bootlane_agent_pool_addresses{site=~"$site"} > 0))"#,
        "Fullest pool",
    ))
    .asks(Query::present(r#"max by (site) (bootlane_site_plan_problems{site=~"$site"})"#, "Plan lacks"))
    .asks(Query::present(
        r#"max by (site) (bootlane_agent_cache_missing_blobs{site=~"$site"})"#,
        "Images missing",
    ))
    .asks(Query::present(
        r#"max by (site) (bootlane_agent_journal_events{site=~"$site"})"#,
        "Events waiting",
    ))
}
