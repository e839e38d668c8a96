//! Boots on paper by the lab's catalog: what each firmware is told, and every flag.

mod lab;

use netboot::decide::ORDERS_WAIT;
use netboot::dhcp::POOLS_WAIT;
use netboot::site::Disk;
use netboot::time::Wall;
use proto::catalog::Kind;
use proto::event::OrderPhase;
use proto::ledger::{Lease, LeaseKey, OrderState, Record};
use proto::plan::Stage;
use proto::v1::simulated_step::Step;
use proto::{Digest, Mac};
use rom::Firmware;
use serde_json::json;

use super::scenario::{Held, Scenario};
use lab::{Lab, MAC, NOT_AFTER, SECRET, failures, text, told};

#[test]
fn each_firmware_is_installed_or_told_why_not() {
    let lab = Lab::new().ordered();
    for firmware in ["bios", "bios-ipxe", "uefi-x64", "uefi-http", "uefi-ia32", "uefi-arm64"] {
        insta::assert_snapshot!(format!("install-{firmware}"), text(&told(&lab.scenario(firmware))));
    }
}

#[test]
fn each_firmware_finds_its_disk() {
    let lab = Lab::new();
    for firmware in ["bios", "bios-ipxe", "uefi-x64", "uefi-http"] {
        let answer = told(&lab.scenario(firmware));
        assert!(answer.flags.is_empty(), "{firmware}: {:?}", answer.flags);
        assert_eq!(answer.steps.iter().map(|step| step.boot).max(), Some(1));
    }
    insta::assert_snapshot!("disk-uefi-http", text(&told(&lab.scenario("uefi-http"))));
}

#[test]
fn each_loader_asks_in_its_own_words() {
    for (loaders, firmware) in
        [("pxelinux", "bios"), ("lpxelinux", "bios"), ("shim", "uefi-x64"), ("shim", "uefi-http")]
    {
        let lab = Lab::new().ordered().set(Kind::Host, "box", "loaders", json!(loaders));
        let answer = told(&lab.scenario(firmware));
        assert!(answer.flags.is_empty(), "{loaders}: {:?}", answer.flags);
        if firmware != "uefi-http" {
            insta::assert_snapshot!(format!("loader-{loaders}"), text(&answer));
        }
    }
}

#[test]
fn beside_another_server_it_is_assumed_to_lease() {
    insta::assert_snapshot!("beside", text(&told(&Lab::new().beside().ordered().scenario("uefi-x64"))));
}

#[test]
fn behind_a_relay_agent_it_gets_an_address_of_its_own_segment() {
    let relay = Some([192, 168, 78, 1].into());
    let scenario = Scenario { relay, ..Lab::new().relayed().ordered().scenario("bios") };
    let answer = told(&scenario);
    assert!(answer.flags.is_empty(), "{:?}", answer.flags);
    let text = text(&answer);
    assert!(text.contains("yiaddr: 192.168.78.9") && text.contains("giaddr: 192.168.78.1"), "{text}");
    assert!(text.contains("http://192.168.77.2/a/<attempt>/linux"), "{text}");
}

#[test]
fn a_menu_that_nobody_answers_ends_in_the_disk() {
    let lab = Lab::new().set(Kind::Host, "box", "menu", json!({"entries": ["rescue"], "timeout": "5s"}));
    let answer = told(&lab.scenario("bios"));
    assert!(answer.flags.is_empty(), "{:?}", answer.flags);
    assert_eq!(
        answer.steps.last().and_then(|step| step.step.clone()),
        Some(Step::End("starts from its local disk".into()))
    );
}

#[test]
fn no_secret_is_told_by_any_firmware_and_no_token() {
    let lab =
        Lab::new().ordered().set(Kind::Profile, "debian", "variables", json!({"root_password": "root"}));
    for firmware in Firmware::all() {
        let answer = told(&lab.scenario(&firmware.to_string()));
        let whole = format!("{answer:?}");
        assert!(!whole.contains(SECRET) && !whole.contains("correct-horse"), "{firmware}");
        let mut words = whole.split(|c: char| !c.is_ascii_hexdigit());
        assert_eq!(words.find(|word| word.len() == 32), None, "{firmware}: an attempt or a token");
    }
    let answer = told(&lab.scenario("bios"));
    let file = answer.steps.iter().find_map(|step| match &step.step {
        Some(Step::File(file)) if file.stage == Stage::Answer.word() => Some(file),
        _ => None,
    });
    let file = file.expect("the answer file");
    insta::assert_snapshot!("answer-file", file.text);
    assert!(file.text.contains("***") && file.name.ends_with("/o/<token>/preseed.cfg"), "{file:?}");
}

