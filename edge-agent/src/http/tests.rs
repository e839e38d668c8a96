//! The server on loopback, with a table for a desk: a client of our own, and the real one, curl (its package must be
//! installed).

mod lines;
mod slow;
mod standing;
mod taped;

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Command, Output},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use netboot::site::{Arrival, Callback, FileEnd, FileRequest, ReportAnswer, ReportRequest, Source};
use proto::{AttemptId, Digest, event::Transport, plan::BlobRef};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    core::{Epoch, ReportReply, Stopped},
    desk::{Answered, Desk, Found, Sent},
    disk::cache::{Cache, Fill, WITHHELD_BYTES},
    images::Images,
};

const SOON: Duration = Duration::from_secs(60);
/// Longer than any test.
const NEVER: Duration = Duration::from_secs(3_600);

/// Whose boot it is that asks.
const BOOT: AttemptId = AttemptId([0xb0; 16]);

/// A table of names, and what it was told.
struct Table {
    files: BTreeMap<String, Source>,
    /// Its answers stand until this is raised.
    epoch: Option<Epoch>,
    asked: AtomicUsize,
    reports: Mutex<Vec<ReportRequest>>,
    told: mpsc::Sender<(String, Sent)>,
}

impl Desk for Table {
    type Ticket = String;

    async fn file(&self, request: FileRequest) -> Result<Answered<String>, Stopped> {
        assert_eq!((request.transport, request.from), (Transport::Http, [127, 0, 0, 1].into()));
        assert_eq!(&*request.arrival.base_url, "http://127.0.0.1");
        if request.name == "stopped" {
            return Err(Stopped);
        }
        self.asked.fetch_add(1, Ordering::Relaxed);
        let standing = self.epoch.as_ref().map(|epoch| epoch.begin(Instant::now()));
        let source = self.files.get(&request.name).cloned();
        let found = source.map(|source| Found { source, ticket: request.name, standing });
        Ok(Answered { found, boot: Some(BOOT), tftp_single_port: false })
    }

    async fn report(&self, request: ReportRequest) -> Result<ReportReply, Stopped> {
        let answer = match request.token.as_str() {
            "good" => ReportAnswer::Recorded,
            "late" => ReportAnswer::TooLate,
            _ => ReportAnswer::NotFound,
        };
        self.reports.lock().expect("no panic").push(request);
        Ok(ReportReply { answer, boot: Some(BOOT) })
    }

    fn told(&self, ticket: String, sent: Sent) {
        self.told.try_send((ticket, sent)).expect("the test listens");
    }
}

struct Site {
    serving: Serving,
    desk: Arc<Table>,
    cache: Arc<Cache>,
    told: mpsc::Receiver<(String, Sent)>,
    fetcher: mpsc::Receiver<BlobRef>,
    shutdown: CancellationToken,
    /// On in every test.
    tap: Tap,
    dir: TempDir,
}

fn limits() -> Limits {
    Limits { blob_patience: Duration::from_millis(50), idle: NEVER, ..Limits::default() }
}

/// A server of `files`; those of `blobs` are in its cache.
fn site(files: &[(&str, &[u8])], blobs: &[(&str, &[u8])], limits: Limits) -> Site {
    let dir = tempfile::tempdir().expect("tempdir");
    let (cache, _) = Cache::open(dir.path(), SystemTime::now(), SOON).expect("opens");
    let cache = Arc::new(cache);
    let mut table = BTreeMap::new();
    for (name, content) in files {
        table.insert((*name).to_owned(), Source::Bytes(content.to_vec().into()));
    }
    for (name, content) in blobs {
        let blob = blob(content);
        let mut fill = cache.fill(blob.digest, blob.size).expect("begins");
        fill.write(content).expect("writes");
        fill.finish().expect("publishes");
        table.insert((*name).to_owned(), Source::Blob(blob));
    }
    begin(table, cache, dir, limits)
}

/// A server of one blob that is not in its cache.
fn site_without(name: &str, content: &[u8], limits: Limits) -> Site {
    let dir = tempfile::tempdir().expect("tempdir");
    let (cache, _) = Cache::open(dir.path(), SystemTime::now(), SOON).expect("opens");
    let table = BTreeMap::from([(name.to_owned(), Source::Blob(blob(content)))]);
    begin(table, Arc::new(cache), dir, limits)
}

