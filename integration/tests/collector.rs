//! A boot's trace in a collector that nobody here wrote, as a whole controller sends it.
//!
//! `cargo lab setup` fetches the collector. Without it this is not tested, and fails under CI.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use controller::config::Config;
use controller::events::Source;
use integration::lab::{LabFolder, collector};
use proto::event::{Answer, Client, Event, EventKind, NumberedEvent, OrderPhase, Transport};
use proto::plan::Stage;
use proto::{AttemptId, HostId, Incarnation, Mac, OrderId, Platform, Wall};
use tokio_util::sync::CancellationToken;

/// From the last event to the trace: a look every few seconds, and the exporter's pause between batches.
const PATIENCE: Duration = Duration::from_secs(90);

/// A collector that prints what it receives.
struct Collector {
    child: Child,
    endpoint: String,
    printed: Arc<Mutex<String>>,
}

impl Collector {
    fn start(program: &Path, folder: &Path) -> Self {
        let [grpc, http] = free_ports();
        let mut child = Command::new(program)
            .args(["start", "--exporter", "blackhole", "--debug-log", "traces"])
            .args(["--debug-log-verbosity", "detailed", "--disable-batching"])
            .args(["--otlp-grpc-endpoint", &grpc, "--otlp-http-endpoint", &http])
            .arg("--pid-file")
            .arg(folder.join("rotel.pid"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let printed = Arc::new(Mutex::new(String::new()));
        let (out, err) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        listen(out, Arc::clone(&printed));
        listen(err, Arc::clone(&printed));
        Self { child, endpoint: format!("http://{grpc}"), printed }
    }

    fn printed(&self) -> String {
        self.printed.lock().expect("no reader panicked").clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        // One that has ended needs no end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listen(mut from: impl std::io::Read + Send + 'static, into: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 4_096];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            into.lock().expect("no reader panicked").push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    });
}

fn free_ports() -> [String; 2] {
    let held = [(), ()].map(|()| TcpListener::bind("127.0.0.1:0").expect("loopback has free ports"));
    held.map(|listener| listener.local_addr().expect("bound").to_string())
}

#[expect(clippy::print_stderr, reason = "who runs the test is to know that nothing was tested")]
fn program() -> Option<PathBuf> {
    let program = collector::program(&LabFolder::from_environment());
    if program.exists() {
        return Some(program);
    }
    assert!(std::env::var_os("CI").is_none(), "there is no collector: run `cargo lab setup`");
    eprintln!("not tested: there is no collector; `cargo lab setup` fetches it");
    None
}

fn config(folder: &Path, otlp: &str) -> Config {
    let text = format!(
        "fleet = 'acme'\nstate = '{}'\n[listen]\nfleet = '127.0.0.1:0'\nenrol = '127.0.0.1:0'\n\
         [telemetry]\notlp = '{otlp}'\n[metrics]\nlisten = '127.0.0.1:0'\n",
        folder.join("state").display()
    );
    Config::parse(&folder.join("controller.toml"), &text).expect("legal")
}

/// An installation that has just ended.
fn installation(attempt: AttemptId) -> Vec<NumberedEvent> {
    let now = Wall::from(SystemTime::now()).0;
    let served = |stage: Stage| EventKind::FileServed {
        transport: Transport::Http,
        stage,
        name: stage.word().into(),
        bytes: 1 << 20,
        took_ms: 900,
        retransmissions: 0,
        repeats: 0,
    };
    let moved =
        |phase| EventKind::OrderMoved { order: OrderId([4; 16]), number: 1, phase, reason: String::new() };
    let address = std::net::Ipv4Addr::new(10, 1, 0, 9);
    let kinds = vec![
        EventKind::AttemptBegan {
            platform: Some(Platform::UefiX64),
            client: Client::PxeRom,
            vendor_class: String::new(),
            uuid: None,
            relay: None,
            architecture: None,
        },
        moved(OrderPhase::Offered),
        EventKind::Decided { answer: Answer::Loader, reason: String::new(), order: None, because: None },
        EventKind::Leased { address, until: Wall(now + 3_600_000), client: Client::PxeRom },
        served(Stage::Loader),
        EventKind::Leased { address, until: Wall(now + 3_600_000), client: Client::Ipxe },
        served(Stage::Script),
        served(Stage::Kernel),
        served(Stage::Initrd),
        moved(OrderPhase::Started),
        served(Stage::Answer),
        moved(OrderPhase::Installed),
    ];
    let count = kinds.len() as u64;
    let event = |(number, kind): (u64, EventKind)| {
        let at = Wall(now - (count - number) * 2_000);
        let (attempt, host, mac) = (Some(attempt), Some(HostId([2; 16])), Some(Mac([2, 0, 0, 0, 0, 9])));
        NumberedEvent { number, event: Event { at, attempt, host, mac, kind } }
    };
    (1..).zip(kinds).map(event).collect()
}

/// What the collector prints behind `name` and a colon, of each span.
fn values<'a>(printed: &'a str, name: &str) -> Vec<&'a str> {
    let lines = printed.lines().filter_map(|line| line.split_once(':'));
    lines.filter(|(found, _)| found.trim() == name).map(|(_, value)| value.trim()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_receives_a_boots_trace_with_all_its_stages() {
    let Some(program) = program() else { return };
    certs::tls::install_provider();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let collector = Collector::start(&program, folder.path());
    let stop = CancellationToken::new();
    let config = config(folder.path(), &collector.endpoint);
    let running = controller::run(config, stop.clone()).await.expect("it starts");
    let attempt = AttemptId([0xa7; 16]);
    let source = Source { site: "lyon".into(), agent: "lyon-1".into() };
    let stored = running.app.events.append(&source, Incarnation([1; 16]), installation(attempt)).await;
    assert_eq!(stored, Ok(12));

    let stages =
        ["rom-address", "loader", "loader-address", "script", "kernel", "answer-file", "installation"];
    let wanted = |printed: &str| {
        let names = values(printed, "Name");
        let one_trace = values(printed, "Trace ID").iter().all(|id| *id == attempt.to_string());
        one_trace && names.contains(&"boot") && stages.iter().all(|stage| names.contains(stage))
    };
    let began = Instant::now();
    while !wanted(&collector.printed()) {
        assert!(began.elapsed() < PATIENCE, "{}", collector.printed());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(collector.printed().contains("Str(bootlane-boots)"), "{}", collector.printed());
    stop.cancel();
    running.ended().await;
}
