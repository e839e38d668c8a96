//! Tokens, operators, orders, boots, and the rest of what people ask for.

use std::os::unix::fs::PermissionsExt as _;

use certs::OperatorCredential;
use predicates::prelude::*;
use predicates::str::{contains, ends_with, starts_with};
use proto::event::{Event, EventKind, NumberedEvent, OrderPhase};
use proto::{AttemptId, OrderId, Wall, v1};
use serde_json::json;

use crate::fleet::Fleet;

#[test]
fn a_token_stands_alone_on_standard_output() {
    let fleet = Fleet::start();
    let mut add = fleet.bootlane(["token", "add", "--site", "lyon", "--uses", "3", "--expires", "90s"]);
    add.assert().success().stdout("blj1.lyon.3.90\n").stderr(contains("shown this once"));
}

#[test]
fn an_operator_gets_a_credential_that_nobody_else_can_read() {
    let fleet = Fleet::start();
    let out = fleet.path("eve.toml");
    let add = ["operator", "add", "eve", "--role", "operator", "--site", "lyon", "--out"];
    fleet.bootlane(add).arg(&out).assert().success().stdout("operator eve has role operator\n");
    let mode = out.metadata().expect("there").permissions().mode() & 0o777;
    let credential = OperatorCredential::load(&out).expect("whole");
    assert_eq!(
        (mode, credential.operator().as_str(), credential.controllers()),
        (0o600, "eve", &[fleet.address.clone()][..])
    );
    fleet.bootlane(add).arg(&out).assert().code(2).stderr(contains("is not replaced"));
    crate::fleet::bootlane(&out).arg("whoami").assert().success();
}

#[test]
fn whoami_says_who_and_where() {
    let fleet = Fleet::start();
    let said =
        contains("operator admin of fleet acme: role admin, every site").and(contains("controller 9.9.9"));
    fleet.bootlane(["whoami"]).assert().success().stdout(said);
    let json = fleet.bootlane(["whoami", "-o", "json"]).assert().success();
    let value: serde_json::Value = serde_json::from_slice(&json.get_output().stdout).expect("JSON");
    assert_eq!(value["role"], "admin");
}

#[test]
fn an_order_is_made_listed_and_revoked() {
    let fleet = Fleet::start();
    let create = ["order", "create", "web-1", "--profile", "debian-12", "--expires", "2h"];
    let made = contains("Order web-1-1 created: web-1").and(contains("expires in 2h"));
    fleet.bootlane(create).assert().success().stdout(made).stderr(contains("boot watch --host web-1"));
    fleet
        .bootlane(["order", "list"])
        .assert()
        .success()
        .stdout(contains("web-1-1  web-1  lyon  debian-12  edge-1  sent   in 2h"));
    fleet.bootlane(["order", "revoke", "web-1-1"]).assert().success();
    fleet.bootlane(["order", "revoke", "none"]).assert().code(3);
    fleet
        .bootlane(["order", "create", "web-1", "--expires", "soon"])
        .assert()
        .code(2)
        .stderr(contains("length of time"));
}

fn readiness(site: &str, state: &str, held_bytes: u64) -> v1::Readiness {
    v1::Readiness {
        site: site.into(),
        agent: format!("{site}-1"),
        image: "debian-12".into(),
        state: state.into(),
        blobs: 2,
        missing_blobs: u32::from(held_bytes < 10 << 20),
        bytes: 10 << 20,
        held_bytes,
        ..v1::Readiness::default()
    }
}

#[test]
fn what_sites_hold_is_shown_page_by_page() {
    let fleet = Fleet::start();
    let now = proto::Wall::from(std::time::SystemTime::now());
    let done_ms = now.plus(std::time::Duration::from_secs(300)).0;
    *fleet.catalog.readiness.lock().expect("whole") = vec![
        v1::Readiness { bytes_per_second: 1 << 20, done_ms, ..readiness("lyon", "arriving", 4 << 20) },
        readiness("nice", "ready", 10 << 20),
        v1::Readiness { why: "404".into(), remedy: "import it".into(), ..readiness("oslo", "failed", 0) },
    ];
    let shown = contains("lyon  debian-12  lyon-1  arriving 40%  10.0 MiB  1.0 MiB/s  in 5m")
        .and(contains("nice  debian-12  nice-1  ready "))
        .and(contains("404: import it"));
    fleet.bootlane(["image", "status"]).assert().success().stdout(shown);
    let one =
        fleet.bootlane(["image", "status", "debian-12", "--site", "nice", "-o", "json"]).assert().success();
    let value: serde_json::Value = serde_json::from_slice(&one.get_output().stdout).expect("JSON");
    assert_eq!((value.as_array().map(Vec::len), value[0]["state"].as_str()), (Some(1), Some("ready")));
}

