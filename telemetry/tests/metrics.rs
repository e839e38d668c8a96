//! The page of metrics is what the definitions say; what is served is read by a program that nobody here wrote.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use telemetry::metrics::{self, Counters, Endpoint, Exposition, Form, Histograms, Kind, Owner};

/// Rewrites the page when it is set.
const BLESS: &str = "BOOTLANE_BLESS";

#[test]
fn the_page_says_what_the_definitions_say() {
    let place = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
    let page = metrics::page();
    if std::env::var_os(BLESS).is_some() {
        std::fs::write(place, &page).expect("written");
    }
    let written = std::fs::read_to_string(place).expect("the page is there");
    assert!(written == page, "docs/metrics.md is not what the definitions say: make it anew with {BLESS}=1");
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

/// Debian's package `prometheus` has it; CI must.
#[test]
#[expect(clippy::print_stderr, reason = "who runs the test is to know what was not")]
fn promtool_finds_nothing_to_say_of_any_metric() {
    let child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) if std::env::var_os("CI").is_some() => panic!("promtool does not start: {error}"),
        Err(error) => return eprintln!("not tested: promtool does not start: {error}"),
    };
    let text = everything().text(Form::Prometheus);
    child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let said =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{text}");
    assert_eq!(said.trim(), "", "{text}");
}

fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("legal");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers and closes");
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_forms_are_served_and_nothing_else() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
    let address = listener.local_addr().expect("bound");
    let endpoint = Endpoint { path: "/metrics", gather: metrics::gather(async || everything()) };
    let server = tokio::spawn(metrics::serve(listener, vec![endpoint]));
    let asked = tokio::task::spawn_blocking(move || {
        [
            "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: application/openmetrics-text; version=1.0.0\r\n\r\n",
            "GET /metric HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        ]
        .map(|request| ask(address, request))
    });
    let [plain, open, absent, written] = asked.await.expect("no panic");
    assert!(plain.starts_with("HTTP/1.1 200") && plain.contains("text/plain; version=0.0.4"), "{plain}");
    assert!(plain.contains("bootlane_boots_total{") && !plain.contains("# EOF"), "{plain}");
    assert!(open.contains("application/openmetrics-text; version=1.0.0"), "{open}");
    assert!(open.ends_with("# EOF\n"), "{open}");
    assert!(absent.starts_with("HTTP/1.1 404") && written.starts_with("HTTP/1.1 405"), "{absent}\n{written}");
    server.abort();
}
