//! The controller's page in a real browser: Chromium without a screen, which trusts the fleet's root and nothing else of ours.
//!
//! A controller in this process, a login by the real CLI, and events as an agent would have reported them. A browser that is not
//! installed fails the test: `cargo lab setup` installs it. `BOOTLANE_PICTURES=DIR` writes pictures of what was seen.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use controller::catalog::Document;
use controller::catalog::roles::Actor;
use controller::catalog::write::{Change, Request};
use controller::config::Config;
use controller::events::Source;
use controller::{ADMIN_CREDENTIAL, Running};
use integration::binaries::{Binaries, Profile};
use integration::lab::chromium::Chromium;
use proto::catalog::Role;
use proto::event::{Client, Event, EventKind, NumberedEvent, OrderPhase, Transport};
use proto::plan::Stage;
use proto::{AttemptId, HostId, Incarnation, Mac, OrderId, Platform, Wall};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// The boot that is watched.
const WATCHED: AttemptId = AttemptId([0x4b; 16]);
/// The boot that failed, and the sentence that says why.
const FAILED: AttemptId = AttemptId([0x11; 16]);
const SENTENCE: &str = "Its installation failed after \"40 % copying\": The installer said: no disk.";
/// What a hostile machine says.
const HOSTILE: &str = "<img src=x onerror=alert(1)><script>document.title='taken'</script>";

#[test]
fn an_operator_logs_in_and_watches_a_boot() {
    certs::tls::install_provider();
    let binaries = Binaries::build(Profile::of_this_program()).expect("they build");
    let stand = Stand::start(&binaries.cli);
    let roots = stand.folder.path().join("roots.pem");
    stand.cli(&["page", "--save-root", roots.to_str().expect("UTF-8")]);
    let mut browser = Chromium::start(&stand.folder.path().join("browser"), &roots).expect("it starts");

    browser.open(&stand.url).expect("its certificate is trusted");
    browser
        .wait("location.pathname === '/login' && document.body.innerText.includes('bootlane page')")
        .expect("no way in");
    log_in(&stand, &mut browser);
    browser.wait("document.querySelector('h1').innerText === 'Fleet'").expect("the fleet");
    browser.wait("document.getElementById('live').innerText === 'live'").expect("the fleet is live");
    let failed = "[...document.querySelectorAll('#boots tr')].find((row) => row.innerText.includes('web-2'))";
    browser.wait(&format!("{failed}.innerText.includes('{SENTENCE}')")).expect("what failed today, and why");
    picture(&mut browser, "page-fleet");

    let link = format!("document.querySelector('a[href=\"/boots/{WATCHED}\"]')");
    browser.evaluate(&format!("{link}.click()")).expect("it is linked");
    browser.wait("document.getElementById('events')?.rows.length === 7").expect("its timeline");
    browser.wait("document.getElementById('live').innerText === 'live'").expect("the boot is live");
    let stages = "[...document.querySelectorAll('#stages tbody th')].map((stage) => stage.innerText).join()";
    let expected =
        "address of the ROM,loader,address of the loader,script,kernel and RAM disk,start of the system";
    assert_eq!(browser.evaluate(stages).expect("looked"), expected);
    browser.evaluate("window.here = 1").expect("set");
    let kernel = "document.getElementById('stages').innerText.includes('installation')";
    assert_eq!(browser.evaluate(kernel).expect("looked"), false);
    stand.report(&stand.web(), WATCHED, 8, vec![(200, answer_file()), (100, progress(40, HOSTILE))]);
    browser.wait("document.getElementById('events').rows.length === 9").expect("lines come");
    browser.wait(kernel).expect("a bar comes");
    assert_eq!(browser.evaluate("window.here").expect("looked"), 1, "it was loaded again");
    let shown = browser.evaluate("document.getElementById('event-9').innerText").expect("looked");
    assert!(shown.as_str().is_some_and(|text| text.contains(HOSTILE)), "{shown}");
    assert_ne!(browser.evaluate("document.title").expect("looked"), "taken");
    let width = "Number(document.querySelector('#stages tr:last-child rect.open').getAttribute('width'))";
    let before = browser.evaluate(width).expect("looked").as_f64().expect("a number");
    browser.wait(&format!("{width} > {before}")).expect("the bar grows by itself");

    browser.open(&format!("{}/boots/{FAILED}", stand.url)).expect("there");
    let sentence = "document.querySelector('#findings .sentence')?.innerText";
    browser.wait(&format!("{sentence} === '{SENTENCE}'")).expect("the finding's sentence");
    picture(&mut browser, "page");

    for path in ["/sites/lyon", "/hosts/web-1", "/boots?site=lyon&outcome=failed"] {
        browser.open(&format!("{}{path}", stand.url)).expect("there");
        browser.wait("document.getElementById('live').innerText === 'live'").expect("live");
    }
    assert_eq!(browser.evaluate("document.querySelectorAll('#boots tbody tr').length").expect("looked"), 1);
    only_ours(&stand, &browser);

    browser.evaluate("document.querySelector('form[action=\"/logout\"] button').click()").expect("clicked");
    browser.wait("location.pathname === '/login'").expect("out");
    browser.open(&stand.url).expect("there");
    browser.wait("location.pathname === '/login'").expect("still out");
    stand.stop();
}