#[test]
fn alarms_are_listed_the_latest_first() {
    let fleet = Fleet::start();
    let alarm = |site: &str, kind: &str, last_ms| v1::KnownAlarm {
        site: site.into(),
        agent: format!("{site}-1"),
        kind: kind.into(),
        detail: "10.1.0.9".into(),
        last_ms,
        times: 3,
        ..v1::KnownAlarm::default()
    };
    *fleet.catalog.alarms.lock().expect("whole") =
        vec![alarm("lyon", "foreign-dhcp", 1_000), alarm("nice", "moon-fell-down", 2_000)];
    let listed = fleet.bootlane(["alarm", "list"]).assert().success();
    let text = String::from_utf8_lossy(&listed.get_output().stdout).into_owned();
    let (newer, older) = (text.find("moon-fell-down"), text.find("another DHCP server answers here"));
    assert!(newer.is_some() && newer < older, "{text}");
    fleet.bootlane(["alarm", "list", "--site", "nice"]).assert().success().stdout(contains("lyon").not());
}

#[test]
fn an_order_may_wait_until_its_site_is_ready() {
    let fleet = Fleet::start();
    *fleet.catalog.readiness.lock().expect("whole") = vec![readiness("lyon", "arriving", 4 << 20)];
    let create = ["order", "create", "web-1", "--when-ready", "--wait", "2h"];
    let made = contains("waits until its site holds everything, in 2h at the latest");
    fleet
        .bootlane(create)
        .assert()
        .success()
        .stdout(made)
        .stderr(contains("agent lyon-1 holds 4.0 MiB of 10.0 MiB, 40%"));
    let listed = contains("waiting").and(contains("agent edge-1 is to hold everything first"));
    fleet.bootlane(["order", "list"]).assert().success().stdout(listed);
    fleet.bootlane(["order", "create", "web-1", "--wait", "2h"]).assert().code(2);
    // An older controller would arm it at once.
    fleet.catalog.refuse(tonic::Status::unimplemented("no such call"));
    fleet.bootlane(create).assert().code(1).stderr(contains("nothing was ordered"));
}

#[test]
fn an_installation_that_has_started_is_not_taken_back_by_mistake() {
    let fleet = Fleet::start();
    let order = json!({"kind": "Order", "name": "web-1-1", "status": {"phase": "started"},
        "spec": {"site": "lyon", "host": "web-1", "agent": "edge-1"}});
    fleet.catalog.put(order);
    let refused = contains("half a system").and(contains("order revoke web-1-1 --force"));
    fleet.bootlane(["order", "revoke", "web-1-1"]).assert().code(1).stderr(refused);
    fleet.bootlane(["order", "revoke", "web-1-1", "--force"]).assert().success();
}

#[test]
fn what_plans_lack_since_a_write_is_a_warning() {
    let fleet = Fleet::start();
    *fleet.catalog.warnings.lock().expect("whole") = vec![v1::PlanWarning {
        site: "lyon".into(),
        kind: "Site".into(),
        name: "lyon".into(),
        field: "spec.cache".into(),
        message: "is 1GiB, and that is not enough".into(),
    }];
    let add = ["site", "add", "lyon", "--network", "10.1.0.0/24", "--cache", "1GiB"];
    let warning =
        contains("warning: plan of site lyon: Site lyon: spec.cache: is 1GiB, and that is not enough");
    fleet.bootlane(add).assert().success().stderr(warning);
}

fn moved(after_ms: u64, phase: OrderPhase) -> v1::BootEvent {
    let kind = EventKind::OrderMoved { order: OrderId([4; 16]), number: 1, phase, reason: String::new() };
    let at = Wall(1_772_366_400_000 + after_ms);
    let event = Event { at, attempt: Some(AttemptId([0xab; 16])), host: None, mac: None, kind };
    v1::BootEvent {
        site: "lyon".into(),
        agent: "edge-1".into(),
        host: "web-1".into(),
        event: Some(NumberedEvent { number: 1, event }.into()),
        ..v1::BootEvent::default()
    }
}

