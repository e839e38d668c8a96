//! Which boots have failed, when that is said, and why.

use proto::event::Breakage;

use super::*;
use crate::capture::Standing;

/// A boot of the host's own profile.
fn paper() -> Paper {
    let host = HostPlan { boot: Some(boot()), ..host() };
    Paper::new(plan_of(1, vec![network_entry(&network()), host_entry(&host)]))
}

impl Paper {
    fn why(&self) -> Vec<&str> {
        self.failed.iter().map(|failed| failed.why.as_str()).collect()
    }
}

#[test]
fn who_takes_its_address_and_falls_silent_has_failed() {
    let mut paper = paper();
    paper.dora(10, Voice::UefiRom);
    paper.wait(129);
    assert_eq!(paper.failed, []);
    paper.wait(135);
    assert_eq!(paper.why(), ["it took its address and did not ask for its loader"]);
    let failed = &paper.failed[0];
    assert_eq!((failed.mac, failed.host, failed.address), (MAC, Some(HOST), Some(ADDRESS)));
    assert_eq!(failed.began, Duration::from_secs(125));
    paper.wait(500);
    assert_eq!(paper.failed.len(), 1, "it is said once");
}

#[test]
fn what_went_wrong_before_is_the_reason_and_is_said_sooner() {
    let mut paper = paper();
    paper.dora(10, Voice::UefiRom);
    let FileAnswer::Send { served, .. } = paper.ask(11, ADDRESS, "snponly.efi") else { panic!("the loader") };
    let (why, breakage) = ("machine fell silent".into(), Breakage::Silent);
    paper.told(12, served, 1_000, FileEnd::Broken(Broken { why, breakage, block_size: 1_428 }));
    paper.wait(60);
    assert_eq!(paper.why(), ["snponly.efi was not sent whole: machine fell silent"]);
}

#[test]
fn a_file_that_is_sent_for_long_is_no_silence() {
    let mut paper = paper();
    paper.dora(10, Voice::UefiRom);
    let FileAnswer::Send { served, .. } = paper.ask(11, ADDRESS, "snponly.efi") else { panic!("the loader") };
    paper.told(100, served, 11, FileEnd::Whole);
    paper.wait(200);
    assert_eq!(paper.failed, []);
    paper.wait(225);
    assert_eq!(paper.failed.len(), 1);
}

#[test]
fn a_refusal_that_the_machine_goes_on_after_is_no_reason() {
    let mut paper = paper();
    paper.dora(10, Voice::UefiRom);
    paper.ask(11, ADDRESS, "autoexec.ipxe");
    paper.fetch(12, ADDRESS, "snponly.efi");
    paper.wait(60);
    assert_eq!(paper.failed, []);
    paper.wait(140);
    assert_eq!(paper.why(), ["it fell silent after its loader"]);
}

#[test]
fn who_was_sent_to_its_disk_and_boots_after_all_is_watched_again() {
    let mut paper = Paper::new(plan());
    paper.dora(10, Voice::UefiRom);
    paper.wait(100);
    let host = HostPlan { boot: Some(boot()), ..host() };
    let plan = plan_of(2, vec![network_entry(&network()), host_entry(&host)]);
    paper.input(101, Input::Plan(Arc::new(plan)));
    paper.dora(102, Voice::UefiRom);
    paper.wait(300);
    assert_eq!(paper.failed.len(), 1);
}

#[test]
fn a_machine_that_begins_anew_has_failed_before() {
    let mut paper = paper();
    paper.dora(10, Voice::Ipxe);
    let first = paper.attempt();
    paper.dora(40, Voice::UefiRom);
    assert_eq!(paper.why(), ["the machine began anew"]);
    assert_eq!(paper.failed[0].attempt.to_string(), first);
}

#[test]
fn who_was_sent_to_its_disk_or_has_come_up_has_not_failed() {
    let mut to_disk = Paper::new(plan());
    to_disk.dora(10, Voice::UefiRom);
    to_disk.wait(1_000);
    to_disk.dora(1_001, Voice::UefiRom);
    assert_eq!(to_disk.failed, []);

    let mut up = paper();
    up.dora(10, Voice::Ipxe);
    let attempt = up.attempt();
    up.fetch(11, ADDRESS, &format!("a/{attempt}/boot.ipxe"));
    up.fetch(12, ADDRESS, &format!("a/{attempt}/linux"));
    up.dora(30, Voice::Os);
    up.wait(2_000);
    up.dora(2_001, Voice::UefiRom);
    assert_eq!(up.failed, []);
}