fn begin(files: BTreeMap<String, Source>, cache: Arc<Cache>, dir: TempDir, limits: Limits) -> Site {
    begin_with(files, None, cache, dir, limits)
}

fn begin_with(
    files: BTreeMap<String, Source>,
    epoch: Option<Epoch>,
    cache: Arc<Cache>,
    dir: TempDir,
    limits: Limits,
) -> Site {
    let (told_out, told) = mpsc::channel(1_024);
    let (wanted, fetcher) = mpsc::channel(8);
    let (reports, asked) = (Mutex::default(), AtomicUsize::new(0));
    let desk = Arc::new(Table { files, epoch, asked, reports, told: told_out });
    let images = Images::new(Arc::clone(&cache), wanted);
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let arrival =
        Arrival { interface: 0, server: [127, 0, 0, 1].into(), base_url: "http://127.0.0.1".into() };
    let shutdown = CancellationToken::new();
    let tap = Tap::new(1 << 20);
    let server = Server::new(Arc::clone(&desk), images, limits).tapped(tap.clone());
    let serving = server.serve(listener, arrival, shutdown.clone()).expect("it starts");
    Site { serving, desk, cache, told, fetcher, shutdown, tap, dir }
}

fn blob(content: &[u8]) -> BlobRef {
    BlobRef { digest: Digest::of(content), size: content.len() as u64 }
}

/// Bytes in which every position can be told from its neighbours.
fn content(size: usize) -> Vec<u8> {
    (0..size).map(|at| u8::try_from((at * 31 + at / 251) % 256).expect("below 256")).collect()
}

impl Site {
    /// Runs something that blocks beside the server.
    async fn beside<T: Send + 'static>(&self, work: impl FnOnce(SocketAddr) -> T + Send + 'static) -> T {
        let address = self.serving.address();
        tokio::task::spawn_blocking(move || work(address)).await.expect("no panic")
    }

    /// Fetches `path` with curl and `arguments`.
    async fn curl(&self, path: &str, arguments: &[&str]) -> Output {
        let (path, arguments) =
            (path.to_owned(), arguments.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        self.beside(move |address| curl(address, &path, &arguments)).await
    }

    /// The status of `path`.
    async fn status(&self, path: &str, arguments: &[&str]) -> String {
        let arguments = [&["-o", "/dev/null", "-w", "%{http_code}"], arguments].concat();
        text(self.curl(path, &arguments).await.stdout)
    }

    /// Sends `request` as it stands and reads until the server closes.
    async fn raw(&self, request: &'static str) -> String {
        self.beside(move |address| {
            let mut socket = connect(address);
            socket.write_all(request.as_bytes()).expect("sends");
            let mut answer = Vec::new();
            socket.read_to_end(&mut answer).expect("reads");
            text(answer)
        })
        .await
    }

    async fn told(&mut self) -> (String, u64, Option<String>) {
        let told = tokio::time::timeout(SOON, self.told.recv()).await;
        let (ticket, sent) = told.expect("it is told soon").expect("the desk is there");
        let why = match sent.end {
            FileEnd::Broken(broken) => Some(broken.why),
            FileEnd::Whole | FileEnd::Probed => None,
        };
        (ticket, sent.bytes, why)
    }

    fn told_nothing(&mut self) -> bool {
        self.told.try_recv().is_err()
    }
}

fn curl(address: SocketAddr, path: &str, arguments: &[String]) -> Output {
    let mut command = Command::new("curl");
    command.args(["-sS", "--noproxy", "*", "--max-time", "20", "--path-as-is"]).args(arguments);
    command.arg(format!("http://{address}{path}")).output().expect("curl is installed")
}

fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).expect("connects");
    socket.set_read_timeout(Some(SOON)).expect("a legal time");
    socket
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("text")
}

fn told(name: &str, bytes: u64) -> (String, u64, Option<String>) {
    (name.to_owned(), bytes, None)
}

