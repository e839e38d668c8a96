//! The page of all metrics, for people: `docs/metrics.md` is what this says.

use std::fmt::Write as _;

use super::definition::{Definition, Kind, Process};

const HEAD: &str = "# Metrics

<!-- Made of the definitions in telemetry/src/metrics by a test: `BOOTLANE_BLESS=1 cargo test -p telemetry --test metrics`. -->

Agents and controllers say what they do as Prometheus text and as OpenMetrics, by what a scraper asks for with `Accept`.
Nothing is served unless the configuration says where:

```toml
[metrics]
listen = \"127.0.0.1:9464\"
```

| process | path | what |
|---|---|---|
| agent | `/metrics` | its own |
| controller | `/metrics` | its own, of sites and of boots |
| controller | `/metrics/agents` | those of every agent, which tell it theirs every 15 seconds while they are connected |

So a site that nobody can scrape needs no more than its link to the controller. Scrape an agent at one of the two places:
the names and labels are the same, `site` and `agent` among them. An agent's numbers are gone from the controller's page
when its stream ends, or when it has told nothing for a minute; `bootlane_agent_up` stays, and says 0. Scrape a controller's two paths as two
jobs, and keep the labels of what is scraped (`honor_labels: true`).

Nobody is asked who he is at these addresses. Let only the monitoring reach them.

- No metric has a label for a machine. Boots of one machine are in `bootlane boot list`, and in its traces.
- `..._timestamp_seconds` are seconds since the Unix epoch: `time() - bootlane_agent_plan_adopted_timestamp_seconds` is an age.
- Counters begin at 0 when their process starts.
- Histograms have bounds that double, which are those of Prometheus' native histograms of schema 0. OpenMetrics carries
  exemplars with the `trace_id` of the boot attempt.
- A metric with very many sets of labels counts what is beyond 20,000 of them (4,000 of a histogram) under `other` in the
  place of the first label, which is the site where there is one.
";

/// All of it.
#[must_use]
pub fn page() -> String {
    let mut page = String::from(HEAD);
    let parts = [
        ("Boots and sites", "The controller, at `/metrics`.", Process::Controller, false),
        ("The controller itself", "The controller, at `/metrics`.", Process::Controller, true),
        (
            "Agents, as the controller hears them",
            "The controller, at `/metrics/agents`.",
            Process::ControllerOfAgents,
            false,
        ),
        (
            "Agents, as they say",
            "Each agent, at `/metrics`, and the controller, at `/metrics/agents`.",
            Process::Agent,
            false,
        ),
    ];
    for (title, place, process, itself) in parts {
        let within = |one: &&Definition| {
            one.process == process && one.name.starts_with("bootlane_controller_") == itself
        };
        part(&mut page, title, place, super::all().filter(within));
    }
    page
}

fn part(page: &mut String, title: &str, place: &str, metrics: impl Iterator<Item = &'static Definition>) {
    // A String takes whatever is written.
    let _ =
        write!(page, "\n## {title}\n\n{place}\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n");
    for metric in metrics {
        let labels: Vec<_> = metric.all_labels().map(|label| format!("`{label}`")).collect();
        let (name, kind, labels) = (metric.full_name(), kind(metric.kind), labels.join(" "));
        let _ = writeln!(page, "| `{name}` | {kind} | {labels} | {} |", metric.help);
    }
}

fn kind(kind: Kind) -> String {
    match kind {
        Kind::Counter => "counter".into(),
        Kind::Gauge => "gauge".into(),
        Kind::Histogram(buckets) => format!("histogram, 2^{} to 2^{}", buckets.from, buckets.to),
    }
}