fn log_in(stand: &Stand, browser: &mut Chromium) {
    let login: Value = serde_json::from_str(&stand.cli(&["page", "-o", "json"])).expect("JSON");
    let url = login["url"].as_str().expect("a URL");
    browser.open(url).expect("there");
    browser.wait("document.querySelector('button')?.innerText === 'Log in as admin'").expect("the form");
    browser.evaluate("document.querySelector('button').click()").expect("clicked");
    browser.wait("location.pathname === '/'").expect("in");
    let code = url.rsplit('=').next().expect("a code");
    let cookies = browser.evaluate("document.cookie").expect("looked");
    assert_eq!(cookies, "", "no script sees the session");
    assert!(!browser.evaluate("document.body.innerHTML").expect("looked").to_string().contains(code));
}

/// Nothing was asked of anybody else, and nothing went wrong.
fn only_ours(stand: &Stand, browser: &Chromium) {
    let asked: Vec<_> = browser.told("Network.requestWillBeSent");
    assert!(asked.len() > 10, "it was listened to: {}", asked.len());
    for request in asked {
        let url = request["request"]["url"].as_str().expect("a URL");
        assert!(url.starts_with(&format!("{}/", stand.url)) || url.starts_with("data:"), "{url}");
    }
    for problem in ["Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"] {
        assert_eq!(browser.told(problem), Vec::<&Value>::new(), "{problem}");
    }
}

fn picture(browser: &mut Chromium, name: &str) {
    let Some(folder) = std::env::var_os("BOOTLANE_PICTURES") else { return };
    for (dark, suffix) in [(false, ""), (true, "-dark")] {
        browser.show_as((1_180, 860), dark).expect("it obeys");
        let png = STANDARD.decode(browser.picture().expect("a picture")).expect("base64");
        std::fs::write(Path::new(&folder).join(format!("{name}{suffix}.png")), png).expect("written");
    }
    browser.show_as((1_180, 860), false).expect("it obeys");
}

/// A controller with two sites, their hosts, and boots of the last hour.
struct Stand<'a> {
    folder: tempfile::TempDir,
    runtime: Runtime,
    running: Running,
    stop: CancellationToken,
    url: String,
    cli: &'a Path,
}

impl<'a> Stand<'a> {
    fn start(cli: &'a Path) -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let runtime = Runtime::new().expect("a runtime");
        let state = folder.path().join("state");
        let listen =
            "[listen]\nfleet = \"127.0.0.1:0\"\nenrol = \"127.0.0.1:0\"\n[page]\nlisten = \"127.0.0.1:0\"\n";
        let text = format!("fleet = \"acme\"\nstate = {state:?}\n{listen}");
        let config = Config::parse(Path::new("test.toml"), &text).expect("a legal configuration");
        let stop = CancellationToken::new();
        let running = runtime.block_on(controller::run(config, stop.clone())).expect("it starts");
        let url = format!("https://localhost:{}", running.page.expect("it has one").port());
        let stand = Self { folder, runtime, running, stop, url, cli };
        stand.furnish();
        stand
    }

    fn stop(self) {
        self.stop.cancel();
        self.runtime.block_on(self.running.ended());
    }

