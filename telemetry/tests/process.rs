//! How a process starts: what `BOOTLANE_LOG` decides, where lines go, and what is refused.
//!
//! The tests start this file again as a process of its own, which an environment variable tells what to be.

use std::process::{Command, Output};

use telemetry::{FILTER_VARIABLE, Format, Settings, StartError};

const ROLE: &str = "BOOTLANE_TELEMETRY_TEST_PROCESS";

fn run(role: &str, filter: Option<&str>) -> Output {
    let mut command = Command::new(std::env::current_exe().expect("own path"));
    command
        .args(["--exact", "a_process_that_logs", "--nocapture"])
        .env(ROLE, role)
        .env_remove(FILTER_VARIABLE);
    command.envs(filter.map(|filter| (FILTER_VARIABLE, filter)));
    command.output().expect("starts")
}

fn lines(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    (text(&output.stdout), text(&output.stderr))
}

/// Not a test of its own: does nothing unless another one started it.
#[test]
fn a_process_that_logs() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let format = if role == "json" { Format::Json } else { Format::Text };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let _within = (role == "collector away").then(|| runtime.enter());
    // Nothing listens on port 1.
    let otlp = matches!(role.as_str(), "no runtime" | "collector away")
        .then(|| "http://127.0.0.1:1".parse().expect("legal"));
    let started = telemetry::start("test", "0", &Settings { format, otlp, ..Settings::default() });
    match (role.as_str(), started) {
        ("no runtime", started) => assert!(matches!(started, Err(StartError::NoRuntime)), "{started:?}"),
        ("bad filter", started) => assert!(matches!(started, Err(StartError::Environment(_))), "{started:?}"),
        (_, started) => {
            let _guard = started.expect("starts");
            tracing::info_span!("boot").in_scope(|| tracing::info!("plain"));
            tracing::debug!("detail");
        }
    }
}

#[test]
fn lines_go_to_the_error_output_without_colours() {
    let (out, err) = lines(&run("text", None));
    assert!(!out.contains("plain"), "{out}");
    assert!(err.contains("plain") && !err.contains("detail") && !err.contains('\u{1b}'), "{err}");
}

#[test]
fn the_environment_goes_before_the_configured_filter() {
    let (_, err) = lines(&run("text", Some("debug")));
    assert!(err.contains("detail"), "{err}");
    let (_, err) = lines(&run("text", Some("error")));
    assert!(!err.contains("plain"), "{err}");
    let (_, err) = lines(&run("text", Some("")));
    assert!(err.contains("plain"), "an empty variable is none: {err}");
}

#[test]
fn json_lines_are_objects() {
    let (_, err) = lines(&run("json", None));
    assert!(err.lines().any(|line| line.starts_with('{') && line.contains("\"message\":\"plain\"")), "{err}");
}

#[test]
fn a_collector_that_is_away_costs_neither_the_lines_nor_the_end() {
    let began = std::time::Instant::now();
    let output = run("collector away", None);
    let (_, err) = lines(&output);
    assert!(output.status.success() && err.contains("plain"), "{err}");
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "the end waited for the collector");
}

#[test]
fn what_cannot_be_obeyed_is_refused() {
    for (role, filter) in [("bad filter", Some("telemetry=loud")), ("no runtime", None)] {
        let output = run(role, filter);
        assert!(output.status.success(), "{role}: {:?}", lines(&output));
    }
}
