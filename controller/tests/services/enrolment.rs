//! Join tokens, recovery, renewal, revocation (S10, S11, S12).

use std::sync::Arc;
use std::time::Duration;

use certs::{JoinToken, KeyPair, RecoveryNonce};
use controller::{ADMIN_CREDENTIAL, Peer};
use proto::v1;
use tonic::Code;

use super::harness::{Agent, Controller, admin, identity, next, next_plan, now};

const MINUTE: Duration = Duration::from_secs(60);

fn key() -> KeyPair {
    KeyPair::generate().expect("made")
}

#[tokio::test]
async fn the_first_start_leaves_an_operator_credential_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let controller = Controller::start().await;
    let path = controller.folder.path().join("state").join(ADMIN_CREDENTIAL);
    let credential = certs::OperatorCredential::load(&path).expect("readable");
    assert_eq!((credential.fleet().as_str(), credential.operator().as_str()), ("acme", "admin"));
    assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    let before = std::fs::read(&path).expect("readable");
    let controller = controller.restart().await;
    assert_eq!(std::fs::read(&path).expect("readable"), before, "a second start leaves it");
    drop(controller);
}

#[tokio::test]
async fn a_lost_reply_strands_nobody() {
    let controller = Controller::with_lyon().await;
    let token = controller.token("lyon", 1, MINUTE).await;
    let key = key();
    let first = controller.enrol(&token, "lyon-1", &key).await.expect("enrolled");
    assert_eq!((first.fleet.as_str(), first.site.as_str(), first.agent.as_str()), ("acme", "lyon", "lyon-1"));
    controller.enrol(&token, "lyon-1", &key).await.expect("the same key is answered again");
    let controller = controller.restart().await;
    controller.enrol(&token, "lyon-1", &key).await.expect("also by a controller that was started again");
}

#[tokio::test]
async fn a_token_that_does_not_hold_is_refused_in_words() {
    let controller = Controller::with_lyon().await;
    let used = controller.token("lyon", 1, MINUTE).await;
    controller.enrol(&used, "lyon-1", &key()).await.expect("enrolled");
    let refused = async |token: &JoinToken, name: &str| {
        let status = controller.enrol(token, name, &key()).await.expect_err("refused");
        (status.code(), status.message().to_owned())
    };
    let (code, text) = refused(&used, "lyon-2").await;
    assert!(code == Code::PermissionDenied && text.contains("used up"), "{code:?} {text}");

    let another = controller.token("lyon", 5, MINUTE).await;
    let (code, text) = refused(&another, "lyon-1").await;
    assert!(code == Code::AlreadyExists && text.contains("choose another name"), "{code:?} {text}");

    let expired = controller.token("lyon", 1, Duration::ZERO).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    let (code, text) = refused(&expired, "lyon-3").await;
    assert!(code == Code::PermissionDenied && text.contains("expired"), "{code:?} {text}");

    let made_up =
        JoinToken::generate(another.fleet.clone(), another.site.clone(), another.root).expect("random");
    let (code, text) = refused(&made_up, "lyon-3").await;
    assert!(code == Code::PermissionDenied && text.contains("not known here"), "{code:?} {text}");
}

