//! Who gets in, for how long, and what every answer forbids.

use axum::http::StatusCode;
use axum::http::header::{CONTENT_SECURITY_POLICY, SET_COOKIE};

use super::*;

#[tokio::test]
async fn without_a_session_every_route_leads_to_the_login() {
    let lab = Lab::new().await;
    for (path, to) in [
        ("/", "/login"),
        ("/boots", "/login?next=%2Fboots"),
        ("/sites/lyon", "/login?next=%2Fsites%2Flyon"),
        ("/hosts/web-1", "/login?next=%2Fhosts%2Fweb-1"),
        ("/live", "/login?next=%2Flive"),
        (
            "/boots/abababababababababababababababab/live",
            "/login?next=%2Fboots%2Fabababababababababababababababab%2Flive",
        ),
        ("/nowhere", "/login?next=%2Fnowhere"),
    ] {
        for cookie in [None, Some("__Host-bootlane=x"), Some(&*format!("__Host-bootlane={}", "A".repeat(43)))]
        {
            let answer = lab.ask(get(path, cookie)).await;
            assert_eq!(
                (answer.status(), location(&answer)),
                (StatusCode::SEE_OTHER, to),
                "{path} {cookie:?}"
            );
        }
    }
    let (status, page) = lab.get("/login?next=%2Fboots", None).await;
    assert!(
        status == StatusCode::OK && page.contains("bootlane page") && page.contains(r#"href="/boots""#),
        "{page}"
    );
    let (_, page) = lab.get("/login?next=https:%2F%2Fevil.example", None).await;
    assert!(!page.contains("evil"), "{page}");
}

#[tokio::test]
async fn a_code_opens_a_session_once_and_the_login_is_audited() {
    let lab = Lab::new().await;
    let code = lab.code("admin").await;
    for _ in 0..2 {
        let (status, page) = lab.get(&format!("/login?code={code}"), None).await;
        assert!(
            status == StatusCode::OK && page.contains("Log in as admin"),
            "looking uses nothing up: {page}"
        );
    }
    let answer = lab.post("/login", &format!("code={code}"), None).await;
    let cookie = answer.headers()[SET_COOKIE].to_str().expect("plain").to_owned();
    let (pair, attributes) = cookie.split_once("; ").expect("attributes");
    assert_eq!(attributes, "Path=/; Max-Age=43200; Secure; HttpOnly; SameSite=Strict");
    assert!(pair.starts_with("__Host-bootlane=") && !pair.contains(&code));
    let (status, page) = lab.get("/", Some(pair)).await;
    assert!(status == StatusCode::OK && page.contains("admin, admin"), "{page}");
    for path in
        [format!("/login?code={code}"), "/login?code=x".into(), format!("/login?code={}", "A".repeat(43))]
    {
        assert_eq!(lab.get(&path, None).await.0, StatusCode::FORBIDDEN, "{path}");
    }
    assert_eq!(lab.post("/login", &format!("code={code}"), None).await.status(), StatusCode::FORBIDDEN);
    let log = lab.app.catalog.audit_log(None, 1).await.expect("readable");
    let found = (log[0].actor.as_str(), log[0].change.action.as_str(), log[0].change.detail.as_str());
    assert_eq!(found, ("operator/admin", "log-in", "to the page, from 192.0.2.7"));
}

#[tokio::test]
async fn a_form_of_another_site_logs_nobody_in_or_out() {
    let lab = Lab::new().await;
    let (code, cookie) = (lab.code("admin").await, lab.log_in("admin").await);
    for origin in [None, Some("null"), Some("https://evil.example"), Some("http://boot.example:7445")] {
        let answer = lab.ask(post("/login", &format!("code={code}"), None, origin)).await;
        assert_eq!(
            (answer.status(), answer.headers().get(SET_COOKIE)),
            (StatusCode::FORBIDDEN, None),
            "{origin:?}"
        );
        let answer = lab.ask(post("/logout", "", Some(&cookie), origin)).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{origin:?}");
    }
    assert_eq!(lab.get("/", Some(&cookie)).await.0, StatusCode::OK);
    let answer = lab.post("/login", &format!("code={code}"), None).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER, "the code was not used up");
}

