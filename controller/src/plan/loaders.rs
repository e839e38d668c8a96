//! Which network bootstrap programs a machine is given, and what a site's agents hold of them.

use std::collections::{BTreeMap, BTreeSet};

use proto::Program;
use proto::catalog::{Family, FileEntry, ImageSpec, SiteSpec};
use proto::plan::{BlobRef, LoaderSet};

use super::{Mistake, SiteView, script};

/// The loaders of one boot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Choice {
    /// The sets that the plan must name: empty where the site's default is iPXE and nothing else is chosen, so that agents
    /// that know no sets go on (docs/adr/0009).
    pub(super) named: Vec<String>,
    /// The programs among them, and iPXE, which any ROM may bring along.
    pub(super) programs: BTreeSet<Program>,
    /// What starts ISO images, if one of the sets has it.
    pub(super) memdisk: Option<FileEntry>,
}

/// The name of Syslinux's program that starts ISO images (BIOS alone, QUIRKS 59).
pub(super) const MEMDISK: &str = "memdisk";

/// Chooses between what the host, the profile and the site say; the first that has one for the platform wins, at the edge.
pub(super) fn choose(view: &SiteView<'_>, chosen: [Option<&String>; 2]) -> Result<Choice, Mistake> {
    let default = view.local.site.as_ref().and_then(|site| site.spec.loaders.as_ref());
    let fields = ["spec.loaders", "loaders"];
    let mut choice = Choice { programs: BTreeSet::from([Program::Ipxe]), ..Choice::default() };
    for (name, field) in chosen.into_iter().zip(fields) {
        let Some(name) = name else { continue };
        choice.take(name, image(view, name).map_err(|message| Mistake::new(field, message))?);
    }
    // The site's own mistake is told by the site.
    if let Some((name, image)) = default.and_then(|name| Some((name, image(view, name).ok()?))) {
        choice.take(name, image);
    }
    if default.is_some_and(|name| choice.named == [name.clone()]) && choice.programs.len() == 1 {
        choice.named.clear();
    }
    Ok(choice)
}

impl Choice {
    fn take(&mut self, name: &str, image: &ImageSpec) {
        if !self.named.iter().any(|named| named == name) {
            self.named.push(name.to_owned());
        }
        self.programs.insert(image.program.unwrap_or_default());
        self.memdisk = self.memdisk.or_else(|| image.file(MEMDISK));
    }
}

/// The loaders image of this name.
pub(super) fn image<'v>(view: &SiteView<'v>, name: &str) -> Result<&'v ImageSpec, String> {
    match view.globals.images.get(name).map(|image| &image.spec) {
        None => Err(format!("there is no image {name:?}")),
        Some(image) if image.family != Family::Loaders => {
            Err(format!("image {name:?} is of family {}, expected loaders", image.family.word()))
        }
        // These begin the names of what belongs to attempts, orders and loaders.
        Some(_) if ["a", "o", "l"].contains(&name) => {
            Err(format!("image {name:?} has a name that loaders cannot have: import it under another"))
        }
        Some(image) => Ok(image),
    }
}

/// What agents hold of an image.
pub(super) fn set(name: &str, image: &ImageSpec, site: &SiteSpec) -> LoaderSet {
    let program = image.program.unwrap_or_default();
    let blob = |(path, file): (&String, &FileEntry)| {
        (path.clone(), BlobRef { digest: file.sha256, size: file.size })
    };
    let mut files: BTreeMap<_, _> = image.files.iter().map(blob).collect();
    let asked: Vec<_> = image.loaders.values().filter_map(|path| asked_by_shim(path, &files)).collect();
    files.extend(asked);
    LoaderSet {
        name: name.to_owned(),
        program,
        entries: image.loaders.clone(),
        files,
        site_default: site.loaders.as_deref() == Some(name),
        texts: script::texts(program, site.link_wait),
    }
}

/// QUIRKS 52: firmware that hands over no load options makes iPXE's shim ask for `ipxe.efi`, whatever its own name is
/// (ipxe#1684). Where no such file is, it gets what its name stands for.
fn asked_by_shim(shim: &str, files: &BTreeMap<String, BlobRef>) -> Option<(String, BlobRef)> {
    let stem = shim.strip_suffix("-shim.efi")?;
    let path =
        stem.rsplit_once('/').map_or("ipxe.efi".to_owned(), |(folder, _)| format!("{folder}/ipxe.efi"));
    let loaded = files.get(&format!("{stem}.efi")).filter(|_| !files.contains_key(&path))?;
    Some((path, *loaded))
}

#[cfg(test)]
mod tests {
    use proto::Digest;

    use super::*;

    #[test]
    fn quirk_52_the_shim_finds_its_program_under_the_name_that_it_may_ask_for() {
        let blob = |name: &str| BlobRef { digest: Digest::of(name.as_bytes()), size: 1 };
        let files = |names: &[&str]| -> BTreeMap<_, _> {
            names.iter().map(|name| ((*name).to_owned(), blob(name))).collect()
        };
        let lone = files(&["x/snponly-shim.efi", "x/snponly.efi"]);
        let expected = Some(("x/ipxe.efi".to_owned(), blob("x/snponly.efi")));
        assert_eq!(asked_by_shim("x/snponly-shim.efi", &lone), expected);
        let both = files(&["snponly-shim.efi", "snponly.efi", "ipxe.efi"]);
        assert_eq!(asked_by_shim("snponly-shim.efi", &both), None, "the one that is there");
        assert_eq!(asked_by_shim("shimx64.efi", &both), None);
    }
}
