//! Torn tails, flipped bits, missing and foreign segments.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::segment::{list, path_of};
use super::super::{Damage, Problem, salvage};
use super::*;

/// All files of a ledger with their content.
fn image(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let numbers = list(directory).expect("list").segments;
    let paths = numbers.into_iter().map(|number| path_of(directory, number));
    paths.map(|path| (path.clone(), fs::read(path).expect("read"))).collect()
}

fn restore(image: &[(PathBuf, Vec<u8>)], directory: &Path) {
    for number in list(directory).expect("list").segments {
        fs::remove_file(path_of(directory, number)).expect("remove");
    }
    image.iter().for_each(|(path, bytes)| fs::write(path, bytes).expect("write"));
}

#[test]
fn a_tail_torn_at_every_byte_loses_only_what_was_torn() {
    let dir = tempfile::tempdir().expect("tempdir");
    write_ledger(dir.path(), 3, false);
    let before = image(dir.path());
    let (path, whole) = before.last().expect("a segment");
    let last_frame = 9 + numbered(2..3)[0].len();
    for cut in 1..=last_frame {
        restore(&before, dir.path());
        fs::write(path, &whole[..whole.len() - cut]).expect("cut");
        let (mut ledger, opened, records) = read(dir.path()).expect("a torn tail is no damage");
        assert_eq!(records, numbered(0..2), "cut by {cut}");
        assert_eq!(opened.torn_bytes, (last_frame - cut) as u64);
        commit_one(&mut ledger, b"goes on");
        drop(ledger);
        let (_ledger, opened, records) = read(dir.path()).expect("opens");
        assert_eq!(records.last().map(Vec::as_slice), Some(&b"goes on"[..]));
        assert_eq!(opened.torn_bytes, 0, "the tail was cut off, not left behind what follows");
    }
}

#[test]
fn a_hole_inside_the_last_commit_is_a_torn_tail() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (mut ledger, ..) = read(dir.path()).expect("new");
    commit_one(&mut ledger, b"durable");
    let start = fs::metadata(path_of(dir.path(), 1)).expect("metadata").len() as usize;
    numbered(0..4).iter().for_each(|body| ledger.append(TAG, body).expect("append"));
    ledger.commit().expect("commit");
    drop(ledger);
    let mut bytes = fs::read(path_of(dir.path(), 1)).expect("read");
    // A power cut wrote the later pages of the commit, and not the first.
    bytes[start..start + 30].fill(0);
    fs::write(path_of(dir.path(), 1), &bytes).expect("write");
    let (_ledger, opened, records) = read(dir.path()).expect("opens");
    assert_eq!(records, [b"durable"]);
    assert_eq!(opened.torn_bytes, (bytes.len() - start) as u64);
}

/// Opens after one flipped bit: an error, or less of the tail, and never other data.
fn flip_everywhere(closed: bool) {
    let dir = tempfile::tempdir().expect("tempdir");
    write_ledger(dir.path(), 18, closed);
    let before = image(dir.path());
    assert!(before.len() >= 3, "three segments");
    let records = numbered(0..18);
    let (mut damaged, mut torn) = (0, 0);
    for (path, bytes) in &before {
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            fs::write(path, &flipped).expect("write");
            match read(dir.path()) {
                Err(OpenError::Damaged { file, offset, .. }) => {
                    damaged += 1;
                    assert_eq!(&file, path);
                    assert!(offset <= at as u64, "{offset} is behind the flip at {at}");
                    assert_eq!(fs::read(path).expect("read"), flipped, "nothing is changed");
                }
                Err(error) => panic!("{} byte {at}: {error:?}", path.display()),
                Ok((_, opened, found)) => {
                    torn += 1;
                    assert!(opened.torn_bytes > 0, "accepted: {} byte {at}", path.display());
                    let kept = if closed { &records[..] } else { &records[..17] };
                    assert_eq!(found, kept, "{} byte {at}", path.display());
                }
            }
            restore(&before, dir.path());
        }
    }
    // Only the tail frame may be taken for torn: the last record's, or the closing mark.
    let tail = if closed { 9 } else { 9 + records[17].len() };
    let all: usize = before.iter().map(|(_, bytes)| bytes.len()).sum();
    assert_eq!((damaged, torn), (all - tail, tail));
}

