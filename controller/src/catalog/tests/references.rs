//! What documents demand of each other, and that a refusal changes nothing.

use super::*;
use crate::catalog::keys;
use crate::store::Txn;
use proto::catalog::AgentStatus;

async fn fleet() -> Fleet {
    Fleet::in_memory().furnished().await
}

#[tokio::test]
async fn a_mac_is_one_hosts_alone() {
    for fleet in [fleet().await, Fleet::on_sled().furnished().await] {
        fleet.apply(&[host("web-1", 1)]).await.expect("new");
        let before = fleet.everything().await;
        assert_refused(
            fleet.apply(&[host("web-2", 1)]).await,
            &["Host/web-2 spec.macs[0]", "52:54:00:00:00:01 belongs to Host web-1"],
        );
        assert_eq!(fleet.everything().await, before);
    }
}

#[tokio::test]
async fn two_hosts_of_one_request_do_not_share_a_mac_either() {
    let found = refusals(fleet().await.apply(&[host("web-1", 1), host("web-2", 1)]).await);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("Host/web-2 spec.macs[0]") && found[0].contains("Host web-1"), "{found:?}");
}

#[tokio::test]
async fn uuids_and_addresses_are_one_hosts_alone() {
    let fleet = fleet().await;
    let with = |name: &str, number| {
        let mut host = host(name, number);
        host["spec"]["uuid"] = "4c4c4544-0042-3510-8051-b4c04f4d5231".into();
        host["spec"]["address"] = "10.1.0.9".into();
        host
    };
    fleet.apply(&[with("web-1", 1)]).await.expect("new");
    let found = refusals(fleet.apply(&[with("web-2", 2)]).await);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().any(|line| line.contains("spec.uuid")), "{found:?}");
    assert!(
        found.iter().any(|line| line.contains("spec.address: 10.1.0.9 belongs to Host web-1")),
        "{found:?}"
    );
}

#[tokio::test]
async fn a_mac_passes_from_host_to_host_in_one_request() {
    let fleet = fleet().await;
    fleet.apply(&[host("web-1", 1)]).await.expect("new");
    fleet.apply(&[host("web-1", 2), host("web-2", 1)]).await.expect("nobody has a MAC twice");
    let owner = |mac: &str| {
        let mac = mac.parse().expect("a MAC");
        let catalog = fleet.catalog.clone();
        async move { catalog.host_of_mac(mac).await.expect("read") }
    };
    assert_eq!(owner("52:54:00:00:00:01").await.as_deref(), Some("web-2"));
    assert_eq!(owner("52:54:00:00:00:02").await.as_deref(), Some("web-1"));
    fleet.write(vec![remove(Kind::Host, "web-2")]).await.expect("unused");
    assert_eq!(owner("52:54:00:00:00:01").await, None);
    fleet.apply(&[host("web-3", 1)]).await.expect("free again");
}

#[tokio::test]
async fn every_missing_reference_is_named_at_once() {
    let found = refusals(
        fleet()
            .await
            .apply(&[
                json!({"kind":"Host","name":"a","spec":{"site":"nice","macs":["52:54:00:00:00:01"],"profile":"no"}}),
                json!({"kind":"Profile","name":"b","spec":{"image":"gone","installer":"gone-too"}}),
                json!({"kind":"Site","name":"c","spec":{"subnets":[{"network":"10.3.0.0/24"}],"loaders":"debian-12"}}),
            ])
            .await,
    );
    for part in [
        "Host/a spec.site: there is no Site nice",
        "Host/a spec.profile: there is no Profile no",
        "Profile/b spec.image: there is no Image gone",
        "Profile/b spec.installer: there is no Image gone-too",
        "Site/c spec.loaders: image debian-12 is of family debian, expected loaders",
    ] {
        assert!(found.iter().any(|line| line == part), "{part:?} in {found:#?}");
    }
    assert_eq!(found.len(), 5, "{found:#?}");
}

#[tokio::test]
async fn an_overlapping_pool_and_an_unknown_field_have_their_paths() {
    let fleet = fleet().await;
    let pools = json!({"kind":"Site","name":"nice","spec":{"subnets":[
        {"network":"10.3.0.0/24","pools":["10.3.0.10-10.3.0.20","10.3.0.20-10.3.0.30"]}]}});
    assert_refused(fleet.apply(&[pools]).await, &["Site/nice spec.subnets[0].pools[1]", "overlaps with"]);
    let unknown =
        json!({"kind":"Host","name":"a","spec":{"site":"lyon","macs":["52:54:00:00:00:01"],"colour":"red"}});
    assert_refused(fleet.apply(&[unknown]).await, &["Host/a spec.colour", "unknown field"]);
}