#[test]
fn a_boot_is_shown_by_its_first_digits_and_watched_to_its_end() {
    let fleet = Fleet::start();
    let boot = v1::BootSummary {
        attempt: vec![0xab; 16].into(),
        host: "web-1".into(),
        outcome: "running".into(),
        ..v1::BootSummary::default()
    };
    fleet.catalog.boots.lock().expect("whole").push(boot);
    let events = vec![moved(0, OrderPhase::Started), moved(61_500, OrderPhase::Failed)];
    *fleet.catalog.events.lock().expect("whole") = events;
    let timeline = "   +0.000s  order     started\n    +1m01s  order     failed\n";
    let answer = "Its ROM asked for nothing: a port is blocked.\n";
    let shown = contains(answer).and(contains("address of the ROM")).and(ends_with(timeline));
    fleet.bootlane(["boot", "show", "abab"]).assert().success().stdout(shown);
    fleet.bootlane(["boot", "show", "ff00"]).assert().code(3);
    let heading =
        format!("web-1 at site lyon, agent edge-1: boot {}, 2026-03-01T12:00:00Z\n", "ab".repeat(16));
    let watch = ["boot", "watch", "--host", "web-1", "--until-end"];
    let expected = format!("{heading}{timeline}why: {answer}");
    fleet.bootlane(watch).assert().code(1).stdout(expected).stderr(contains("the installation failed"));
    let shown = fleet.bootlane(["boot", "show", "abab", "-o", "json"]).assert().success();
    let shown: serde_json::Value = serde_json::from_slice(&shown.get_output().stdout).expect("JSON");
    assert_eq!(shown["events"].as_array().map(Vec::len), Some(2));
    assert_eq!(shown["findings"][0]["cause"], "nothing-asked");
    let picture = fleet.path("boot.svg");
    fleet.bootlane(["boot", "show", "abab", "--svg"]).arg(&picture).assert().success();
    assert!(std::fs::read_to_string(&picture).expect("there").starts_with("<svg "));
    fleet
        .bootlane(["boot", "list"])
        .assert()
        .success()
        .stdout(contains("abababababab").and(contains("running")));
}

#[test]
fn a_host_is_explained_by_its_name_or_a_link_address() {
    let fleet = Fleet::start();
    fleet.catalog.boots.lock().expect("whole").push(v1::BootSummary::default());
    let answer = starts_with("Its ROM asked for nothing: a port is blocked.\n");
    fleet.bootlane(["host", "explain", "web-1"]).assert().success().stdout(answer);
    let by_address =
        fleet.bootlane(["host", "explain", "02-00-00-00-00-09", "-o", "json"]).assert().success();
    let explained: serde_json::Value = serde_json::from_slice(&by_address.get_output().stdout).expect("JSON");
    assert_eq!((explained["host"].as_str(), explained["mac"].as_str()), (None, Some("02:00:00:00:00:09")));
    fleet.bootlane(["host", "explain", "web-9"]).assert().code(3).stderr(contains("there is no Host web-9"));
}

#[test]
fn a_backup_is_whole_and_private_or_absent() {
    let fleet = Fleet::start();
    let (archive, secret) = (fleet.path("backup"), fleet.write("pass", "a long passphrase\n"));
    let arguments = [archive.as_os_str(), "--passphrase-file".as_ref(), secret.as_os_str()];
    fleet.catalog.refuse(tonic::Status::permission_denied(
        "operator admin has role viewer; making a backup needs role admin",
    ));
    fleet.bootlane(["backup"]).args(arguments).assert().code(5).stderr(contains("needs role admin"));
    assert!(!archive.exists());
    fleet.bootlane(["backup"]).args(arguments).assert().success();
    assert_eq!(std::fs::read_to_string(&archive).expect("there"), "archive of 17");
    assert_eq!(archive.metadata().expect("there").permissions().mode() & 0o777, 0o600);
    std::fs::write(&archive, "mine").expect("written");
    fleet.bootlane(["backup"]).args(arguments).assert().code(4).stderr(contains("--force"));
    assert_eq!(std::fs::read_to_string(&archive).expect("there"), "mine");
    fleet.bootlane(["backup", "--force"]).args(arguments).assert().success();
    assert_eq!(std::fs::read_to_string(&archive).expect("there"), "archive of 17");
    fleet.write("pass", "short");
    fleet.bootlane(["backup", "--force"]).args(arguments).assert().code(2).stderr(contains("12 characters"));
}

