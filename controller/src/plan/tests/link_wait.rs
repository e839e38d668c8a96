//! What a wait for the link changes: iPXE's scripts and what installers are told; and nothing where none is said.

use super::*;

/// A site of one host with an order for each profile, and a menu for the host; both say how long they wait.
fn waiting(site_says: Option<&str>, host_says: Option<&str>) -> SitePlan {
    let globals = globals(json!({
        "deb": {"image": "debian-12"},
        "write": {"image": "web-1", "installer": "live"},
        "rescue": {"image": "live", "mode": "run"},
    }));
    let mut spec = json!({"loaders": "ipxe"});
    spec.as_object_mut().expect("a map").extend(site_says.map(|wait| ("link_wait".to_owned(), json!(wait))));
    let host_spec = json!({"site": "lyon", "macs": ["52:54:00:00:00:03"], "link_wait": host_says,
        "menu": {"entries": ["rescue"]}});
    let hosts = [("node-1".to_owned(), resource("node-1", 3, host_spec))].into();
    let orders = [order("one", 4, ("node-1", 3), "deb"), order("two", 5, ("node-1", 3), "write")].into();
    let planned = planned(&globals, &Local { site: Some(site(spec)), hosts, orders, ..Local::default() });
    assert_eq!(planned.problems, []);
    decoded(&planned)
}

fn autoexec_of_set(plan: &SitePlan) -> String {
    let parts = &plan.loaders["ipxe"].texts["autoexec.ipxe"];
    parts.iter().map(|part| format!("{part:?}")).collect()
}

#[test]
fn quirk_12_scripts_and_installers_wait_as_long_as_is_said() {
    let plan = waiting(Some("30s"), None);
    let [deb, write] = [4, 5].map(|id| &plan.orders[&OrderId([id; 16])].boot);
    insta::assert_snapshot!("waiting_script", text(deb, "boot.ipxe"));
    insta::assert_snapshot!("waiting_autoexec", text(deb, "autoexec.ipxe"));
    assert!(text(write, "boot.ipxe").contains(" bootlane.link_wait=30"));
    let menu = plan.hosts[&HostId([3; 16])].boot.as_ref().expect("a menu");
    assert_eq!(text(menu, "autoexec.ipxe"), text(deb, "autoexec.ipxe"));
    assert!(autoexec_of_set(&plan).contains("set wait:int32 3000\\n"));
    assert!(!text(deb, "autoexec.ipxe").contains("30000"), "no card holds the others up for the whole wait");
}

#[test]
fn the_host_s_word_on_waiting_wins() {
    let plan = waiting(Some("30s"), Some("3m"));
    let boot = &plan.orders[&OrderId([4; 16])].boot;
    assert!(text(boot, "boot.ipxe").contains("iflinkwait --timeout 180000 netX ||"));
    assert!(text(boot, "autoexec.ipxe").contains("set wait:int32 8572\n"));
    assert!(autoexec_of_set(&plan).contains("set wait:int32 3000\\n"), "others get the site's");
}

#[test]
fn where_nothing_is_said_nothing_waits() {
    let plan = waiting(None, None);
    let boots =
        plan.orders.values().map(|order| &order.boot).chain(plan.hosts[&HostId([3; 16])].boot.as_ref());
    for boot in boots {
        let script = text(boot, "boot.ipxe");
        assert!(!script.contains("link") && !boot.files.contains_key("autoexec.ipxe"), "{script}");
    }
}
