//! Kernel modules: which ones a few drivers need, in the order in which they must be loaded.
//!
//! A kernel package carries no `modules.dep` (depmod writes it at installation), so each module's own
//! `.modinfo` section is asked: NUL-separated `key=value` texts, among them `depends=a,b`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::MediaError;

/// A module, ready to be put into an initramfs.
#[derive(Debug)]
pub(crate) struct Module {
    /// The file's name in the initramfs, `NAME.ko`.
    pub(crate) file: String,
    /// The object, decompressed.
    pub(crate) content: Vec<u8>,
}

/// The modules under `root` (`/lib/modules/VERSION` of a kernel package).
pub(crate) struct ModuleTree {
    /// By the kernel's name of the module: hyphens are underscores.
    paths: BTreeMap<String, PathBuf>,
}

impl ModuleTree {
    pub(crate) fn read(root: &Path) -> Result<Self, MediaError> {
        let mut paths = BTreeMap::new();
        let mut folders = vec![root.join("kernel")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).map_err(MediaError::file(&folder))? {
                let entry = entry.map_err(MediaError::file(&folder))?;
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if let Some(name) = module_name(&entry.file_name().to_string_lossy()) {
                    paths.insert(name, path);
                }
            }
        }
        Ok(Self { paths })
    }

    /// `wanted` and all they depend on, each after what it needs. Names that the kernel has no module
    /// for are left out: they are built in, or this flavour has no such driver.
    pub(crate) fn closure(&self, wanted: &[&str]) -> Result<Vec<Module>, MediaError> {
        let mut loaded = Vec::new();
        for name in wanted {
            self.add(name, &mut loaded)?;
        }
        Ok(loaded)
    }

    fn add(&self, name: &str, loaded: &mut Vec<Module>) -> Result<(), MediaError> {
        let file = format!("{name}.ko");
        let Some(path) = self.paths.get(name) else {
            return Ok(());
        };
        if loaded.iter().any(|module| module.file == file) {
            return Ok(());
        }
        let content = read_module(path)?;
        for dependency in dependencies(&content) {
            self.add(&dependency, loaded)?;
        }
        loaded.push(Module { file, content });
        Ok(())
    }
}

/// `virtio-rng.ko.xz` → `virtio_rng`; none for a file that is no module.
fn module_name(file: &str) -> Option<String> {
    let stem = file.strip_suffix(".xz").unwrap_or(file).strip_suffix(".ko")?;
    Some(stem.replace('-', "_"))
}

fn read_module(path: &Path) -> Result<Vec<u8>, MediaError> {
    if path.extension().is_none_or(|extension| extension != "xz") {
        return fs::read(path).map_err(MediaError::file(path));
    }
    let output = Command::new("xz").arg("-dc").arg(path).output().map_err(MediaError::file(path))?;
    if !output.status.success() {
        return Err(MediaError::Tool {
            program: format!("xz -dc {}", path.display()),
            message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        });
    }
    Ok(output.stdout)
}

fn dependencies(object: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(start) = object.windows(KEY.len()).position(|window| window == KEY) else {
        return Vec::new();
    };
    let value = &object[start + KEY.len()..];
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(0);
    String::from_utf8_lossy(&value[..end])
        .split(',')
        .filter(|name| !name.is_empty())
        .map(|name| name.replace('-', "_"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(modules: &[(&str, &str)]) -> (tempfile::TempDir, ModuleTree) {
        let root = tempfile::tempdir().expect("a temporary folder");
        let folder = root.path().join("kernel/drivers");
        fs::create_dir_all(&folder).expect("made");
        for (file, depends) in modules {
            let object = format!("\x7fELF\0license=GPL\0depends={depends}\0retpoline=Y\0");
            fs::write(folder.join(file), object).expect("written");
        }
        let tree = ModuleTree::read(root.path()).expect("readable");
        (root, tree)
    }

    #[test]
    fn each_module_comes_after_what_it_needs_and_once() {
        let (_root, tree) = tree(&[
            ("virtio_net.ko", "virtio,net_failover"),
            ("virtio-blk.ko", "virtio"),
            ("net_failover.ko", "failover"),
            ("failover.ko", ""),
            ("virtio.ko", ""),
        ]);
        let loaded = tree.closure(&["virtio_net", "virtio_blk", "e1000"]).expect("readable");
        let files: Vec<&str> = loaded.iter().map(|module| module.file.as_str()).collect();
        assert_eq!(files, ["virtio.ko", "failover.ko", "net_failover.ko", "virtio_net.ko", "virtio_blk.ko"]);
    }

    #[test]
    fn module_names_are_the_kernels() {
        assert_eq!(module_name("virtio-rng.ko.xz").as_deref(), Some("virtio_rng"));
        assert_eq!(module_name("modules.order"), None);
    }
}