#[test]
fn reply_forms_are_listed_and_forgotten() {
    let fleet = Fleet::start();
    let model = contains("model 0102030405060708").and(contains("boot-service")).and(contains("web-1"));
    fleet.bootlane(["form", "list"]).assert().success().stdout(model);
    fleet.bootlane(["form", "forget", "web-1"]).assert().success().stdout(contains("is forgotten"));
    fleet.bootlane(["form", "forget", "web-9"]).assert().failure().stderr(contains("there is no Host web-9"));
}

#[test]
fn the_audit_log_completions_and_man_pages() {
    let fleet = Fleet::start();
    fleet.bootlane(["audit", "list"]).assert().success().stdout(contains("create Site lyon"));
    for (shell, word) in
        [("bash", "complete"), ("zsh", "#compdef bootlane"), ("fish", "complete -c bootlane")]
    {
        fleet.bootlane(["completions", shell]).assert().success().stdout(contains(word));
    }
    let folder = fleet.path("man");
    fleet.bootlane(["man"]).arg(&folder).assert().success();
    let page = std::fs::read_to_string(folder.join("bootlane.1")).expect("there");
    assert!(page.contains("no permission, or no usable credential"), "exit codes are in the man page");
    assert!(folder.join("bootlane-image-import.1").exists());
}

#[test]
fn a_revoked_agent_loses_its_streams_and_what_remains_is_said() {
    let fleet = Fleet::start();
    fleet.catalog.put(json!({"kind": "Agent", "name": "edge-1", "spec": {"site": "lyon"}}));
    let order = |name: &str, status: serde_json::Value| {
        let spec = json!({"site": "lyon", "host": "web-1", "agent": "edge-1"});
        fleet.catalog.put(json!({"kind": "Order", "name": name, "spec": spec, "status": status}));
    };
    order("web-1-1", json!({"phase": "failed"}));
    order("web-1-2", json!({"phase": "armed", "over_ms": 1_772_366_400_000_u64, "agent_revoked": true}));
    let names = || contains("order web-1-2 of host web-1 names edge-1").and(contains("web-1-1").not());
    let dry = fleet.bootlane(["agent", "revoke", "edge-1", "--dry-run"]).assert().success();
    dry.stdout("Agent edge-1 would be revoked\n").stderr(names());
    let remains =
        contains("until 2026-03-01T12:00:00Z").and(contains("bootlane order revoke web-1-2 --abandon"));
    let revoked = fleet.bootlane(["agent", "revoke", "edge-1"]).assert().success();
    revoked
        .stdout("Agent edge-1 revoked, 1 open stream closed\n")
        .stderr(remains.and(contains("web-1-1").not()));
    fleet.bootlane(["agent", "revoke", "edge-9"]).assert().code(3);
}

#[test]
fn an_agent_is_revoked_though_nobody_can_say_what_remains() {
    let fleet = Fleet::start();
    fleet.catalog.put(json!({"kind": "Agent", "name": "edge-1", "spec": {"site": "lyon"}}));
    fleet.catalog.pass();
    fleet.catalog.refuse(tonic::Status::internal("a document is damaged"));
    let revoked = fleet.bootlane(["agent", "revoke", "edge-1"]).assert().success();
    revoked
        .stdout("Agent edge-1 revoked, 1 open stream closed\n")
        .stderr(contains("which orders edge-1 leaves could not be asked").and(contains("damaged")));
}

#[test]
fn an_order_is_abandoned_only_where_the_controller_says_that_it_ended() {
    let fleet = Fleet::start();
    let order = |status| {
        let spec = json!({"site": "lyon", "host": "web-1", "agent": "edge-1", "revoked": true});
        fleet.catalog.put(json!({"kind": "Order", "name": "web-1-1", "spec": spec, "status": status}));
    };
    let abandon = || fleet.bootlane(["order", "revoke", "web-1-1", "--abandon"]).assert();
    order(json!({"phase": "revoked", "reason": "abandoned by operator/admin"}));
    abandon().success().stdout("Order web-1-1 is abandoned\n");
    // As a controller answers that does not know the field.
    for status in [json!(null), json!({"phase": "armed"})] {
        order(status);
        abandon().code(1).stdout("").stderr(
            contains("this controller does not know --abandon").and(contains("update bootlane-controller")),
        );
    }
}

#[test]
fn a_secret_s_value_is_never_said() {
    let fleet = Fleet::start();
    let value = fleet.write("value", "hunter2\n");
    let arguments = ["secret", "add", "root-password", "--from-file"];
    fleet.bootlane(arguments).arg(&value).assert().success().stdout(contains("hunter2").not()).stderr("");
    let stored = fleet.catalog.get(proto::catalog::Kind::Secret, "root-password").expect("there");
    assert_eq!(stored["spec"]["value"], "hunter2");
    fleet.bootlane(arguments).arg(&value).assert().code(4);
}

