//! What of the media a family needs. Pure: paths in, choice out.

use std::collections::BTreeMap;

use proto::catalog::Family;
use proto::{Platform, Program};

use super::Found;
use super::loaders::loaders;

/// What the caller has said about the media.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    /// The path of the kernel.
    pub(crate) kernel: Option<String>,
    /// The paths of the initial RAM disks.
    pub(crate) initrds: Vec<String>,
    /// The path of the disk image.
    pub(crate) disk: Option<String>,
    /// The paths of loaders.
    pub(crate) loaders: BTreeMap<Platform, String>,
    /// Which program they are.
    pub(crate) program: Option<Program>,
    /// As the family says it.
    pub(crate) architecture: Option<String>,
}

/// What is taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// The path of the kernel.
    pub(crate) kernel: Option<String>,
    /// The paths of the initial RAM disks.
    pub(crate) initrds: Vec<String>,
    /// The path of the disk image.
    pub(crate) disk: Option<String>,
    /// The paths of loaders.
    pub(crate) loaders: BTreeMap<Platform, String>,
    /// Which program they are.
    pub(crate) program: Option<Program>,
    /// What else the program may ask for.
    pub(crate) beside: Vec<String>,
    /// As the family says it; "" if nothing tells.
    pub(crate) architecture: String,
}

impl Taken {
    /// Is the file taken?
    pub(crate) fn has(&self, path: &str) -> bool {
        self.parts().any(|(_, taken)| taken == path) || self.beside.iter().any(|taken| taken == path)
    }

    /// Each taken path with what it is, in the order in which people are told.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (String, &str)> {
        let kernel = self.kernel.iter().map(|path| ("kernel".to_owned(), path.as_str()));
        let initrds = self.initrds.iter().map(|path| ("initrd".to_owned(), path.as_str()));
        let disk = self.disk.iter().map(|path| ("disk".to_owned(), path.as_str()));
        let loaders =
            self.loaders.iter().map(|(platform, path)| (format!("{platform} loader"), path.as_str()));
        kernel.chain(initrds).chain(disk).chain(loaders)
    }
}

/// Why the media does not fit its family.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RecogniseError {
    /// A path that was named is not there.
    #[error("there is no file {path:?}{}", suggestion(near))]
    Absent {
        /// What was named.
        path: String,
        /// Files of the same name elsewhere.
        near: Vec<String>,
    },
    /// Nothing fits.
    #[error("there is no {what}: {remedy}")]
    Nothing {
        /// What was looked for.
        what: &'static str,
        /// How to say where it is.
        remedy: &'static str,
    },
    /// More than one fits.
    #[error("there is more than one {what}, say which with {option}: {}", paths.join(", "))]
    Several {
        /// What was looked for.
        what: &'static str,
        /// Which option says so.
        option: &'static str,
        /// All of them.
        paths: Vec<String>,
    },
}

fn suggestion(paths: &[String]) -> String {
    if paths.is_empty() { String::new() } else { format!(": did you mean {}?", paths.join(" or ")) }
}

/// Chooses from `files` what an image of this family needs; what the caller has named is taken as it is.
///
/// # Errors
/// [`RecogniseError`].
pub(crate) fn recognise(family: Family, files: &[Found], wanted: &Wanted) -> Result<Taken, RecogniseError> {
    let files = Files(files);
    let mut taken = match family {
        Family::Debian => debian(&files, wanted)?,
        Family::Linux => linux(&files, wanted)?,
        Family::DiskImage => disk(&files, wanted)?,
        Family::Loaders => loaders(&files, wanted)?,
        Family::Iso => iso(&files, wanted)?,
    };
    if let Some(architecture) = &wanted.architecture {
        taken.architecture.clone_from(architecture);
    }
    Ok(taken)
}

pub(super) struct Files<'a>(pub(super) &'a [Found]);

impl Files<'_> {
    pub(super) fn named(&self, path: &str) -> Result<String, RecogniseError> {
        let path = path.trim_start_matches("./").trim_start_matches('/');
        if self.0.iter().any(|found| found.path == path) {
            return Ok(path.to_owned());
        }
        let name = name_of(path);
        let near = self.0.iter().filter(|found| name_of(&found.path) == name).take(3);
        Err(RecogniseError::Absent {
            path: path.to_owned(),
            near: near.map(|found| found.path.clone()).collect(),
        })
    }

    fn all_named(&self, paths: &[String]) -> Result<Vec<String>, RecogniseError> {
        paths.iter().map(|path| self.named(path)).collect()
    }

    fn paths(&self, fits: impl Fn(&str) -> bool) -> Vec<String> {
        self.0
            .iter()
            .filter(|found| fits(&name_of(&found.path).to_ascii_lowercase()))
            .map(|f| f.path.clone())
            .collect()
    }
}

