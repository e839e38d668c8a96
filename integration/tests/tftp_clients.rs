//! The agent's TFTP server on loopback, and the clients that Debian has: tftp-hpa, atftp, curl and busybox.
//!
//! Each fetches files of every size around the borders of its blocks, in every way that it knows, and once a file with
//! more blocks than there are numbers. A client that is not installed fails its test: `cargo lab setup` installs them.

use std::cell::Cell;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU8;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use edge_agent::tftp::{
    self, Answer, Config, ErrorCode, EventKind, Library, Name, Refusal, Source, TftpEvent,
};
use netboot::tftp::Rate;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// One more block of 512 bytes than there are numbers, and a short one.
const WRAP: usize = 65_536 * 512 + 7;

#[tokio::test(flavor = "multi_thread")]
async fn tftp_hpa() {
    let site = Site::new();
    let get = |site: &Site, size: usize| {
        let (host, port) = site.place();
        let remote = format!("/{size}");
        site.fetch(size, "tftp", |local| {
            strings(&["-m", "binary", &host, &port, "-c", "get", &remote, local])
        });
    };
    sizes(512).into_iter().for_each(|size| get(&site, size));
    get(&site, WRAP);
    site.ended_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn atftp() {
    let site = Site::new();
    let ways: [&[&str]; 6] = [
        &[],
        &["blksize 1428"],
        &["blksize 1024", "tsize 0"],
        &["blksize 65464"],
        &["blksize 1428", "windowsize 8"],
        &["blksize 512", "windowsize 64", "timeout 2"],
    ];
    for options in ways {
        sizes(1428).into_iter().for_each(|size| atftp_gets(&site, size, options));
    }
    atftp_gets(&site, WRAP, &[]);
    atftp_gets(&site, WRAP, &["windowsize 16"]);
    site.ended_well().await;
}

fn atftp_gets(site: &Site, size: usize, options: &[&str]) {
    let (host, port) = site.place();
    site.fetch(size, "atftp", |local| {
        let mut words = strings(&["--get", "-l", local, "-r", &size.to_string()]);
        words.extend(options.iter().flat_map(|option| strings(&["--option", option])));
        words.extend(strings(&[&host, &port]));
        words
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn curl() {
    let site = Site::new();
    let get = |site: &Site, size: usize, options: &[&str]| {
        let url = format!("tftp://{}/{size}", site.address());
        site.fetch(size, "curl", |local| {
            [strings(&["-sS", "--max-time", "120", "-o", local]), strings(options), strings(&[&url])].concat()
        });
    };
    for options in [&["--tftp-blksize", "1428"][..], &["--tftp-blksize", "65464"], &["--tftp-no-options"]] {
        for size in sizes(1428) {
            // Curl itself refuses an option acknowledgement that says tsize 0.
            if size > 0 || options == ["--tftp-no-options"] {
                get(&site, size, options);
            }
        }
    }
    get(&site, WRAP, &["--tftp-no-options"]);
    site.ended_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn busybox() {
    let site = Site::new();
    let get = |site: &Site, size: usize, block: &str| {
        let ((host, port), remote) = (site.place(), size.to_string());
        site.fetch(size, "busybox", |local| {
            strings(&["tftp", "-g", "-b", block, "-r", &remote, "-l", local, &host, &port])
        });
    };
    for block in ["512", "1428", "65464"] {
        sizes(1428).into_iter().for_each(|size| get(&site, size, block));
    }
    get(&site, WRAP, "512");
    site.ended_well().await;
}

/// Around the borders of blocks of 512, 1024 and `block` bytes.
fn sizes(block: usize) -> Vec<usize> {
    let around = |border: usize| [border - 1, border, border + 1];
    let borders = [512, 1024, block, 3 * block, 16 * block];
    let mut sizes = [vec![0, 1, 100_000], borders.into_iter().flat_map(around).collect()].concat();
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// A server for which every number is the name of a file of so many bytes.
struct Site {
    serving: tftp::Serving,
    events: mpsc::Receiver<TftpEvent>,
    folder: tempfile::TempDir,
    /// How many files were fetched.
    fetches: Cell<u32>,
}

struct Numbers;

impl Library for Numbers {
    async fn open(&self, _peer: SocketAddr, name: &Name) -> Answer {
        let size = name.as_str().parse::<usize>();
        let refused = Refusal::Answer { code: ErrorCode::FILE_NOT_FOUND, message: "no number".to_owned() };
        size.map(|size| Source::Bytes(content(size).into())).map_err(|_| refused).into()
    }
}

impl Site {
    fn new() -> Self {
        let slots = NonZeroU8::new(4).expect("4 is not zero");
        let sockets =
            tftp::Sockets::bind(Ipv4Addr::LOCALHOST, 0, slots, slots).expect("loopback has free ports");
        let (events_in, events) = mpsc::channel(10_000);
        // All clients come from one address, one after the other and quicker than machines do.
        let config =
            Config { requests_per_source: Rate { burst: 10_000, per_second: 10_000 }, ..Config::default() };
        let serving = tftp::serve(sockets, config, Arc::new(Numbers), events_in, CancellationToken::new());
        let folder = tempfile::tempdir().expect("a folder");
        Self { serving: serving.expect("it starts"), events, folder, fetches: Cell::default() }
    }

    fn address(&self) -> SocketAddr {
        self.serving.address()
    }

    fn place(&self) -> (String, String) {
        (self.address().ip().to_string(), self.address().port().to_string())
    }

    /// Runs a client that writes to the file which it is given.
    fn fetch(&self, size: usize, program: &str, words: impl FnOnce(&str) -> Vec<String>) {
        self.fetches.set(self.fetches.get() + 1);
        let local = self.folder.path().join("fetched");
        drop(fs::remove_file(&local));
        let words = words(local.to_str().expect("a plain path"));
        let mut command = Command::new(program);
        let output = command.args(&words).stdin(Stdio::null()).output();
        let output = output.unwrap_or_else(|error| panic!("{program}: {error}: run `cargo lab setup`"));
        let said = [output.stdout.as_slice(), &output.stderr].concat();
        let told = || format!("{program} {words:?} ({}): {}", output.status, String::from_utf8_lossy(&said));
        assert!(output.status.success(), "{}", told());
        let fetched = fs::read(&local).unwrap_or_else(|error| panic!("{error}: {}", told()));
        assert!(fetched == content(size), "{} bytes of {size}: {}", fetched.len(), told());
    }

    /// Every fetch was one transfer, acknowledged to its last block, and nothing was dropped.
    async fn ended_well(mut self) {
        let mut completed = 0;
        while completed < self.fetches.get() {
            let event = tokio::time::timeout(Duration::from_secs(20), self.events.recv()).await;
            let event = event.expect("each transfer ends soon").expect("the server runs");
            match event.kind {
                EventKind::Began { .. } => {}
                EventKind::Completed { .. } => completed += 1,
                other @ (EventKind::Probed
                | EventKind::Aborted { .. }
                | EventKind::Refused { .. }
                | EventKind::Failed { .. }) => panic!("{}: {other:?}", event.name),
            }
        }
        assert_eq!(self.serving.dropped().packets.malformed, 0);
    }
}

/// No two neighbouring blocks alike.
fn content(size: usize) -> Vec<u8> {
    (0..size).map(|at| u8::try_from((at + at / 251 + at / 65_521) % 256).expect("a byte")).collect()
}
