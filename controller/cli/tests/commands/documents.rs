//! apply, get, add, set, rm, host import.

use predicates::prelude::*;
use predicates::str::contains;
use proto::catalog::{Kind, Problem};
use serde_json::{Value, json};

use crate::fleet::Fleet;

const SITE: &str = "\
kind: Site
name: lyon
labels: {team: infra}
spec:
  subnets:
    - network: 10.1.0.0/24
      pools: [10.1.0.100-10.1.0.199]
";
const HOST: &str = "kind: Host\nname: web-1\nspec:\n  site: lyon\n  macs: ['52:54:00:00:00:01']\n";

#[test]
fn apply_writes_what_is_referred_to_first_and_only_what_is_declared() {
    let fleet = Fleet::start();
    fleet.write("all.yaml", format!("{HOST}---\n{SITE}"));
    let file = fleet.path("all.yaml");
    let mut apply = fleet.bootlane(["apply", "-f"]);
    apply.arg(file).assert().success().stdout("Site lyon created\nHost web-1 created\n").stderr("");
    assert_eq!(fleet.catalog.get(Kind::Site, "lyon").expect("there")["labels"], json!({"team": "infra"}));
    let writes = fleet.catalog.writes.lock().expect("whole");
    let Some(proto::v1::change::Change::Apply(host)) = &writes[0].changes[1].change else {
        panic!("an apply")
    };
    let sent: Value = serde_json::from_slice(&host.json).expect("JSON");
    assert_eq!(sent["spec"], json!({"site": "lyon", "macs": ["52:54:00:00:00:01"]}), "no defaults");
    assert_eq!(writes[0].manager, "cli");
}

#[test]
fn what_get_prints_can_be_applied_again_unchanged() {
    let fleet = Fleet::start();
    let file = fleet.write("all.yaml", format!("{SITE}---\n{HOST}"));
    fleet.bootlane(["apply", "-f"]).arg(&file).assert().success();
    let mut stored = fleet.catalog.get(Kind::Host, "web-1").expect("there");
    stored["meta"] = json!({"id": "00".repeat(16), "revision": 7, "created_ms": 1});
    stored["status"] = json!({"seen": true});
    fleet.catalog.put(stored);
    for format in ["yaml", "json"] {
        for noun in ["site", "host"] {
            let list = fleet.bootlane([noun, "list", "-o", format]).assert().success();
            let again = fleet.write(&format!("again.{format}"), &list.get_output().stdout);
            let mut apply = fleet.bootlane(["apply", "-f"]);
            apply.arg(again).assert().success().stdout(contains("unchanged"));
        }
    }
    let get = fleet.bootlane(["host", "get", "web-1"]).assert().success();
    let text = String::from_utf8(get.get_output().stdout.clone()).expect("text");
    assert!(text.starts_with("kind: Host\nname: web-1\nspec:\n") && !text.contains("meta"), "{text}");
}

#[test]
fn a_dry_run_shows_the_difference_and_writes_nothing() {
    let fleet = Fleet::start();
    let file = fleet.write("site.yaml", SITE);
    fleet.bootlane(["apply", "-f"]).arg(&file).assert().success();
    let changed = fleet.write("site.yaml", SITE.replace("199", "150"));
    let mut apply = fleet.bootlane(["apply", "--dry-run", "-f"]);
    let expected = contains("Site lyon would be changed")
        .and(contains("-    - 10.1.0.100-10.1.0.199"))
        .and(contains("+    - 10.1.0.100-10.1.0.150"));
    apply.arg(changed).assert().success().stdout(expected);
    let stored = fleet.catalog.get(Kind::Site, "lyon").expect("there");
    assert_eq!(stored["spec"]["subnets"][0]["pools"][0], "10.1.0.100-10.1.0.199");
}

#[test]
fn mistakes_name_file_line_column_and_field_and_nothing_is_sent() {
    let fleet = Fleet::start();
    fleet.write("a.yaml", SITE.replace("pools", "pool"));
    fleet.write("b.yaml", format!("{HOST}---\n{}", HOST.replace("web-1", "web-2")));
    let mut apply = fleet.bootlane(["apply", "-f"]);
    let (a, b) = (fleet.path("a.yaml"), fleet.path("b.yaml"));
    let expected = contains(format!("{}:7:7: spec.subnets[0]: unknown field `pool`", a.display())).and(
        contains(format!(
            "{}:11:10: spec.macs[0]: 52:54:00:00:00:01 of Host web-1 stands at {}:5:10 already",
            b.display(),
            b.display()
        )),
    );
    apply.args([&a, &b]).assert().code(64).stderr(expected).stdout("");
    assert!(fleet.catalog.writes.lock().expect("whole").is_empty());
}