pub(super) fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

pub(super) fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Where Debian's installer keeps kernel and initrd, the best place first: the netboot tree, the media, elsewhere.
fn debian(files: &Files<'_>, wanted: &Wanted) -> Result<Taken, RecogniseError> {
    if wanted.kernel.is_some() || !wanted.initrds.is_empty() {
        let mut taken = linux(files, wanted)?;
        taken.architecture = taken.kernel.as_deref().map(debian_architecture).unwrap_or_default();
        return Ok(taken);
    }
    let kernels = files.paths(|name| name == "linux" || name == "vmlinuz");
    let pairs = kernels.into_iter().filter_map(|kernel| {
        let initrd = join(folder_of(&kernel), "initrd.gz");
        files.named(&initrd).ok().map(|initrd| (kernel, initrd))
    });
    let best = pairs.min_by_key(|(kernel, _)| (debian_place(kernel), kernel.len(), kernel.clone()));
    let Some((kernel, initrd)) = best else {
        let remedy = "expected linux and initrd.gz of the netboot tree (debian-installer/amd64/) or of install.amd/; \
                      --kernel and --initrd name others";
        return Err(RecogniseError::Nothing { what: "Debian installer", remedy });
    };
    let architecture = debian_architecture(&kernel);
    Ok(Taken { kernel: Some(kernel), initrds: vec![initrd], architecture, ..Taken::default() })
}

/// The graphical installer needs a screen; it comes last within its place.
fn debian_place(kernel: &str) -> (u8, bool) {
    let folders: Vec<_> = folder_of(kernel).split('/').collect();
    let graphical = folders.contains(&"gtk") || folders.contains(&"xen");
    let place = match folders.as_slice() {
        [.., "debian-installer", _] => 0,
        folders if folders.iter().any(|folder| folder.starts_with("install.")) => 1,
        _ => 2,
    };
    (place, graphical)
}

