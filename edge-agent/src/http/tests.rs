//! The server on loopback, with a table for a desk: a client of our own, and the real one, curl (its package must be
//! installed).

mod arriving;
mod clients;
mod files;
mod lines;
mod requests;
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
/// More than sockets hold.
const MUCH: usize = 24 << 20;

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
