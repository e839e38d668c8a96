//! Sets of network bootstrap programs: a program, where firmware begins, and every file that it may ask for.

use std::collections::BTreeMap;

use super::{BlobRef, Loader, Part};
use crate::{
    Platform, Program, v1,
    wire::{WireError, required},
};

/// A network bootstrap program with all its files. They are served under the set's name, so that a program finds beside
/// itself what it looks for there (QUIRKS 36, 50).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoaderSet {
    /// The folder; "" for files without one, which only plans have that name no set.
    pub name: String,
    /// What it is.
    pub program: Program,
    /// What firmware fetches first: paths among the files.
    pub entries: BTreeMap<Platform, String>,
    /// By path.
    pub files: BTreeMap<String, BlobRef>,
    /// Is it what machines get whose boot names no set, or none for their platform?
    pub site_default: bool,
    /// Files that the planner has made, by path. [`Program::script`] among them is given to machines that are to start
    /// from their disk.
    pub texts: BTreeMap<String, Vec<Part>>,
}

impl LoaderSet {
    /// The loaders of a plan that names no set.
    pub(super) fn without_folder(loaders: &BTreeMap<Platform, Loader>) -> Self {
        Self {
            name: String::new(),
            program: Program::Ipxe,
            entries: loaders.iter().map(|(platform, loader)| (*platform, loader.name.clone())).collect(),
            files: loaders.values().map(|loader| (loader.name.clone(), loader.blob)).collect(),
            site_default: true,
            texts: BTreeMap::new(),
        }
    }

    /// The file of this path, or else one that differs in case alone (QUIRKS 45).
    #[must_use]
    pub fn file(&self, path: &str) -> Option<(&str, BlobRef)> {
        let exact = self.files.get_key_value(path);
        let other_case = || self.files.iter().find(|(name, _)| name.eq_ignore_ascii_case(path));
        exact.or_else(other_case).map(|(name, blob)| (name.as_str(), *blob))
    }
}

impl From<&LoaderSet> for v1::LoaderSet {
    fn from(set: &LoaderSet) -> Self {
        let entry = |(platform, path): (&Platform, &String)| v1::LoaderEntry {
            platform: (*platform).into(),
            path: path.clone(),
        };
        let file = |(path, blob): (&String, &BlobRef)| v1::LoaderFile {
            path: path.clone(),
            blob: Some((*blob).into()),
        };
        let text = |(path, parts): (&String, &Vec<Part>)| v1::LoaderText {
            path: path.clone(),
            parts: Some(v1::Parts { parts: parts.iter().map(Into::into).collect() }),
        };
        Self {
            name: set.name.clone(),
            program: set.program.into(),
            entries: set.entries.iter().map(entry).collect(),
            files: set.files.iter().map(file).collect(),
            site_default: set.site_default,
            texts: set.texts.iter().map(text).collect(),
        }
    }
}

impl TryFrom<v1::LoaderSet> for LoaderSet {
    type Error = WireError;

    fn try_from(message: v1::LoaderSet) -> Result<Self, WireError> {
        let file = |file: v1::LoaderFile| {
            let blob = required("files.blob", file.blob)?.try_into()?;
            Ok((file.path, blob))
        };
        let files: BTreeMap<_, _> = message.files.into_iter().map(file).collect::<Result<_, WireError>>()?;
        // A platform that is not known here asks for nothing here either.
        let entries: BTreeMap<_, _> = message
            .entries
            .into_iter()
            .filter_map(|entry| Some((Platform::from_wire("platform", entry.platform).ok()?, entry.path)))
            .collect();
        if let Some(absent) = entries.values().find(|path| !files.contains_key(*path)) {
            return Err(WireError::new("entries.path", format!("{absent:?} is none of the files")));
        }
        let text = |text: v1::LoaderText| {
            let parts = text.parts.unwrap_or_default().parts.into_iter();
            Ok((text.path, parts.map(Part::try_from).collect::<Result<_, WireError>>()?))
        };
        Ok(Self {
            name: message.name,
            program: Program::from_wire("program", message.program)?,
            entries,
            files,
            site_default: message.site_default,
            texts: message.texts.into_iter().map(text).collect::<Result<_, WireError>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Digest;

    fn set() -> LoaderSet {
        let blob = |path: &str| (path.to_owned(), BlobRef { digest: Digest::of(path.as_bytes()), size: 1 });
        LoaderSet {
            name: "shim".into(),
            program: Program::Grub,
            entries: BTreeMap::from([(Platform::UefiX64, "shimx64.efi".into())]),
            files: ["shimx64.efi", "grubx64.efi", "x86_64-efi/fs.lst"].map(blob).into(),
            site_default: true,
            texts: [("grub.cfg".to_owned(), vec![Part::Literal("exit\n".into())])].into(),
        }
    }

    #[test]
    fn a_set_there_and_back() {
        assert_eq!(LoaderSet::try_from(v1::LoaderSet::from(&set())), Ok(set()));
    }

    #[test]
    fn what_another_version_says_is_an_error_or_left_out() {
        let unknown = v1::LoaderSet { program: 99, ..v1::LoaderSet::from(&set()) };
        LoaderSet::try_from(unknown).expect_err("an unknown program");
        let mut platform = v1::LoaderSet::from(&set());
        platform.entries.push(v1::LoaderEntry { platform: 99, path: "x".into() });
        assert_eq!(LoaderSet::try_from(platform), Ok(set()));
        let mut absent = v1::LoaderSet::from(&set());
        absent.entries[0].path = "gone.efi".into();
        LoaderSet::try_from(absent).expect_err("nothing to begin with");
    }

    #[test]
    fn quirk_45_case_is_forgiven() {
        let set = set();
        assert_eq!(set.file("GRUBX64.EFI").map(|(path, _)| path), Some("grubx64.efi"));
        assert_eq!(set.file("revocations.efi"), None);
    }
}
