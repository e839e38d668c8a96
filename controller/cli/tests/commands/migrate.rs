//! `bootlane migrate`: what is written, and when nothing is.

use predicates::prelude::*;
use predicates::str::contains;

use crate::fleet::Fleet;

const CONF: &str = "\
dhcp-range=10.1.0.100,10.1.0.199,255.255.255.0,12h
dhcp-option=3,10.1.0.1
dhcp-host=52:54:00:00:00:01,web-1,10.1.0.11
conf-file=/etc/more.conf
";

#[test]
fn what_is_migrated_can_be_applied_and_is_never_overwritten_unasked() {
    let fleet = Fleet::start();
    std::fs::create_dir(fleet.path("etc")).expect("made");
    fleet.write("etc/more.conf", "dhcp-host=52:54:00:00:00:02,web-2\n");
    let conf = fleet.write("dnsmasq.conf", CONF);
    let out = fleet.path("out");
    let migrate = |force: &[&str]| {
        let mut command = fleet.bootlane(["migrate", "dnsmasq", "--site", "lyon", "--out"]);
        command.arg(&out).arg("--root").arg(fleet.path("")).args(force).arg(&conf);
        command
    };
    migrate(&[]).assert().success().stdout(contains("1 site, 2 hosts; 5 lines carried over, 0 not"));
    let mut apply = fleet.bootlane(["apply", "--dry-run", "-f"]);
    apply.arg(&out).assert().success().stdout(contains("Host web-2 would be created"));
    let report = std::fs::read_to_string(out.join("REPORT.md")).expect("there");
    assert!(
        report.contains("- line 3: `dhcp-host=52:54:00:00:00:01,web-1,10.1.0.11`: Host web-1"),
        "{report}"
    );
    migrate(&[]).assert().code(4).stderr(contains("exists already").and(contains("--force")));
    std::fs::write(out.join("profiles.yaml"), "of an earlier migration").expect("written");
    migrate(&["--force"]).assert().success();
    assert!(!out.join("profiles.yaml").exists(), "it would be applied along");
}

#[test]
fn a_file_that_is_wrong_leaves_nothing_behind() {
    let fleet = Fleet::start();
    let conf = fleet.write("dnsmasq.conf", "dhcp-range=10.1.0.300,10.1.0.4\n\ndhcp-host=11:22:33\n");
    let out = fleet.path("out");
    let mut command = fleet.bootlane(["migrate", "dnsmasq", "--site", "lyon", "--out"]);
    let expected = contains("nothing was written")
        .and(contains("dnsmasq.conf:1: expected an IPv4 address, found \"10.1.0.300\""))
        .and(contains("dnsmasq.conf:3: expected a MAC address"));
    command.arg(&out).arg(conf).assert().code(64).stderr(expected);
    assert!(!out.exists());
    let mut command = fleet.bootlane(["migrate", "dnsmasq", "--site", "Lyon!", "--out"]);
    command.arg(&out).arg("x").assert().code(2).stderr(contains("is no name"));
}
