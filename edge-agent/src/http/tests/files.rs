//! Files: whole, in part, again, and under which names.

use super::*;

#[tokio::test]
async fn a_blob_of_several_pieces_arrives_whole_and_is_told() {
    let content = content((1 << 20) + 17);
    let mut site = site(&[], &[("a/x/linux", &content)], limits());
    let output = site.curl("/a/x/linux", &["-i"]).await;
    let head = String::from_utf8_lossy(&output.stdout[..400]).to_lowercase();
    assert!(head.starts_with("http/1.1 200 ok"), "{head}");
    assert!(
        head.contains("content-length: 1048593\r\n") && head.contains("accept-ranges: bytes\r\n"),
        "{head}"
    );
    assert!(head.contains(&format!("etag: \"{}\"\r\n", Digest::of(&content))), "{head}");
    assert!(!head.contains("transfer-encoding"), "QUIRKS 34: {head}");
    assert!(output.stdout.ends_with(&content));
    assert_eq!(site.told().await, told("a/x/linux", content.len() as u64));
}

#[tokio::test]
async fn rendered_files_and_empty_ones() {
    let mut site = site(&[("a/x/boot.ipxe", b"#!ipxe\n"), ("a/x/meta-data", b"")], &[], limits());
    let output = site.curl("/a/x/boot.ipxe", &["-w", "%{content_type}"]).await;
    assert_eq!(text(output.stdout), "#!ipxe\ntext/plain; charset=utf-8");
    assert_eq!(site.told().await, told("a/x/boot.ipxe", 7));
    assert_eq!(site.status("/a/x/meta-data", &[]).await, "200");
    assert_eq!(site.told().await, told("a/x/meta-data", 0));
}

#[tokio::test]
async fn quirk_34_head_announces_the_length_and_tells_nothing() {
    let content = content(70_000);
    let mut site = site(&[("boot.ipxe", b"#!ipxe\n")], &[("l/ipxe.efi", &content)], limits());
    let head = text(site.curl("/l/ipxe.efi", &["-I"]).await.stdout).to_lowercase();
    assert!(head.starts_with("http/1.1 200 ok") && head.contains("content-length: 70000\r\n"), "{head}");
    assert!(head.contains("content-type: application/efi\r\n"), "{head}");
    let head = text(site.curl("/boot.ipxe", &["-I"]).await.stdout).to_lowercase();
    assert!(head.contains("content-length: 7\r\n"), "{head}");
    assert!(text(site.curl("/healthz", &["-I"]).await.stdout).starts_with("HTTP/1.1 200 OK"));
    assert!(site.told_nothing());
}

#[tokio::test]
async fn ranges() {
    let content = content(600_000);
    let mut site = site(&[("menu", b"0123456789")], &[("disk.img", &content)], limits());
    for (range, expected) in
        [("0-0", 0..1), ("1000-1999", 1000..2000), ("-5", 599_995..600_000), ("9-", 9..600_000)]
    {
        let output = site.curl("/disk.img", &["-r", range]).await;
        assert!(output.stdout == content[expected.clone()], "{range}");
        assert_eq!(site.told().await, told("disk.img", expected.len() as u64));
    }
    assert_eq!(text(site.curl("/menu", &["-r", "2-4"]).await.stdout), "234");
    assert_eq!(site.told().await, told("menu", 3));
    let head = text(site.curl("/disk.img", &["-r", "5-9", "-I"]).await.stdout).to_lowercase();
    assert!(
        head.starts_with("http/1.1 206") && head.contains("content-range: bytes 5-9/600000\r\n"),
        "{head}"
    );
    let head = text(site.curl("/disk.img", &["-r", "600000-", "-i"]).await.stdout).to_lowercase();
    assert!(head.starts_with("http/1.1 416") && head.contains("content-range: bytes */600000\r\n"), "{head}");
    assert!(site.told_nothing());
    assert_eq!(site.status("/disk.img", &["-H", "Range: bytes=u-u"]).await, "200", "QUIRKS 59");
    assert_eq!(site.status("/disk.img", &["-H", "Range: bytes=0-1,4-5"]).await, "200");
}

