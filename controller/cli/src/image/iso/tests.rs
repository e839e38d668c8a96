//! Images that another writer made, and hostile ones that are made here byte by byte.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use hadris_fs::{Content, Node, Tree};
use hadris_iso::{IsoOptions, sync::write};
use hadris_storage::host::FileDevice;

use crate::image::media::{DEPTH, ENTRIES};
use crate::image::{Media, MediaError};

fn image(path: &Path, options: &IsoOptions) -> u64 {
    let mut tree = Tree::new();
    let kernel = vec![7_u8; 300_000];
    tree.insert("install.amd/vmlinuz", Node::file(Content::bytes(kernel))).expect("inserted");
    tree.insert("install.amd/initrd.gz", Node::file(Content::bytes("ram"))).expect("inserted");
    let file = File::options().read(true).write(true).create(true).truncate(true).open(path).expect("open");
    write(FileDevice::new(file).expect("a device"), &tree, options).expect("written").size()
}

fn paths(media: &Media) -> Vec<(String, u64)> {
    media.files().iter().map(|found| (found.path.clone(), found.size)).collect()
}

#[test]
fn files_of_an_iso_are_listed_and_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("debian.iso");
    for options in [IsoOptions::default().with_rock_ridge(), IsoOptions::default().with_joliet()] {
        image(&path, &options);
        let media = Media::open(&path, "debian.iso").expect("an ISO");
        assert_eq!(
            paths(&media),
            [("install.amd/initrd.gz".into(), 3), ("install.amd/vmlinuz".into(), 300_000)]
        );
        let mut bytes = Vec::new();
        media.read("install.amd/vmlinuz").expect("there").read_to_end(&mut bytes).expect("readable");
        assert!(bytes.len() == 300_000 && bytes.iter().all(|byte| *byte == 7));
    }
}

#[test]
fn a_truncated_iso_is_named_as_such() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cut.iso");
    let size = image(&path, &IsoOptions::default().with_rock_ridge());
    File::options().write(true).open(&path).expect("open").set_len(size - 2_048).expect("cut");
    let error = Media::open(&path, "cut.iso").expect_err("cut off");
    assert!(matches!(error, MediaError::Truncated { .. }), "{error}");
}

#[test]
fn a_mutated_iso_never_panics_and_keeps_to_the_caps() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("hostile.iso");
    image(&path, &IsoOptions::default().with_rock_ridge());
    let good = fs::read(&path).expect("readable");
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut read = 0;
    for _ in 0..500 {
        let mut bytes = good.clone();
        for _ in 0..8 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let place = 32_768 + usize::try_from(seed >> 33).expect("31 bits") % 20_000;
            if let Some(byte) = bytes.get_mut(place) {
                *byte = (seed >> 24).to_le_bytes()[0];
            }
        }
        fs::write(&path, &bytes).expect("written");
        let Ok(media) = Media::open(&path, "hostile.iso") else { continue };
        for found in media.files() {
            assert!(!found.path.split('/').any(|name| name == ".."));
            // None: it says that it is interleaved or compressed.
            let Ok(mut reader) = media.read(&found.path) else { continue };
            let size = std::io::copy(&mut reader, &mut std::io::sink()).expect("within the image");
            assert_eq!(size, found.size, "{}", found.path);
            read += 1;
        }
    }
    assert!(read > 100, "most mutations leave files: {read}");
}

/// A record: of a folder if its flags say so (2).
fn record(name: &[u8], block: u32, size: u32, flags: u8) -> Vec<u8> {
    let mut bytes = vec![0; 33];
    bytes[2..6].copy_from_slice(&block.to_le_bytes());
    bytes[10..14].copy_from_slice(&size.to_le_bytes());
    bytes[25] = flags;
    bytes[32] = u8::try_from(name.len()).expect("short");
    bytes.extend_from_slice(name);
    bytes.resize(bytes.len().next_multiple_of(2), 0);
    bytes[0] = u8::try_from(bytes.len()).expect("short");
    bytes
}

const FOLDER: u8 = 2;
const SECTOR: u32 = 2_048;
/// Where the root's records are, of as many bytes as they need.
const ROOT: u32 = 20;

/// An image whose root has these records, and further sectors behind them.
fn hostile(records: &[Vec<u8>], more: &[Vec<u8>]) -> tempfile::NamedTempFile {
    let mut root = vec![];
    for record in
        [record(&[0], ROOT, SECTOR, FOLDER), record(&[1], ROOT, SECTOR, FOLDER)].iter().chain(records)
    {
        if root.len() % 2_048 + record.len() > 2_048 {
            root.resize(root.len().next_multiple_of(2_048), 0);
        }
        root.extend_from_slice(record);
    }
    root.resize(root.len().next_multiple_of(2_048), 0);
    let size = u32::try_from(root.len()).expect("small");
    let mut bytes = vec![0; 2_048 * ROOT as usize];
    bytes[32_768..32_774].copy_from_slice(b"\x01CD001");
    bytes[32_768 + 128..32_768 + 130].copy_from_slice(&2_048_u16.to_le_bytes());
    bytes[32_768 + 156..32_768 + 190].copy_from_slice(&record(&[0], ROOT, size, FOLDER));
    bytes[34_816..34_822].copy_from_slice(b"\xffCD001");
    bytes.extend(root);
    for sector in more {
        bytes.extend_from_slice(sector);
        bytes.resize(bytes.len().next_multiple_of(2_048), 0);
    }
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), bytes).expect("written");
    file
}

