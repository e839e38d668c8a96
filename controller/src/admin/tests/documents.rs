//! Documents are written, listed and refused, and orders made of them.

use super::*;

#[tokio::test]
async fn every_mistake_of_a_request_comes_back_with_its_path() {
    let lab = lab().await;
    let mut unknown = host("web-1", 1);
    unknown["spec"]["colour"] = "red".into();
    let mut lost = host("web-2", 2);
    lost["spec"]["site"] = "nice".into();
    let status = lab.apply(&[unknown, lost]).await.expect_err("wrong");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(fields(&status), ["Host/web-1:spec.colour", "Host/web-2:spec.site"]);
    let status = lab.apply(&[json!({"kind":"Moon","name":"a"})]).await.expect_err("wrong");
    assert_eq!(fields(&status), ["changes[0]:kind"]);
    let mut around = applies(&[host("web-1", 1)]);
    if let Some(v1::change::Change::Apply(document)) = &mut around.changes[0].change {
        document.name = "web-2".into();
    }
    let status = lab.client().write(by("admin", around)).await.expect_err("two names");
    assert_eq!(fields(&status), ["Host/web-1:name"]);
}

#[tokio::test]
async fn a_stale_put_is_aborted() {
    let lab = lab().await;
    lab.apply(&[host("web-1", 1)]).await.expect("new");
    let put = v1::Document { revision: 1, ..document(&host("web-1", 2)) };
    let changes = vec![v1::Change { change: Some(v1::change::Change::Put(put)) }];
    let request = v1::WriteRequest { changes, ..v1::WriteRequest::default() };
    let status = lab.client().write(by("admin", request)).await.expect_err("stale");
    assert_eq!((status.code(), fields(&status)), (Code::Aborted, vec!["Host/web-1:".into()]));
}

#[tokio::test]
async fn lists_come_in_pages_with_labels_and_sites() {
    let lab = lab().await;
    for n in 0..5 {
        let mut host = host(&format!("web-{n}"), n);
        host["labels"] = json!({"even": (n % 2 == 0).to_string()});
        host["spec"]["site"] = if n < 3 { "lyon" } else { "oslo" }.into();
        lab.apply(&[host]).await.expect("new");
    }
    let hosts = || v1::ListRequest { kind: "host".into(), ..v1::ListRequest::default() };
    let first = lab.names(v1::ListRequest { limit: 2, ..hosts() }).await;
    assert_eq!(first, (vec!["web-0".into(), "web-1".into()], true));
    let second = lab.names(v1::ListRequest { limit: 3, after: "web-1".into(), ..hosts() }).await;
    assert_eq!(second, (vec!["web-2".into(), "web-3".into(), "web-4".into()], false));
    let oslo = lab.names(v1::ListRequest { site: "oslo".into(), ..hosts() }).await;
    assert_eq!(oslo.0, ["web-3", "web-4"]);
    let even = v1::ListRequest { labels: [("even".into(), "true".into())].into(), ..hosts() };
    assert_eq!(lab.names(even).await.0, ["web-0", "web-2", "web-4"]);
    let sites = lab.names(v1::ListRequest { kind: "site".into(), ..v1::ListRequest::default() }).await;
    assert_eq!(sites.0, ["lyon", "oslo"]);
    assert_eq!(lab.get("host", "web-9").await.expect_err("none").code(), Code::NotFound);
    assert_eq!(lab.get("host", "../../x").await.expect_err("none").code(), Code::NotFound);
}

#[tokio::test]
async fn orders_are_made_and_revoked() {
    let lab = lab().await;
    lab.enrol("edge-1").await;
    lab.apply(&[host("web-1", 1)]).await.expect("new");
    let request = || v1::CreateOrderRequest { host: "web-1".into(), ..v1::CreateOrderRequest::default() };
    let order = lab.client().create_order(by("admin", request())).await.expect("in order").into_inner();
    assert_eq!(order.name, "web-1-1");
    let again = lab.client().create_order(by("admin", request())).await.expect_err("one stands");
    assert_eq!(again.code(), Code::FailedPrecondition);
    let long = v1::CreateOrderRequest { seconds: 31 * 86_400, agent: "x".into(), ..request() };
    let status = lab.client().create_order(by("admin", long)).await.expect_err("wrong");
    assert_eq!(fields(&status), ["agent", "seconds"]);
    let revoke = v1::RevokeOrderRequest { name: order.name, abandon: false };
    let revoked = lab.client().revoke_order(by("admin", revoke)).await.expect("it stands").into_inner();
    let json: Value = serde_json::from_slice(&revoked.json).expect("JSON");
    assert_eq!(json["spec"]["revoked"], true);
}

#[tokio::test]
async fn a_filter_by_a_site_that_is_not_there_is_a_mistake() {
    use v1::lease_history_request::Of;
    let lab = lab().await;
    let site = || "lion".to_owned();
    let mut client = lab.client();
    let boots = v1::ListBootsRequest { site: site(), ..v1::ListBootsRequest::default() };
    let watched = v1::WatchBootsRequest { site: site(), ..v1::WatchBootsRequest::default() };
    let leases = v1::ListLeasesRequest { site: site(), ..v1::ListLeasesRequest::default() };
    let history = v1::LeaseHistoryRequest { site: site(), of: Some(Of::Address(1)), limit: 0 };
    let images = v1::ImageStatusRequest { site: site(), ..v1::ImageStatusRequest::default() };
    let mut refused = vec![
        client.list_boots(by("viewer", boots)).await.err(),
        client.watch_boots(by("viewer", watched)).await.err(),
        client.list_leases(by("viewer", leases)).await.err(),
        client.lease_history(by("viewer", history)).await.err(),
        client.list_alarms(by("viewer", v1::ListAlarmsRequest { site: site() })).await.err(),
        client.image_status(by("viewer", images)).await.err(),
    ];
    for kind in ["Host", "Order", "Agent"] {
        let request = v1::ListRequest { kind: kind.into(), site: site(), ..v1::ListRequest::default() };
        refused.push(client.list(by("viewer", request)).await.err());
    }
    for (call, status) in refused.into_iter().enumerate() {
        let status = status.unwrap_or_else(|| panic!("call {call} was answered"));
        assert_eq!(status.code(), Code::NotFound, "call {call}: {status}");
        assert!(status.message().contains("did you mean lyon?"), "call {call}: {status}");
    }
}
