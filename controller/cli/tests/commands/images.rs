//! image import.

use std::io::{Read as _, Write as _};

use predicates::prelude::*;
use predicates::str::contains;
use proto::Digest;
use proto::catalog::Kind;
use proto::chunks::{ChunkList, ChunkName};

use crate::fleet::Fleet;

/// As long as one and with its magic.
fn kernel() -> Vec<u8> {
    let mut bytes = vec![1; 700_000];
    bytes[0x202..0x206].copy_from_slice(b"HdrS");
    bytes
}

fn netboot(fleet: &Fleet) -> std::path::PathBuf {
    let tree = fleet.path("netboot");
    let folder = tree.join("debian-installer/amd64");
    std::fs::create_dir_all(&folder).expect("made");
    std::fs::write(folder.join("linux"), kernel()).expect("written");
    std::fs::write(folder.join("initrd.gz"), b"\x1f\x8bram").expect("written");
    std::fs::write(folder.join("grubx64.efi"), "not taken").expect("written");
    tree
}

fn import(fleet: &Fleet, source: &std::path::Path, family: &str, name: &str) -> assert_cmd::assert::Assert {
    fleet.bootlane(["image", "import", "--family", family, "--name", name]).arg(source).assert()
}

#[test]
fn a_debian_tree_is_taken_and_the_same_again_is_nothing_new() {
    let fleet = Fleet::start();
    let tree = netboot(&fleet);
    let told = contains("kernel: debian-installer/amd64/linux (683.5 KiB)")
        .and(contains("initrd: debian-installer/amd64/initrd.gz (5 B)"))
        .and(contains("grub").not());
    import(&fleet, &tree, "debian", "debian-12").success().stdout("Image debian-12 created\n").stderr(told);
    let image = fleet.catalog.get(Kind::Image, "debian-12").expect("there");
    assert_eq!(
        (&image["spec"]["architecture"], image["spec"]["files"].as_object().map(|f| f.len())),
        (&"amd64".into(), Some(2))
    );
    assert!(fleet.catalog.blobs.lock().expect("whole").contains_key(&Digest::of(&kernel())));
    import(&fleet, &tree, "debian", "debian-12").success().stdout("Image debian-12 is already there\n");
    assert_eq!(*fleet.catalog.uploads.lock().expect("whole"), 2, "the second import uploads nothing");
    std::fs::write(tree.join("debian-installer/amd64/initrd.gz"), b"\x1f\x8bother").expect("written");
    import(&fleet, &tree, "debian", "debian-12").code(4).stderr(contains("an image never changes"));
    assert_eq!(*fleet.catalog.uploads.lock().expect("whole"), 2, "nothing is uploaded in vain");
}