    /// What the CLI says to this.
    fn cli(&self, arguments: &[&str]) -> String {
        let credential = self.folder.path().join("state").join(ADMIN_CREDENTIAL);
        let controller = format!("localhost:{}", self.running.fleet.port());
        let mut command = Command::new(self.cli);
        command.arg("--credential").arg(credential).args(["--controller", &controller]).args(arguments);
        let output = command.output().expect("it runs");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    fn furnish(&self) {
        let site = |name: &str, number: u8| {
            let pool = format!("10.{number}.0.100-10.{number}.0.199");
            json!({"kind": "Site", "name": name, "spec": {"subnets": [
                {"network": format!("10.{number}.0.0/24"), "pools": [pool], "router": format!("10.{number}.0.1")}]}})
        };
        let host = |name: &str, site: &str, number: u8| json!({"kind": "Host", "name": name, "spec": {"site": site, "macs": [mac(number).to_string()]}});
        let documents = [
            site("lyon", 1),
            site("oslo", 2),
            host("web-1", "lyon", 1),
            host("web-2", "lyon", 2),
            host("db-1", "oslo", 3),
        ];
        let document = |value: &Value| Document::from_json(value.to_string().as_bytes()).expect("a document");
        let changes = documents.iter().map(|value| Change::Apply(document(value))).collect();
        let request = Request { changes, dry_run: false, manager: "cli".into(), force: false };
        let (app, admin) =
            (&self.running.app, Actor { name: "admin".into(), role: Role::Admin, sites: vec![] });
        let written = app.catalog.write(&admin, &app.vault, &request, app.clock.wall());
        let written = self.runtime.block_on(written).expect("legal");
        self.runtime.block_on(app.planner.reached(written.revision));
        self.boots();
    }

    fn boots(&self) {
        let minutes = |minutes: u64| minutes * 60_000;
        let install = |phase, reason: &str| {
            let rest = [
                (12_000, moved(OrderPhase::Started, "")),
                (200, answer_file()),
                (30_000, progress(40, "copying")),
                (45_000, moved(phase, reason)),
            ];
            [to_its_kernel(minutes(25)), rest.into()].concat()
        };
        let (web_2, db_1) = (self.machine("web-2", 2), self.machine("db-1", 3));
        self.report(&web_2, FAILED, 1, install(OrderPhase::Failed, "The installer said: no disk"));
        self.report(&db_1, AttemptId([0x22; 16]), 1, install(OrderPhase::Installed, ""));
        self.report(&self.web(), WATCHED, 1, to_its_kernel(14_000));
    }

    fn web(&self) -> Machine {
        self.machine("web-1", 1)
    }

    fn machine(&self, name: &str, number: u8) -> Machine {
        let found =
            self.runtime.block_on(self.running.app.catalog.get_host(name)).expect("readable").expect("there");
        let site = found.spec.site.clone();
        Machine { site, host: found.id().expect("stored").into(), mac: mac(number) }
    }

    /// An agent reports this: each event so many milliseconds after the one before. Those of a new attempt begin that long ago.
    fn report(&self, machine: &Machine, attempt: AttemptId, first: u64, kinds: Vec<(u64, EventKind)>) {
        let now = Wall::from(SystemTime::now());
        let mut at = Wall(now.0 - if first == 1 { 2 * kinds[0].0 } else { 1_000 });
        let (host, mac) = (Some(machine.host), Some(machine.mac));
        let event = |(number, (after, kind)): (u64, (u64, EventKind))| {
            at = at.plus(Duration::from_millis(after));
            NumberedEvent { number, event: Event { at, attempt: Some(attempt), host, mac, kind } }
        };
        let events = (first..).zip(kinds).map(event).collect();
        let source = Source { site: machine.site.clone(), agent: format!("{}-1", machine.site) };
        // Each attempt is told as a journal of its own, so that it counts by itself.
        let stored = self.running.app.events.append(&source, Incarnation(attempt.0), events);
        self.runtime.block_on(stored).expect("stored");
    }
}

struct Machine {
    site: String,
    host: HostId,
    mac: Mac,
}

fn mac(number: u8) -> Mac {
    Mac([0x52, 0x54, 0, 0x12, 0x34, number])
}

fn began() -> EventKind {
    EventKind::AttemptBegan {
        platform: Some(Platform::UefiX64),
        client: Client::PxeRom,
        vendor_class: "PXEClient:Arch:00007:UNDI:003000".into(),
        uuid: None,
        relay: None,
        architecture: Some(7),
    }
}

/// A boot that begins so many milliseconds after whatever came before.
fn to_its_kernel(after: u64) -> Vec<(u64, EventKind)> {
    vec![
        (after, began()),
        (1_100, leased(Client::PxeRom)),
        (100, served(Transport::Tftp, Stage::Loader, "snponly.efi", 310_000, 240)),
        (2_000, leased(Client::Ipxe)),
        (60, served(Transport::Http, Stage::Script, "boot.ipxe", 812, 4)),
        (900, served(Transport::Http, Stage::Kernel, "linux", 8_100_000, 600)),
        (2_600, served(Transport::Http, Stage::Initrd, "initrd.gz", 39_000_000, 2_400)),
    ]
}

fn leased(client: Client) -> EventKind {
    EventKind::Leased { address: [10, 1, 0, 10].into(), until: Wall(u64::MAX / 2), client }
}

fn served(transport: Transport, stage: Stage, name: &str, bytes: u64, took_ms: u64) -> EventKind {
    EventKind::FileServed {
        transport,
        stage,
        name: name.into(),
        bytes,
        took_ms,
        retransmissions: 0,
        repeats: 0,
    }
}

fn answer_file() -> EventKind {
    served(Transport::Http, Stage::Answer, "preseed.cfg", 2_900, 3)
}

fn moved(phase: OrderPhase, reason: &str) -> EventKind {
    EventKind::OrderMoved { order: OrderId([4; 16]), number: 1, phase, reason: reason.into() }
}

fn progress(percent: u8, text: &str) -> EventKind {
    EventKind::Progress { percent: Some(percent), text: text.into() }
}