#[test]
fn a_bit_flip_anywhere_is_damage_or_a_torn_tail() {
    flip_everywhere(false);
}

#[test]
fn a_bit_flip_after_a_clean_stop_never_costs_a_record() {
    flip_everywhere(true);
}

#[test]
fn a_segment_cut_anywhere_but_the_last_is_damage() {
    let dir = tempfile::tempdir().expect("tempdir");
    write_ledger(dir.path(), 20, true);
    let before = image(dir.path());
    for (path, bytes) in &before[..before.len() - 1] {
        for length in 0..bytes.len() {
            fs::write(path, &bytes[..length]).expect("cut");
            let error = read(dir.path()).expect_err("damage");
            assert!(matches!(&error, OpenError::Damaged { file, .. } if file == path), "{error:?}");
        }
        restore(&before, dir.path());
    }
}

#[test]
fn a_missing_segment_is_named() {
    let dir = tempfile::tempdir().expect("tempdir");
    write_ledger(dir.path(), 30, true);
    let before = image(dir.path());
    for (path, _) in &before[..before.len() - 1] {
        fs::remove_file(path).expect("remove");
        let error = read(dir.path()).expect_err("missing");
        // Without the first the ledger begins nowhere.
        assert!(matches!(&error, OpenError::MissingSegment { file } if file == path), "{error:?}");
        restore(&before, dir.path());
    }
}

#[test]
fn a_segment_of_another_ledger_is_refused() {
    let dir = tempfile::tempdir().expect("tempdir");
    let other = tempfile::tempdir().expect("tempdir");
    write_ledger(dir.path(), 20, true);
    let foreign = Options { incarnation_if_new: Incarnation([9; 16]), ..options() };
    let (mut ledger, _) = Ledger::open(other.path(), foreign, &mut |_| Ok(())).expect("new");
    numbered(0..20).iter().for_each(|body| commit_one(&mut ledger, body));
    drop(ledger);
    fs::copy(path_of(other.path(), 2), path_of(dir.path(), 2)).expect("copy");
    let error = read(dir.path()).expect_err("foreign");
    assert!(matches!(error, OpenError::WrongIncarnation { .. }), "{error:?}");
}

#[test]
fn a_segment_under_another_number_is_refused() {
    let dir = tempfile::tempdir().expect("tempdir");
    write_ledger(dir.path(), 20, true);
    fs::copy(path_of(dir.path(), 1), path_of(dir.path(), 2)).expect("copy");
    let error = read(dir.path()).expect_err("renumbered");
    let number = Damage::Number { found: 1 };
    assert!(matches!(error, OpenError::Damaged { source, .. } if source == number), "{error:?}");
}

#[test]
fn a_later_format_is_left_to_its_version() {
    let dir = tempfile::tempdir().expect("tempdir");
    write_ledger(dir.path(), 1, true);
    let path = path_of(dir.path(), 1);
    let mut bytes = fs::read(&path).expect("read");
    bytes[8] = 2;
    let crc = crc32c::crc32c(&bytes[..40]).to_le_bytes();
    bytes[40..44].copy_from_slice(&crc);
    fs::write(&path, bytes).expect("write");
    let error = read(dir.path()).expect_err("too new");
    assert!(matches!(error, OpenError::Version { found: 2, .. }), "{error:?}");
}

#[test]
fn salvage_reads_up_to_the_damage_and_changes_nothing() {
    let dir = tempfile::tempdir().expect("tempdir");
    write_ledger(dir.path(), 20, true);
    let path = path_of(dir.path(), 2);
    let mut bytes = fs::read(&path).expect("read");
    bytes[60] ^= 1;
    fs::write(&path, bytes).expect("write");
    let before = image(dir.path());
    let mut records = Vec::new();
    let salvaged = salvage(dir.path(), &mut |record| {
        records.push(record.body.to_vec());
        Ok(())
    });
    let salvaged = salvaged.expect("readable");
    assert_eq!(salvaged.records as usize, records.len());
    assert!(!records.is_empty() && records == numbered(0..20)[..records.len()]);
    let damage = salvaged.damage.expect("found");
    let checksum = Damage::Frame(Problem::Checksum);
    assert!(matches!(damage, OpenError::Damaged { source, .. } if source == checksum), "{damage:?}");
    assert_eq!(image(dir.path()), before);
}