#[test]
fn a_large_file_is_cut_into_chunks_and_their_list_is_uploaded_too() {
    let fleet = Fleet::start();
    let content: Vec<u8> =
        (0..2_000_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let disk = fleet.write("system.img", &content);
    import(&fleet, &disk, "disk-image", "system-1").success();
    let image = fleet.catalog.get(Kind::Image, "system-1").expect("there");
    let chunks = &image["spec"]["files"]["system.img"]["chunks"];
    let digest: Digest = chunks["sha256"].as_str().expect("named").parse().expect("a digest");
    let blobs = fleet.catalog.blobs.lock().expect("whole").clone();
    let list = ChunkList::parse(&blobs[&digest]).expect("a list");
    assert_eq!((list.size(), Some(blobs[&digest].len() as u64)), (8_000_000, chunks["size"].as_u64()));
    assert_eq!(Some(list.distinct_bytes()), chunks["distinct"].as_u64());
    let first = list.chunks()[0];
    assert_eq!(first.name, ChunkName::of(&content[..first.length as usize]));
    import(&fleet, &disk, "disk-image", "system-1").success().stdout("Image system-1 is already there\n");
    assert_eq!(*fleet.catalog.uploads.lock().expect("whole"), 2, "the disk and its list, once");
}

#[test]
fn an_upload_that_breaks_leaves_no_document() {
    let fleet = Fleet::start();
    let tree = netboot(&fleet);
    // Get and MissingBlobs come first.
    fleet.catalog.pass();
    fleet.catalog.pass();
    fleet.catalog.refuse(tonic::Status::resource_exhausted("no space left: 3 GiB are missing"));
    let expected = contains("failed to upload").and(contains("no space left"));
    import(&fleet, &tree, "debian", "debian-12").code(1).stderr(expected);
    assert!(fleet.catalog.writes.lock().expect("whole").is_empty(), "the document comes last");
    assert_eq!(fleet.catalog.get(Kind::Image, "debian-12"), None);
}

#[test]
fn what_no_machine_boots_is_refused_unless_forced() {
    let fleet = Fleet::start();
    let tree = netboot(&fleet);
    std::fs::write(tree.join("debian-installer/amd64/initrd.gz"), "<html>not found</html>").expect("written");
    let named =
        contains("debian-installer/amd64/initrd.gz is no initial RAM disk").and(contains("<html>not found"));
    import(&fleet, &tree, "debian", "debian-12").code(64).stderr(named.and(contains("--force")));
    assert_eq!(*fleet.catalog.uploads.lock().expect("whole"), 0);
    let arguments = ["image", "import", "--family", "debian", "--name", "debian-12", "--force"];
    fleet.bootlane(arguments).arg(&tree).assert().success();
}

#[test]
fn what_is_no_iso_uploads_nothing() {
    let fleet = Fleet::start();
    let cut = fleet.write("cut.iso", vec![0; 40_000]);
    import(&fleet, &cut, "debian", "debian-12").code(64).stderr(contains("no ISO 9660 image"));
    assert_eq!(*fleet.catalog.uploads.lock().expect("whole"), 0);
}

#[test]
fn a_disk_image_and_loaders() {
    let fleet = Fleet::start();
    let disk = fleet.write("system.img", "disk");
    import(&fleet, &disk, "disk-image", "system-1").success();
    assert_eq!(fleet.catalog.get(Kind::Image, "system-1").expect("there")["spec"]["disk"], "system.img");
    let folder = fleet.path("ipxe");
    std::fs::create_dir(&folder).expect("made");
    std::fs::write(folder.join("undionly.kpxe"), b"\xea\x05\x00\xc0\x07").expect("written");
    std::fs::write(folder.join("snponly.efi"), "404 Not Found\n").expect("written");
    let named = contains("snponly.efi is no loader for uefi-x64: it is no EFI program")
        .and(contains("404 Not Found"))
        .and(contains("--loader"));
    import(&fleet, &folder, "loaders", "ipxe-1").code(64).stderr(named);
    assert_eq!(fleet.catalog.get(Kind::Image, "ipxe-1"), None);
    let mut efi = vec![0; 512];
    efi[..2].copy_from_slice(b"MZ");
    efi[0x3c] = 0x80;
    efi[0x80..0x86].copy_from_slice(b"PE\0\0\x64\x86");
    std::fs::write(folder.join("snponly.efi"), efi).expect("written");
    import(&fleet, &folder, "loaders", "ipxe-1").success();
    let loaders = fleet.catalog.get(Kind::Image, "ipxe-1").expect("there")["spec"]["loaders"].clone();
    assert_eq!(loaders, serde_json::json!({"bios": "undionly.kpxe", "uefi-x64": "snponly.efi"}));
    import(&fleet, &folder, "disk-image", "x").code(64).stderr(contains("--disk names another"));
}

/// Answers one request with these bytes, and says that there are `declared`.
fn serve_once(body: &'static [u8], declared: usize) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("called");
        let mut request = [0; 4_096];
        let _ = stream.read(&mut request).expect("asked");
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {declared}\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("answered");
        stream.write_all(body).expect("answered");
    });
    format!("http://someone:secret@{address}/images/system.img?token=secret")
}

#[test]
fn a_url_is_fetched_whole_or_not_at_all_and_leaves_no_secret_behind() {
    let fleet = Fleet::start();
    let url = serve_once(b"disk", 4);
    import(&fleet, url.as_ref(), "disk-image", "system-1").success();
    let spec = fleet.catalog.get(Kind::Image, "system-1").expect("there")["spec"].clone();
    let source = spec["source"].as_str().expect("recorded");
    assert!(source.ends_with("/images/system.img") && !source.contains("secret"), "{source}");
    assert_eq!(spec["files"]["system.img"]["size"], 4);
    let cut = serve_once(b"disk", 400);
    let failed = import(&fleet, cut.as_ref(), "disk-image", "system-2").code(1);
    failed.stderr(contains("failed to import http://127.0.0.1").and(contains("secret").not()));
    assert_eq!(fleet.catalog.get(Kind::Image, "system-2"), None);
}