#[tokio::test]
async fn a_fixed_address_lies_in_a_subnet_of_the_site() {
    let fleet = fleet().await;
    for (address, why) in [("10.2.0.9", "in no subnet of site lyon"), ("10.1.0.255", "broadcast")] {
        let mut host = host("web-1", 1);
        host["spec"]["address"] = address.into();
        assert_refused(fleet.apply(&[host]).await, &["spec.address", why]);
    }
    let mut host = host("web-1", 1);
    host["spec"]["address"] = "10.1.0.9".into();
    fleet.apply(&[host]).await.expect("within");
    let moved = site("lyon", "10.9.0.0/24");
    assert_refused(fleet.apply(&[moved]).await, &["Site/lyon spec.subnets", "Host web-1", "10.1.0.9"]);
}

#[tokio::test]
async fn what_is_referred_to_stays() {
    let fleet = fleet().await;
    fleet.apply(&[host("web-1", 1)]).await.expect("new");
    for (kind, name, user) in [
        (Kind::Image, "debian-12", "Profile debian"),
        (Kind::Image, "ipxe", "Site lyon, Site oslo"),
        (Kind::Profile, "debian", "Host web-1"),
        (Kind::Site, "lyon", "Agent edge-1"),
    ] {
        let before = fleet.everything().await;
        assert_refused(fleet.write(vec![remove(kind, name)]).await, &["is used by", user]);
        assert_eq!(fleet.everything().await, before);
    }
    fleet
        .write(vec![
            remove(Kind::Image, "debian-12"),
            remove(Kind::Profile, "debian"),
            remove(Kind::Host, "web-1"),
        ])
        .await
        .expect("all users go along");
}

#[tokio::test]
async fn an_empty_site_goes_and_comes_again() {
    let fleet = fleet().await;
    fleet.write(vec![remove(Kind::Site, "oslo")]).await.expect("nothing in it");
    assert_eq!(fleet.catalog.site_names().await.expect("read"), ["lyon"]);
    fleet.apply(&[site("oslo", "10.2.0.0/24")]).await.expect("again");
}

#[tokio::test]
async fn an_image_never_changes() {
    let fleet = fleet().await;
    let unchanged = fleet.apply(&[image("debian-12", "debian")]).await.expect("the same");
    assert_eq!(unchanged.outcomes[0].effect, super::super::write::Effect::Unchanged);
    let mut other = image("debian-12", "debian");
    other["spec"]["version"] = "12.9".into();
    assert_refused(fleet.apply(&[other]).await, &["Image/debian-12 spec: an image never changes"]);
}

#[tokio::test]
async fn families_go_with_their_ways_to_boot() {
    let fleet = fleet().await;
    let disk = json!({"kind":"Image","name":"disk","spec":{"family":"disk-image","disk":"d",
        "files":{"d":{"sha256":"ab".repeat(32),"size":1}}}});
    fleet.apply(&[disk]).await.expect("an image");
    let profile = |spec: Value| json!({"kind":"Profile","name":"p","spec":spec});
    for (spec, field) in [
        (json!({"image":"disk"}), "spec.installer"),
        (json!({"image":"disk","installer":"debian-12"}), "spec.installer"),
        (json!({"image":"disk","installer":"rescue-1","mode":"run"}), "spec.mode"),
        (json!({"image":"debian-12","mode":"run"}), "spec.mode"),
        (json!({"image":"ipxe"}), "spec.image"),
        (json!({"image":"debian-12","boot":{"kernel":"vmlinuz"}}), "spec.boot.kernel"),
        (json!({"image":"debian-12","boot":{"initrds":["initrd","x"]}}), "spec.boot.initrds[1]"),
    ] {
        assert_refused(fleet.apply(&[profile(spec.clone())]).await, &[&format!("Profile/p {field}")]);
    }
    fleet.apply(&[profile(json!({"image":"disk","installer":"rescue-1"}))]).await.expect("complete");
}

#[tokio::test]
async fn what_is_made_by_its_own_call_is_not_written() {
    let fleet = fleet().await;
    let operator = json!({"kind":"Operator","name":"eve","spec":{"role":"admin"}});
    assert_refused(fleet.apply(std::slice::from_ref(&operator)).await, &["Operator/eve kind"]);
    assert_refused(fleet.write(vec![put(&operator, 0)]).await, &["Operator/eve kind"]);
    assert_refused(fleet.write(vec![remove(Kind::Agent, "edge-1")]).await, &["is not revoked"]);
}