#[test]
fn references_are_looked_at_though_other_documents_cannot_be_read() {
    let fleet = Fleet::start();
    let other = HOST.replace("web-1", "web-2").replace("lyon", "paris").replace("00:01", "00:02");
    let file = fleet.write("all.yaml", format!("{}---\n{HOST}---\n{other}", SITE.replace("pools", "pool")));
    let refuse = |name: &str, message: &str| {
        let problem = Problem::new("spec.site", message);
        fleet.catalog.problems.lock().expect("whole").insert((Kind::Host, name.into()), problem);
    };
    refuse("web-1", "there is no Site lyon");
    refuse("web-2", "there is no Site paris");
    let at = file.display();
    let expected = contains(format!("{at}:7:7: spec.subnets[0]: unknown field `pool`"))
        .and(contains(format!("{at}:18:9: spec.site: there is no Site paris")))
        .and(contains("there is no Site lyon").not());
    fleet.bootlane(["apply", "-f"]).arg(&file).assert().code(64).stderr(expected);
    let writes = fleet.catalog.writes.lock().expect("whole");
    assert!(writes.iter().all(|write| write.dry_run), "nothing is written");
}

#[test]
fn a_table_with_a_bad_line_is_looked_at_whole() {
    let fleet = Fleet::start();
    let table = "name,mac,site\nweb-1,zz,lyon\nweb-2,52:54:00:00:00:02,paris\n";
    let file = fleet.write("hosts.csv", table);
    let problem = Problem::new("spec.site", "there is no Site paris");
    fleet.catalog.problems.lock().expect("whole").insert((Kind::Host, "web-2".into()), problem);
    let at = file.display();
    let expected = contains(format!("{at}:2: column mac: "))
        .and(contains(format!("{at}:3: column site: there is no Site paris")));
    fleet.bootlane(["host", "import"]).arg(&file).assert().code(64).stderr(expected);
    assert_eq!(fleet.catalog.get(Kind::Host, "web-2"), None);
}

#[test]
fn what_the_controller_refuses_is_named_with_its_place() {
    let fleet = Fleet::start();
    let file = fleet.write("all.yaml", format!("{SITE}---\n{HOST}"));
    let problem = Problem::new("spec.site", "there is no Site lyon");
    fleet.catalog.problems.lock().expect("whole").insert((Kind::Host, "web-1".into()), problem);
    let mut apply = fleet.bootlane(["apply", "-f"]);
    let expected = format!("{}:12:9: Host web-1: spec.site: there is no Site lyon", file.display());
    apply.arg(&file).assert().code(1).stderr(contains(expected)).stdout("");
    assert_eq!(fleet.catalog.get(Kind::Site, "lyon"), None, "nothing is half written");
}

#[test]
fn prune_removes_what_has_the_label_and_is_not_declared() {
    let fleet = Fleet::start();
    let file = fleet.write("site.yaml", SITE);
    for (name, team) in [("old-1", "infra"), ("old-2", "infra"), ("old-3", "infra"), ("other", "web")] {
        fleet.catalog.put(json!({"kind": "Site", "name": name, "labels": {"team": team}, "spec": {}}));
    }
    fleet.bootlane(["apply", "--prune", "-f"]).arg(&file).assert().code(2);
    let mut apply = fleet.bootlane(["apply", "--prune", "-l", "team=infra", "-f"]);
    apply.arg(&file).assert().success().stdout(contains("Site old-3 removed"));
    let left: Vec<_> =
        fleet.catalog.documents.lock().expect("whole").keys().map(|(_, name)| name.clone()).collect();
    assert_eq!(left, ["lyon", "other"]);
}

#[test]
fn a_label_that_nothing_has_is_remarked_on() {
    let fleet = Fleet::start();
    let file = fleet.write("site.yaml", SITE);
    let mut apply = fleet.bootlane(["apply", "--prune", "-l", "team=infar", "-f"]);
    let warning = "warning: --prune removes nothing: nothing has team=infar, in the files or stored\n";
    apply.arg(&file).assert().success().stderr(warning);
    let mut apply = fleet.bootlane(["apply", "--prune", "-l", "team=infra", "-f"]);
    apply.arg(&file).assert().success().stderr("");
    fleet
        .bootlane(["site", "list", "-l", "team=infar"])
        .assert()
        .success()
        .stderr("no Site has team=infar\n");
    fleet.bootlane(["site", "list", "-l", "team=infra"]).assert().success().stderr("");
}

