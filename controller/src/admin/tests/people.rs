//! Who calls, and may: operators and agents.

use super::*;

#[tokio::test]
async fn callers_are_who_the_catalog_says_they_are() {
    let lab = lab().await;
    let who = lab.client().who_am_i(by("oslo", v1::WhoAmIRequest {})).await.expect("known").into_inner();
    assert_eq!(
        (who.operator.as_str(), who.role.as_str(), who.sites),
        ("oslo", "operator", vec!["oslo".into()])
    );
    let unknown = lab.client().who_am_i(by("nobody", v1::WhoAmIRequest {})).await.expect_err("unknown");
    assert_eq!(unknown.code(), Code::Unauthenticated);
    let bare =
        lab.client().who_am_i(by("without-certificate", v1::WhoAmIRequest {})).await.expect_err("bare");
    assert_eq!(bare.code(), Code::Unauthenticated);
    assert_eq!(
        lab.client().write(by("viewer", applies(&[]))).await.expect_err("looks").code(),
        Code::PermissionDenied
    );
    let backup = v1::BackupRequest { passphrase: "a long passphrase".into() };
    let denied = lab.client().backup(by("oslo", backup)).await.expect_err("no admin");
    assert!(denied.message().contains("needs role admin"), "{denied:?}");
    lab.client().write(by("oslo", applies(&[host("web-1", 1)]))).await.expect_err("another site");
    let mut own = host("web-1", 1);
    own["spec"]["site"] = "oslo".into();
    lab.client().write(by("oslo", applies(&[own]))).await.expect("its own site");
}

#[tokio::test]
async fn a_revoked_agent_loses_its_streams() {
    let lab = lab().await;
    lab.enrol("edge-1").await;
    let session = lab.app.sessions.open("edge-1", None);
    let request = || v1::RevokeAgentRequest { name: "edge-1".into() };
    let answer = lab.client().revoke_agent(by("admin", request())).await.expect("known").into_inner();
    assert_eq!(answer.closed, 1);
    assert!(session.is_closed());
    let agent = lab.get("agent", "edge-1").await.expect("known");
    let json: Value = serde_json::from_slice(&agent.json).expect("JSON");
    assert_eq!(json["spec"]["revoked"], true);
}

#[tokio::test]
async fn an_operator_gets_a_certificate_for_its_key() {
    let lab = lab().await;
    let identity: Identity = "spiffe://acme/operator/eve".parse().expect("legal");
    let csr = KeyPair::generate().expect("random").request(&identity).expect("made");
    let request = v1::CreateOperatorRequest {
        name: "eve".into(),
        role: "operator".into(),
        sites: vec!["lyon".into()],
        csr_der: csr.into(),
    };
    let answer = lab.client().create_operator(by("admin", request.clone())).await.expect("made").into_inner();
    let leaf = LeafCertificate::from_der(&answer.chain_der[0]).expect("ours");
    assert_eq!(leaf.identity, identity);
    assert_eq!(answer.bundle_der.len(), 1);
    let wrong =
        v1::CreateOperatorRequest { name: "E".into(), role: "king".into(), csr_der: "x".into(), ..request };
    let status = lab.client().create_operator(by("admin", wrong)).await.expect_err("wrong");
    assert_eq!(fields(&status), ["name", "csr_der", "role"]);
}
