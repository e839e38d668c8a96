//! What kind of file a path names: by the archive's layout, and by what the operator says.

use proto::{Digest, mirror::MirrorFamily, plan::MirrorPlan};

/// What is known of a file by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// It may change under its name, and is asked after.
    Index,
    /// It never changes under its name.
    Immutable,
}

/// The class of a file: the operator's `index`, then `immutable`, then the family's own rules. What nothing is known
/// of is an index, which is never wrong.
#[must_use]
pub fn class(mirror: &MirrorPlan, path: &str) -> Class {
    if mirror.index.iter().any(|pattern| pattern.matches(path)) {
        return Class::Index;
    }
    let said = mirror.immutable.iter().any(|pattern| pattern.matches(path));
    let known = || match mirror.family {
        MirrorFamily::Debian => in_pool(path) || by_hash(path).is_some(),
        MirrorFamily::Rpm => is_package(path) || named_by_checksum(path).is_some(),
        MirrorFamily::Generic => false,
    };
    if said || known() { Class::Immutable } else { Class::Index }
}

/// The digest that a file's name promises.
#[must_use]
pub fn named_digest(mirror: &MirrorPlan, path: &str) -> Option<Digest> {
    let text = match mirror.family {
        MirrorFamily::Debian => by_hash(path).filter(|(kind, _)| *kind == "SHA256").map(|(_, digest)| digest),
        MirrorFamily::Rpm => named_by_checksum(path),
        MirrorFamily::Generic => None,
    };
    text.and_then(|text| text.parse().ok())
}

/// The files that say which version of this one belongs to them: an index that was asked after before one of these
/// changed may be of another version. The nearest first.
pub fn vouchers<'a>(mirror: &MirrorPlan, path: &'a str) -> Box<dyn Iterator<Item = String> + 'a> {
    match mirror.family {
        MirrorFamily::Debian => Box::new(releases(path)),
        MirrorFamily::Rpm => Box::new(repomd(path).into_iter()),
        MirrorFamily::Generic => Box::new(std::iter::empty()),
    }
}

/// Packages and sources carry their version in their name.
fn in_pool(path: &str) -> bool {
    let (folders, _) = path.rsplit_once('/').unwrap_or(("", path));
    folders.split('/').any(|folder| folder == "pool")
}

/// `…/by-hash/SHA256/DIGEST`: the hash's name and the digest.
fn by_hash(path: &str) -> Option<(&str, &str)> {
    let (front, digest) = path.rsplit_once('/')?;
    let (front, kind) = front.rsplit_once('/')?;
    let is_hash = front == "by-hash" || front.ends_with("/by-hash");
    (is_hash && digest.len() >= 32 && is_hex(digest)).then_some((kind, digest))
}

/// RPM packages carry their version in their name.
fn is_package(path: &str) -> bool {
    path.ends_with(".rpm") || path.ends_with(".drpm")
}

/// `…/repodata/SHA256-primary.xml.gz`: the digest.
fn named_by_checksum(path: &str) -> Option<&str> {
    let (folders, name) = path.rsplit_once('/')?;
    let (digest, _) = name.split_once('-')?;
    let in_place = folders == "repodata" || folders.ends_with("/repodata");
    (in_place && digest.len() == 64 && is_hex(digest)).then_some(digest)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `InRelease` and `Release` of every folder above a Debian index; of the file itself those before it.
fn releases(path: &str) -> impl Iterator<Item = String> + '_ {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let beside: &[&str] = match name {
        "InRelease" => &[],
        "Release" => &["InRelease"],
        _ => &["InRelease", "Release"],
    };
    let above = std::iter::successors(Some(folder), |folder| match folder.rsplit_once('/') {
        Some((above, _)) => Some(above),
        None => (!folder.is_empty()).then_some(""),
    });
    above.enumerate().flat_map(move |(level, folder)| {
        let names = if level == 0 { beside } else { &["InRelease", "Release"] };
        names
            .iter()
            .map(move |name| if folder.is_empty() { (*name).to_owned() } else { format!("{folder}/{name}") })
    })
}

