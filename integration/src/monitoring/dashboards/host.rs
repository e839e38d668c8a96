//! *Host*: the attempts of one machine. Metrics have no labels for machines, so it asks traces alone.

use super::super::grafana::{Dashboard, Panel, Row, Variable};
use super::{HOST, boots_traced, uid};

const WORDS: &str = "\
Metrics have no labels for machines, so what stands here comes from traces, as far back as Tempo keeps them. \
Type the host's name above. The same, and more, without Grafana:

* `bootlane host explain $host`: why it does not boot, in a sentence
* `bootlane boot list --host $host`, `bootlane boot show ID`: its attempts; ID is the trace id
* [the controller's page of $host]($controller/hosts/$host), with the live timeline";

pub(super) fn dashboard() -> Dashboard {
    let named = format!(r#"{HOST} = "$host""#);
    let wrong = boots_traced(
        "Attempts that did not go well",
        "Attempts of this host that failed or fell silent, newest first. Click on a span for its trace.",
        &format!("{named} && status = error"),
    );
    let all = boots_traced(
        "All attempts",
        "Attempts of this host, newest first. Click on a span for its trace.",
        &named,
    );
    Dashboard {
        uid: uid::HOST,
        title: "Host",
        about: "The boot attempts of one machine, by its traces.",
        shows: "7d",
        variables: vec![
            Variable::text("host", "Host", "web-1"),
            Variable::text("controller", "Controller's page", "https://controller:7445"),
        ],
        rows: vec![
            Row::new(
                "What went wrong?",
                vec![wrong.wide(16), Panel::words("Beyond traces", WORDS).wide(8).high(9)],
            ),
            Row::new("Attempts", vec![all.high(12)]),
        ],
    }
}
