//! The dashboards and alerts in deploy/ are what the definitions say, and other programs find nothing wrong with them, nor with any
//! metric: Prometheus' own checker, and the types that Grafana publishes.
//!
//! `BOOTLANE_BLESS=1` writes the files anew. The programs come with `cargo lab setup`; without them the tests that need them say
//! so and pass, but under CI they fail.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::UNIX_EPOCH;

use integration::lab::LabFolder;
use integration::monitoring::alerts::{self, Alert};
use integration::monitoring::{self, dashboards, schema, shipped};
use serde_json::Value;
use telemetry::metrics::{self, Counters, Exposition, Form, Histograms, Kind, Owner};

/// Rewrites the files when it is set.
const BLESS: &str = "BOOTLANE_BLESS";

#[test]
fn what_is_shipped_is_what_the_definitions_say() {
    let made = shipped::files();
    if std::env::var_os(BLESS).is_some() {
        for file in &made {
            fs::write(&file.path, &file.text).expect("written");
        }
    }
    for file in &made {
        let written = fs::read_to_string(&file.path).unwrap_or_default();
        assert!(
            written == file.text,
            "{} is not what the definitions say: make it anew with {BLESS}=1",
            file.path.display()
        );
    }
    let there = fs::read_dir(shipped::dashboards_folder()).expect("there").count();
    assert_eq!(there, dashboards::all().len(), "a dashboard is shipped that nothing makes");
}

#[test]
fn alerts_have_their_sections_and_their_cases() {
    let manual = fs::read_to_string(repository().join("docs/monitoring.md")).expect("the manual is there");
    let mut cases = cases();
    let expected: Vec<_> = expectations(&mut cases).collect();
    for Alert { name, description, .. } in alerts::all() {
        assert!(manual.contains(&format!("\n### {name}\n")), "docs/monitoring.md has no section {name}");
        assert!(!description.contains("{{"), "{name}: a description is the same for all alerts of a name");
        let of_alert = expected.iter().filter(|case| case["alertname"] == name);
        let fires: Vec<_> = of_alert.map(|case| case["exp_alerts"] != Value::Array(Vec::new())).collect();
        assert!(fires.contains(&true), "there is no case in which {name} fires");
        assert!(fires.contains(&false), "there is no case in which {name} does not fire");
    }
}

fn cases() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/alerts.yml");
    serde_yaml_ng::from_str(&fs::read_to_string(path).expect("there")).expect("YAML")
}

fn expectations(cases: &mut Value) -> impl Iterator<Item = &mut Value> {
    let tests = cases["tests"].as_array_mut().into_iter().flatten();
    tests.flat_map(|test| test["alert_rule_test"].as_array_mut().into_iter().flatten())
}

/// The cases with what every alert of a name says.
fn whole_cases() -> Value {
    let mut cases = cases();
    let rules: Value = serde_yaml_ng::from_str(&alerts::file()).expect("YAML");
    let rules = rules["groups"][0]["rules"].as_array().expect("rules");
    for case in expectations(&mut cases) {
        let rule =
            rules.iter().find(|rule| rule["alert"] == case["alertname"]).expect("there is such an alert");
        for alert in case["exp_alerts"].as_array_mut().into_iter().flatten() {
            for name in ["description", "runbook"] {
                alert["exp_annotations"][name] = rule["annotations"][name].clone();
            }
        }
    }
    cases["rule_files"] = serde_json::json!([shipped::rules()]);
    cases
}

#[test]
fn the_shipped_configuration_has_what_the_rest_names() {
    let read = |path: &Path| -> Value {
        serde_yaml_ng::from_str(&fs::read_to_string(path).expect("there")).expect("YAML")
    };
    let prometheus = read(&shipped::configuration());
    let jobs = prometheus["scrape_configs"].as_array().expect("jobs");
    let asked: String = shipped::files().into_iter().map(|file| file.text.replace('\\', "")).collect();
    for named in asked.split("job=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(jobs.iter().any(|job| job["job_name"] == named), "there is no job {named}");
    }
    let paths: Vec<_> = jobs.iter().map(|job| job["metrics_path"].as_str().unwrap_or("/metrics")).collect();
    assert_eq!(paths, ["/metrics", "/metrics/agents"]);
    let provisioning = repository().join("deploy/grafana/provisioning");
    let sources = read(&provisioning.join("datasources/bootlane.yml"));
    let sources = sources["datasources"].as_array().expect("sources");
    let uids: BTreeSet<_> = sources.iter().filter_map(|source| source["uid"].as_str()).collect();
    let exemplars = &sources[0]["jsonData"]["exemplarTraceIdDestinations"][0];
    assert!(uids.contains(exemplars["datasourceUid"].as_str().expect("a source")));
    assert_eq!(exemplars["name"], "trace_id");
    let providers = read(&provisioning.join("dashboards/bootlane.yml"));
    let manual = fs::read_to_string(repository().join("docs/monitoring.md")).expect("the manual is there");
    let path = providers["providers"][0]["options"]["path"].as_str().expect("a path");
    assert!(manual.contains(path), "docs/monitoring.md does not fill {path}");
}

#[test]
fn traces_have_the_attributes_that_are_asked_for() {
    let made =
        fs::read_to_string(repository().join("controller/src/attempts/trace.rs")).expect("it makes them");
    let dashboards: String = dashboards::all().iter().map(|dashboard| dashboard.json().to_string()).collect();
    let asked: BTreeSet<_> = dashboards
        .split("span.")
        .skip(1)
        .filter_map(|rest| rest.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '.').next())
        .filter(|attribute| attribute.starts_with("bootlane."))
        .collect();
    assert!(asked.len() >= 4, "{asked:?}");
    for attribute in asked {
        assert!(made.contains(&format!("\"{attribute}\"")), "no span of a boot has {attribute}");
    }
}

