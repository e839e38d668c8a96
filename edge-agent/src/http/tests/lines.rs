//! The log lines of what machines ask: each names the boot, and none a token.

use super::*;
use crate::lines::Lines;

const TOKEN: &str = "00112233445566778899aabbccddeeff";

/// What was logged while these were asked for.
async fn logged(paths: &[&str]) -> String {
    let name = format!("o/{TOKEN}/preseed.cfg");
    let mut site = site(&[(&name, b"d-i")], &[], limits());
    let (lines, _guard) = Lines::here();
    for path in paths {
        site.status(&path.replace("TOKEN", TOKEN), &[]).await;
    }
    // What was sent is logged before it is told.
    if paths.iter().any(|path| path.ends_with("preseed.cfg")) {
        site.told().await;
    }
    lines.text()
}

#[tokio::test]
async fn files_refusals_and_reports_name_the_boot() {
    for (path, said) in [
        ("/o/TOKEN/preseed.cfg", "file sent"),
        ("/none", "status=404"),
        ("/o/good/report/installed", "status=200"),
    ] {
        let text = logged(&[path]).await;
        let lines: Vec<_> = text.lines().filter(|line| line.contains(said)).collect();
        assert!(
            !lines.is_empty() && lines.iter().all(|line| line.contains(&format!("boot={BOOT}"))),
            "{path}: {text}"
        );
    }
}

#[tokio::test]
async fn no_line_shows_a_token() {
    let text = logged(&[
        "/o/TOKEN/preseed.cfg",
        "/O/TOKEN/preseed.cfg",
        "/o/TOKEN/report/installed",
        "/%6f%5cTOKEN/x",
        "/x/TOKEN.cfg",
        "/o/TOKEN",
    ])
    .await;
    assert!(text.contains("answered"), "{text}");
    assert!(!text.contains(TOKEN), "{text}");
}
