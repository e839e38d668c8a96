//! Names: whose they are, and what they never show.

use super::*;

#[test]
fn an_order_file_asked_for_from_elsewhere_is_not_there_and_raises_an_alarm() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    let token = paper.token();
    let name = format!("o/{token}/preseed.cfg");
    assert_eq!(paper.ask(2, [10, 1, 0, 77].into(), &name), FileAnswer::NotFound);
    let alarms =
        |kind: &&EventKind| matches!(kind, EventKind::Alarm { kind: AlarmKind::OrderFileFromElsewhere, .. });
    assert_eq!(paper.events().iter().filter(alarms).count(), 1);
    for name in [format!("o/{token}"), token.clone(), format!("a/{}/o/{token}/x", paper.attempt())] {
        assert_eq!(paper.ask(3, ADDRESS, &name), FileAnswer::NotFound);
    }
    assert!(!format!("{:?}", paper.events()).contains(&token), "a token never reaches the journal");
}

#[test]
fn names_outside_the_plan_do_not_exist() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    let attempt = paper.attempt();
    let names = [
        String::new(),
        "etc/passwd".into(),
        "../boot.ipxe".into(),
        "nothing.efi".into(),
        format!("a/{attempt}/preseed.cfg"),
        format!("a/{attempt}/"),
        format!("a/{}/linux", "0".repeat(32)),
        "a/x/linux".into(),
        format!("o/{}/preseed.cfg", "0".repeat(32)),
    ];
    for name in names {
        assert_eq!(paper.text(2, &name), None, "{name}");
    }
    assert_eq!(paper.text(2, "snponly.efi").as_deref(), Some("a blob"));
    assert_eq!(paper.ask(2, [10, 1, 0, 77].into(), "snponly.efi"), FileAnswer::NotFound, "no lease");
}

#[test]
fn quirk_43_a_host_in_single_port_mode_is_answered_so_found_or_not() {
    let mut plan = plan();
    plan.hosts.values_mut().for_each(|host| host.tftp_single_port = true);
    let mut paper = Paper::new(plan);
    for name in ["snponly.efi", "nothing.efi"] {
        paper.ask(2, ADDRESS, name);
        assert!(paper.single_port, "{name}");
        paper.ask(2, [10, 1, 0, 77].into(), name);
        assert!(!paper.single_port, "{name} for a machine that is no host");
    }
}

#[test]
fn without_an_order_and_for_strangers() {
    let mut paper = Paper::new(plan());
    paper.dora(1, Voice::UefiRom);
    assert_eq!(paper.decisions(), [Answer::LocalDisk]);
    assert_eq!(paper.sent.len(), 2, "a known host always gets its lease");
    paper.say(2, &message(MessageType::Discover, Voice::UefiRom, Mac([2, 0, 0, 0, 0, 9]), 8));
    assert_eq!(paper.sent.len(), 2, "the site ignores strangers");
}

#[test]
fn secrets_and_tokens_do_not_show_themselves() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    let token = paper.token();
    let answer = paper.ask(2, ADDRESS, &format!("o/{token}/preseed.cfg"));
    assert!(
        matches!(&answer, FileAnswer::Send { source: Source::Bytes(bytes), .. } if bytes.ends_with(b"hunter2"))
    );
    assert!(!format!("{answer:?}").contains("hunter2"), "{answer:?}");
    let report = ReportRequest { ask: 2, from: ADDRESS, token: token.clone(), callback: Callback::Installed };
    assert!(!format!("{report:?}").contains(&token), "{report:?}");
    let name = format!("o/{token}/preseed.cfg");
    let (transport, from, probe) = (Transport::Tftp, ADDRESS, false);
    let request = FileRequest { ask: 3, transport, arrival: arrival(), from, name, probe };
    let shown = format!("{:?}", Input::File(request));
    assert!(!shown.contains(&token) && shown.contains("preseed.cfg"), "{shown}");
}