#[tokio::test]
async fn a_blob_of_several_pieces_arrives_whole_and_is_told() {
    let content = content((1 << 20) + 17);
    let mut site = site(&[], &[("a/x/linux", &content)], limits());
    let output = site.curl("/a/x/linux", &["-i"]).await;
    let head = String::from_utf8_lossy(&output.stdout[..400]).to_lowercase();
    assert!(head.starts_with("http/1.1 200 ok"), "{head}");
    assert!(
        head.contains("content-length: 1048593\r\n") && head.contains("accept-ranges: bytes\r\n"),
        "{head}"
    );
    assert!(head.contains(&format!("etag: \"{}\"\r\n", Digest::of(&content))), "{head}");
    assert!(!head.contains("transfer-encoding"), "QUIRKS 34: {head}");
    assert!(output.stdout.ends_with(&content));
    assert_eq!(site.told().await, told("a/x/linux", content.len() as u64));
}

#[tokio::test]
async fn rendered_files_and_empty_ones() {
    let mut site = site(&[("a/x/boot.ipxe", b"#!ipxe\n"), ("a/x/meta-data", b"")], &[], limits());
    let output = site.curl("/a/x/boot.ipxe", &["-w", "%{content_type}"]).await;
    assert_eq!(text(output.stdout), "#!ipxe\ntext/plain; charset=utf-8");
    assert_eq!(site.told().await, told("a/x/boot.ipxe", 7));
    assert_eq!(site.status("/a/x/meta-data", &[]).await, "200");
    assert_eq!(site.told().await, told("a/x/meta-data", 0));
}

#[tokio::test]
async fn quirk_34_head_announces_the_length_and_tells_nothing() {
    let content = content(70_000);
    let mut site = site(&[("boot.ipxe", b"#!ipxe\n")], &[("l/ipxe.efi", &content)], limits());
    let head = text(site.curl("/l/ipxe.efi", &["-I"]).await.stdout).to_lowercase();
    assert!(head.starts_with("http/1.1 200 ok") && head.contains("content-length: 70000\r\n"), "{head}");
    assert!(head.contains("content-type: application/efi\r\n"), "{head}");
    let head = text(site.curl("/boot.ipxe", &["-I"]).await.stdout).to_lowercase();
    assert!(head.contains("content-length: 7\r\n"), "{head}");
    assert!(text(site.curl("/healthz", &["-I"]).await.stdout).starts_with("HTTP/1.1 200 OK"));
    assert!(site.told_nothing());
}

#[tokio::test]
async fn ranges() {
    let content = content(600_000);
    let mut site = site(&[("menu", b"0123456789")], &[("disk.img", &content)], limits());
    for (range, expected) in
        [("0-0", 0..1), ("1000-1999", 1000..2000), ("-5", 599_995..600_000), ("9-", 9..600_000)]
    {
        let output = site.curl("/disk.img", &["-r", range]).await;
        assert!(output.stdout == content[expected.clone()], "{range}");
        assert_eq!(site.told().await, told("disk.img", expected.len() as u64));
    }
    assert_eq!(text(site.curl("/menu", &["-r", "2-4"]).await.stdout), "234");
    assert_eq!(site.told().await, told("menu", 3));
    let head = text(site.curl("/disk.img", &["-r", "5-9", "-I"]).await.stdout).to_lowercase();
    assert!(
        head.starts_with("http/1.1 206") && head.contains("content-range: bytes 5-9/600000\r\n"),
        "{head}"
    );
    let head = text(site.curl("/disk.img", &["-r", "600000-", "-i"]).await.stdout).to_lowercase();
    assert!(head.starts_with("http/1.1 416") && head.contains("content-range: bytes */600000\r\n"), "{head}");
    assert!(site.told_nothing());
    assert_eq!(site.status("/disk.img", &["-H", "Range: bytes=u-u"]).await, "200", "QUIRKS 59");
    assert_eq!(site.status("/disk.img", &["-H", "Range: bytes=0-1,4-5"]).await, "200");
}

#[tokio::test]
async fn an_interrupted_download_is_resumed() {
    let content = content(300_000);
    let site = site(&[], &[("disk.img", &content)], limits());
    let path = site.dir.path().join("download");
    std::fs::write(&path, &content[..123_456]).expect("writes");
    let output = site.curl("/disk.img", &["-C", "-", "-o", path.to_str().expect("text")]).await;
    assert!(output.status.success(), "{output:?}");
    assert!(std::fs::read(&path).expect("reads") == content);
}

