//! A Raspberry Pi, made from the vendor's documentation: its ROM says that it is a PC, obeys a text in option 43, and asks
//! for names below its serial number (QUIRKS 15, 16, 31).

use proto::{
    Digest, Platform, Program,
    event::AlarmKind,
    plan::{BlobRef, Boot, LoaderSet, loaders_entry},
};

use super::*;

const PI: Mac = Mac([0xdc, 0xa6, 0x32, 0, 0, 7]);

fn files(names: &[&str]) -> std::collections::BTreeMap<String, BlobRef> {
    let blob = |name: &&str| ((*name).to_owned(), BlobRef { digest: Digest::of(name.as_bytes()), size: 1 });
    names.iter().map(blob).collect()
}

/// A site whose host is a Raspberry Pi that always boots, with these first files.
fn site_of(entries: &[(Platform, &str)]) -> Paper {
    let set = LoaderSet {
        name: "pi".into(),
        program: Program::Ipxe,
        entries: entries.iter().map(|(platform, path)| (*platform, (*path).to_owned())).collect(),
        files: files(&["start4.elf", "fixup4.dat", "config.txt", "RPI_EFI.fd", "snponly-arm64.efi"]),
        site_default: true,
        texts: [].into(),
    };
    let host = HostPlan { macs: vec![PI], boot: Some(Boot { profile: "pi-os".into(), ..boot() }), ..host() };
    let entries = vec![network_entry(&network()), host_entry(&host), loaders_entry(&set)];
    Paper::new(plan_of(2, entries))
}

fn rom(kind: MessageType, architecture: u8) -> Message {
    let mut message = message(kind, Voice::Os, PI, 7);
    let class = format!("PXEClient:Arch:{architecture:05}:UNDI:002001");
    let options = message.opts_mut();
    options.insert(DhcpOption::ClassIdentifier(class.into_bytes()));
    options.insert(DhcpOption::Unknown(UnknownOption::new(OptionCode::from(93), vec![0, architecture])));
    if kind == MessageType::Request {
        options.insert(DhcpOption::RequestedIpAddress(ADDRESS));
        options.insert(DhcpOption::ServerIdentifier(SERVER));
    }
    message
}

fn dora(paper: &mut Paper, second: u64, architecture: u8) {
    paper.say(second, &rom(MessageType::Discover, architecture));
    paper.say(second, &rom(MessageType::Request, architecture));
}

fn holds(datagram: &[u8], text: &[u8]) -> bool {
    datagram.windows(text.len()).any(|window| window == text)
}

#[test]
fn synthetic_raspberry_pi_finds_its_firmware_below_its_serial_and_goes_on_as_uefi() {
    let mut paper =
        site_of(&[(Platform::RaspberryPi, "start4.elf"), (Platform::UefiArm64, "snponly-arm64.efi")]);
    dora(&mut paper, 1, 0);
    assert!(holds(&paper.sent[0].1, b"Raspberry Pi Boot   ") && holds(&paper.sent[0].1, b"PXEClient"));
    assert_eq!(paper.text(2, "10000000abcdef12/start4.elf").as_deref(), Some("a blob"));
    assert_eq!(paper.text(2, "10000000abcdef12/recover4.elf"), None, "many are not there");
    assert_eq!(paper.text(3, "10000000abcdef12/RPI_EFI.fd").as_deref(), Some("a blob"));

    dora(&mut paper, 20, 11);
    let offer = &paper.sent[2].1;
    assert!(holds(offer, b"pi/snponly-arm64.efi") && !holds(offer, b"Raspberry Pi Boot"));
    assert_eq!(paper.decisions(), [Answer::Loader]);
}

#[test]
fn a_raspberry_pi_without_firmware_in_the_plan_is_told_of_and_not_called() {
    let mut paper = site_of(&[(Platform::UefiArm64, "snponly-arm64.efi")]);
    dora(&mut paper, 1, 0);
    assert!(!holds(&paper.sent[0].1, b"Raspberry Pi Boot"), "it would ask for minutes for what is not there");
    let no_loader = |kind: &EventKind| {
        let EventKind::Alarm { kind: AlarmKind::NoLoader, detail } = kind else { return None };
        Some(detail.clone())
    };
    let alarms: Vec<_> = paper.events().iter().filter_map(no_loader).collect();
    let [alarm] = alarms.as_slice() else { panic!("one alarm for one attempt: {alarms:?}") };
    assert!(
        alarm.starts_with("profile pi-os has no loader for raspberry-pi (architecture 0x0000, x86 BIOS)")
    );
    assert!(alarm.contains("looked in the site's pi;"), "{alarm}");
}