#[tokio::test]
async fn an_interrupted_download_is_resumed() {
    let content = content(300_000);
    let site = site(&[], &[("disk.img", &content)], limits());
    let path = site.dir.path().join("download");
    std::fs::write(&path, &content[..123_456]).expect("writes");
    let output = site.curl("/disk.img", &["-C", "-", "-o", path.to_str().expect("text")]).await;
    assert!(output.status.success(), "{output:?}");
    assert!(std::fs::read(&path).expect("reads") == content);
}

#[tokio::test]
async fn what_the_client_has_is_not_sent_again() {
    let content = content(1000);
    let mut site = site(&[], &[("linux", &content)], limits());
    let known = format!("If-None-Match: \"{}\"", Digest::of(&content));
    assert_eq!(site.status("/linux", &["-H", &known]).await, "304");
    assert!(site.told_nothing());
    assert_eq!(site.status("/linux", &["-H", "If-None-Match: \"x\""]).await, "200");
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let content = content(200_000);
    let site = site(&[("boot.ipxe", b"#!ipxe\n")], &[("linux", &content)], limits());
    let address = site.serving.address();
    let (second, third) = (format!("http://{address}/linux"), format!("http://{address}/none"));
    let output = site.curl("/boot.ipxe", &["-w", " %{num_connects}", &second, &third]).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("not found\n 0"), "the connection was kept: {}", &text[text.len() - 40..]);
    let http10 = site.status("/linux", &["--http1.0"]).await;
    assert_eq!(http10, "200", "lpxelinux speaks HTTP/1.0");
}

#[tokio::test]
async fn quirk_49_grub_finds_the_length_by_its_usual_case() {
    let site = site(&[("linux", b"kernel")], &[], limits());
    let head = text(site.curl("/linux", &["--include"]).await.stdout);
    assert!(head.contains("\r\nContent-Length: 6\r\n"), "{head}");
}

#[tokio::test]
async fn quirk_36_doubled_slashes_and_nothing_climbs_out() {
    let mut site = site(&[("l/grubx64.efi", b"grub"), ("secret", b"x")], &[], limits());
    assert_eq!(text(site.curl("/l//grubx64.efi?x=1", &[]).await.stdout), "grub");
    assert_eq!(text(site.curl("//l/%67rubx64.efi", &[]).await.stdout), "grub");
    assert_eq!((site.told().await, site.told().await), (told("l/grubx64.efi", 4), told("l/grubx64.efi", 4)));
    for path in [
        "/l/../secret",
        "/%2e%2e/secret",
        "/l/%2e%2e%2fsecret",
        "/..%5csecret",
        "/secret%00",
        "/%zz",
        "/../../../../etc/passwd",
        "/etc/passwd",
        "/",
        &format!("/{}", "x".repeat(600)),
    ] {
        let output = site.curl(path, &["-w", "%{http_code}"]).await;
        assert_eq!(text(output.stdout), "not found\n404", "{path}");
    }
    assert!(site.told_nothing());
}

#[tokio::test]
async fn what_cannot_be_had_now_has_503_and_is_told() {
    let mut site = site_without("linux", b"kernel", limits());
    let head = text(site.curl("/linux", &["-i"]).await.stdout).to_lowercase();
    assert!(head.starts_with("http/1.1 503") && head.contains("retry-after: 10\r\n"), "{head}");
    assert_eq!(site.fetcher.try_recv().ok(), Some(blob(b"kernel")));
    let (name, bytes, broken) = site.told().await;
    assert_eq!((name.as_str(), bytes), ("linux", 0));
    assert!(broken.expect("it failed").contains("could not be fetched in time"));
    assert_eq!(site.status("/stopped", &[]).await, "503");
}
