//! Two versions each of what fleets boot, made of Debian's own packages.
//!
//! - An initial RAM disk as Debian's `mkinitramfs` makes it, of the archive's two newest kernels: as it is shipped
//!   (compressed), and its archive as it is.
//! - An ISO image of packages, of which one was upgraded (the kernel).
//! - A disk's file system with a small Debian system, of which one package was upgraded (`libssl3`); both built anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};

use super::Pair;

/// What `mkinitramfs` runs on, and what makes a small system.
const SYSTEM: &[&str] = &[
    "base-files",
    "bash",
    "busybox",
    "coreutils",
    "cpio",
    "dash",
    "debianutils",
    "dpkg",
    "e2fsprogs",
    "findutils",
    "grep",
    "gzip",
    "hostname",
    "initramfs-tools",
    "initramfs-tools-core",
    "klibc-utils",
    "kmod",
    "libacl1",
    "libattr1",
    "libblkid1",
    "libbz2-1.0",
    "libc-bin",
    "libc6",
    "libcap2",
    "libcom-err2",
    "libext2fs2",
    "libgcc-s1",
    "libgmp10",
    "libklibc",
    "libkmod2",
    "liblz4-1",
    "liblzma5",
    "libmd0",
    "libmount1",
    "libpcre2-8-0",
    "libselinux1",
    "libsmartcols1",
    "libss2",
    "libssl3",
    "libtinfo6",
    "libudev1",
    "libuuid1",
    "libzstd1",
    "linux-base",
    "logsave",
    "mawk",
    "mount",
    "ncurses-bin",
    "sed",
    "tar",
    "udev",
    "util-linux",
    "zlib1g",
    "zstd",
];
/// The package that is upgraded on the disk.
const UPGRADED: &str = "libssl3";
const DISK: &str = "256M";

/// Downloads, unpacks and builds everything below `folder`.
///
/// # Errors
/// When the archive is not to be reached, or a program fails.
pub fn pairs(folder: &Path, say: &dyn Fn(&str)) -> anyhow::Result<Vec<Pair>> {
    let kernels = kernels()?;
    say(&format!("downloading {} packages, {} and {}", SYSTEM.len(), kernels[0], kernels[1]));
    let pool = folder.join("pool");
    download(&pool, SYSTEM)?;
    let mut pairs = Vec::new();
    let trees = kernels.each_ref().map(|kernel| folder.join(kernel));
    for (kernel, tree) in kernels.iter().zip(&trees) {
        download(&tree.join("deb"), &[kernel])?;
        unpack(&tree.join("deb"), &tree.join("tree"))?;
    }
    let root = folder.join("root");
    unpack(&pool, &root)?;
    link(&root, "bin/sh", "dash")?;
    link(&root, "usr/bin/awk", "mawk")?;
    say("building initial RAM disks with mkinitramfs");
    let initrds = [initrd(&root, &trees[0])?, initrd(&root, &trees[1])?];
    pairs.push(pair(
        "initrd of two kernels, as shipped (zstd)",
        initrds.each_ref().map(|made| made.0.clone()),
    ));
    pairs.push(pair("the same, not compressed", initrds.map(|made| made.1)));
    say("building ISO images");
    let isos = [iso(folder, &pool, &trees[0], "old")?, iso(folder, &pool, &trees[1], "new")?];
    pairs.push(pair("ISO of packages, one upgraded (the kernel)", isos));
    say("building file systems");
    pairs.push(pair(&format!("file system, one package upgraded ({UPGRADED})"), disks(folder, &root)?));
    Ok(pairs)
}

fn pair(name: &str, [old, new]: [PathBuf; 2]) -> Pair {
    Pair { name: name.to_owned(), old, new }
}

/// The archive's two newest kernels for any machine, the older one first.
fn kernels() -> anyhow::Result<[String; 2]> {
    let listed = run(Command::new("apt-cache").args([
        "search",
        "--names-only",
        "^linux-image-[0-9]+[.][0-9]+[.][0-9]+-[0-9]+-amd64$",
    ]))?;
    let mut found: Vec<(Vec<u32>, &str)> = listed
        .lines()
        .filter_map(|line| line.split(' ').next())
        .map(|name| (name.split(['.', '-']).filter_map(|part| part.parse().ok()).collect(), name))
        .collect();
    found.sort();
    match &found[..] {
        [.., (_, old), (_, new)] => Ok([(*old).to_owned(), (*new).to_owned()]),
        _ => bail!("the archive has no two kernels: run apt-get update"),
    }
}

