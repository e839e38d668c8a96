//! Whole configurations, as people have them.

use crate::migrate::{Texts, dnsmasq, report};
use crate::output::document::yaml;

fn golden(files: &Texts, paths: &[&str]) -> String {
    let paths: Vec<_> = paths.iter().map(|path| (*path).to_owned()).collect();
    let migrated = dnsmasq(files, &paths, "lyon");
    assert_eq!(migrated.mistakes, []);
    let documents: Vec<_> = migrated.documents.iter().map(|document| yaml(&document.to_value())).collect();
    format!("{}\n=====\n{}", documents.join("---\n"), report::text("dnsmasq", "lyon/", &migrated))
}

const WORKSHOP: &str = include_str!("fixtures/workshop.conf");
const HOSTS: &str = include_str!("fixtures/hosts.conf");
const PROXY: &str = include_str!("fixtures/proxy.conf");

#[test]
fn a_workshop_with_tags_and_three_kinds_of_firmware() {
    let files = Texts::new([
        ("/etc/dnsmasq.conf", WORKSHOP),
        ("/etc/dnsmasq.d/hosts.conf", HOSTS),
        ("/etc/dnsmasq.d/old.conf.bak", "nonsense\""),
    ]);
    insta::assert_snapshot!("workshop", golden(&files, &["/etc/dnsmasq.conf"]));
}

#[test]
fn a_proxy_beside_another_server() {
    insta::assert_snapshot!("proxy", golden(&Texts::new([("proxy.conf", PROXY)]), &["proxy.conf"]));
}

#[test]
fn every_mistake_is_named_with_its_line() {
    let text = "dhcp-range=10.0.0.300,10.0.0.4\n\ndhcp-host=11:22:33:44:55\ndhcp-option=routre,1\n\
                conf-file=/nowhere\ndomain=\"x\ndhcp-boot\npxe-service=x87PC,a,b\n";
    let migrated = dnsmasq(&Texts::new([("a.conf", text)]), &["a.conf".into()], "lyon");
    let places: Vec<_> = migrated.mistakes.iter().map(|mistake| mistake.place.to_string()).collect();
    assert_eq!(
        places,
        ["a.conf:1", "a.conf:3", "a.conf:4", "a.conf:5", "a.conf:6", "a.conf:7", "a.conf:8"],
        "{:?}",
        migrated.mistakes
    );
}

#[test]
fn files_that_name_each_other_are_read_once() {
    let files =
        Texts::new([("a", "conf-file=b\nconf-file=b"), ("b", "conf-file=a\ndhcp-range=10.0.0.1,10.0.0.9")]);
    let migrated = dnsmasq(&files, &["a".into()], "lyon");
    assert_eq!((migrated.mistakes.len(), migrated.documents.len()), (0, 1));
    assert_eq!(migrated.notes.len(), 6, "{:?}", migrated.notes);
}

#[test]
fn what_is_said_for_a_tag_wins_and_a_routers_address_is_no_hosts() {
    let text = "dhcp-range=set:a,10.0.0.50,10.0.0.60\ndhcp-option=tag:a,6,10.0.0.3\ndhcp-option=6,10.0.0.2\n\
                dhcp-host=52:54:00:00:00:01,fw,10.0.0.1\ndhcp-option=3,10.0.0.1\n";
    let migrated = dnsmasq(&Texts::new([("a", text)]), &["a".into()], "lyon");
    let json: Vec<_> =
        migrated.documents.iter().map(|document| document.to_value()["spec"].clone()).collect();
    assert_eq!(json[0]["subnets"][0]["dns"], serde_json::json!(["10.0.0.3"]));
    assert_eq!(json[1].get("address"), None);
    let bare =
        dnsmasq(&Texts::new([("a", "dhcp-range=10.0.0.5,10.0.0.6\ndhcp-option=3")]), &["a".into()], "lyon");
    assert!(bare.before[0].contains("`dns`"), "{:?}", bare.before);
}

#[test]
fn nothing_that_is_migrated_installs() {
    let files = Texts::new([("a", WORKSHOP), ("/etc/dnsmasq.d/hosts.conf", HOSTS)]);
    for document in dnsmasq(&files, &["a".into()], "lyon").documents {
        assert_eq!(document.to_value()["spec"].get("profile"), None);
    }
}
