//! What the views show of a small fleet.

use proto::event::AlarmKind;

use super::*;
use crate::catalog::Alarm;

/// What every machine here says of itself.
const HOSTILE: &str = "<script>alert(1)</script>\u{202e}";

#[tokio::test]
async fn every_view_shows_a_boot_and_nothing_that_a_machine_says_is_markup() {
    let lab = Lab::new().await;
    let cookie = lab.log_in("admin").await;
    lab.report(1, vec![began(HOSTILE), progress(HOSTILE)]).await;
    let alarm = Alarm::raised("lyon-1", AlarmKind::ForeignDhcp, HOSTILE, (None, None), NOW);
    lab.app.catalog.note_alarms("lyon", &[alarm]).await.expect("kept");
    let boot = format!("/boots/{ATTEMPT}");
    for path in ["/", "/boots", "/sites/lyon", "/hosts/web-1", &boot] {
        let (status, page) = lab.get(path, Some(&cookie)).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert!(page.contains("web-1") && page.contains("under way"), "{path}: {page}");
        assert!(!page.contains("<script>alert") && !page.contains('\u{202e}'), "{path}: {page}");
        assert_eq!(page.matches("<script").count(), 1, "{path}: the page's own");
        assert_eq!(page.matches("<h1>").count(), 1, "{path}");
    }
    let (_, page) = lab.get(&boot, Some(&cookie)).await;
    assert!(page.contains("&lt;script&gt;alert(1)") && page.contains("UEFI (x64) asks to boot"), "{page}");
    assert!(page.contains(&format!("data-live=\"{boot}/live?after=2\"")), "{page}");
}

#[tokio::test]
async fn a_boot_is_found_by_its_first_digits() {
    let lab = Lab::new().await;
    let cookie = lab.log_in("admin").await;
    lab.report(1, vec![began("PXEClient")]).await;
    let whole = ATTEMPT.to_string();
    for digits in [&whole[..12], &whole[..4], &whole.to_ascii_uppercase()[..12]] {
        let (status, page) = lab.get(&format!("/boots/{digits}"), Some(&cookie)).await;
        assert_eq!(status, StatusCode::OK, "{digits}");
        assert!(page.contains(&format!("/boots/{whole}/live")), "{digits}: it is followed by its whole name");
    }
    for digits in [&whole[..3], "00000000", "zzzzzzzz"] {
        let (status, _) = lab.get(&format!("/boots/{digits}"), Some(&cookie)).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{digits}");
    }
}

#[tokio::test]
async fn boots_are_found_by_site_outcome_and_cause() {
    let lab = Lab::new().await;
    let cookie = lab.log_in("admin").await;
    lab.report(1, vec![began("PXEClient")]).await;
    let digits = &ATTEMPT.to_string()[..12];
    for (filter, found) in [
        ("", true),
        ("?site=lyon", true),
        ("?outcome=under+way", true),
        ("?outcome=failed", false),
        ("?cause=no-loader", false),
        ("?site=lyon&outcome=under+way&cause=", true),
    ] {
        let (_, page) = lab.get(&format!("/boots{filter}"), Some(&cookie)).await;
        assert_eq!(page.contains(digits), found, "{filter}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_found_and_names_nothing() {
    let lab = Lab::new().await;
    let cookie = lab.log_in("admin").await;
    let script = "%3Cscript%3Ealert(1)%3C%2Fscript%3E";
    let boot = "/boots/00000000000000000000000000000000";
    for path in ["/sites/oslo", "/boots?site=oslo", "/hosts/db-1", boot, "/nowhere"] {
        let (status, page) = lab.get(path, Some(&cookie)).await;
        assert!(status == StatusCode::NOT_FOUND && page.contains("There is no"), "{path}: {page}");
    }
    for kind in ["sites", "hosts", "boots"] {
        let (status, page) = lab.get(&format!("/{kind}/{script}"), Some(&cookie)).await;
        assert!(status == StatusCode::NOT_FOUND && !page.contains("alert"), "{kind}: {page}");
    }
}

#[tokio::test]
async fn nothing_changes_by_looking_and_no_other_method_is_taken() {
    let lab = Lab::new().await;
    let cookie = lab.log_in("admin").await;
    let before = lab.app.store.revision().await.expect("readable");
    for path in ["/", "/boots", "/sites/lyon", "/hosts/web-1", "/live", "/login", "/assets/page.js"] {
        for method in ["PUT", "DELETE", "PATCH", "POST"] {
            let mut request = post(path, "", Some(&cookie), Some("https://boot.example:7445"));
            *request.method_mut() = method.parse().expect("a method");
            let status = lab.ask(request).await.status();
            let refused =
                status == StatusCode::METHOD_NOT_ALLOWED || (path == "/login" && status.is_client_error());
            assert!(refused, "{method} {path}: {status}");
        }
        let _ = lab.ask(get(path, Some(&cookie))).await;
    }
    assert_eq!(lab.app.store.revision().await.expect("readable"), before);
}