#[tokio::test]
async fn what_the_client_has_is_not_sent_again() {
    let content = content(1000);
    let mut site = site(&[], &[("linux", &content)], limits());
    let known = format!("If-None-Match: \"{}\"", Digest::of(&content));
    assert_eq!(site.status("/linux", &["-H", &known]).await, "304");
    assert!(site.told_nothing());
    assert_eq!(site.status("/linux", &["-H", "If-None-Match: \"x\""]).await, "200");
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let content = content(200_000);
    let site = site(&[("boot.ipxe", b"#!ipxe\n")], &[("linux", &content)], limits());
    let address = site.serving.address();
    let (second, third) = (format!("http://{address}/linux"), format!("http://{address}/none"));
    let output = site.curl("/boot.ipxe", &["-w", " %{num_connects}", &second, &third]).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("not found\n 0"), "the connection was kept: {}", &text[text.len() - 40..]);
    let http10 = site.status("/linux", &["--http1.0"]).await;
    assert_eq!(http10, "200", "lpxelinux speaks HTTP/1.0");
}

#[tokio::test]
async fn quirk_49_grub_finds_the_length_by_its_usual_case() {
    let site = site(&[("linux", b"kernel")], &[], limits());
    let head = text(site.curl("/linux", &["--include"]).await.stdout);
    assert!(head.contains("\r\nContent-Length: 6\r\n"), "{head}");
}

#[tokio::test]
async fn quirk_36_doubled_slashes_and_nothing_climbs_out() {
    let mut site = site(&[("l/grubx64.efi", b"grub"), ("secret", b"x")], &[], limits());
    assert_eq!(text(site.curl("/l//grubx64.efi?x=1", &[]).await.stdout), "grub");
    assert_eq!(text(site.curl("//l/%67rubx64.efi", &[]).await.stdout), "grub");
    assert_eq!((site.told().await, site.told().await), (told("l/grubx64.efi", 4), told("l/grubx64.efi", 4)));
    for path in [
        "/l/../secret",
        "/%2e%2e/secret",
        "/l/%2e%2e%2fsecret",
        "/..%5csecret",
        "/secret%00",
        "/%zz",
        "/../../../../etc/passwd",
        "/etc/passwd",
        "/",
        &format!("/{}", "x".repeat(600)),
    ] {
        let output = site.curl(path, &["-w", "%{http_code}"]).await;
        assert_eq!(text(output.stdout), "not found\n404", "{path}");
    }
    assert!(site.told_nothing());
}

