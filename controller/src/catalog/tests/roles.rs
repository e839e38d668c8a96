//! Who may do what.

use certs::Identity;

use super::*;
use crate::catalog::{
    ChangeError,
    orders::NewOrder,
    roles::{AccessError, Denied},
};

#[tokio::test]
async fn each_role_may_what_it_may() {
    let fleet = Fleet::in_memory().furnished().await;
    fleet.apply(&[host("web-1", 1)]).await.expect("new");
    let viewer = actor("v", Role::Viewer, &[]);
    let everywhere = actor("e", Role::Operator, &[]);
    let oslo = actor("o", Role::Operator, &["oslo"]);
    let admin = actor("a", Role::Admin, &[]);
    let site = || site("nice", "10.3.0.0/24");
    let profile = || json!({"kind":"Profile","name":"p","spec":{"image":"debian-12"}});
    let secret = || json!({"kind":"Secret","name":"s","spec":{"value":"v"}});
    let matrix: [(&str, Value, [bool; 4]); 4] = [
        ("host", host("web-2", 2), [false, true, false, true]),
        ("site", site(), [false, false, false, true]),
        ("profile", profile(), [false, false, false, true]),
        ("secret", secret(), [false, false, false, true]),
    ];
    for (what, document, allowed) in matrix {
        for (actor, allowed) in [&viewer, &everywhere, &oslo, &admin].into_iter().zip(allowed) {
            let written = fleet.write_as(actor, vec![apply(&document)]).await;
            let denied = matches!(written, Err(WriteError::Denied(_)));
            assert_eq!(!denied, allowed, "{what} by {}: {written:?}", actor.name);
        }
    }
    let denied = fleet.write_as(&viewer, vec![apply(&site())]).await.expect_err("a viewer");
    assert_eq!(denied.to_string(), "operator v has role viewer; changing Site nice needs role admin");
}

#[tokio::test]
async fn an_operator_neither_takes_hosts_from_nor_gives_them_to_other_sites() {
    let fleet = Fleet::in_memory().furnished().await;
    fleet.apply(&[host("web-1", 1)]).await.expect("new");
    let mut moved = host("web-1", 1);
    moved["spec"]["site"] = "oslo".into();
    for own in ["oslo", "lyon"] {
        let operator = actor("o", Role::Operator, &[own]);
        let denied =
            fleet.write_as(&operator, vec![apply(&moved)]).await.expect_err("half of it is elsewhere");
        assert!(matches!(denied, WriteError::Denied(Denied::Site { .. })), "{own}: {denied:?}");
    }
    let oslo = actor("o", Role::Operator, &["oslo"]);
    let denied = fleet.write_as(&oslo, vec![remove(Kind::Host, "web-1")]).await;
    assert!(matches!(denied, Err(WriteError::Denied(Denied::Site { .. }))), "{denied:?}");
    let order = NewOrder { host: "web-1".into(), profile: None, life: None, agent: None, wait: None };
    let denied = fleet.catalog.create_order(&oslo, &order, NOW).await;
    assert!(matches!(denied, Err(ChangeError::Denied(Denied::Site { .. }))), "{denied:?}");
}

#[tokio::test]
async fn a_certificate_is_worth_what_the_catalog_says_now() {
    let fleet = Fleet::in_memory();
    fleet.catalog.ensure_first_operator(NOW).await.expect("made");
    let identity = |uri: &str| uri.parse::<Identity>().expect("an identity");
    let admin = fleet.catalog.actor(&identity("spiffe://acme/operator/admin")).await.expect("known");
    assert_eq!((admin.name.as_str(), admin.role), ("admin", Role::Admin));
    for (uri, text) in [
        ("spiffe://acme/operator/eve", "there is no operator eve"),
        ("spiffe://acme/site/lyon/agent/admin", "spiffe://acme/site/lyon/agent/admin is no operator"),
        ("spiffe://acme/controller/admin", "spiffe://acme/controller/admin is no operator"),
    ] {
        let error = fleet.catalog.actor(&identity(uri)).await.expect_err("not allowed");
        assert_eq!(error.to_string(), text);
    }
    let spec = |revoked| proto::catalog::OperatorSpec { role: Role::Viewer, sites: vec![], revoked };
    fleet.catalog.put_operator(&admin, "eve", spec(false), NOW).await.expect("made");
    fleet.catalog.actor(&identity("spiffe://acme/operator/eve")).await.expect("known");
    fleet.catalog.put_operator(&admin, "eve", spec(true), NOW).await.expect("revoked");
    let error = fleet.catalog.actor(&identity("spiffe://acme/operator/eve")).await;
    assert!(matches!(error, Err(AccessError::Denied(Denied::Revoked(_)))), "{error:?}");
}