/// What would fail of the lab's installation when this is changed.
fn broken(firmware: &str, edit: impl Fn(&mut Scenario)) -> Vec<String> {
    let mut scenario = Lab::new().ordered().scenario(firmware);
    edit(&mut scenario);
    failures(&scenario)
}

#[test]
fn the_lab_itself_has_no_flag() {
    for firmware in ["bios", "bios-ipxe", "uefi-x64", "uefi-http"] {
        assert_eq!(broken(firmware, |_| ()), Vec::<String>::new(), "{firmware}");
    }
}

#[test]
fn a_platform_without_a_loader() {
    let found = broken("uefi-ia32", |_| ());
    assert!(found.iter().any(|what| what.contains("no loader for uefi-ia32")), "{found:?}");
    assert!(found.iter().any(|what| what.starts_with("order 7 is not obeyed")), "{found:?}");
}

#[test]
fn a_raspberry_pi_is_one_whatever_its_address() {
    let found = broken("raspberry-pi", |_| ());
    assert!(found.iter().any(|what| what.contains("no loader for raspberry-pi")), "{found:?}");
    let mut lab = Lab::new().ordered();
    lab.put(json!({"kind": "Image", "name": "ipxe", "spec": {"family": "loaders",
        "files": lab::files(&["start4.elf", "fixup4.dat"]), "loaders": {"raspberry-pi": "start4.elf"}}}));
    let answer = told(&lab.scenario("raspberry-pi"));
    assert!(answer.flags.iter().all(|flag| !flag.fails), "{:?}", answer.flags);
    let end = Step::End("runs its loader with 2 files of its own".into());
    assert_eq!(answer.steps.last().and_then(|step| step.step.clone()), Some(end));
}

#[test]
fn a_machine_that_nobody_answers() {
    let stranger = Mac([2, 0, 0, 0, 9, 9]);
    let lab = Lab::new().set(Kind::Site, "demo", "unknown", json!("ignore"));
    let scenario = Scenario { mac: stranger, ..lab.scenario("bios") };
    let found = failures(&scenario);
    assert!(found[0].contains("ignore"), "{found:?}");
    let off = Lab::new().set(Kind::Site, "demo", "dhcp", json!("off"));
    assert!(failures(&off.scenario("bios"))[0].contains("dhcp: off"));
    let leased = Scenario {
        mac: stranger,
        ..Lab::new().set(Kind::Site, "demo", "unknown", json!("lease")).scenario("bios")
    };
    assert_eq!(failures(&leased), Vec::<String>::new(), "it boots its disk");
}

#[test]
fn an_agent_whose_disk_is_full_starts_no_order_and_gives_no_new_lease() {
    let found = broken("bios", |scenario| scenario.disk = Disk::Full);
    let refused = format!("order 7 is not obeyed: {ORDERS_WAIT}");
    assert_eq!(found, [refused], "its address is fixed, and it boots its disk");
    let lab = Lab::new().set(Kind::Site, "demo", "unknown", json!("lease"));
    let stranger = Scenario { mac: Mac([2, 0, 0, 0, 9, 9]), disk: Disk::Full, ..lab.scenario("bios") };
    assert_eq!(failures(&stranger), [POOLS_WAIT]);
    let text = text(&told(&stranger));
    assert!(!text.contains("OFFER") && !text.contains("ACK"), "{text}");
}

#[test]
fn a_pool_without_a_free_address() {
    let lab = Lab::new().set(Kind::Site, "demo", "unknown", json!("lease")).set(
        Kind::Site,
        "demo",
        "subnets",
        json!([{"network": "192.168.77.0/24", "pools": ["192.168.77.100-192.168.77.100"]}]),
    );
    let mut scenario = Scenario { mac: Mac([2, 0, 0, 0, 9, 9]), ..lab.scenario("bios") };
    let key =
        LeaseKey { mac: Mac([2, 0, 0, 0, 8, 8]), network: "192.168.77.0/24".parse().expect("a network") };
    let until = Wall(NOT_AFTER + 1_000_000);
    scenario.ledger.push(Record::Lease(Lease { key, address: [192, 168, 77, 100].into(), until }));
    let found = failures(&scenario);
    assert!(found.iter().any(|what| what.contains("free") || what.contains("pool")), "{found:?}");
}

