//! The page of metrics is what the definitions say, and what is counted is served over HTTP.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use telemetry::metrics::{self, Counters, Endpoint, Exposition, of_controller};

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

fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("legal");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers and closes");
    answer
}

fn boots() -> Exposition {
    let (boots, mut exposition) = (Counters::new(&of_controller::BOOTS), Exposition::new());
    boots.one(&vec!["x"; of_controller::BOOTS.labels.len()]);
    exposition.add_counters(&boots);
    exposition
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_forms_are_served_and_nothing_else() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
    let address = listener.local_addr().expect("bound");
    let endpoint = Endpoint { path: "/metrics", gather: metrics::gather(async || boots()) };
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
