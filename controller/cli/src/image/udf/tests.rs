//! Images that are made here block by block, good and hostile.

use std::fs;
use std::io::Read as _;

use super::descriptor::{Tag, crc};
use crate::image::{Media, MediaError};

const BLOCK: usize = 2_048;
/// Where the partition begins, in blocks.
const START: usize = 257;
const FOLDER: u8 = 4;
const FILE: u8 = 5;

/// A descriptor with a right tag.
fn tagged(tag: Tag, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 16];
    bytes[..2].copy_from_slice(&(tag as u16).to_le_bytes());
    bytes[2] = 2;
    bytes[8..10].copy_from_slice(&crc(body).to_le_bytes());
    bytes[10..12].copy_from_slice(&u16::try_from(body.len()).expect("short").to_le_bytes());
    bytes[4] = bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte));
    bytes.extend_from_slice(body);
    bytes
}

/// A body of so many bytes, tag included, with these numbers at their places.
fn body(size: usize, parts: &[(usize, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0; size];
    for (at, part) in parts {
        bytes[*at..at + part.len()].copy_from_slice(part);
    }
    bytes.split_off(16)
}

fn long(length: u32, block: u32, partition: u16) -> Vec<u8> {
    [&length.to_le_bytes()[..], &block.to_le_bytes(), &partition.to_le_bytes(), &[0; 6]].concat()
}

fn short(length: u32, block: u32) -> Vec<u8> {
    [length.to_le_bytes(), block.to_le_bytes()].concat()
}

/// An entry of a file of this kind and length, whose allocation descriptors have this form (3: its bytes).
fn entry(kind: u8, length: u64, form: u8, descriptors: &[u8]) -> Vec<u8> {
    let size = u32::try_from(descriptors.len()).expect("short");
    let parts: &[(usize, &[u8])] =
        &[(20, &[4]), (27, &[kind]), (34, &[form]), (56, &length.to_le_bytes()), (172, &size.to_le_bytes())];
    tagged(Tag::File, &[body(176, parts), descriptors.to_vec()].concat())
}

/// The same with its bytes in it.
fn embedded(kind: u8, bytes: &[u8]) -> Vec<u8> {
    entry(kind, bytes.len() as u64, 3, bytes)
}

fn extended(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let size = u32::try_from(bytes.len()).expect("short");
    let length = (bytes.len() as u64).to_le_bytes();
    let parts: &[(usize, &[u8])] =
        &[(20, &[4]), (27, &[kind]), (34, &[3]), (56, &length), (212, &size.to_le_bytes())];
    tagged(Tag::ExtendedFile, &[body(216, parts), bytes.to_vec()].concat())
}

/// What a folder says of one of its own: 2, of a folder; 4, deleted; 8, its parent.
fn identifier(name: &str, characteristics: u8, block: u32, partition: u16) -> Vec<u8> {
    let name = if name.is_empty() { vec![] } else { [b"\x08", name.as_bytes()].concat() };
    let length = u8::try_from(name.len()).expect("short");
    let address = long(2_048, block, partition);
    let parts: &[(usize, &[u8])] = &[(18, &[characteristics]), (19, &[length]), (20, &address)];
    let mut body = [body(38, parts), name].concat();
    body.resize((body.len() + 16).next_multiple_of(4) - 16, 0);
    tagged(Tag::Identifier, &body)
}

/// A type 1 map, of partition 0.
const PLAIN: &[u8] = &[1, 6, 1, 0, 0, 0];

/// An image with these partition maps, its file set in the last, and these blocks in its partition.
fn image(maps: &[&[u8]], blocks: &[Vec<u8>]) -> tempfile::NamedTempFile {
    let mut bytes = vec![0; START * BLOCK];
    let mut put = |sector: usize, part: &[u8]| {
        bytes[sector * BLOCK..sector * BLOCK + part.len()].copy_from_slice(part);
    };
    put(16, b"\0BEA01\x01");
    put(17, b"\0NSR03\x01");
    put(18, b"\0TEA01\x01");
    let start = u32::try_from(START).expect("small").to_le_bytes();
    put(32, &tagged(Tag::Partition, &body(512, &[(188, &start)])));
    let file_set = long(2_048, 0, u16::try_from(maps.len() - 1).expect("few"));
    let maps = maps.concat();
    let size = u32::try_from(maps.len()).expect("short").to_le_bytes();
    let parts: &[(usize, &[u8])] = &[(212, &[0, 8]), (248, &file_set), (264, &size)];
    put(33, &tagged(Tag::LogicalVolume, &[body(440, parts), maps].concat()));
    put(34, &tagged(Tag::End, &body(512, &[])));
    let sequence = [&(16 * 2_048_u32).to_le_bytes()[..], &32_u32.to_le_bytes()].concat();
    put(256, &tagged(Tag::Anchor, &body(512, &[(16, &sequence)])));
    for block in blocks {
        bytes.extend_from_slice(block);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    }
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), bytes).expect("written");
    file
}

