//! Two agents of one site: what one has, the other has without the WAN.

use certs::{
    Authority, CertificateRequest, Credential, Identity, KeyPair,
    tls::{DefaultTimeProvider, ReloadableClient},
};
use proto::{
    Generation,
    plan::{Need as Soon, Network, PlanDocument, Prefetch, SitePlan, network_entry, prefetch_entry},
};

use super::*;
use crate::peers::Peers;

const DAY: Duration = Duration::from_secs(86_400);

/// An agent's way in and out.
fn link(authority: &Authority, site: &str, agent: &str) -> Link {
    let key = Arc::new(KeyPair::generate().expect("made"));
    let (fleet, site) = (authority.fleet().clone(), site.parse::<certs::SiteName>().expect("legal"));
    let agent = agent.parse().expect("legal");
    let identity = Identity::Agent { fleet: fleet.clone(), site: site.clone(), agent };
    let request = CertificateRequest::from_der(&key.request(&identity).expect("signed")).expect("valid");
    let Identity::Agent { agent, .. } = &identity else { unreachable!("it was made so") };
    let issued = authority.issue_agent(&request, &site, agent, DAY, SystemTime::now()).expect("issued");
    let credential = Credential::new(key, &issued.chain_der).expect("they belong together");
    let time = Arc::new(DefaultTimeProvider);
    let tls = ReloadableClient::new(fleet, &credential, &authority.bundle(), time).expect("usable");
    Link { up: false, tls: Some(Arc::new(tls)), site: Some(site) }
}

fn plan_of(blob: BlobRef) -> Arc<SitePlan> {
    let prefetch = Prefetch { name: "site".into(), need: Soon::Site, blobs: vec![blob] };
    let entries = [network_entry(&Network::default()), prefetch_entry(&prefetch)];
    let document = PlanDocument::assemble("acme", "lyon", Generation { epoch: 1, revision: 1 }, 1, entries);
    Arc::new(SitePlan::decode(&document).expect("a plan"))
}

/// What the agent called `site` gets of a blob that an agent in Lyon has.
async fn fetched_by(site: &str) -> (Result<(), FetchError>, bool) {
    let folder = tempfile::tempdir().expect("tempdir");
    let (content, fleet) = (content(), "acme".parse().expect("legal"));
    let authority =
        Authority::open_or_create(&folder.path().join("authority"), &fleet, SystemTime::now()).expect("made");
    let blob = BlobRef { digest: Digest::of(&content), size: SIZE as u64 };

    let other = cache(&folder.path().join("other"));
    let mut fill = other.fill(blob.digest, blob.size).expect("begins");
    fill.write(&content).expect("writes");
    fill.finish().expect("publishes");
    let (_plan, plan) = watch::channel(Some(plan_of(blob)));
    let (_link, its_link) = watch::channel(link(&authority, "lyon", "two"));
    let anywhere = ([127, 0, 0, 1], 0).into();
    let peers = Peers::listen(anywhere, other, plan, its_link).await.expect("listens");
    let addresses = vec![peers.address().expect("known")];
    let serving = tokio::spawn(peers.run());

    let (_link, our_link) = watch::channel(link(&authority, site, "one"));
    let ours = cache(&folder.path().join("ours"));
    let supply = Supply::new(ours.clone(), Vec::new(), "one".into(), our_link, PATIENCE);
    let site = site.parse().expect("legal");
    supply.set_places(vec![("agent two".into(), Place::Agent { site, addresses })]);
    let supply = Arc::new(supply);
    let bound = Duration::from_secs(5);
    let fetching = tokio::time::timeout(bound, fetch(&supply, blob, &Purpose::new(Need::Prefetch))).await;
    serving.abort();
    assert_eq!(supply.received(), 0, "the WAN is not used");
    let fetched = fetching.unwrap_or(Err(FetchError::TimeUp(bound)));
    (fetched, ours.size_of(&blob.digest).is_some())
}

#[tokio::test]
async fn what_a_neighbour_has_needs_no_wan() {
    let (fetched, here) = fetched_by("lyon").await;
    fetched.expect("it is given");
    assert!(here);
}

#[tokio::test]
async fn an_agent_of_another_site_gets_nothing() {
    let (fetched, here) = fetched_by("paris").await;
    fetched.expect_err("it is refused");
    assert!(!here);
}
