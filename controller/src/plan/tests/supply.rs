//! What sites are to hold ahead of time, from whom they may have it, and orders that wait for it.

use proto::catalog::AgentSpec;
use proto::plan::{BlobRef, Need, Wan};
use proto::{Digest, RateLimit};

use super::*;

fn agent(name: &str, peer: Option<&str>) -> (String, Arc<Resource<AgentSpec>>) {
    let peers: Vec<_> = peer.into_iter().collect();
    let spec = json!({"site": "lyon", "key": KERNEL, "public_key": "", "peer_addresses": peers});
    (name.to_owned(), resource(name, 30, spec))
}

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

/// With files that differ.
fn images() -> Globals {
    let file = |text: &str| json!({"sha256": digest(text).to_string(), "size": text.len()});
    let linux = json!({"family": "linux", "kernel": "vmlinuz", "initrds": ["initrd"],
        "files": {"vmlinuz": file("kernel"), "initrd": file("initrd"), "README": file("readme")}});
    let disk = json!({"family": "disk-image", "disk": "web.img", "files": {"web.img": file("disk")}});
    let loaders = json!({"family": "loaders", "loaders": {"uefi-x64": "snponly.efi"},
        "files": {"snponly.efi": file("ipxe")}});
    let mut globals = globals(json!({
        "live": {"image": "linux", "mode": "run"},
        "web": {"image": "disk", "installer": "linux"},
        "moon": {"image": "gone"},
    }));
    for (name, spec) in [("linux", linux), ("disk", disk), ("ipxe", loaders)] {
        globals.images.insert(name.into(), resource::<ImageSpec>(name, 1, spec));
    }
    globals
}

fn digests(blobs: &[BlobRef]) -> Vec<Digest> {
    blobs.iter().map(|blob| blob.digest).collect()
}

#[test]
fn a_site_holds_what_it_says_without_a_host_that_asks() {
    let prefetch = json!({"loaders": "ipxe",
        "prefetch": {"profiles": ["web", "moon"], "images": ["linux", "gone"]}});
    let planned = planned(&images(), &Local { site: Some(site(prefetch)), ..Local::default() });
    let plan = decoded(&planned);
    let wanted = |name: &str| digests(&plan.prefetch[name].blobs);
    assert_eq!(wanted("profile/web"), ["kernel", "initrd", "disk"].map(digest));
    assert_eq!(wanted("image/linux"), ["readme", "initrd", "kernel"].map(digest), "all its files");
    assert!(plan.prefetch.values().all(|prefetch| prefetch.need == Need::Site));
    let names: Vec<_> = plan.prefetched(Need::Site).map(|prefetch| prefetch.name.as_str()).collect();
    assert_eq!(names, ["profile/web", "image/linux"], "in the order in which the site names them");
    assert_eq!(
        messages(&planned),
        [("lyon", "spec.prefetch.images[1]"), ("lyon", "spec.prefetch.profiles[1]")]
    );
    assert!(planned.blobs.contains_key(&digest("disk")), "agents may fetch it");
    assert!(planned.uses.contains(&(Kind::Image, "gone".into())), "planned anew once it is there");
}

#[test]
fn an_order_that_waits_is_no_permission_and_its_bytes_come_first() {
    let (name, ordered) = order("web-1-1", 50, ("web-1", 10), "web");
    let mut waits = (*ordered).clone();
    let until = proto::Wall(5);
    waits.spec.waiting = Some(proto::catalog::Waiting { until_ms: until, life: proto::Span::seconds(60) });
    let local = |order: Resource<OrderSpec>| Local {
        site: Some(site(json!({"loaders": "ipxe"}))),
        hosts: [host("web-1", 10, None)].into(),
        orders: [(name.clone(), Arc::new(order))].into(),
        ..Local::default()
    };
    let planned_waiting = planned(&images(), &local(waits));
    let plan = decoded(&planned_waiting);
    assert!(plan.orders.is_empty());
    assert_eq!(plan.prefetch["order/web-1-1"].need, Need::Order);
    let need = &planned_waiting.orders["web-1-1"];
    let expected: BTreeSet<_> = ["kernel", "initrd", "disk", "ipxe"].map(digest).into();
    assert_eq!(need.blobs.keys().copied().collect::<BTreeSet<_>>(), expected, "its loader too");
    assert_eq!((need.waits_until.is_some(), need.agent.as_str()), (true, "lyon-1"));

    let armed = planned(&images(), &local((*ordered).clone()));
    let plan = decoded(&armed);
    assert!(plan.prefetch.is_empty() && plan.orders.len() == 1);
    assert_eq!(armed.orders["web-1-1"], OrderNeed { waits_until: None, ..need.clone() });
}

#[test]
fn agents_share_the_wan_and_find_each_other_within_their_site() {
    let spec = json!({"wan": {"rate": "50Mbit"}, "blob_sources": ["https://images.example"]});
    let local = |agents: Vec<(String, Arc<Resource<AgentSpec>>)>| Local {
        site: Some(site(spec.clone())),
        agents: agents.into_iter().collect(),
        ..Local::default()
    };
    let network = |local: &Local| decoded(&planned(&Globals::default(), local)).network;
    let alone = network(&local(vec![agent("lyon-1", Some("10.1.0.2:7445"))]));
    assert_eq!(alone.wan, Wan { usual: RateLimit::bits(50_000_000), ..Wan::default() });
    assert_eq!(alone.peers, [], "there is nobody to ask");
    assert_eq!(alone.blob_sources.len(), 1);
    let two =
        network(&local(vec![agent("lyon-1", Some("10.1.0.2:7445")), agent("lyon-2", Some("10.1.0.3:7445"))]));
    assert_eq!(two.wan.usual, RateLimit::bits(25_000_000));
    let names: Vec<_> = two.peers.iter().map(|peer| peer.name.as_str()).collect();
    assert_eq!(names, ["lyon-1", "lyon-2"]);
    // S8: what an agent says leads nowhere but into the site.
    let stranger = agent("lyon-2", Some("169.254.169.254:80"));
    assert_eq!(network(&local(vec![agent("lyon-1", Some("10.1.0.2:7445")), stranger])).peers, []);
}

#[test]
fn a_plan_that_does_not_fit_is_said_and_planned() {
    let prefetch = |cache: &str| site(json!({"cache": cache, "prefetch": {"images": ["linux"]}}));
    let planned = |cache| planned(&images(), &Local { site: Some(prefetch(cache)), ..Local::default() });
    assert_eq!(messages(&planned("18B")), []);
    let tight = planned("17B");
    assert_eq!(messages(&tight), [("lyon", "spec.cache")]);
    assert!(tight.problems[0].message.starts_with("is 17B, and what the site is to hold takes 1MiB"));
    assert_eq!(decoded(&tight).prefetch.len(), 1);
}