fn file_set(block: u32, partition: u16) -> Vec<u8> {
    tagged(Tag::FileSet, &body(512, &[(400, &long(2_048, block, partition))]))
}

/// A plain partition: the file set, the root with these identifiers, and what else there is.
fn plain(identifiers: &[Vec<u8>], more: &[Vec<u8>]) -> tempfile::NamedTempFile {
    let root =
        embedded(FOLDER, &[vec![identifier("", 0b1010, 1, 0)], identifiers.to_vec()].concat().concat());
    image(&[PLAIN], &[vec![file_set(1, 0), root], more.to_vec()].concat())
}

fn contents(file: &tempfile::NamedTempFile) -> Vec<(String, Vec<u8>)> {
    let media = Media::open(file.path(), "a.iso").expect("well made");
    let read = |path: &str| {
        let mut bytes = Vec::new();
        media.read(path).expect("there").read_to_end(&mut bytes).expect("readable");
        bytes
    };
    media.files().iter().map(|found| (found.path.clone(), read(&found.path))).collect()
}

fn refused(file: &tempfile::NamedTempFile) -> MediaError {
    Media::open(file.path(), "hostile.iso").expect_err("hostile")
}

#[test]
fn files_by_each_form_of_allocation_descriptors() {
    let identifiers = [
        identifier("embedded", 0, 2, 0),
        identifier("short", 0, 3, 0),
        identifier("long", 0, 4, 0),
        identifier("gone", 0b100, 9, 0),
        identifier("sources", 0b10, 5, 0),
    ];
    let hole = 1_u32 << 30;
    let file = plain(
        &identifiers,
        &[
            extended(FILE, b"here"),
            entry(FILE, 2_051, 0, &[short(2_048, 7), short(2_048, 8)].concat()),
            entry(FILE, 10, 1, &[long(4, 8, 0), long(hole | 2, 0, 0), long(4, 8, 0)].concat()),
            embedded(FOLDER, &identifier("boot.wim", 0, 6, 0)),
            embedded(FILE, b"WIM"),
            vec![1; 2_048],
            b"abcd".to_vec(),
        ],
    );
    let expected = [
        ("embedded".to_owned(), b"here".to_vec()),
        ("long".to_owned(), b"abcd\0\0abcd".to_vec()),
        ("short".to_owned(), [vec![1; 2_048], b"abc".to_vec()].concat()),
        ("sources/boot.wim".to_owned(), b"WIM".to_vec()),
    ];
    assert_eq!(contents(&file), expected);
}

#[test]
fn allocation_descriptors_go_on_elsewhere_and_end() {
    let go_on = |block: u32| short(3 << 30 | 2_048, block);
    let more = |descriptors: Vec<u8>| {
        let size = u32::try_from(descriptors.len()).expect("short").to_le_bytes();
        tagged(Tag::Allocation, &[body(24, &[(20, &size)]), descriptors].concat())
    };
    let first = entry(FILE, 4, 0, &[short(2, 4), go_on(3)].concat());
    let file = plain(&[identifier("a", 0, 2, 0)], &[first.clone(), more(short(2, 4)), b"xy".to_vec()]);
    assert_eq!(contents(&file), [("a".to_owned(), b"xyxy".to_vec())]);
    let file = plain(&[identifier("a", 0, 2, 0)], &[first, more(go_on(3)), b"xy".to_vec()]);
    let error = refused(&file).to_string();
    assert!(error.contains("\"a\" has allocation descriptors without end"), "{error}");
}

/// UDF 2.2.10: the map of a metadata partition whose file's entry is in this block of partition 0.
fn metadata_map(name: &[u8], block: u8) -> Vec<u8> {
    let mut map = vec![0; 64];
    map[..2].copy_from_slice(&[2, 64]);
    map[5..5 + name.len()].copy_from_slice(name);
    map[40] = block;
    map
}