#[tokio::test]
async fn the_last_admin_stays() {
    let fleet = fleet().await;
    assert!(fleet.catalog.ensure_first_operator(NOW).await.expect("made"));
    assert!(!fleet.catalog.ensure_first_operator(NOW).await.expect("there already"));
    assert_refused(fleet.write(vec![remove(Kind::Operator, "admin")]).await, &["is the last admin"]);
    let found = fleet.catalog.get_any(Kind::Operator, "admin").await.expect("read").expect("there");
    let revision = found.meta().expect("kept").revision;
    let demoted = json!({"kind":"Operator","name":"admin","spec":{"role":"viewer"}});
    assert_refused(fleet.write(vec![put(&demoted, revision)]).await, &["is the last admin"]);
}

#[tokio::test]
async fn a_host_moves_to_another_site_with_its_indices() {
    let fleet = fleet().await;
    let mut moving = host("web-1", 1);
    moving["spec"]["address"] = "10.1.0.9".into();
    fleet.apply(&[moving.clone()]).await.expect("new");
    let id = fleet.catalog.get_host("web-1").await.expect("read").expect("there").id();
    moving["spec"]["site"] = "oslo".into();
    moving["spec"]["address"] = "10.2.0.9".into();
    fleet.apply(&[moving]).await.expect("moved");
    let moved = fleet.catalog.get_host("web-1").await.expect("read").expect("there");
    assert_eq!((moved.spec.site.as_str(), moved.id()), ("oslo", id));
    let left: Vec<_> =
        fleet.everything().await.into_iter().filter(|(key, _)| key.contains("10.1.0.9")).collect();
    assert_eq!(left, []);
    assert_eq!(fleet.catalog.list_any(Kind::Host, Some("lyon")).await.expect("read").items, []);
}

#[tokio::test]
async fn a_secret_that_templates_ask_for_stays() {
    let fleet = fleet().await;
    let secret = |name: &str| json!({"kind": "Secret", "name": name, "spec": {"value": "v"}});
    let text = "{{ secret('mine') }}{{ secret(which) }}";
    let mut web = host("web-1", 1);
    web["spec"]["variables"] = json!({"which": "theirs", "root_password": "root-hash", "city": "free"});
    fleet
        .apply(&[
            secret("mine"),
            secret("theirs"),
            secret("root-hash"),
            secret("free"),
            web,
            json!({"kind": "Profile", "name": "own", "spec": {"image": "debian-12",
                "templates": {"late.sh": {"text": text}}}}),
        ])
        .await
        .expect("all is in order");
    for (name, user) in [("mine", "Profile own"), ("theirs", "Host web-1"), ("root-hash", "Host web-1")] {
        assert_refused(fleet.write(vec![remove(Kind::Secret, name)]).await, &["is used by", user]);
    }
    fleet
        .write(vec![remove(Kind::Secret, "free")])
        .await
        .expect("a variable that no template takes for a secret");
    let both = vec![remove(Kind::Secret, "mine"), remove(Kind::Profile, "own")];
    fleet.write(both).await.expect("they go together");
}

#[tokio::test]
async fn an_agents_own_address_is_no_hosts() {
    let fleet = Fleet::in_memory().furnished().await;
    let with = |name: &str, number, address: &str| {
        let mut host = host(name, number);
        host["spec"]["address"] = address.into();
        host
    };
    fleet.apply(&[with("early", 9, "10.1.0.3")]).await.expect("nobody told of that address yet");
    let addresses = vec!["10.1.0.2".to_owned(), "10.1.0.3".to_owned()];
    let status = AgentStatus { addresses, ..AgentStatus::default() };
    let status = serde_json::to_vec(&status).expect("plain fields");
    let key = keys::status(Kind::Agent, "edge-1").expect("a key");
    fleet.catalog.store().txn(Txn::new().put(key, status)).await.expect("written");
    let own = fleet.apply(&[with("web-1", 1, "10.1.0.2")]).await;
    assert_refused(own, &["spec.address", "10.1.0.2 is the address of agent edge-1 itself"]);
    for outer in ["10.1.0.0", "10.1.0.255"] {
        assert_refused(fleet.apply(&[with("web-1", 1, outer)]).await, &["network's or broadcast address"]);
    }
    let mut locked = with("early", 9, "10.1.0.3");
    locked["spec"]["locked"] = true.into();
    fleet.apply(&[locked]).await.expect("its address is as it was");
    fleet.apply(&[with("web-1", 1, "10.1.0.4")]).await.expect("nobody's");
}
