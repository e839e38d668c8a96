//! Images by the programs that make true ones (`samples/README.md`).

use std::fs;
use std::io::Read as _;

use flate2::read::GzDecoder;

use super::{Media, MediaError};

/// An image, unpacked.
struct Sample {
    file: tempfile::NamedTempFile,
}

impl Sample {
    fn new(packed: &[u8]) -> Self {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let mut bytes = Vec::new();
        GzDecoder::new(packed).read_to_end(&mut bytes).expect("whole");
        fs::write(file.path(), bytes).expect("written");
        Self { file }
    }

    fn open(&self) -> Result<Media, MediaError> {
        Media::open(self.file.path(), "sample.iso")
    }
}

macro_rules! sample {
    ($name:literal) => {
        Sample::new(include_bytes!(concat!("samples/", $name, ".iso.gz")))
    };
}

/// All paths but the one with a long name, whose length comes last.
fn paths(media: &Media) -> (Vec<&str>, Option<usize>) {
    let all = media.files().iter().map(|found| found.path.as_str());
    let (long, paths): (Vec<&str>, Vec<&str>) = all.partition(|path| path.starts_with("nnnn"));
    (paths, long.first().map(|path| path.len()))
}

fn content(media: &Media, path: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    media.read(path).expect("there").read_to_end(&mut bytes).expect("readable");
    bytes
}

const DEEP: &str = "a/b/c/d/e/f/g/h/i/vmlinuz-6.1.0-with-a-long-name";
const TREE: [&str; 4] = ["EFI/BOOT/BOOTX64.EFI", DEEP, "linux", "sources/boot.wim"];

#[test]
fn every_writer_s_names_and_bytes_are_read() {
    for (image, name) in
        [(sample!("rock"), "rock"), (sample!("xorriso"), "xorriso"), (sample!("bridge"), "bridge")]
    {
        let media = image.open().expect(name);
        assert_eq!(paths(&media), (TREE.to_vec(), Some(200)), "{name}");
        assert_eq!(content(&media, "linux"), [b'k'; 5_000], "{name}");
        assert_eq!(content(&media, DEEP), b"kernel", "{name}");
    }
}

#[test]
fn of_two_trees_the_richer_one_is_taken() {
    let image = sample!("windows");
    let media = image.open().expect("UDF beside a readme");
    let (mut paths, _) = paths(&media);
    paths.retain(|path| !["a/link", "readme.txt"].contains(path));
    assert_eq!(paths, TREE);
    assert_eq!(content(&media, "linux"), [b'k'; 5_000]);
    assert_eq!(content(&media, "sources/boot.wim"), b"WIM");
}

#[test]
fn joliet_and_plain_names_are_read() {
    let image = sample!("joliet");
    let media = image.open().expect("joliet");
    assert_eq!(content(&media, "EFI/BOOT/BOOTX64.EFI"), b"x");
    assert_eq!(content(&media, "sources/boot.wim"), b"WIM");
    let image = sample!("plain");
    let media = image.open().expect("plain");
    assert_eq!(content(&media, "sources/boot.wim"), b"WIM");
    assert_eq!(content(&media, "efi/boot/bootx64.efi"), b"x");
}

#[test]
fn what_is_compressed_is_not_taken_for_what_it_holds() {
    let image = sample!("zisofs");
    let media = image.open().expect("zisofs");
    assert_eq!(content(&media, "sources/boot.wim"), b"WIM", "too small to be compressed");
    let error = media.read("linux").err().expect("compressed");
    assert!(crate::failure::chain(&error).contains("zisofs"), "{error}");
}

#[test]
fn empty_volumes_of_udf_are_empty() {
    for image in [sample!("udf-1.02"), sample!("udf-2.01")] {
        assert_eq!(image.open().expect("udf").files(), []);
    }
}