#[test]
fn a_metadata_partition_is_followed_through_its_file() {
    let map = metadata_map(b"*UDF Metadata Partition", 0);
    // Its blocks 0, 1 and 2 are 3, 1 and 2 of the partition.
    let metadata = entry(250, 6_144, 0, &[short(2_048, 3), short(4_096, 1)].concat());
    let root = extended(FOLDER, &identifier("vmlinuz", 0, 2, 1));
    let kernel = entry(FILE, 6, 1, &long(6, 4, 0));
    let file = image(&[PLAIN, &map], &[metadata, root, kernel, file_set(1, 1), b"kernel".to_vec()]);
    assert_eq!(contents(&file), [("vmlinuz".to_owned(), b"kernel".to_vec())]);
    let map = metadata_map(b"*UDF Virtual Partition", 0);
    let error = refused(&image(&[PLAIN, &map], &[])).to_string();
    assert!(error.contains("*UDF Virtual Partition"), "{error}");
    let map = metadata_map(b"*UDF Metadata Partition", 0);
    refused(&image(&[&map], &[]));
}

#[test]
fn a_folder_within_itself_is_named() {
    let error = refused(&plain(&[identifier("again", 0b10, 1, 0)], &[]));
    assert!(matches!(&error, MediaError::Loop { path } if path == "again"), "{error}");
    let below = embedded(FOLDER, &identifier("up", 0b10, 2, 0));
    let error = refused(&plain(&[identifier("down", 0b10, 2, 0)], &[below]));
    assert!(matches!(&error, MediaError::Loop { path } if path == "down/up"), "{error}");
}

#[test]
fn names_that_lead_elsewhere_and_names_twice_are_refused() {
    for name in ["..", "a/b", "a\\b", "a\nb"] {
        let error = refused(&plain(&[identifier(name, 0, 2, 0)], &[embedded(FILE, b"")]));
        assert!(matches!(error, MediaError::Name { .. }), "{error}");
    }
    let twice = [identifier("a", 0, 2, 0), identifier("a", 0, 2, 0)];
    assert!(matches!(refused(&plain(&twice, &[embedded(FILE, b"")])), MediaError::Twice { .. }));
}

#[test]
fn what_is_not_there_is_named() {
    let with = |entry: Vec<u8>| refused(&plain(&[identifier("kernel", 0, 2, 0)], &[entry])).to_string();
    assert!(with(entry(FILE, 10, 0, &short(10, 900))).contains("the bytes of kernel lie behind the end"));
    assert!(with(entry(FILE, u64::MAX, 0, &short(10, 0))).contains("no place for"));
    assert!(with(entry(FILE, 10, 1, &long(10, 0, 7))).contains("\"kernel\" lies in no partition"));
    assert!(with(entry(FILE, 99, 3, b"abc")).contains("\"kernel\" is longer than its entry"));
    assert!(with(b"no entry".to_vec()).contains("\"kernel\" has no entry"));
    let error = refused(&plain(&[identifier("deep", 0b10, u32::MAX, 0)], &[])).to_string();
    assert!(error.contains("\"deep\""), "{error}");
}

#[test]
fn a_mutated_image_never_panics_and_keeps_to_the_caps() {
    let identifiers = [identifier("a", 0, 2, 0), identifier("b", 0b10, 3, 0)];
    let below = embedded(FOLDER, &identifier("c", 0, 2, 0));
    let file = plain(&identifiers, &[entry(FILE, 4, 0, &short(4, 4)), below, b"abcd".to_vec()]);
    let good = fs::read(file.path()).expect("readable");
    assert_eq!(contents(&file).len(), 2);
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |most: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).expect("31 bits") % most
    };
    let tags = [32, 33, 34, 256, START, START + 1, START + 2, START + 3].map(|sector| sector * BLOCK);
    for _ in 0..2_000 {
        let mut bytes = good.clone();
        let tag = tags[next(tags.len())];
        for _ in 0..4 {
            bytes[tag + next(480)] = next(256).to_le_bytes()[0];
        }
        // Else its checksums would hide what it says.
        seal(&mut bytes[tag..tag + BLOCK]);
        fs::write(file.path(), &bytes).expect("written");
        if let Ok(media) = Media::open(file.path(), "hostile.iso") {
            for found in media.files() {
                // None: it says that it is recorded in another way. A hole may be as long as it likes.
                let Ok(reader) = media.read(&found.path) else { continue };
                std::io::copy(&mut reader.take(1 << 20), &mut std::io::sink()).expect("within the image");
            }
        }
    }
}

/// Makes the tag of a descriptor right.
fn seal(bytes: &mut [u8]) {
    let (tag, body) = bytes.split_at_mut(16);
    let length = usize::from(u16::from_le_bytes([tag[10], tag[11]])).min(body.len());
    tag[8..10].copy_from_slice(&crc(&body[..length]).to_le_bytes());
    tag[4] = 0;
    tag[4] = tag.iter().fold(0, |sum, byte| sum.wrapping_add(*byte));
}