#[tokio::test]
async fn who_logs_out_is_out() {
    let lab = Lab::new().await;
    let (one, two) = (lab.log_in("admin").await, lab.log_in("admin").await);
    let answer = lab.post("/logout", "", Some(&one)).await;
    assert!(answer.headers()[SET_COOKIE].to_str().expect("plain").contains("Max-Age=0"));
    assert_eq!(lab.get("/", Some(&one)).await.0, StatusCode::SEE_OTHER);
    assert_eq!(lab.get("/", Some(&two)).await.0, StatusCode::OK, "another session of the same operator");
}

#[tokio::test]
async fn a_revoked_operator_has_no_session_and_no_code_any_more() {
    let lab = Lab::new().await;
    lab.operator("ann", false).await;
    let (cookie, code) = (lab.log_in("ann").await, lab.code("ann").await);
    assert!(lab.get("/", Some(&cookie)).await.1.contains("ann, viewer"));
    lab.operator("ann", true).await;
    assert_eq!(lab.get("/", Some(&cookie)).await.0, StatusCode::SEE_OTHER);
    assert_eq!(lab.post("/login", &format!("code={code}"), None).await.status(), StatusCode::FORBIDDEN);
    lab.operator("ann", false).await;
    assert_eq!(lab.get("/", Some(&cookie)).await.0, StatusCode::SEE_OTHER, "it has ended for good");
}

#[tokio::test]
async fn who_tries_wrong_codes_waits() {
    let lab = Lab::new().await;
    let code = lab.code("admin").await;
    for _ in 0..10 {
        assert_eq!(lab.post("/login", "code=wrong", None).await.status(), StatusCode::FORBIDDEN);
    }
    assert_eq!(
        lab.post("/login", &format!("code={code}"), None).await.status(),
        StatusCode::TOO_MANY_REQUESTS
    );
}

#[tokio::test]
async fn every_answer_forbids_what_is_not_the_page_s_own() {
    let lab = Lab::new().await;
    let cookie = lab.log_in("admin").await;
    for path in [
        "/",
        "/boots",
        "/nowhere",
        "/login",
        "/login?code=x",
        "/assets/page.js",
        "/assets/page.css",
        "/hosts/none",
    ] {
        for cookie in [None, Some(cookie.as_str())] {
            let answer = lab.ask(get(path, cookie)).await;
            let headers = answer.headers().clone();
            let policy = headers[CONTENT_SECURITY_POLICY].to_str().expect("plain");
            assert!(
                policy.starts_with("default-src 'none';") && !policy.contains("unsafe"),
                "{path}: {policy}"
            );
            assert_eq!(
                (&headers["x-content-type-options"], &headers["x-frame-options"]),
                (&"nosniff".parse().expect("plain"), &"DENY".parse().expect("plain"))
            );
            let kept = if path.starts_with("/assets/") { "no-cache" } else { "no-store" };
            assert_eq!(headers["cache-control"], kept, "{path}");
            let page = text(answer).await;
            for inline in [" style=", "<style", " onclick=", "javascript:", "http://", "//cdn"] {
                assert!(path.ends_with(".svg") || !page.contains(inline), "{path} has {inline}");
            }
        }
    }
    let large = lab.post("/login", &format!("code={}", "A".repeat(8 * 1024)), None).await;
    assert_eq!(large.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn assets_are_asked_for_again_and_not_sent_again() {
    let lab = Lab::new().await;
    let first = lab.ask(get("/assets/page.css", None)).await;
    let mut again = get("/assets/page.css", None);
    again.headers_mut().insert("if-none-match", first.headers()["etag"].clone());
    assert_eq!(lab.ask(again).await.status(), StatusCode::NOT_MODIFIED);
}