/// What a publisher has signed: of a file system.img that holds "disk".
fn signed(name: &str) -> String {
    format!("{}/tests/commands/signed/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn verify(fleet: &Fleet, source: &std::path::Path, options: &[&str]) -> assert_cmd::assert::Assert {
    let arguments = ["image", "import", "--family", "disk-image", "--name", "system-1"];
    fleet.bootlane(arguments).args(options).arg(source).assert()
}

#[test]
fn media_are_what_their_publisher_says() {
    let fleet = Fleet::start();
    let disk = fleet.write("system.img", "disk");
    let (list, signature, keyring) =
        (signed("SHA256SUMS"), signed("SHA256SUMS.gpg"), signed("publisher.gpg"));
    let digest = Digest::of(b"disk").to_string();
    let told = contains("system.img has the SHA-256 that --sha256 says");
    verify(&fleet, &disk, &["--sha256", &digest, "--dry-run"]).success().stderr(told);
    let told = contains("SHA256SUMS is signed by ").and(contains("system.img has the SHA-256 that "));
    let options = ["--checksums", &list, "--signature", &signature, "--keyring", &keyring];
    verify(&fleet, &disk, &options).success().stderr(told);
    let own = signed("system.img.sig");
    verify(&fleet, &disk, &["--signature", &own, "--keyring", &keyring])
        .success()
        .stdout("Image system-1 is already there\n")
        .stderr(contains("system.img is signed by "));
}

#[test]
fn media_that_are_not_what_their_publisher_says_are_not_imported() {
    let fleet = Fleet::start();
    let disk = fleet.write("system.img", "disc");
    let (list, signature, keyring) =
        (signed("SHA256SUMS"), signed("SHA256SUMS.gpg"), signed("publisher.gpg"));
    let (says, has) = (Digest::of(b"disk").to_string(), Digest::of(b"disc").to_string());
    let both = contains(format!("says {says}, it has {has}"));
    verify(&fleet, &disk, &["--sha256", &says]).code(64).stderr(both.clone());
    verify(&fleet, &disk, &["--checksums", &list]).code(64).stderr(both);
    let bad = contains("failed to verify the signature of");
    for (signature, keyring) in [(&signed("system.img.sig"), &keyring), (&signature, &signed("else.gpg"))] {
        let options = ["--checksums", &list, "--signature", signature, "--keyring", keyring];
        verify(&fleet, &disk, &options).code(64).stderr(bad.clone().and(contains("is not good")));
    }
    let options = ["--signature", &signed("system.img.sig"), "--keyring", &keyring];
    verify(&fleet, &disk, &options).code(64).stderr(bad);
    let other = fleet.write("other.img", "disk");
    verify(&fleet, &other, &["--checksums", &list]).code(64).stderr(contains("does not name \"other.img\""));
    verify(&fleet, &fleet.path(""), &["--sha256", &says]).code(2).stderr(contains("is none"));
    verify(&fleet, &disk, &["--signature", &signature]).code(2).stderr(contains("--keyring"));
    assert_eq!(*fleet.catalog.uploads.lock().expect("whole"), 0);
    assert_eq!(fleet.catalog.get(Kind::Image, "system-1"), None);
}

#[test]
fn all_of_the_media_is_kept_when_it_is_wanted() {
    let fleet = Fleet::start();
    let tree = netboot(&fleet);
    let arguments = ["image", "import", "--family", "debian", "--name", "debian-12", "--all"];
    let told = contains("further files of the media");
    fleet.bootlane(arguments).arg(&tree).assert().success().stderr(told);
    let image = fleet.catalog.get(Kind::Image, "debian-12").expect("there");
    assert!(image["spec"]["files"].as_object().is_some_and(|files| files.len() > 2));
    std::fs::write(tree.join("README"), "one").expect("written");
    std::fs::write(tree.join("readme"), "another").expect("written");
    let told = contains("README and readme differ in case only");
    fleet.bootlane(arguments).arg(&tree).assert().code(64).stderr(told);
}

/// Gives the file's first bytes and breaks off, then what is asked for, as a server does that knows ranges.
fn serve_broken(first: &'static [u8], rest: &'static str) -> (String, std::thread::JoinHandle<String>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("bound");
    let served = std::thread::spawn(move || {
        let answer = |head: &str, body: &[u8]| {
            let (mut stream, _) = listener.accept().expect("called");
            let mut request = [0; 4_096];
            let length = stream.read(&mut request).expect("asked");
            stream.write_all(head.as_bytes()).expect("answered");
            stream.write_all(body).expect("answered");
            String::from_utf8_lossy(&request[..length]).to_ascii_lowercase()
        };
        answer("HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: 8\r\nConnection: close\r\n\r\n", first);
        answer(rest, b"disk")
    });
    (format!("http://{address}/system.img"), served)
}

#[test]
fn a_fetch_that_breaks_is_taken_up_where_it_broke() {
    let fleet = Fleet::start();
    let rest = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 4-7/8\r\nContent-Length: 4\r\nConnection: close\r\n\r\n";
    let (url, served) = serve_broken(b"hard", rest);
    let digest = Digest::of(b"harddisk").to_string();
    verify(&fleet, url.as_ref(), &["--sha256", &digest]).success();
    let asked = served.join().expect("served");
    assert!(asked.contains("range: bytes=4-") && asked.contains("if-range: \"1\""), "{asked}");
    let (url, _) = serve_broken(b"hard", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\n");
    let failed = import(&fleet, url.as_ref(), "disk-image", "system-2").code(1);
    failed.stderr(contains("does not give the rest of the same file"));
    assert_eq!(fleet.catalog.get(Kind::Image, "system-2"), None);
}