#[test]
fn a_system_has_a_quarter_of_an_hour_to_show_itself() {
    let mut paper = paper();
    paper.dora(10, Voice::Ipxe);
    let attempt = paper.attempt();
    paper.fetch(12, ADDRESS, &format!("a/{attempt}/linux"));
    paper.wait(905);
    assert_eq!(paper.failed, []);
    paper.wait(915);
    assert_eq!(paper.why(), ["its system did not show itself"]);
}

#[test]
fn an_installation_fails_with_its_order_and_not_by_silence() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    let (attempt, token) = (paper.attempt(), paper.token());
    paper.fetch(2, ADDRESS, &format!("a/{attempt}/linux"));
    paper.fetch(3, ADDRESS, &format!("o/{token}/preseed.cfg"));
    paper.wait(2_000);
    assert_eq!(paper.failed, [], "installers are silent for long");
    paper.callback(2_001, &token, Callback::Failed { reason: b"no disk".to_vec() });
    assert_eq!(paper.why(), ["its order is failed: no disk"]);
    assert!(!format!("{:?}", paper.failed).contains(&token));
}

#[test]
fn an_installation_that_is_done_has_not_failed_when_the_machine_boots_again() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    let token = paper.token();
    paper.callback(2, &token, Callback::Started);
    paper.callback(3, &token, Callback::Installed);
    paper.dora(20, Voice::UefiRom);
    paper.wait(1_000);
    assert_eq!(paper.failed, []);
}

#[test]
fn strangers_are_never_kept() {
    let mut paper = Paper::new(plan_that_leases());
    paper.say(1, &message(MessageType::Discover, Voice::UefiRom, Mac([8; 6]), 7));
    paper.wait(1_000);
    assert_eq!(paper.failed, []);
}

#[test]
fn a_capture_that_is_kept_is_told_with_its_boot() {
    let mut paper = paper();
    paper.dora(10, Voice::UefiRom);
    paper.wait(200);
    let boot = paper.failed.pop().expect("it has failed");
    let why = boot.why.clone();
    paper.input(201, Input::CaptureKept(CaptureKept { boot, packets: 4, bytes: 1_700 }));
    let last = paper.site.events_after(0).last().expect("told").event;
    assert_eq!(last.kind, EventKind::CaptureKept { packets: 4, bytes: 1_700, why });
    assert_eq!((last.host, last.mac, last.attempt.is_some()), (Some(HOST), Some(MAC), true));
}

#[test]
fn whose_packets_are_kept_follows_the_plan() {
    let request = |mac, voice| {
        let mut bytes = Vec::new();
        let message = message(MessageType::Discover, voice, mac, 7);
        message.encode(&mut Encoder::new(&mut bytes)).expect("a legal message");
        Request::parse(&bytes).expect("a legal message")
    };
    let (strict, open) = (Paper::new(plan()).site, Paper::new(plan_that_leases()).site);
    assert_eq!(strict.standing_of(&request(MAC, Voice::UefiRom)), Some(Standing::Host));
    assert_eq!(strict.standing_of(&request(MAC, Voice::Os)), None, "an installed system boots nothing");
    assert_eq!(strict.standing_of(&request(Mac([8; 6]), Voice::UefiRom)), None, "it is not answered");
    assert_eq!(open.standing_of(&request(Mac([8; 6]), Voice::UefiRom)), Some(Standing::Stranger));
}

#[test]
fn the_latest_boot_of_a_machine_is_known_by_its_number() {
    let mut paper = paper();
    paper.dora(10, Voice::UefiRom);
    let attempt = paper.attempt().parse().expect("our own");
    let known = paper.site.known_boot(at(25).mono, attempt).expect("it is under way");
    assert_eq!(known, KnownBoot { mac: MAC, address: Some(ADDRESS), began: Duration::from_secs(15) });
    assert_eq!(paper.site.known_boot(at(25).mono, proto::AttemptId([7; 16])), None);
}
