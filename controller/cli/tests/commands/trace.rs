//! The trace that a command's calls are: a new one, or that of who has started it.

use proto::v1;
use serde_json::json;

use crate::fleet::Fleet;

/// Three sites are two pages, and each page is a call.
fn furnished() -> Fleet {
    let fleet = Fleet::start();
    for name in ["lyon", "oslo", "rome"] {
        fleet.catalog.put(json!({"kind": "Site", "name": name, "spec": {}}));
    }
    fleet.catalog.boots.lock().expect("whole").push(v1::BootSummary::default());
    fleet
}

/// The traces of its calls since this was asked last.
fn traces(fleet: &Fleet) -> Vec<String> {
    let parents = std::mem::take(&mut *fleet.catalog.traces.lock().expect("whole"));
    let trace = |parent: String| parent.split('-').nth(1).unwrap_or_default().to_owned();
    parents.into_iter().map(trace).collect()
}

#[test]
fn all_calls_of_a_command_are_one_trace_and_no_two_commands_are() {
    let fleet = furnished();
    let mut seen = Vec::new();
    for arguments in [["site", "list"], ["site", "list"], ["boot", "list"], ["top", "--once"]] {
        fleet.bootlane(arguments).assert().success();
        let mut of_command = traces(&fleet);
        assert!(arguments[0] == "boot" || of_command.len() > 1, "{arguments:?}: {of_command:?}");
        of_command.dedup();
        let [trace] = &of_command[..] else { panic!("{arguments:?} is one trace: {of_command:?}") };
        assert_eq!(trace.len(), 32, "{arguments:?}");
        assert!(!seen.contains(trace), "{arguments:?}: {trace}");
        seen.push(trace.clone());
    }
}

#[test]
fn a_command_joins_the_trace_that_its_environment_names_if_that_is_one() {
    let fleet = furnished();
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let parent = format!("00-{trace}-b7ad6b7169203331-01");
    fleet.bootlane(["whoami"]).env("TRACEPARENT", &parent).assert().success();
    assert_eq!(traces(&fleet), [trace]);
    fleet.bootlane(["whoami"]).env("TRACEPARENT", "00-no trace\n").assert().success();
    let own = traces(&fleet);
    assert!(own.len() == 1 && own[0].len() == 32 && own[0] != trace, "{own:?}");
}