#[test]
fn prometheus_takes_the_rules_and_each_fires_when_it_must() {
    let Some(promtool) = program("promtool", promtool()) else { return };
    let run = |arguments: &[&str], file: &Path| {
        let output = Command::new(&promtool).args(arguments).arg(file).output().expect("it starts");
        assert!(output.status.success(), "{}: {}", file.display(), said(&output));
    };
    run(&["check", "rules", "--lint-fatal"], &shipped::rules());
    run(&["check", "config", "--syntax-only"], &shipped::configuration());
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("alerts.yml");
    fs::write(&file, whole_cases().to_string()).expect("written");
    run(&["test", "rules"], &file);
}

#[test]
fn prometheus_finds_nothing_to_say_of_any_metric() {
    let Some(promtool) = program("promtool", promtool()) else { return };
    let mut command = Command::new(promtool);
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let text = everything().text(Form::Prometheus);
    child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}\n{text}", said(&output));
    assert_eq!(said(&output).trim(), "", "{text}");
}

/// Every metric there is, each with a sample.
fn everything() -> Exposition {
    let mut exposition = Exposition::of_agent(Owner { site: "lyon".into(), agent: "lyon-1".into() });
    for one in metrics::all() {
        let values = vec!["x"; one.labels.len()];
        match one.kind {
            Kind::Counter if one.process.owner_labels().is_empty() => {
                let counters = Counters::new(one);
                counters.one(&values);
                exposition.add_counters(&counters);
            }
            Kind::Counter | Kind::Gauge => exposition.set_with(one, &values, 1.5),
            Kind::Histogram(_) => {
                let histograms = Histograms::new(one);
                histograms.observe(
                    &values,
                    0.7,
                    Some(("0af7651916cd43dd8448eb211c80319c".into(), UNIX_EPOCH)),
                );
                exposition.add_histograms(&histograms);
            }
        }
    }
    exposition
}

#[test]
fn grafanas_own_types_take_the_dashboards() {
    let Some(packages) = program("Grafana's schema package", schema_packages()) else { return };
    let dashboards: Vec<_> = dashboards::all().iter().map(shipped_json).collect();
    let output = packages.compile(&dashboards).expect("node starts");
    assert!(output.status.success(), "{}", said(&output));
}

fn shipped_json(dashboard: &monitoring::grafana::Dashboard) -> Value {
    let path = shipped::dashboards_folder().join(dashboard.file_name());
    serde_json::from_str(&fs::read_to_string(path).expect("there")).expect("JSON")
}

/// A place in a dashboard, and a mistake there. Each is in another type of Grafana's, so that none of them is taken for "anything".
const MISTAKES: &[(&str, &str, &str)] = &[
    ("dashboard", "/graphTooltip", "\"shared\""),
    ("variable", "/templating/list/2/refresh", "7"),
    ("link", "/links/0/asDropDown", "true"),
    ("panel", "/panels/1/gridPos/h", "\"4\""),
    ("threshold", "/panels/1/fieldConfig/defaults/thresholds/mode", "\"relative\""),
    ("stat", "/panels/1/options/graphMode", "\"areas\""),
    ("query", "/panels/1/targets/0/expression", "\"up\""),
    ("row", "/panels/0/collapsed", "\"no\""),
];

#[test]
fn grafanas_own_types_refuse_mistakes() {
    let Some(packages) = program("Grafana's schema package", schema_packages()) else { return };
    let sound = shipped_json(&dashboards::all()[0]);
    let spoilt = MISTAKES.iter().map(|(_, place, value)| {
        let (parent, key) = place.rsplit_once('/').expect("a place below another");
        let mut dashboard = sound.clone();
        dashboard.pointer_mut(parent).unwrap_or_else(|| panic!("no {parent}"))[key] =
            serde_json::from_str(value).expect("JSON");
        dashboard
    });
    let spoilt: Vec<_> = spoilt.collect();
    let said = said(&packages.compile(&spoilt).expect("node starts"));
    let program = schema::program(&spoilt);
    let found: BTreeSet<_> = said.lines().filter_map(|line| spoilt_dashboard(line, &program)).collect();
    for (number, (name, ..)) in MISTAKES.iter().enumerate() {
        assert!(found.contains(&number), "the mistake in a {name} is not found: {said}");
    }
}

/// The dashboard that an error of the compiler is about: `dashboards.ts(LINE,COLUMN): error …`.
fn spoilt_dashboard(error: &str, program: &str) -> Option<usize> {
    let (_, place) = error.split_once("dashboards.ts(")?;
    let line: usize = place.split(',').next()?.parse().ok()?;
    let declared = program.lines().nth(line - 1)?.strip_prefix("export const dashboard")?;
    declared.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// What the lab has set up; else, but for CI, the test is left out.
#[expect(clippy::print_stderr, reason = "what was not tested is said where tests are read")]
fn program<T>(name: &str, found: Option<T>) -> Option<T> {
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "{name} is not there: run `cargo lab test --only setup`");
        eprintln!("not tested: {name} is not there; `cargo lab test --only setup` gets it");
    }
    found
}

fn promtool() -> Option<PathBuf> {
    Some(monitoring::prometheus::promtool(&LabFolder::from_environment())).filter(|path| path.exists())
}

fn schema_packages() -> Option<schema::Packages> {
    schema::Packages::find(&LabFolder::from_environment())
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