#[test]
fn orders_that_are_not_obeyed() {
    let expired = broken("bios", |scenario| scenario.now.wall = Wall(NOT_AFTER + 1));
    // An order whose time is over is none any more, and its host has nothing else to boot.
    assert!(expired[0].starts_with("order 7 is not obeyed"), "{expired:?}");
    let other = broken("bios", |scenario| scenario.agent = Some("demo-2".into()));
    assert!(other[0].contains("agent demo-1's"), "{other:?}");
    let locked = Lab::new().ordered().set(Kind::Host, "box", "locked", json!(true));
    assert!(failures(&locked.scenario("bios"))[0].contains("locked"));
    let started = broken("bios", |scenario| {
        let order = scenario.order().expect("there").clone();
        let state = OrderState {
            order: order.id,
            host: order.host,
            number: order.number,
            phase: OrderPhase::Started,
            attempts: 1,
            attempt: None,
            token: None,
            started: Some(scenario.now.wall),
            not_after: order.not_after,
        };
        scenario.ledger.push(Record::Order(state));
    });
    assert!(started[0].contains("already started"), "{started:?}");
}

#[test]
fn blobs_that_cannot_be_had() {
    let kernel = Digest::of(b"linux");
    let held = |lost| Held { words: "not at demo-1 yet".into(), waits: true, at: None, lost };
    let lost = broken("bios", |scenario| drop(scenario.held.insert(kernel, held(true))));
    assert!(lost.iter().any(|what| what.contains("not at demo-1")), "{lost:?}");
    assert!(lost.iter().any(|what| what.contains("a file of the kernel is missing")), "{lost:?}");
    let mut scenario = Lab::new().ordered().scenario("bios");
    scenario.held.insert(kernel, held(false));
    let answer = told(&scenario);
    assert!(answer.flags.iter().all(|flag| !flag.fails) && answer.flags.len() == 1, "{:?}", answer.flags);
    let away = broken("bios", |scenario| scenario.out_of_reach.extend([kernel]));
    assert!(away[0].contains("not complete here"), "{away:?}");
}

#[test]
fn what_the_machine_itself_cannot_bear() {
    let long = Lab::new().ordered().set(
        Kind::Profile,
        "debian",
        "boot",
        json!({"more_arguments": "x".repeat(2_100)}),
    );
    assert!(failures(&long.scenario("bios"))[0].contains("command line has"));
    let wrong = broken("uefi-x64", |scenario| scenario.architecture = "arm64".into());
    assert_eq!(wrong, ["image debian-12 is for arm64, which does not run on uefi-x64"]);
    let small = broken("bios", |scenario| scenario.memory = Some(4_096));
    assert!(small[0].contains("4096 of memory"), "{small:?}");
    let tools = Lab::new().set(Kind::Host, "box", "profile", json!("tools")).set(
        Kind::Host,
        "box",
        "loaders",
        json!("pxelinux"),
    );
    assert_eq!(failures(&tools.scenario("bios")), Vec::<String>::new());
    let efi = failures(&tools.scenario("uefi-x64"));
    assert!(efi[0].contains("a script for BIOS alone"), "{efi:?}");
}

#[test]
fn a_script_that_names_a_file_that_is_not_there() {
    let lab = Lab::new().ordered();
    let found = {
        let mut scenario = lab.scenario("bios");
        let plan = std::sync::Arc::make_mut(&mut scenario.plan);
        plan.orders.values_mut().for_each(|order| drop(order.boot.files.remove("initrd.gz")));
        failures(&scenario)
    };
    assert!(found[0].contains("initrd.gz is not given (no such file in this boot)"), "{found:?}");
}

#[test]
fn loaders_that_lack_what_they_need() {
    let lab = Lab::new().ordered().set(Kind::Host, "box", "loaders", json!("pxelinux"));
    let mut scenario = lab.scenario("bios");
    let plan = std::sync::Arc::make_mut(&mut scenario.plan);
    plan.loaders.values_mut().for_each(|set| set.files.retain(|name, _| name != "ldlinux.c32"));
    let found = failures(&scenario);
    assert!(found[0].contains("PXELINUX finds no ldlinux.c32"), "{found:?}");
}

#[test]
fn the_same_question_has_the_same_answer() {
    let scenario = Lab::new().ordered().scenario("uefi-x64");
    assert_eq!(told(&scenario), told(&scenario), "nothing of a boot on paper stays behind");
    assert_eq!(scenario.mac, MAC);
}
