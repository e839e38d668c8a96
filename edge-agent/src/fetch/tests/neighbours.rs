//! Two agents of one site: what one has, the other has without the WAN.

use certs::{
    Authority, CertificateRequest, Credential, Identity, KeyPair,
    tls::{DefaultTimeProvider, ReloadableClient},
};
use proto::{
    Generation,
    chunks::{ChunkList, Cutter},
    plan::{
        ChunkListRef, ChunkLists, Need as Soon, Network, PlanDocument, Prefetch, SitePlan, chunks_entry,
        network_entry, prefetch_entry,
    },
};

use super::*;
use crate::{disk::cache::tests::put_blob, peers::Peers};

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
    Link { tls: Some(Arc::new(tls)), site: Some(site), ..Link::default() }
}

fn plan_of(blob: BlobRef, lists: &ChunkLists) -> Arc<SitePlan> {
    let prefetch = Prefetch { name: "site".into(), need: Soon::Site, rank: 0, blobs: vec![blob] };
    let entries = [network_entry(&Network::default()), prefetch_entry(&prefetch), chunks_entry(lists)];
    let document = PlanDocument::assemble("acme", "lyon", Generation { epoch: 1, revision: 1 }, 1, entries);
    Arc::new(SitePlan::decode(&document).expect("a plan"))
}

/// What an agent got of a blob that an agent in Lyon has, and of its list if it has one.
struct Got {
    fetched: Result<(), FetchError>,
    here: bool,
    /// Bytes that did not come from the other agent.
    copied: u64,
}

/// The agent called `site` holds `held`, and fetches `content`.
async fn fetched_by(site: &str, content: &[u8], list: Option<&[u8]>, held: Option<&[u8]>) -> Got {
    let folder = tempfile::tempdir().expect("tempdir");
    let fleet = "acme".parse().expect("legal");
    let authority =
        Authority::open_or_create(&folder.path().join("authority"), &fleet, SystemTime::now()).expect("made");
    let other = cache(&folder.path().join("other"));
    let blob = put_blob(&other, content);
    let lists: ChunkLists = list
        .map(|list| {
            let distinct_bytes = ChunkList::parse(list).expect("a list").distinct_bytes();
            (blob.digest, ChunkListRef { list: put_blob(&other, list), distinct_bytes })
        })
        .into_iter()
        .collect();
    let (_plan, plan) = watch::channel(Some(plan_of(blob, &lists)));
    let (_link, its_link) = watch::channel(link(&authority, "lyon", "two"));
    let anywhere = ([127, 0, 0, 1], 0).into();
    let peers = Peers::listen(anywhere, other, plan, its_link).await.expect("listens");
    let addresses = vec![peers.address().expect("known")];
    let serving = tokio::spawn(peers.run());

    let (_link, our_link) = watch::channel(link(&authority, site, "one"));
    let ours = cache(&folder.path().join("ours"));
    if let Some(held) = held {
        put_blob(&ours, held);
    }
    let supply = Supply::new(ours.clone(), Vec::new(), "one".into(), our_link, PATIENCE, Arc::default());
    let site = site.parse().expect("legal");
    supply.set_places(vec![("agent two".into(), Place::Agent { site, addresses })]);
    supply.know_lists(lists);
    let supply = Arc::new(supply);
    let bound = Duration::from_secs(5);
    let fetching =
        tokio::time::timeout(bound, fetch(&supply, blob, &Purpose::new(Need::Prefetch, "a file"))).await;
    serving.abort();
    assert_eq!(supply.received(), 0, "the WAN is not used");
    let fetched = fetching.unwrap_or(Err(FetchError::TimeUp(bound))).map(drop);
    Got { fetched, here: ours.size_of(&blob.digest).is_some(), copied: supply.copied() }
}

#[tokio::test]
async fn what_a_neighbour_has_needs_no_wan() {
    let got = fetched_by("lyon", &content(), None, None).await;
    got.fetched.expect("it is given");
    assert!(got.here);
}

#[tokio::test]
async fn a_new_version_is_put_together_from_our_own_and_what_a_neighbour_gives() {
    let mut state = 1_u64;
    let mut noise = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let old: Vec<u8> = (0..2 << 20).map(&mut noise).collect();
    let mut new = old.clone();
    // Two places, so that several ranges are missing.
    new[300_000] ^= 1;
    new[1_500_000] ^= 1;
    let mut cutter = Cutter::for_size(new.len() as u64).expect("large enough");
    cutter.push(&new);
    let list = cutter.finish().expect("all of it came").encode();
    let got = fetched_by("lyon", &new, Some(&list), Some(&old)).await;
    got.fetched.expect("it is given");
    assert!(got.here);
    assert!(got.copied > 1 << 20, "{} bytes", got.copied);
}

#[tokio::test]
async fn an_agent_of_another_site_gets_nothing() {
    let got = fetched_by("paris", &content(), None, None).await;
    got.fetched.expect_err("it is refused");
    assert!(!got.here);
}
