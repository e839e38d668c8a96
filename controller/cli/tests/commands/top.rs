//! `bootlane top`: as text, and on a terminal that it must give back.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use predicates::prelude::*;
use predicates::str::contains;
use proto::v1;
use serde_json::json;

use crate::fleet::Fleet;

/// Xterm's control sequences: to the other screen, and back.
const TAKEN: &str = "\u{1b}[?1049h";
const GIVEN_BACK: &str = "\u{1b}[?1049l";
const BOUND: Duration = Duration::from_secs(30);

fn furnished() -> Fleet {
    let fleet = Fleet::start();
    fleet
        .catalog
        .put(json!({"kind": "Site", "name": "lyon", "spec": {}, "status": {"plan": "1.7/aabbccdd"}}));
    fleet.catalog.put(json!({"kind": "Agent", "name": "lyon-1", "spec": {"site": "lyon"},
        "status": {"connected": true, "applied": "1.7/aabbccdd", "leases": 12}}));
    let boot =
        v1::BootSummary { host: "web-1".into(), outcome: "failed".into(), ..v1::BootSummary::default() };
    fleet.catalog.boots.lock().expect("whole").push(boot);
    fleet
}

#[test]
fn one_picture_is_plain_text() {
    let fleet = furnished();
    let told = contains("acme: 1 agent online").and(contains("lyon-1")).and(contains("newest"));
    fleet.bootlane(["top", "--once"]).assert().success().stdout(told.and(contains("\u{1b}").not()));
    fleet.bootlane(["top"]).assert().code(2).stderr(contains("no terminal").and(contains("--once")));
}

/// It on a terminal of its own, which util-linux's `script` makes.
struct Terminal {
    script: Child,
    output: mpsc::Receiver<Vec<u8>>,
    seen: String,
}

impl Terminal {
    fn open(fleet: &Fleet) -> Self {
        // Where `script` itself stands on none, the terminal that it makes has no size.
        let top = format!("stty rows 40 columns 120 && exec {} top", env!("CARGO_BIN_EXE_bootlane"));
        let mut script = Command::new("script")
            .args(["--quiet", "--return", "--command", &top, "/dev/null"])
            .env("BOOTLANE_CREDENTIAL", fleet.credential_file())
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("util-linux is there");
        let mut stdout = script.stdout.take().expect("piped");
        let (out, output) = mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4_096];
            while let Ok(length @ 1..) = stdout.read(&mut buffer) {
                if out.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        let mut terminal = Self { script, output, seen: String::new() };
        terminal.await_text("lyon-1");
        assert!(terminal.seen.contains(TAKEN) && !terminal.seen.contains(GIVEN_BACK), "{:?}", terminal.seen);
        terminal
    }

    fn await_text(&mut self, text: &str) {
        let end = Instant::now() + BOUND;
        while !self.seen.contains(text) {
            let rest = end.saturating_duration_since(Instant::now());
            let bytes =
                self.output.recv_timeout(rest).unwrap_or_else(|_| panic!("no {text:?} in {:?}", self.seen));
            self.seen.push_str(&String::from_utf8_lossy(&bytes));
        }
    }

    /// The program that `script` has started.
    fn program(&self) -> String {
        let id = self.script.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).expect("it runs");
        children.split_whitespace().next().expect("one child").to_owned()
    }

    fn must_be_given_back(mut self) {
        self.await_text(GIVEN_BACK);
        assert!(self.script.wait().expect("it ends").success());
    }
}

#[test]
fn the_terminal_is_given_back_at_a_key_and_at_a_signal() {
    let fleet = furnished();
    for signal in ["TERM", "HUP", "INT"] {
        let terminal = Terminal::open(&fleet);
        let kill = Command::new("kill").args([&format!("-{signal}"), &terminal.program()]).status();
        assert!(kill.expect("there is kill").success());
        terminal.must_be_given_back();
    }
    let mut terminal = Terminal::open(&fleet);
    let mut keys = terminal.script.stdin.take().expect("piped");
    std::io::Write::write_all(&mut keys, b"q").expect("taken");
    terminal.must_be_given_back();
}