fn debian_architecture(kernel: &str) -> String {
    let folders: Vec<_> = folder_of(kernel).split('/').collect();
    let after =
        folders.iter().position(|folder| *folder == "debian-installer").and_then(|at| folders.get(at + 1));
    let named = |folder: &&str| match *folder {
        "install.amd" => Some("amd64"),
        "install.386" => Some("i386"),
        "install.a64" => Some("arm64"),
        _ => None,
    };
    let from_media = || folders.iter().find_map(named);
    after.copied().or_else(from_media).unwrap_or_default().to_owned()
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

fn linux(files: &Files<'_>, wanted: &Wanted) -> Result<Taken, RecogniseError> {
    let kernel = match &wanted.kernel {
        Some(path) => files.named(path)?,
        None => {
            let is_kernel = |name: &str| name.starts_with("vmlinuz") || name == "linux" || name == "bzimage";
            let remedy = "expected a file named vmlinuz… or linux; --kernel names another";
            only("kernel", "--kernel", remedy, files.paths(is_kernel))?
        }
    };
    let initrds = match wanted.initrds.as_slice() {
        [] => {
            let beside = |path: &String| folder_of(path) == folder_of(&kernel);
            let is_initrd = |name: &str| name.starts_with("initrd") || name.starts_with("initramfs");
            let found: Vec<_> = files.paths(is_initrd).into_iter().filter(beside).collect();
            match found.as_slice() {
                [] => vec![],
                _ => vec![only("initrd", "--initrd", "", found)?],
            }
        }
        named => files.all_named(named)?,
    };
    Ok(Taken { kernel: Some(kernel), initrds, ..Taken::default() })
}

fn disk(files: &Files<'_>, wanted: &Wanted) -> Result<Taken, RecogniseError> {
    let remedy = "expected one file *.img or *.raw, or one of them as *.gz; --disk names another";
    only_disk(files, wanted, "disk image", remedy, is_disk)
}

fn iso(files: &Files<'_>, wanted: &Wanted) -> Result<Taken, RecogniseError> {
    let remedy = "expected one file *.iso; --disk names another";
    only_disk(files, wanted, "ISO image", remedy, |name| name.ends_with(".iso"))
}

fn only_disk(
    files: &Files<'_>,
    wanted: &Wanted,
    what: &'static str,
    remedy: &'static str,
    fits: impl Fn(&str) -> bool,
) -> Result<Taken, RecogniseError> {
    let disk = match &wanted.disk {
        Some(path) => files.named(path)?,
        None => only(what, "--disk", remedy, files.paths(fits))?,
    };
    Ok(Taken { disk: Some(disk), ..Taken::default() })
}

/// What the installer environment writes: bytes as they are, or compressed by gzip.
fn is_disk(name: &str) -> bool {
    let raw = name.strip_suffix(".gz").unwrap_or(name);
    raw.ends_with(".raw") || raw.ends_with(".img") && !raw.starts_with("initrd")
}

fn only(
    what: &'static str,
    option: &'static str,
    remedy: &'static str,
    found: Vec<String>,
) -> Result<String, RecogniseError> {
    match found.as_slice() {
        [] => Err(RecogniseError::Nothing { what, remedy }),
        [path] => Ok(path.clone()),
        _ => Err(RecogniseError::Several { what, option, paths: found }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn media(paths: &[&str]) -> Vec<Found> {
        paths.iter().map(|path| Found { path: (*path).to_owned(), size: 1 }).collect()
    }

    fn take(family: Family, paths: &[&str]) -> Result<Taken, RecogniseError> {
        recognise(family, &media(paths), &Wanted::default())
    }

    #[test]
    fn debian_s_netboot_tree_comes_before_all_else() {
        let paths = [
            "gtk/debian-installer/amd64/initrd.gz",
            "gtk/debian-installer/amd64/linux",
            "text/debian-installer/amd64/initrd.gz",
            "text/debian-installer/amd64/linux",
            "text/debian-installer/amd64/grubx64.efi",
        ];
        let taken = take(Family::Debian, &paths).expect("a tree");
        assert_eq!(taken.kernel.as_deref(), Some("text/debian-installer/amd64/linux"));
        assert_eq!(taken.initrds, ["text/debian-installer/amd64/initrd.gz"]);
        assert_eq!(taken.architecture, "amd64");
    }

    #[test]
    fn debian_s_media_have_another_place() {
        let paths = [
            "install.a64/gtk/vmlinuz",
            "install.a64/gtk/initrd.gz",
            "install.a64/vmlinuz",
            "install.a64/initrd.gz",
        ];
        let taken = take(Family::Debian, &paths).expect("media");
        assert_eq!(
            (taken.kernel.as_deref(), taken.architecture.as_str()),
            (Some("install.a64/vmlinuz"), "arm64")
        );
        assert!(matches!(take(Family::Debian, &["linux"]), Err(RecogniseError::Nothing { .. })));
    }

    #[test]
    fn linux_by_its_names_or_by_those_given() {
        let paths = ["boot/vmlinuz-6.1", "boot/initrd.img-6.1", "other/initrd"];
        let taken = take(Family::Linux, &paths).expect("one kernel");
        assert_eq!(taken.initrds, ["boot/initrd.img-6.1"]);
        assert!(matches!(take(Family::Linux, &["a/linux", "b/linux"]), Err(RecogniseError::Several { .. })));
        let wanted = Wanted {
            kernel: Some("/b/linux".into()),
            initrds: vec!["x".into(), "a/y".into()],
            ..Wanted::default()
        };
        let taken =
            recognise(Family::Linux, &media(&["a/linux", "b/linux", "x", "a/y"]), &wanted).expect("named");
        assert_eq!((taken.kernel.as_deref(), taken.initrds.len()), (Some("b/linux"), 2));
        let error = recognise(
            Family::Linux,
            &media(&["a/linux"]),
            &Wanted { kernel: Some("linux".into()), ..Wanted::default() },
        );
        assert_eq!(
            error.expect_err("elsewhere").to_string(),
            "there is no file \"linux\": did you mean a/linux?"
        );
    }

    #[test]
    fn one_iso_image() {
        let taken = take(Family::Iso, &["a.ISO", "a.img"]).expect("one");
        assert_eq!(taken.disk.as_deref(), Some("a.ISO"));
        assert!(matches!(take(Family::Iso, &["a.img"]), Err(RecogniseError::Nothing { .. })));
    }

    #[test]
    fn one_disk_image() {
        assert_eq!(
            take(Family::DiskImage, &["a.IMG", "readme"]).expect("one").disk.as_deref(),
            Some("a.IMG")
        );
        let taken = take(Family::DiskImage, &["disk.img.gz", "initrd.img", "b.gz"]).expect("one");
        assert_eq!(taken.disk.as_deref(), Some("disk.img.gz"));
        assert!(matches!(take(Family::DiskImage, &["a.img", "b.raw"]), Err(RecogniseError::Several { .. })));
        assert!(matches!(take(Family::DiskImage, &["a.qcow2"]), Err(RecogniseError::Nothing { .. })));
    }
}