fn download(folder: &Path, packages: &[&str]) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    run(Command::new("apt-get")
        .current_dir(folder)
        .args(["-q", "-o", "APT::Sandbox::User=root", "download"])
        .args(packages))?;
    Ok(())
}

/// Unpacks all packages of a folder into one tree.
fn unpack(packages: &Path, tree: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(tree)?;
    let mut found: Vec<_> = fs::read_dir(packages)?.flatten().map(|entry| entry.path()).collect();
    found.sort();
    for package in found {
        run(Command::new("dpkg-deb").arg("-x").arg(package).arg(tree))?;
    }
    Ok(())
}

fn link(root: &Path, name: &str, target: &str) -> anyhow::Result<()> {
    let path = root.join(name);
    if fs::symlink_metadata(&path).is_err() {
        std::os::unix::fs::symlink(target, path)?;
    }
    Ok(())
}

/// As shipped, and without its compression.
fn initrd(root: &Path, kernel: &Path) -> anyhow::Result<(PathBuf, PathBuf)> {
    let tree = kernel.join("tree");
    let version = fs::read_dir(tree.join("lib/modules"))?.flatten().next().context("no modules")?;
    let version = version.file_name().to_string_lossy().into_owned();
    fs::create_dir_all(root.join("lib/modules"))?;
    copy(&tree.join("lib/modules").join(&version), &root.join("lib/modules"))?;
    copy(&tree.join("boot").join(format!("config-{version}")), &root.join("boot"))?;
    inside(
        root,
        &format!("depmod {version} 2>/dev/null && mkinitramfs -c zstd -o /tmp/initrd.zst {version}"),
    )?;
    inside(root, "zstd -dqf /tmp/initrd.zst -o /tmp/initrd.cpio")?;
    fs::remove_dir_all(root.join("lib/modules").join(&version))?;
    let place = |name: &str| (root.join("tmp").join(name), kernel.join(name));
    let [packed, bare] = [place("initrd.zst"), place("initrd.cpio")];
    fs::rename(&packed.0, &packed.1)?;
    fs::rename(&bare.0, &bare.1)?;
    Ok((packed.1, bare.1))
}

fn inside(root: &Path, script: &str) -> anyhow::Result<()> {
    let path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
    run(Command::new("chroot").arg(root).args(["/usr/bin/env", path, "sh", "-c", script])).map(drop)
}

fn iso(folder: &Path, pool: &Path, kernel: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let tree = folder.join(format!("iso-{name}"));
    fs::create_dir_all(&tree)?;
    copy(pool, &tree)?;
    copy(&kernel.join("deb"), &tree)?;
    let image = folder.join(format!("{name}.iso"));
    run(Command::new("xorriso").args(["-as", "mkisofs", "-quiet", "-o"]).arg(&image).arg(&tree))?;
    Ok(image)
}

/// The system with the older of the upgraded package's versions, and with the newer.
fn disks(folder: &Path, root: &Path) -> anyhow::Result<[PathBuf; 2]> {
    let listed = run(Command::new("apt-cache").args(["madison", UPGRADED]))?;
    let versions: Vec<_> = listed.lines().filter_map(|line| line.split('|').nth(1)).map(str::trim).collect();
    let (Some(new), Some(old)) = (versions.first(), versions.last()) else { bail!("no {UPGRADED}") };
    ensure!(new != old, "the archive has one version of {UPGRADED} alone");
    let build = |version: &str, name: &str| -> anyhow::Result<PathBuf> {
        let package = folder.join(format!("{UPGRADED}-{name}"));
        download(&package, &[&format!("{UPGRADED}={version}")])?;
        unpack(&package, root)?;
        let image = folder.join(format!("{name}.img"));
        let _ = fs::remove_file(&image);
        let same = "hash_seed=6b1e0000-0000-4000-8000-000000000001";
        run(Command::new("mke2fs")
            .args(["-q", "-t", "ext4", "-U", "6b1e0000-0000-4000-8000-000000000002", "-E", same, "-d"])
            .arg(root)
            .arg(&image)
            .arg(DISK))?;
        Ok(image)
    };
    Ok([build(old, "old")?, build(new, "new")?])
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    run(Command::new("cp").arg("-a").arg(from).arg(to)).map(drop)
}

fn run(command: &mut Command) -> anyhow::Result<String> {
    let shown = format!("{command:?}");
    let output = command.output().with_context(|| format!("failed to run {shown}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{shown} ended with {}: {}", output.status, said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
