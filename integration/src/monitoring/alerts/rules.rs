//! The alerts. Each has a section in docs/monitoring.md, and a case in deploy/prometheus/tests in which it fires and one in
//! which it does not.

use super::super::promql::lately;
use super::{Alert, Measure, Severity};

/// All of them, what is worst first.
#[must_use]
pub fn all() -> Vec<Alert> {
    vec![
        controller_down(),
        store_read_only(),
        agent_silent(),
        boots_fail(),
        foreign_server(),
        order_stuck(),
        pool_nearly_full(),
        journal_growing(),
        disk_low(),
        agent_behind(),
        agent_certificate(),
        controller_certificate(),
        authority(),
    ]
}

fn measure(of: impl Into<String>, breach: &'static str) -> Measure {
    Measure { of: of.into(), breach }
}

fn controller_down() -> Alert {
    Alert {
        name: "BootlaneControllerDown",
        severity: Severity::Critical,
        lasting: "2m",
        measures: vec![measure(r#"up{job="bootlane-controller"}"#, "== 0")],
        summary: "the controller {{ $labels.instance }} does not answer Prometheus",
        description: "Sites go on booting by their last plans and keep what happens in their journals, but no change and no \
                      order reaches them, and no other alert of theirs can fire. See `systemctl status bootlane-controller` and \
                      its log there.",
    }
}

fn store_read_only() -> Alert {
    Alert {
        name: "BootlaneStoreReadOnly",
        severity: Severity::Critical,
        lasting: "1m",
        measures: vec![measure("bootlane_controller_store_writable", "== 0")],
        summary: "the controller {{ $labels.instance }} cannot write its {{ $labels.store }}",
        description: "Usually its disk is full. Changes are refused, and agents keep their events. Make room; the \
                      controller tries again by itself.",
    }
}

fn agent_silent() -> Alert {
    Alert {
        name: "BootlaneAgentSilent",
        severity: Severity::Critical,
        lasting: "5m",
        measures: vec![measure("max by (site, agent) (bootlane_agent_up)", "== 0")],
        summary: "no controller hears the agent {{ $labels.agent }} of {{ $labels.site }}",
        description: "If the agent lives, its site goes on booting by its last plan. Look whether the site is reachable at all, \
                      then at `systemctl status bootlane-agent` there. An agent that will not come back is revoked: \
                      `bootlane agent revoke`.",
    }
}

fn boots_fail() -> Alert {
    let attempts = |chosen: &str| {
        let selector = format!("bootlane_boots_total{chosen}");
        format!("sum by (site) ({})", lately(&selector, "1h"))
    };
    let wrong = attempts(r#"{outcome=~"failed|silent"}"#);
    let all = attempts("");
    Alert {
        name: "BootlaneBootsFail",
        severity: Severity::Critical,
        lasting: "5m",
        measures: vec![measure(format!("{wrong} / {all}"), "> 0.1"), measure(wrong, ">= 3")],
        summary: "{{ $value | humanizePercentage }} of the last hour's boots at {{ $labels.site }} did not go well",
        description: "See the causes in Grafana's dashboard Boots, or `bootlane boot list --site SITE`; \
                      `bootlane host explain HOST` says of one machine what is wrong. The target, nine in ten, is this rule's first \
                      comparison.",
    }
}

fn foreign_server() -> Alert {
    Alert {
        name: "BootlaneForeignDhcpServer",
        severity: Severity::Critical,
        lasting: "0s",
        measures: vec![measure("max by (site, agent) (bootlane_agent_foreign_dhcp_servers)", "> 0")],
        summary: "{{ $labels.agent }} of {{ $labels.site }} hears {{ $value }} DHCP servers that nobody has named",
        description: "Machines may take their addresses and boot files. `bootlane alarm list --site SITE` has address and \
                      MAC. One that is meant to be there is named in the site's `known_dhcp_servers`; for all others switches \
                      have DHCP snooping (docs/dhcp.md).",
    }
}

fn order_stuck() -> Alert {
    Alert {
        name: "BootlaneOrderStuck",
        severity: Severity::Warning,
        lasting: "1m",
        measures: vec![measure(
            r#"time() - max by (site, phase) (bootlane_site_order_oldest_timestamp_seconds{phase=~"offered|started"})"#,
            "> 7200",
        )],
        summary: "an order at {{ $labels.site }} has been {{ $labels.phase }} for {{ $value | humanizeDuration }}",
        description: "`bootlane order list --site SITE` names it, `bootlane host explain HOST` says what its machine waits for. \
                      An order that is `started` is not given out again: once nobody installs any more, revoke it and make \
                      another.",
    }
}

fn pool_nearly_full() -> Alert {
    Alert {
        name: "BootlanePoolNearlyFull",
        severity: Severity::Warning,
        lasting: "10m",
        measures: vec![measure(
            "max by (site, agent, subnet) (bootlane_agent_pool_leases / (bootlane_agent_pool_addresses > 0))",
            "> 0.9",
        )],
        summary: "{{ $value | humanizePercentage }} of the pool of {{ $labels.subnet }} at {{ $labels.site }} is leased",
        description: "Without a free address unknown machines, and hosts without a fixed one, do not boot. `bootlane lease list \
                      --site SITE` shows who has them. Make the pool larger or the lease time shorter.",
    }
}

fn journal_growing() -> Alert {
    let waiting = "max by (site, agent) (bootlane_agent_journal_events)";
    Alert {
        name: "BootlaneJournalGrowing",
        severity: Severity::Warning,
        lasting: "15m",
        measures: vec![
            measure("max by (site, agent) (delta(bootlane_agent_journal_events[30m]))", "> 0"),
            measure(
                format!("{waiting} / max by (site, agent) (bootlane_agent_journal_limit_events)"),
                "> 0.1",
            ),
        ],
        summary: "the journal of {{ $labels.agent }} of {{ $labels.site }} grows and is not emptied",
        description: "Events wait for the controller: the link is too slow or cut, or the controller does not store them. \
                      Nothing is lost until the journal is full; then the oldest diagnostics give way, orders and leases never.",
    }
}

fn disk_low() -> Alert {
    Alert {
        name: "BootlaneDiskLow",
        severity: Severity::Critical,
        lasting: "1m",
        measures: vec![measure("max by (site, agent) (bootlane_agent_disk_low)", "== 1")],
        summary: "the disk of {{ $labels.agent }} of {{ $labels.site }} is nearly full",
        description: "It gives no addresses of pools and takes no new orders; fixed addresses and local boots go on. Make \
                      room on the disk of its state, or a smaller `cache` budget for its site.",
    }
}

fn agent_behind() -> Alert {
    Alert {
        name: "BootlaneAgentBehind",
        severity: Severity::Warning,
        lasting: "30m",
        measures: vec![
            measure("max by (site, agent) (bootlane_agent_plan_behind)", "== 1"),
            measure("max by (site, agent) (bootlane_agent_up)", "== 1"),
        ],
        summary: "{{ $labels.agent }} of {{ $labels.site }} is heard and does not obey its site's newest plan",
        description: "It may have gone back to the plan before, after three crashes. `bootlane agent get AGENT` says \
                      which plan it obeys and which it refused.",
    }
}

fn agent_certificate() -> Alert {
    Alert {
        name: "BootlaneAgentCertificateNearExpiry",
        severity: Severity::Warning,
        lasting: "15m",
        measures: vec![measure(
            "max by (site, agent) (bootlane_agent_certificate_expiry_timestamp_seconds) - time()",
            "< 21600",
        )],
        summary: "the certificate of {{ $labels.agent }} of {{ $labels.site }} ends in {{ $value | humanizeDuration }}",
        description: "Agents renew at half of a day's life, so renewing has failed for six hours. Its log says why: usually the clock \
                      of either end, or the way to the enrolment port. Once it has ended the agent recovers by its kept key, if \
                      it reaches that port.",
    }
}

fn controller_certificate() -> Alert {
    Alert {
        name: "BootlaneControllerCertificateNearExpiry",
        severity: Severity::Critical,
        lasting: "15m",
        measures: vec![measure(
            r#"max by (instance) (bootlane_controller_certificate_expiry_timestamp_seconds{certificate="listener"}) - time()"#,
            "< 86400",
        )],
        summary: "the controller {{ $labels.instance }}'s certificate ends in {{ $value | humanizeDuration }}",
        description: "The controller renews its own certificate long before. Its log says why it has not; a restart makes a new \
                      one. Once it has ended no agent and no operator connects.",
    }
}

fn authority() -> Alert {
    Alert {
        name: "BootlaneAuthorityNearExpiry",
        severity: Severity::Warning,
        lasting: "15m",
        measures: vec![measure(
            r#"min(bootlane_controller_certificate_expiry_timestamp_seconds{certificate="authority"}) - time()"#,
            "< 2592000",
        )],
        summary: "the fleet's certificate authority ends in {{ $value | humanizeDuration }}",
        description: "Every certificate of the fleet ends with it. Roll it over while all agents are heard.",
    }
}