#[tokio::test]
async fn other_methods_are_refused() {
    let site = site(&[("menu", b"x")], &[], limits());
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"] {
        assert_eq!(site.status("/menu", &["-X", method]).await, "405", "{method}");
    }
    let head = text(site.curl("/o/good/report/started", &["-X", "PUT", "-i"]).await.stdout).to_lowercase();
    assert!(head.starts_with("http/1.1 405") && head.contains("allow: get, post\r\n"), "{head}");
    assert!(site.raw("CONNECT x:80 HTTP/1.1\r\nConnection: close\r\n\r\n").await.starts_with("HTTP/1.1 405"));
    assert!(site.raw("nonsense\r\n\r\n").await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn reports() {
    let site = site(&[], &[], limits());
    let callbacks = || {
        let reports = std::mem::take(&mut *site.desk.reports.lock().expect("no panic"));
        reports.into_iter().map(|report| report.callback).collect::<Vec<_>>()
    };
    let output =
        site.curl("/o/good/report/progress?percent=40&text=half%20way", &["-w", "%{http_code}"]).await;
    assert_eq!(text(output.stdout), "recorded\n200");
    assert_eq!(callbacks(), [Callback::Progress { percent: Some(40), text: b"half way".to_vec() }]);
    assert_eq!(site.status("/o/good/report/failed", &["--data", "no disk"]).await, "200");
    assert_eq!(callbacks(), [Callback::Failed { reason: b"no disk".to_vec() }]);
    assert_eq!(site.status("/o/good/report/started", &["-X", "POST"]).await, "200");
    assert_eq!(site.status("/o/late/report/installed", &[]).await, "409");
    assert_eq!(site.status("/o/bad/report/installed", &[]).await, "404");
    assert_eq!(callbacks(), [Callback::Started, Callback::Installed, Callback::Installed]);
    assert_eq!(site.status("/o/good/report/wiped", &[]).await, "404");
    assert_eq!(site.status("/o/good/report/installed", &["-I"]).await, "405", "asking is not reporting");
    let large = "x".repeat(5000);
    assert_eq!(site.status("/o/good/report/failed", &["--data", &large]).await, "413");
    assert_eq!(callbacks(), []);
}

#[tokio::test]
async fn a_report_whose_body_does_not_come_is_refused() {
    let site = site(&[], &[], Limits { report: Duration::from_millis(200), ..limits() });
    let request = "POST /o/good/report/failed HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\nno";
    assert!(site.raw(request).await.starts_with("HTTP/1.1 408"));
    assert!(site.desk.reports.lock().expect("no panic").is_empty());
}

#[tokio::test]
async fn health_says_nothing_more() {
    let mut site = site(&[], &[], limits());
    assert_eq!(text(site.curl("/healthz", &["-w", "%{http_code}"]).await.stdout), "ok\n200");
    assert!(site.told_nothing());
}

#[tokio::test]
async fn what_cannot_be_had_now_has_503_and_is_told() {
    let mut site = site_without("linux", b"kernel", limits());
    let head = text(site.curl("/linux", &["-i"]).await.stdout).to_lowercase();
    assert!(head.starts_with("http/1.1 503") && head.contains("retry-after: 10\r\n"), "{head}");
    assert_eq!(site.fetcher.try_recv().ok(), Some(blob(b"kernel")));
    let (name, bytes, broken) = site.told().await;
    assert_eq!((name.as_str(), bytes), ("linux", 0));
    assert!(broken.expect("it failed").contains("could not be fetched in time"));
    assert_eq!(site.status("/stopped", &[]).await, "503");
}

/// More than the sockets between us and a client that does not read hold.
const MUCH: usize = 24 << 20;

#[tokio::test]
async fn a_client_that_goes_away_is_told() {
    let content = content(MUCH);
    let mut site = site(&[], &[("disk.img", &content)], limits());
    site.beside(|address| {
        let mut socket = connect(address);
        socket.write_all(b"GET /disk.img HTTP/1.1\r\nHost: x\r\n\r\n").expect("sends");
        socket.read_exact(&mut [0; 100_000]).expect("reads");
    })
    .await;
    let (name, bytes, broken) = site.told().await;
    assert_eq!((name.as_str(), broken.as_deref()), ("disk.img", Some("the client went away")));
    assert!(bytes < content.len() as u64, "{bytes}");
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off() {
    let content = content(MUCH);
    let stall = Duration::from_millis(300);
    let mut site = site(&[], &[("disk.img", &content)], Limits { stall, ..limits() });
    let mut socket = connect(site.serving.address());
    socket.write_all(b"GET /disk.img HTTP/1.1\r\nHost: x\r\n\r\n").expect("sends");
    let (name, bytes, broken) = site.told().await;
    assert_eq!((name.as_str(), broken.as_deref()), ("disk.img", Some("the client took nothing more")));
    assert!(bytes < content.len() as u64, "{bytes}");
}

#[tokio::test]
async fn a_slow_client_that_takes_something_is_not_cut_off() {
    let content = content(MUCH);
    // Its pauses are far below the limit and together far beyond it, on a busy machine too.
    let stall = Duration::from_secs(2);
    let mut site =
        site(&[], &[("disk.img", &content)], Limits { stall, idle: stall, head: stall, ..limits() });
    let began = Instant::now();
    site.beside(move |address| {
        let mut socket = connect(address);
        socket.write_all(b"GET /disk.img HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("sends");
        let mut answer = Vec::new();
        while (&mut socket).take(MUCH as u64 / 10).read_to_end(&mut answer).expect("reads") > 0 {
            std::thread::sleep(Duration::from_millis(450));
        }
        assert!(answer.len() > MUCH, "{}", answer.len());
    })
    .await;
    assert!(began.elapsed() > stall * 2);
    assert_eq!(site.told().await, told("disk.img", MUCH as u64));
}

/// Reads until the server closes; how long that took.
fn closed_after(mut socket: TcpStream) -> Duration {
    let began = Instant::now();
    let mut rest = Vec::new();
    // A reset is a close too.
    let _ = socket.read_to_end(&mut rest);
    began.elapsed()
}

#[tokio::test]
async fn clients_that_do_not_speak_are_cut_off() {
    let short = Duration::from_millis(300);
    let site_of = |head, idle| site(&[("menu", b"x")], &[], Limits { head, idle, ..limits() });
    // That it comes at all tells which limit it was: the other one never ends.
    let near = |took: Duration| took >= short / 2 && took < SOON;
    let site = site_of(short, NEVER);
    let silent = site.beside(|address| closed_after(connect(address))).await;
    assert!(near(silent), "{silent:?}");
    let halfway = site.beside(|address| {
        let mut socket = connect(address);
        socket.write_all(b"GET /menu HTT").expect("sends");
        closed_after(socket)
    });
    let halfway = halfway.await;
    assert!(near(halfway), "{halfway:?}");
    let (ample, idle) = (Duration::from_secs(2), Duration::from_secs(4));
    let site = site_of(ample, idle);
    let idling = site.beside(|address| {
        let mut socket = connect(address);
        socket.write_all(b"GET /menu HTTP/1.1\r\nHost: x\r\n\r\n").expect("sends");
        closed_after(socket)
    });
    let idling = idling.await;
    assert!(idling > (ample + idle) / 2 && idling < SOON, "{idling:?}");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let site = site(&[("menu", b"x")], &[], limits());
    let fields: Vec<String> = (0..80).flat_map(|at| ["-H".to_owned(), format!("X-{at}: x")]).collect();
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    assert_eq!(site.status("/menu", &fields).await, "431");
    let long = format!("X-Long: {}", "x".repeat(20_000));
    assert_eq!(site.status("/menu", &["-H", &long]).await, "431");
    assert_eq!(site.status("/menu", &[]).await, "200");
}

#[tokio::test]
async fn an_address_has_so_many_connections() {
    let site = site(&[("menu", b"x")], &[], Limits { connections_per_address: 2, head: NEVER, ..limits() });
    let address = site.serving.address();
    let held = [connect(address), connect(address)];
    let refused = site.beside(|address| closed_after(connect(address))).await;
    assert!(refused < SOON, "{refused:?}");
    drop(held);
    let mut status = String::new();
    let until = Instant::now() + SOON;
    while status != "200" && Instant::now() < until {
        status = site.status("/menu", &[]).await;
    }
    assert_eq!(status, "200");
}

#[tokio::test]
async fn an_arriving_blob_is_sent_as_it_arrives() {
    let content = content(3 * usize::try_from(WITHHELD_BYTES).expect("small"));
    let mut site = site_without("linux", &content, Limits { blob_patience: SOON, ..Limits::default() });
    let mut socket = connect(site.serving.address());
    socket.write_all(b"GET /linux HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("sends");
    let wanted = site.fetcher.recv().await.expect("it is asked for");
    let mut fill = site.cache.fill(wanted.digest, wanted.size).expect("begins");
    fill.write(&content[..1000]).expect("writes");
    let (mut socket, mut answer) = site
        .beside(move |_| {
            let mut answer = Vec::new();
            while !answer.windows(4).any(|window| window == b"\r\n\r\n") || answer.len() < 1200 {
                let mut piece = [0; 4096];
                let read = socket.read(&mut piece).expect("the first bytes come before the last are there");
                assert!(read > 0, "closed early");
                answer.extend_from_slice(&piece[..read]);
            }
            (socket, answer)
        })
        .await;
    fill.write(&content[1000..]).expect("writes");
    fill.finish().expect("publishes");
    site.beside(move |_| {
        socket.read_to_end(&mut answer).expect("reads");
        assert!(answer.ends_with(&content));
    })
    .await;
    assert_eq!(site.told().await, told("linux", 3 * WITHHELD_BYTES));
}

/// Asks for an arriving blob of three times the withheld size, lets `end` act on its fill once the answer has begun, and
/// gives how many bytes of the body came until the connection was closed, and what was told.
async fn cut_short(limits: Limits, end: impl FnOnce(Fill, &[u8])) -> (usize, u64, Option<String>) {
    let content = content(3 * usize::try_from(WITHHELD_BYTES).expect("small"));
    let mut site = site_without("linux", &content, Limits { blob_patience: SOON, ..limits });
    let mut socket = connect(site.serving.address());
    socket.write_all(b"GET /linux HTTP/1.1\r\nHost: x\r\n\r\n").expect("sends");
    let wanted = site.fetcher.recv().await.expect("it is asked for");
    let fill = site.cache.fill(wanted.digest, wanted.size).expect("begins");
    let mut socket = site.beside(|_| until_body(socket)).await;
    end(fill, &content);
    let came = site.beside(move |_| {
        let mut body = Vec::new();
        // A reset is a close too.
        let _ = socket.read_to_end(&mut body);
        body
    });
    let came = came.await;
    assert!(came.len() < content.len());
    let (_, bytes, broken) = site.told().await;
    (came.len(), bytes, broken)
}

/// Reads an answer's head, byte by byte.
fn until_body(mut socket: TcpStream) -> TcpStream {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).expect("the head comes before the body");
        head.push(byte[0]);
    }
    socket
}

#[tokio::test]
async fn a_wrong_digest_ends_the_body_short() {
    let (came, bytes, broken) = cut_short(limits(), |mut fill, content| {
        fill.write(&content[1..]).expect("writes");
        fill.write(b"x").expect("writes");
        fill.finish().expect_err("wrong digest");
    })
    .await;
    assert!(came as u64 <= 2 * WITHHELD_BYTES, "the end is withheld: {came}");
    assert!(bytes <= 2 * WITHHELD_BYTES, "{bytes}");
    assert_eq!(broken.as_deref(), Some("the blob that arrived is not the one that the plan names"));
}

#[tokio::test]
async fn a_fill_that_is_given_up_ends_the_body_short() {
    let (came, bytes, broken) = cut_short(limits(), |mut fill, content| {
        fill.write(&content[..1000]).expect("writes");
    })
    .await;
    assert!(came <= 1000 && bytes <= 1000);
    assert_eq!(broken.as_deref(), Some("the blob stopped arriving"));
}

#[tokio::test]
async fn a_fill_that_stands_still_ends_the_body_short() {
    let mut held = None;
    let limits = Limits { arrival_stall: Duration::from_millis(200), ..limits() };
    let (came, _, broken) = cut_short(limits, |fill, _| held = Some(fill)).await;
    assert_eq!(came, 0);
    assert!(broken.expect("it failed").starts_with("the blob stood still"));
}

#[tokio::test]
async fn a_file_that_shrinks_ends_its_connection_alone() {
    let content = content(MUCH);
    let mut site = site(&[("menu", b"x")], &[("disk.img", &content)], limits());
    let digest = Digest::of(&content).to_string();
    let path = site.dir.path().join("blobs/sha256").join(&digest[..2]).join(&digest);
    let mut socket = connect(site.serving.address());
    socket.write_all(b"GET /disk.img HTTP/1.1\r\nHost: x\r\n\r\n").expect("sends");
    let read = site.beside(move |_| {
        socket.read_exact(&mut [0; 1000]).expect("it begins");
        std::fs::OpenOptions::new()
            .write(true)
            .open(path)
            .and_then(|file| file.set_len(10))
            .expect("shrinks");
        let mut rest = Vec::new();
        socket.read_to_end(&mut rest).map(|read| read + 1000)
    });
    assert!(read.await.is_ok_and(|read| read < MUCH));
    let (name, bytes, broken) = site.told().await;
    assert!(name == "disk.img" && bytes < MUCH as u64);
    assert!(broken.expect("it failed").starts_with("failed to read the file"));
    assert_eq!(site.status("/menu", &[]).await, "200");
}

#[tokio::test]
async fn a_stop_lets_short_answers_end_and_cuts_long_ones() {
    let content = content(MUCH);
    let drain = Duration::from_millis(200);
    let mut site = site(&[], &[("disk.img", &content)], Limits { drain, ..limits() });
    let mut socket = connect(site.serving.address());
    socket.write_all(b"GET /disk.img HTTP/1.1\r\nHost: x\r\n\r\n").expect("sends");
    let socket = site
        .beside(move |_| {
            socket.read_exact(&mut [0; 1000]).expect("it begins");
            socket
        })
        .await;
    site.shutdown.cancel();
    tokio::time::timeout(SOON, site.serving.stopped()).await.expect("it stops soon").expect("no panic");
    let (_, bytes, broken) = site.told().await;
    assert!(bytes < content.len() as u64);
    assert_eq!(broken.as_deref(), Some("the agent stops"));
    drop(socket);
}
