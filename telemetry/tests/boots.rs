//! Traces of boots on their way to a collector on loopback, and to one that is not there.

mod collector;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use telemetry::Settings;
use telemetry::boots::{Boots, Numbers, SERVICE, Span, Trace, Value};

fn at(second: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000 + second)
}

fn trace(id: u8, failed: Option<&str>) -> Trace {
    let span = |name: &'static str, from, to| Span {
        name: name.into(),
        from: at(from),
        to: at(to),
        attributes: vec![
            ("bootlane.site", Value::Text("lyon".into())),
            ("bootlane.events", Value::Number(9)),
        ],
        failed: None,
    };
    let root = Span { failed: failed.map(str::to_owned), ..span("boot", 0, 60) };
    Trace { id: [id; 16], root, stages: vec![span("rom-address", 0, 4), span("loader", 4, 9)] }
}

fn settings(endpoint: &str, more: &str) -> Settings {
    toml::from_str(&format!("otlp = '{endpoint}'\n{more}")).expect("legal")
}

async fn stopped(boots: &Boots) {
    let boots = boots.clone();
    tokio::task::spawn_blocking(move || boots.stop()).await.expect("no panic");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempts_trace_has_its_id_its_stages_and_the_agents_times() {
    let (endpoint, received) = collector::start().await;
    let boots = Boots::new("1.2.3", &settings(&endpoint, "sample_boots = 0.0")).expect("made");
    boots.take(trace(0xab, Some("Its ROM took an address and asked for nothing.")));
    boots.take(trace(0xcd, None));
    stopped(&boots).await;
    assert_eq!(
        boots.numbers(),
        Numbers { exported: 3, dropped: 0, unsampled: 3 },
        "what failed is always sent"
    );

    let batch = received.try_recv().expect("one batch");
    let resource = format!("{:?}", batch.resource_spans[0].resource);
    assert!(resource.contains(SERVICE) && resource.contains("1.2.3"), "{resource}");
    let spans: Vec<_> =
        batch.resource_spans.iter().flat_map(|r| &r.scope_spans).flat_map(|s| &s.spans).collect();
    assert!(spans.iter().all(|span| span.trace_id == [0xab; 16]), "{spans:?}");
    let root = spans.iter().find(|span| span.name == "boot").expect("a root");
    assert!(root.parent_span_id.is_empty());
    let status = root.status.as_ref().expect("it failed");
    assert_eq!(
        (status.code(), status.message.as_str()),
        (StatusCode::Error, "Its ROM took an address and asked for nothing.")
    );
    let nanos = |second: u64| (1_700_000_000 + second) * 1_000_000_000;
    for (name, from, to) in [("rom-address", 0, 4), ("loader", 4, 9)] {
        let stage = spans.iter().find(|span| span.name == name).expect(name);
        assert_eq!(stage.parent_span_id, root.span_id);
        assert_eq!((stage.start_time_unix_nano, stage.end_time_unix_nano), (nanos(from), nanos(to)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_away_costs_a_count_and_nothing_else() {
    // Nothing listens on port 1.
    let settings = settings("http://127.0.0.1:1", "queue_spans = 30\nbatch_spans = 10");
    let boots = Boots::new("0", &settings).expect("a collector that is away is no error");
    let began = Instant::now();
    for id in 0..100 {
        boots.take(trace(id, None));
    }
    assert!(began.elapsed() < Duration::from_secs(20), "who hands spans over waited for the collector");
    stopped(&boots).await;
    // The end waits three seconds at most; what was on its way then is given up, and counted, soon after.
    while boots.numbers().dropped < 300 {
        assert!(began.elapsed() < Duration::from_secs(60), "{:?}", boots.numbers());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(boots.numbers(), Numbers { exported: 0, dropped: 300, unsampled: 0 });
}
