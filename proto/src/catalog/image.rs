//! One immutable version of an operating system or loader set.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Kind, Problem, Spec};
use crate::{Digest, Platform, Program};

/// What the importer found. Never changes: another version is another image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageSpec {
    /// How it is booted and installed.
    pub family: Family,
    /// As the media say, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// As the family says it: `amd64`, `x86_64`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub architecture: String,
    /// Where it was imported from, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// By path within the image: relative, with `/`, without `.` and `..`.
    pub files: BTreeMap<String, FileEntry>,
    /// The path of the kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// The paths of the initial RAM disks, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub initrds: Vec<String>,
    /// The path of the disk image (family `disk-image`) or of the ISO image (family `iso`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<String>,
    /// The paths of the network bootstrap programs (family `loaders`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub loaders: BTreeMap<Platform, String>,
    /// Which program they are (family `loaders`); None: iPXE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<Program>,
}

/// A file of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "fields, such as size and sha256")]
pub struct FileEntry {
    /// Of its bytes.
    pub sha256: Digest,
    /// In bytes.
    pub size: u64,
    /// What it consists of; None: it is always fetched whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunks: Option<FileChunks>,
}

/// The list of a file's chunks, which is a blob by itself ([`crate::chunks::ChunkList`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileChunks {
    /// Of the list.
    pub sha256: Digest,
    /// Of the list, in bytes.
    pub size: u64,
    /// Bytes of the file without what it repeats.
    pub distinct: u64,
}

/// How an image is booted and installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// Debian's installer, told what to do by a preseed file.
    Debian,
    /// Any kernel and initial RAM disk.
    Linux,
    /// A disk's bytes, written by an installer environment.
    DiskImage,
    /// Network bootstrap programs.
    Loaders,
    /// An ISO image that is booted as it is, from memory and by BIOS alone.
    Iso,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Debian, Self::Linux, Self::DiskImage, Self::Loaders, Self::Iso];

    /// The word in documents.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Debian => "debian",
            Self::Linux => "linux",
            Self::DiskImage => "disk-image",
            Self::Loaders => "loaders",
            Self::Iso => "iso",
        }
    }
}

/// The longest path of a file in an image, in bytes.
const PATH: usize = 255;
/// The most files of an image.
const FILES: usize = 20_000;

impl ImageSpec {
    /// The entry of a path that the spec itself names.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<FileEntry> {
        self.files.get(path).copied()
    }

    fn named_paths(&self) -> impl Iterator<Item = (String, &str)> {
        let initrds =
            self.initrds.iter().enumerate().map(|(i, path)| (format!("initrds[{i}]"), path.as_str()));
        let loaders =
            self.loaders.iter().map(|(platform, path)| (format!("loaders.{platform}"), path.as_str()));
        let kernel = self.kernel.iter().map(|path| ("kernel".into(), path.as_str()));
        let disk = self.disk.iter().map(|path| ("disk".into(), path.as_str()));
        kernel.chain(initrds).chain(disk).chain(loaders)
    }

    fn missing_parts(&self) -> Option<Problem> {
        let need = |there: bool, field: &str| {
            (!there).then(|| {
                Problem::new(field, format!("is missing: an image of family {} needs it", self.family.word()))
            })
        };
        match self.family {
            Family::Debian | Family::Linux => need(self.kernel.is_some(), "kernel"),
            Family::DiskImage | Family::Iso => need(self.disk.is_some(), "disk"),
            Family::Loaders => need(!self.loaders.is_empty(), "loaders"),
        }
    }
}

impl Spec for ImageSpec {
    const KIND: Kind = Kind::Image;

    fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.files.is_empty() || self.files.len() > FILES {
            let message = format!("has {} files, expected 1 to {FILES}", self.files.len());
            problems.push(Problem::new("files", message));
        }
        let bad = self.files.keys().filter(|path| !plain_path(path));
        problems.extend(
            bad.map(|path| Problem::new("files", format!("{path:?} is no relative path of plain names"))),
        );
        for (field, path) in self.named_paths() {
            if !self.files.contains_key(path) {
                problems.push(Problem::new(field, format!("{path:?} is not among the image's files")));
            }
        }
        problems.extend(self.missing_parts());
        problems
    }
}

fn plain_path(path: &str) -> bool {
    let plain = |name: &str| !name.is_empty() && name != "." && name != ".." && !name.contains('\\');
    path.len() <= PATH && path.split('/').all(plain) && !path.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(family: Family, paths: &[&str]) -> ImageSpec {
        let entry = FileEntry { sha256: Digest::of(b"x"), size: 1, chunks: None };
        ImageSpec {
            family,
            version: String::new(),
            architecture: String::new(),
            source: String::new(),
            files: paths.iter().map(|path| ((*path).to_owned(), entry)).collect(),
            kernel: None,
            initrds: vec![],
            disk: None,
            loaders: BTreeMap::new(),
            program: None,
        }
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        for path in ["/etc/passwd", "a/../b", "./a", "a//b", "a\\b", "a\nb", ""] {
            let problems =
                ImageSpec { kernel: Some(path.into()), ..image(Family::Linux, &[path]) }.validate();
            assert_eq!(problems.len(), 1, "{path:?}: {problems:?}");
        }
    }

    #[test]
    fn what_the_family_needs_must_be_there() {
        let fields = |image: ImageSpec| image.validate().into_iter().map(|p| p.field).collect::<Vec<_>>();
        assert_eq!(fields(image(Family::Debian, &["linux"])), ["kernel"]);
        assert_eq!(fields(image(Family::DiskImage, &["a"])), ["disk"]);
        assert_eq!(
            fields(ImageSpec { kernel: Some("b".into()), ..image(Family::Linux, &["a"]) }),
            ["kernel"]
        );
    }
}
