//! Rules that every definition obeys, and what is written.

use std::collections::BTreeSet;
use std::time::{Duration, UNIX_EPOCH};

use super::*;

#[test]
fn definitions_obey_the_conventions() {
    let mut names = BTreeSet::new();
    for one in all() {
        let name = one.full_name();
        assert!(names.insert(name.clone()), "{name} is defined twice");
        assert!(name.starts_with("bootlane_"), "{name}");
        assert!(name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'_')), "{name}");
        let marks = ["_total", "_count", "_sum", "_bucket", "_seconds", "_bytes"];
        assert!(
            !marks.iter().any(|mark| one.name.ends_with(mark)),
            "{name}: what is added is not part of the name"
        );
        assert!(one.help.ends_with('.') && !one.help.contains(['\n', '\\', '|']), "{name}: {}", one.help);
        let labels: Vec<_> = one.all_labels().collect();
        let unique: BTreeSet<_> = labels.iter().collect();
        assert_eq!(unique.len(), labels.len(), "{name}");
        let of_machines = ["host", "mac", "machine", "uuid", "serial", "address", "attempt", "order", "le"];
        assert!(!labels.iter().any(|label| of_machines.contains(label)), "{name}: {labels:?}");
    }
}

#[test]
fn bounds_are_those_of_a_native_histogram() {
    let bounds: Vec<_> = Buckets { from: -2, to: 3 }.bounds().collect();
    assert_eq!(bounds, [0.25, 0.5, 1.0, 2.0, 4.0, 8.0]);
}

fn an_exposition() -> Exposition {
    let mut exposition = Exposition::of_agent(Owner { site: "lyon".into(), agent: "lyon-1".into() });
    exposition.set(&of_agent::LEASES, 3.0);
    exposition.set_with(&of_agent::POOL_LEASES, &["10.1.0.0/24"], 2.0);
    exposition.set_with(&of_agent::POOL_LEASES, &["a \"b\" # {\\\n"], 0.5);
    let calls = Counters::new(&of_controller::CALLS_ANSWERED);
    calls.one(&["Agents/Renew", "ok"]);
    calls.add(&["Agents/Renew", "ok"], 2);
    exposition.add_counters(&calls);
    let stages = Histograms::new(&of_controller::STAGE_SECONDS);
    let at = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    stages.observe(&["lyon", "kernel"], 3.0, Some(("0af7651916cd43dd8448eb211c80319c".into(), at)));
    stages.observe(&["lyon", "kernel"], 9_000.0, None);
    exposition.add_histograms(&stages);
    exposition
}

#[test]
fn openmetrics_has_units_exemplars_and_an_end() {
    let text = an_exposition().text(Form::OpenMetrics);
    for line in [
        "# TYPE bootlane_controller_calls counter",
        "bootlane_controller_calls_total{method=\"Agents/Renew\",code=\"ok\"} 3",
        "bootlane_agent_leases{site=\"lyon\",agent=\"lyon-1\"} 3",
        "bootlane_agent_pool_leases{site=\"lyon\",agent=\"lyon-1\",subnet=\"a \\\"b\\\" # {\\\\\\n\"} 0.5",
        "# UNIT bootlane_boot_stage_duration_seconds seconds",
        "bootlane_boot_stage_duration_seconds_count{site=\"lyon\",stage=\"kernel\"} 2",
        "bootlane_boot_stage_duration_seconds_bucket{le=\"2.0\",site=\"lyon\",stage=\"kernel\"} 0",
        "# EOF",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\nis missing in\n{text}");
    }
    let exemplar = " # {trace_id=\"0af7651916cd43dd8448eb211c80319c\"} 3.0 1700000000.0";
    assert!(text.lines().any(|line| line.contains("le=\"4.0\"") && line.ends_with(exemplar)), "{text}");
}

#[test]
fn prometheus_text_has_neither_and_names_counters_by_their_total() {
    let text = an_exposition().text(Form::Prometheus);
    assert!(text.contains("# TYPE bootlane_controller_calls_total counter\n"), "{text}");
    assert!(text.contains("# HELP bootlane_controller_calls_total gRPC calls"), "{text}");
    assert!(
        text.contains("subnet=\"a \\\"b\\\" # {\\\\\\n\"} 0.5\n"),
        "what looks like an exemplar and is a label: {text}"
    );
    for absent in ["# UNIT", "# EOF", "trace_id"] {
        assert!(!text.contains(absent), "{absent} in {text}");
    }
    let bucket = "bootlane_boot_stage_duration_seconds_bucket{le=\"4.0\",site=\"lyon\",stage=\"kernel\"} 1\n";
    assert!(text.contains(bucket), "{text}");
}

#[test]
fn agents_tell_their_own_numbers_without_their_name() {
    let exposition = an_exposition();
    let told: Vec<_> = exposition.samples().collect();
    assert_eq!(told.len(), 2, "nothing of the controller's: {told:?}");
    let (definition, samples) = &told[1];
    assert_eq!(definition.name, of_agent::POOL_LEASES.name);
    assert_eq!(samples[0], Sample { labels: vec!["10.1.0.0/24".into()], value: 2.0 });
}

#[test]
fn sets_of_labels_beyond_the_bound_are_counted_as_others() {
    let counters = Counters::new(&of_controller::ALARMS);
    for number in 0..live::COUNTERS + 5 {
        counters.one(&[&number.to_string(), "foreign-dhcp"]);
    }
    let mut exposition = Exposition::new();
    exposition.add_counters(&counters);
    let text = exposition.text(Form::Prometheus);
    let others = "bootlane_site_alarms_total{site=\"other\",kind=\"foreign-dhcp\"} 5\n";
    assert!(text.contains(others), "five are beyond it");
}