#[test]
fn leases_are_listed_looked_up_and_released() {
    let fleet = Fleet::start();
    let nine = v1::LeaseEntry {
        site: "lyon".into(),
        agent: "edge-1".into(),
        address: 0x0a01_0009,
        mac: vec![0x52, 0x54, 0, 0, 0, 1].into(),
        host: "web-1".into(),
        network: "10.1.0.0/24".into(),
        began_ms: 1_772_366_400_000,
        until_ms: 1_772_370_000_000,
        state: "leased".into(),
        ..v1::LeaseEntry::default()
    };
    let away = v1::LeaseEntry {
        address: 0x0a01_000a,
        host: String::new(),
        state: "unknown".into(),
        as_of_ms: 1_772_366_400_000,
        ..nine.clone()
    };
    *fleet.catalog.leases.lock().expect("whole") = vec![nine, away];
    let pages = contains("10.1.0.9").and(contains("10.1.0.10")).and(contains("unknown as of"));
    fleet.bootlane(["lease", "list"]).assert().success().stdout(pages.and(contains("renewed")));
    for of in ["10.1.0.9", "52:54:00:00:00:01", "web-1"] {
        fleet.bootlane(["lease", "history", of]).assert().success().stdout(contains("10.1.0.9"));
    }
    let json = fleet.bootlane(["lease", "list", "-o", "json"]).assert().success();
    let value: serde_json::Value = serde_json::from_slice(&json.get_output().stdout).expect("JSON");
    assert_eq!((&value[0]["address"], &value[0]["as_of_ms"]), (&"10.1.0.9".into(), &serde_json::Value::Null));
    assert_eq!(value[1]["as_of_ms"], 1_772_366_400_000_u64);

    let release = |address| fleet.bootlane(["lease", "release", address, "--site", "lyon"]).assert();
    release("10.1.0.9").success().stdout("10.1.0.9 of web-1 is to be freed at site lyon\n").stderr("");
    release("10.1.0.10").success().stderr(contains("agent edge-1 is away"));
    release("10.1.0.11").failure().stderr(contains("no lease of it is known"));
    fleet.bootlane(["lease", "release", "10.1.0.9"]).assert().failure().stderr(contains("--site"));
}

#[test]
fn a_boot_on_paper_that_would_fail_is_a_failure() {
    let fleet = Fleet::start();
    let simulate = ["host", "simulate", "web-1", "--firmware", "bios", "--site", "lyon"];
    let told = contains("web-1 () with firmware bios at site lyon")
        .and(contains("the machine starts from its local disk"));
    fleet.bootlane(simulate).assert().success().stdout(told.and(contains("note: 0 bytes")));
    let mut small = fleet.bootlane(simulate);
    small.args(["--memory", "1KiB"]).assert().code(1).stdout(contains("would fail: 1024 bytes"));
    let json = fleet.bootlane(simulate).args(["-o", "json"]).assert().success();
    let value: serde_json::Value = serde_json::from_slice(&json.get_output().stdout).expect("JSON");
    assert_eq!((&value["fails"], &value["steps"][0]["step"]), (&false.into(), &"end".into()));
    fleet.bootlane(["host", "simulate", "web-1"]).assert().code(2);
}

#[test]
fn the_page_is_opened_by_an_address_that_cannot_steer_a_terminal() {
    let fleet = Fleet::start();
    let url = "https://boot.example:7445/login?code=x\u{fffd}[2J";
    fleet
        .bootlane(["page"])
        .assert()
        .success()
        .stdout(format!("{url}\n"))
        .stderr(contains("once, within 60 seconds"));
    let json = fleet.bootlane(["page", "-o", "json"]).assert().success();
    let value: serde_json::Value = serde_json::from_slice(&json.get_output().stdout).expect("JSON");
    assert_eq!((value["url"].as_str(), value["seconds"].as_u64()), (Some(url), Some(60)));
    let roots = fleet.folder.path().join("roots.pem");
    fleet.bootlane(["page", "--save-root"]).arg(&roots).assert().success().stdout(contains("roots.pem"));
    let pem = std::fs::read_to_string(roots).expect("written");
    assert_eq!(certs::TrustBundle::from_pem(&pem), Ok(fleet.authority.bundle()));
}