fn refused(records: &[Vec<u8>], more: &[Vec<u8>]) -> String {
    let file = hostile(records, more);
    Media::open(file.path(), "hostile.iso").expect_err("hostile").to_string()
}

#[test]
fn plain_names_are_in_lower_case_and_a_file_of_several_extents_is_one() {
    let parts =
        [record(b"BOOT.WIM;1", 21, 2_048, 0x80), record(b"BOOT.WIM;1", 22, 3, 0), record(b"E.;1", 0, 0, 0)];
    let file = hostile(&parts, &[vec![1; 2_048], vec![2; 3]]);
    let media = Media::open(file.path(), "a.iso").expect("well made");
    assert_eq!(paths(&media), [("boot.wim".into(), 2_051), ("e".into(), 0)]);
    let mut bytes = Vec::new();
    media.read("boot.wim").expect("there").read_to_end(&mut bytes).expect("readable");
    assert_eq!(bytes, [vec![1; 2_048], vec![2; 3]].concat());
}

#[test]
fn a_folder_within_itself_is_named() {
    let error = refused(&[record(b"AGAIN", ROOT, SECTOR, FOLDER)], &[]);
    assert!(error.contains("\"again\""), "{error}");
    let below = record(b"UP", ROOT + 1, SECTOR, FOLDER);
    let error = refused(&[record(b"DOWN", ROOT + 1, SECTOR, FOLDER)], &[below]);
    assert!(error.contains("\"down/up\""), "{error}");
}

#[test]
fn names_that_lead_elsewhere_and_names_twice_are_refused() {
    for name in [&b"..;1"[..], b"/ETC;1", b"A/../B;1", b"A\\B;1", b"A\nB;1", b";1"] {
        let file = hostile(&[record(name, 0, 0, 0)], &[]);
        let error = Media::open(file.path(), "hostile.iso").expect_err("hostile");
        assert!(matches!(error, MediaError::Name { .. }), "{error}");
    }
    let error = refused(&[record(b"A;1", 0, 0, 0), record(b"a;1", 0, 0, 0)], &[]);
    assert!(error.contains("a is there twice"), "{error}");
}

#[test]
fn what_lies_behind_the_end_is_named() {
    let error = refused(&[record(b"KERNEL;1", 900, 10, 0)], &[]);
    assert!(error.contains("kernel") && error.contains("behind the end"), "{error}");
    let error = refused(&[record(b"KERNEL;1", ROOT, u32::MAX, 0)], &[]);
    assert!(error.contains("kernel") && error.contains("behind the end"), "{error}");
    let error = refused(&[record(b"DEEP", u32::MAX, SECTOR, FOLDER)], &[]);
    assert!(error.contains("\"deep\""), "{error}");
    let error = refused(&[record(b"HUGE", ROOT + 1, u32::MAX, FOLDER)], &[vec![0]]);
    assert!(error.contains("\"huge\""), "{error}");
}

#[test]
fn entries_and_depth_are_bounded() {
    let names = (0..=ENTRIES).map(|n| record(format!("{n:08}").as_bytes(), 0, 0, 0));
    let file = hostile(&names.collect::<Vec<_>>(), &[]);
    assert!(matches!(Media::open(file.path(), "a.iso"), Err(MediaError::TooMany)));
    let depth = u32::try_from(DEPTH).expect("small");
    let folders =
        |last: u32| -> Vec<_> { (2..=last).map(|n| record(b"D", ROOT + n, SECTOR, FOLDER)).collect() };
    let first = record(b"D", ROOT + 1, SECTOR, FOLDER);
    let error = refused(std::slice::from_ref(&first), &folders(depth + 2));
    assert!(error.contains("folders deep"), "{error}");
    let file = hostile(&[first], &[folders(depth), vec![vec![0]]].concat());
    Media::open(file.path(), "a.iso").expect("as deep as may be");
}

#[test]
fn a_broken_record_is_named_with_its_folder() {
    let mut broken = record(b"A", 0, 0, 0);
    broken[32] = 99;
    let error = refused(&[record(b"SUB", ROOT + 1, SECTOR, FOLDER)], &[broken]);
    assert!(error.contains("the folder \"sub\" has a broken record"), "{error}");
}