#[tokio::test]
async fn a_request_for_another_site_or_name_is_refused() {
    let controller = Controller::with_lyon().await;
    let token = controller.token("lyon", 5, MINUTE).await;
    for asked in [identity("nice", "lyon-1"), identity("lyon", "lyon-2")] {
        let csr = key().request(&asked).expect("signed");
        let status = controller.enrol_with(&token, "lyon-1", csr).await.expect_err("refused");
        assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
        assert!(status.message().contains(&asked.to_string()), "{status:?}");
    }
    let mut elsewhere = token.clone();
    elsewhere.site = "nice".parse().expect("a name");
    let status = controller.enrol(&elsewhere, "nice-1", &key()).await.expect_err("another site");
    assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
    let status =
        controller.enrol_with(&token, "lyon-1", b"no request".to_vec()).await.expect_err("no request");
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn an_agent_renews_with_its_own_key_alone() {
    let controller = Controller::with_lyon().await;
    let agent = controller.agent("lyon", "lyon-1").await;
    let mut client = agent.client().await;
    let request = |key: &KeyPair, site: &str| {
        let csr_der = key.request(&identity(site, "lyon-1")).expect("signed").into();
        v1::RenewRequest { csr_der }
    };
    let renewed = client.renew(request(&agent.key, "lyon")).await.expect("renewed").into_inner();
    let renewed = Agent::new(controller.running.fleet, "lyon", "lyon-1", Arc::clone(&agent.key), &renewed);
    renewed.client().await.renew(request(&agent.key, "lyon")).await.expect("the new certificate is good");
    let status = client.renew(request(&key(), "lyon")).await.expect_err("another key");
    assert_eq!(status.code(), Code::PermissionDenied);
    let status = client.renew(request(&agent.key, "nice")).await.expect_err("another site");
    assert_eq!(status.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn an_agent_recovers_with_its_kept_key_once_per_nonce() {
    let controller = Controller::with_lyon().await;
    let agent = controller.agent("lyon", "lyon-1").await;
    let token = controller.token("lyon", 1, MINUTE).await;
    let mut client = controller.enrolment(&token).await;
    let (site, name) = (String::from("lyon"), String::from("lyon-1"));
    let challenge = v1::ChallengeRequest { site: site.clone(), agent: name.clone() };
    let nonce = client.challenge(challenge.clone()).await.expect("a nonce").into_inner().nonce;
    let recover = |key: &KeyPair, nonce: &[u8]| {
        let csr = key.request(&agent.identity).expect("signed");
        let signed = RecoveryNonce::try_from(nonce).expect("32 bytes");
        let signature = key.sign_recovery(&signed, &agent.identity, &csr).expect("signed");
        v1::RecoverRequest {
            site: site.clone(),
            agent: name.clone(),
            nonce: nonce.to_vec().into(),
            signature: signature.into(),
            csr_der: csr.into(),
        }
    };
    let credentials = client.recover(recover(&agent.key, &nonce)).await.expect("recovered").into_inner();
    let recovered =
        Agent::new(controller.running.fleet, "lyon", "lyon-1", Arc::clone(&agent.key), &credentials);
    next(&mut recovered.follow(None).await).await.expect("a plan");
    let status = client.recover(recover(&agent.key, &nonce)).await.expect_err("the nonce is used");
    assert_eq!(status.code(), Code::FailedPrecondition);

    let nonce = client.challenge(challenge.clone()).await.expect("a nonce").into_inner().nonce;
    let status = client.recover(recover(&key(), &nonce)).await.expect_err("another key");
    assert_eq!(status.code(), Code::PermissionDenied);
    let unasked = RecoveryNonce::generate().expect("random");
    let status = client.recover(recover(&agent.key, unasked.as_bytes())).await.expect_err("never given");
    assert_eq!(status.code(), Code::FailedPrecondition);

    controller.running.app.catalog.revoke_agent(&admin(), "lyon-1", now()).await.expect("revoked");
    let nonce = client.challenge(challenge).await.expect("strangers get one too").into_inner().nonce;
    let status = client.recover(recover(&agent.key, &nonce)).await.expect_err("revoked");
    assert!(status.code() == Code::PermissionDenied && status.message().contains("revoked"), "{status:?}");
}

#[tokio::test]
async fn a_revoked_agent_loses_its_open_streams_and_every_call() {
    let controller = Controller::with_lyon().await;
    let (agent, other) = (controller.agent("lyon", "lyon-1").await, controller.agent("lyon", "lyon-2").await);
    let (mut stream, mut others) = (agent.follow(None).await, other.follow(None).await);
    next(&mut stream).await.expect("a plan");
    next(&mut others).await.expect("a plan");
    let (reports, requests) = tokio::sync::mpsc::channel(1);
    let requests = tokio_stream::wrappers::ReceiverStream::new(requests);
    let mut answers = agent.client().await.report(requests).await.expect("a stream").into_inner();
    assert_eq!(controller.running.app.sessions.count("lyon-1"), 2);

    let began = std::time::Instant::now();
    controller.running.app.catalog.revoke_agent(&admin(), "lyon-1", now()).await.expect("revoked");
    for status in
        [next_plan(&mut stream).await.expect_err("closed"), next(&mut answers).await.expect_err("closed")]
    {
        assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
    }
    // The promise of `bootlane agent revoke`.
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    drop(reports);
    let mut client = agent.client().await;
    let request = v1::FollowRequest { applied: None, level: 1, version: String::new() };
    assert_eq!(client.follow(request).await.expect_err("revoked").code(), Code::PermissionDenied);
    assert_eq!(controller.running.app.sessions.count("lyon-2"), 1, "the other agent is not touched");
}

#[tokio::test]
async fn an_operator_is_no_agent() {
    let controller = Controller::with_lyon().await;
    let path = controller.folder.path().join("state").join(ADMIN_CREDENTIAL);
    let operator = certs::OperatorCredential::load(&path).expect("readable");
    let leaf = operator.credential().leaf().clone();
    let mut request = tonic::Request::new(());
    assert_eq!(Peer::of(&request).expect_err("nobody").code(), Code::Unauthenticated);
    request.extensions_mut().insert(Peer(Arc::new(leaf)));
    assert!(Peer::of(&request).is_ok());
    let credentials = v1::Credentials {
        chain_der: operator.credential().chain().iter().map(|der| der.to_vec().into()).collect(),
        bundle_der: operator.bundle().ders().map(|der| der.to_vec().into()).collect(),
        ..v1::Credentials::default()
    };
    let key = Arc::clone(operator.credential().key());
    let agent = Agent::new(controller.running.fleet, "lyon", "admin", key, &credentials);
    let request = v1::FollowRequest { applied: None, level: 1, version: String::new() };
    assert_eq!(
        agent.client().await.follow(request).await.expect_err("no agent").code(),
        Code::PermissionDenied
    );
}
