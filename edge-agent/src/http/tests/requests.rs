//! Whatever else is asked for: other methods, reports, health.

use super::*;

#[tokio::test]
async fn other_methods_are_refused() {
    let site = site(&[("menu", b"x")], &[], limits());
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"] {
        assert_eq!(site.status("/menu", &["-X", method]).await, "405", "{method}");
    }
    let head = text(site.curl("/o/good/report/started", &["-X", "PUT", "-i"]).await.stdout).to_lowercase();
    assert!(head.starts_with("http/1.1 405") && head.contains("allow: get, post\r\n"), "{head}");
    assert!(site.raw("CONNECT x:80 HTTP/1.1\r\nConnection: close\r\n\r\n").await.starts_with("HTTP/1.1 405"));
    assert!(site.raw("nonsense\r\n\r\n").await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn reports() {
    let site = site(&[], &[], limits());
    let callbacks = || {
        let reports = std::mem::take(&mut *site.desk.reports.lock().expect("no panic"));
        reports.into_iter().map(|report| report.callback).collect::<Vec<_>>()
    };
    let output =
        site.curl("/o/good/report/progress?percent=40&text=half%20way", &["-w", "%{http_code}"]).await;
    assert_eq!(text(output.stdout), "recorded\n200");
    assert_eq!(callbacks(), [Callback::Progress { percent: Some(40), text: b"half way".to_vec() }]);
    assert_eq!(site.status("/o/good/report/failed", &["--data", "no disk"]).await, "200");
    assert_eq!(callbacks(), [Callback::Failed { reason: b"no disk".to_vec() }]);
    assert_eq!(site.status("/o/good/report/started", &["-X", "POST"]).await, "200");
    assert_eq!(site.status("/o/late/report/installed", &[]).await, "409");
    assert_eq!(site.status("/o/bad/report/installed", &[]).await, "404");
    assert_eq!(callbacks(), [Callback::Started, Callback::Installed, Callback::Installed]);
    assert_eq!(site.status("/o/good/report/wiped", &[]).await, "404");
    assert_eq!(site.status("/o/good/report/installed", &["-I"]).await, "405", "asking is not reporting");
    let large = "x".repeat(5000);
    assert_eq!(site.status("/o/good/report/failed", &["--data", &large]).await, "413");
    assert_eq!(callbacks(), []);
}

#[tokio::test]
async fn a_report_whose_body_does_not_come_is_refused() {
    let site = site(&[], &[], Limits { report: Duration::from_millis(200), ..limits() });
    let request = "POST /o/good/report/failed HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\nno";
    assert!(site.raw(request).await.starts_with("HTTP/1.1 408"));
    assert!(site.desk.reports.lock().expect("no panic").is_empty());
}

#[tokio::test]
async fn health_says_nothing_more() {
    let mut site = site(&[], &[], limits());
    assert_eq!(text(site.curl("/healthz", &["-w", "%{http_code}"]).await.stdout), "ok\n200");
    assert!(site.told_nothing());
}
