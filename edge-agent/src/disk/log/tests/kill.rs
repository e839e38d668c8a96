//! A child process that commits numbered records is killed at a random moment, again and again.

use std::io::Write;
use std::time::Duration;

use super::*;
use crate::disk::killed;

const CHILD: &str = "disk::log::tests::kill::child_that_appends_until_killed";

/// Not a test of its own: does nothing unless the test below started it.
#[test]
fn child_that_appends_until_killed() {
    let Some(directory) = killed::directory() else { return };
    let (mut ledger, opened, records) = read_with(&directory, ahead()).expect("opens after a kill");
    let mut number = records.last().map_or(0, |last| parse(last) + 1);
    let mut out = std::io::stdout().lock();
    writeln!(out, "ledger: torn {}", opened.torn_bytes).expect("the parent reads");
    loop {
        let group = number..number + 1 + number % 5;
        group.clone().for_each(|n| ledger.append(TAG, &n.to_le_bytes()).expect("append"));
        ledger.commit().expect("commit");
        number = group.end;
        writeln!(out, "ledger: committed {}", number - 1).expect("the parent reads");
        if ledger.needs_snapshot() {
            let state = (number - 1).to_le_bytes();
            ledger.compact([(TAG, state)]).expect("compact");
        }
    }
}

fn parse(body: &[u8]) -> u64 {
    u64::from_le_bytes(body.try_into().expect("eight bytes"))
}

/// The last number that a child which lived so long called committed.
fn run_and_kill(directory: &Path, lifetime: Duration) -> Option<u64> {
    let told = killed::run_and_kill(CHILD, directory, ("ledger: ", 1), lifetime);
    told.iter().filter_map(|line| line.strip_prefix("ledger: committed ")?.parse().ok()).next_back()
}

#[test]
fn kill_9_loses_nothing_that_was_committed() {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut committed = 0;
    for round in 0..killed::rounds() {
        // Odd lifetimes below 100 ms, so that kills fall on different steps.
        let lifetime = Duration::from_micros(3_000 + (round * 7_919) % 90_000);
        committed = run_and_kill(dir.path(), lifetime).unwrap_or(committed);
        let numbers: Vec<u64> = read_records(dir.path()).iter().map(|body| parse(body)).collect();
        let last = numbers.last().copied().unwrap_or(0);
        assert!(last >= committed, "round {round}: {committed} was committed, {last} is there");
        assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "round {round}: a gap in {numbers:?}");
        committed = last;
    }
    assert!(committed > 0, "no child committed anything");
}