fn repomd(path: &str) -> Option<String> {
    let (folder, name) = path.rsplit_once('/')?;
    let in_place = folder == "repodata" || folder.ends_with("/repodata");
    (in_place && name != "repomd.xml").then(|| format!("{folder}/repomd.xml"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirror::paper::mirror;

    const HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn debians_layout() {
        let debian = mirror(MirrorFamily::Debian);
        for path in [
            "pool/main/a/apt/apt_2.6.1_amd64.deb".to_owned(),
            "debian/pool/main/a/apt/apt_2.6.1.dsc".to_owned(),
            format!("dists/bookworm/main/binary-amd64/by-hash/SHA256/{HASH}"),
            format!("by-hash/MD5Sum/{}", &HASH[..32]),
        ] {
            assert_eq!(class(&debian, &path), Class::Immutable, "{path}");
        }
        for path in [
            "dists/bookworm/InRelease",
            "dists/bookworm/main/binary-amd64/Packages.xz",
            "dists/bookworm/main/installer-amd64/current/images/netboot/mini.iso",
            "dists/bookworm/main/by-hash/SHA256/short",
            "apt_2.6.1_amd64.deb",
            "pool",
            "dists/pool",
        ] {
            assert_eq!(class(&debian, path), Class::Index, "{path}");
        }
    }

    #[test]
    fn rpm_and_generic() {
        let rpm = mirror(MirrorFamily::Rpm);
        let primary = format!("9/BaseOS/repodata/{HASH}-primary.xml.gz");
        for path in ["9/BaseOS/Packages/b/bash-5.1.8-6.el9.x86_64.rpm", &primary] {
            assert_eq!(class(&rpm, path), Class::Immutable, "{path}");
        }
        for path in ["9/BaseOS/repodata/repomd.xml", "9/BaseOS/repodata/primary.xml.gz", "9/images/boot.iso"]
        {
            assert_eq!(class(&rpm, path), Class::Index, "{path}");
        }
        let generic = mirror(MirrorFamily::Generic);
        assert_eq!(class(&generic, "pool/a.deb"), Class::Index);
        assert_eq!(class(&generic, "a.rpm"), Class::Index);
    }

    #[test]
    fn the_operators_word_goes_first() {
        let mut own = mirror(MirrorFamily::Debian);
        own.index = vec!["pool/nightly/**".parse().expect("a pattern")];
        own.immutable = vec!["**/*.iso".parse().expect("a pattern"), "pool/**".parse().expect("a pattern")];
        assert_eq!(class(&own, "pool/nightly/a.deb"), Class::Index);
        assert_eq!(class(&own, "dists/x/mini.iso"), Class::Immutable);
        assert_eq!(class(&own, "pool/main/a.deb"), Class::Immutable);
    }

    #[test]
    fn names_that_promise_a_digest() {
        let expected = HASH.parse().ok();
        let debian = mirror(MirrorFamily::Debian);
        assert_eq!(named_digest(&debian, &format!("dists/x/by-hash/SHA256/{HASH}")), expected);
        assert_eq!(named_digest(&debian, &format!("dists/x/by-hash/MD5Sum/{}", &HASH[..32])), None);
        assert_eq!(named_digest(&debian, "pool/a.deb"), None);
        let rpm = mirror(MirrorFamily::Rpm);
        assert_eq!(named_digest(&rpm, &format!("repodata/{HASH}-filelists.xml.gz")), expected);
        assert_eq!(named_digest(&mirror(MirrorFamily::Generic), &format!("by-hash/SHA256/{HASH}")), None);
    }

    #[test]
    fn who_vouches_for_an_index() {
        let debian = mirror(MirrorFamily::Debian);
        let of = |path: &str| vouchers(&debian, path).collect::<Vec<_>>();
        assert_eq!(
            of("dists/sid/main/Packages.xz"),
            [
                "dists/sid/main/InRelease",
                "dists/sid/main/Release",
                "dists/sid/InRelease",
                "dists/sid/Release",
                "dists/InRelease",
                "dists/Release",
                "InRelease",
                "Release"
            ]
        );
        assert_eq!(of("Packages"), ["InRelease", "Release"]);
        assert_eq!(of("Release.gpg"), ["InRelease", "Release"]);
        assert_eq!(of("Release"), ["InRelease"]);
        assert_eq!(of("InRelease"), Vec::<String>::new());
        let rpm = mirror(MirrorFamily::Rpm);
        let of = |path: &str| vouchers(&rpm, path).collect::<Vec<_>>();
        assert_eq!(of("9/repodata/primary.xml.gz"), ["9/repodata/repomd.xml"]);
        assert_eq!(of("9/repodata/repomd.xml"), Vec::<String>::new());
    }
}