#[test]
fn a_host_is_added_changed_and_removed() {
    let fleet = Fleet::start();
    let add = ["host", "add", "web-1", "--site", "lyon", "--mac", "5254.0000.0001", "-l", "rack=r1"];
    fleet.bootlane(add).assert().success().stdout("Host web-1 created\n");
    fleet.bootlane(add).assert().code(4).stderr(contains("`bootlane host set web-1` changes it"));
    let set = [
        "host",
        "set",
        "web-1",
        "--address",
        "10.1.0.5",
        "--lock",
        "--var",
        "disk=/dev/vda",
        "--unset",
        "labels.rack",
    ];
    fleet.bootlane(set).assert().success().stdout("Host web-1 changed\n");
    let host = fleet.catalog.get(Kind::Host, "web-1").expect("there");
    assert_eq!((&host["spec"]["address"], &host["spec"]["locked"]), (&json!("10.1.0.5"), &json!(true)));
    assert_eq!((&host["labels"], &host["spec"]["variables"]["disk"]), (&Value::Null, &json!("/dev/vda")));
    let list = fleet.bootlane(["host", "list"]).assert().success();
    list.stdout(contains("NAME").and(contains("52:54:00:00:00:01")).and(contains('\x1b').not()));
    fleet.bootlane(["host", "rm", "web-1"]).assert().success().stdout("Host web-1 removed\n");
    fleet.bootlane(["host", "rm", "web-1"]).assert().code(3).stderr(contains("there is no Host web-1"));
    fleet.bootlane(["host", "set", "web-1"]).assert().code(2);
}

#[test]
fn sites_and_profiles_are_added_by_their_flags() {
    let fleet = Fleet::start();
    let site = [
        "site",
        "add",
        "lyon",
        "--network",
        "10.1.0.0/24",
        "--pool",
        "10.1.0.10-10.1.0.20",
        "--dns",
        "10.1.0.1",
        "--lease",
        "2h",
    ];
    fleet.bootlane(site).assert().success();
    fleet.bootlane(["site", "set", "lyon", "--router", "10.1.0.1", "--unknown", "lease"]).assert().success();
    let site = fleet.catalog.get(Kind::Site, "lyon").expect("there");
    assert_eq!(
        (&site["spec"]["subnets"][0]["router"], &site["spec"]["unknown"]),
        (&json!("10.1.0.1"), &json!("lease"))
    );
    fleet
        .bootlane(["site", "set", "lyon", "--router", "10.2.0.1"])
        .assert()
        .code(2)
        .stderr(contains("spec.subnets[0].router"));
    let template = fleet.write("preseed.cfg", "d-i foo");
    let template = format!("--template=preseed.cfg={}", template.display());
    fleet
        .bootlane([
            "profile",
            "add",
            "deb",
            "--image",
            "debian-12",
            "--more-arguments",
            "--- console=ttyS0",
            &template,
        ])
        .assert()
        .success();
    let profile = fleet.catalog.get(Kind::Profile, "deb").expect("there");
    assert_eq!(profile["spec"]["templates"]["preseed.cfg"]["text"], "d-i foo");
}

#[test]
fn a_table_of_hosts_is_imported_or_every_bad_line_is_named() {
    let fleet = Fleet::start();
    let good = fleet.write("hosts.txt", "# mac os\n52:54:00:00:00:01 debian\n52-54-00-00-00-02 debian\n");
    let mut import = fleet.bootlane(["host", "import", "--site", "lyon", "--map", "debian=debian-12"]);
    import.arg(good).assert().success().stdout(contains("Host host-525400000002 created"));
    let host = fleet.catalog.get(Kind::Host, "host-525400000001").expect("there");
    assert_eq!(host["spec"]["profile"], "debian-12");
    let bad = fleet.write("bad.csv", "name,mac\na,52:54:00:00:00:09\nB,52:54:00:00:00:10\nc,nonsense\n");
    let mut import = fleet.bootlane(["host", "import", "--site", "lyon"]);
    import.arg(&bad).assert().code(64).stderr(
        contains(format!("{}:3: column name: ", bad.display()))
            .and(contains(format!("{}:4: column mac: \"nonsense\"", bad.display()))),
    );
    assert_eq!(fleet.catalog.get(Kind::Host, "a"), None);
}

#[test]
fn a_mirror_is_added_shown_and_applied_again() {
    let fleet = Fleet::start();
    let arguments = [
        "mirror",
        "add",
        "debian",
        "--upstream",
        "https://deb.example/debian",
        "--family",
        "debian",
        "--site-label",
        "country=fr",
        "--budget",
        "5GiB",
    ];
    fleet.bootlane(arguments).assert().success();
    let stored = fleet.catalog.get(Kind::Mirror, "debian").expect("there");
    assert_eq!(stored["spec"]["upstreams"], json!(["https://deb.example/debian/"]));
    assert_eq!(stored["spec"]["sites"], json!({"country": "fr"}));
    let shown = fleet.bootlane(["mirror", "get", "debian"]).assert().success();
    let again = fleet.write("again.yaml", &shown.get_output().stdout);
    fleet.bootlane(["apply", "-f"]).arg(again).assert().success().stdout("Mirror debian unchanged\n");
    let wrong = fleet.write("wrong.yaml", "kind: Mirror\nname: m\nspec:\n  upstreams: ['http://me:pw@x/']\n");
    fleet.bootlane(["apply", "-f"]).arg(wrong).assert().failure().stderr(contains("spec.upstreams[0]"));
}
