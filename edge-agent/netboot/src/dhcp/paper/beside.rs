//! Beside another DHCP server: offers without an address, and port 4011.

use std::net::SocketAddrV4;

use proto::{event::EventKind, plan::ReplyForm};

use super::{
    golden::{installer, ipxe_bios, loader, ovmf_http, ovmf_pxe, script},
    *,
};

/// What the other server has given to the known machine.
const GIVEN: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 77);
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 3);

fn proxy(answer: BootAnswer) -> Site {
    let mut site = Site::new();
    site.plan.network.dhcp = DhcpMode::Proxy;
    site.answer = answer;
    site
}

/// The REQUEST of OVMF at the boot service (LAB): from :4011, with its address and without option 54.
fn at_boot_service(mut message: Message, from: Ipv4Addr, port: u16) -> Request {
    message.options.as_mut().expect("options").set(53, [3]);
    message.ciaddr = from;
    message.broadcast = false;
    Request::parse_boot_service(&message.emit(), SocketAddrV4::new(from, port)).expect("legal")
}

#[test]
fn a_rom_is_offered_a_file_and_no_address() {
    let mut site = proxy(loader());
    let effects = site.hear(&ovmf_pxe());
    let (offer, to) = sent(&effects).expect("an offer");
    assert_eq!((to, offer.yiaddr, offer.siaddr), (Destination::Broadcast, Ipv4Addr::UNSPECIFIED, SERVER));
    assert_eq!(offer.file, b"x64/snponly.efi");
    assert_eq!(codes(&offer), [53, 54, 60, 43, 67, 66, 97], "neither lease nor parameters");
    assert!(
        matches!(&effects[0], Effect::Report(EventKind::Offered { address: None, file, .. }) if file == "snponly.efi")
    );
    assert!(site.ledger.is_empty() && site.server.leases().count() == 0);
}

#[test]
fn ipxe_knows_us_for_a_proxy_by_its_class() {
    let (offer, _) = proxy(script()).reply(&ipxe_bios());
    assert_eq!((option(&offer, 60), option(&offer, 175)), (Some(&b"PXEClient"[..]), None));
    assert!(offer.siaddr == SERVER && offer.file.starts_with(b"http://"), "LAB: both, or it is no offer");
}

#[test]
fn http_boot_and_the_local_disk_work_beside_another_server() {
    let (offer, _) = proxy(loader()).reply(&ovmf_http());
    assert_eq!(option(&offer, 60), Some(&b"HTTPClient"[..]));
    let (offer, _) = proxy(BootAnswer::LocalDisk).reply(&ovmf_pxe());
    assert!(option(&offer, 43).is_some_and(|menu| menu.starts_with(&[6, 1, 8, 8])));
}

#[test]
fn who_does_not_boot_hears_nothing() {
    assert_eq!(proxy(loader()).hear(&installer()), []);
    assert_eq!(proxy(BootAnswer::AddressOnly).hear(&ovmf_pxe()), []);
    assert_eq!(proxy(loader()).hear(&message(KNOWN, &[])), [], "BOOTP needs an address");
    for kind in [4, 7, 8] {
        let mut other = ovmf_pxe();
        other.options.as_mut().expect("options").set(53, [kind]);
        other.ciaddr = GIVEN;
        assert_eq!(sent(&proxy(loader()).hear(&other)), None);
    }
}

#[test]
fn the_other_servers_machine_is_overheard_and_not_answered() {
    let mut site = proxy(loader());
    let mut request = ovmf_pxe();
    let options = request.options.as_mut().expect("options");
    options.set(53, [3]);
    options.set(50, GIVEN.octets());
    options.set(54, OTHER.octets());
    assert_eq!(sent(&site.hear(&request)), None);
    assert_eq!(site.server.machine_at(GIVEN), Some(KNOWN));
    assert_eq!(site.hear(&request), [], "nothing new");
    let stranger = Message { mac: STRANGER, ..request };
    assert_eq!(site.hear(&stranger), []);
    assert_eq!(site.server.machine_at(GIVEN), Some(KNOWN), "strangers claim nothing");
    site.restart();
    assert_eq!(site.server.machine_at(GIVEN), Some(KNOWN), "it is in the ledger");
}

#[test]
fn an_address_that_is_only_remembered_is_taken_from_no_other_machine() {
    const OTHERS: Mac = Mac([2, 0, 0, 0, 0, 0x42]);
    let mut site = proxy(loader());
    let hosts = [host(1, "web-1", vec![KNOWN], Some(FIXED)), host(2, "web-2", vec![OTHERS], None)];
    site.plan = plan(2, "10.1.0.8-10.1.0.12", &hosts);
    site.plan.network.dhcp = DhcpMode::Proxy;
    site.hear(&renew(KNOWN, GIVEN));
    let mut request = Message { mac: OTHERS, ..ovmf_pxe() };
    request.options.as_mut().expect("options").set(53, [3]);
    request.options.as_mut().expect("options").set(50, GIVEN.octets());
    site.hear(&request);
    assert_eq!(site.server.machine_at(GIVEN), Some(KNOWN), "INIT-REBOOT");
    site.hear(&Message { ciaddr: [10, 1, 0, 78].into(), ..request.clone() });
    assert_eq!(site.server.machine_at(GIVEN), Some(KNOWN), "it uses another");
    request.options.as_mut().expect("options").set(54, OTHER.octets());
    site.hear(&request);
    assert_eq!(site.server.machine_at(GIVEN), Some(OTHERS), "the other server has offered it");
}

#[test]
fn leases_count_alone_where_they_are_ours() {
    let mut site = proxy(loader());
    site.hear(&Message { ciaddr: GIVEN, ..renew(KNOWN, GIVEN) });
    assert_eq!(site.server.machine_at(GIVEN), Some(KNOWN));
    site.plan = plan(2, "10.1.0.8-10.1.0.12", &[host(1, "web-1", vec![KNOWN], Some(FIXED))]);
    site.hear(&discover(KNOWN));
    assert_eq!(site.server.machine_at(GIVEN), None);
}

#[test]
fn the_boot_service_answers_to_the_port_that_was_asked_from() {
    for port in [68, 4011] {
        for mode in [DhcpMode::Authoritative, DhcpMode::Proxy] {
            let mut site = proxy(loader());
            site.plan.network.dhcp = mode;
            let effects = site.hear_request(&at_boot_service(ovmf_pxe(), GIVEN, port));
            let (ack, to) = sent(&effects).expect("an ACK");
            assert_eq!(to, Destination::BootService(SocketAddrV4::new(GIVEN, port)));
            assert_eq!((kind(&ack), ack.yiaddr, ack.ciaddr), (Some(5), Ipv4Addr::UNSPECIFIED, GIVEN));
            assert_eq!((ack.siaddr, ack.file.as_slice()), (SERVER, &b"x64/snponly.efi"[..]));
            assert_eq!(codes(&ack), [53, 54, 60, 43, 67, 66, 97]);
            let sighted = (mode == DhcpMode::Proxy).then_some(KNOWN);
            assert_eq!(site.server.machine_at(GIVEN), sighted);
        }
    }
}

#[test]
fn a_chosen_menu_entry_is_confirmed() {
    let mut request = ovmf_pxe();
    request.options.as_mut().expect("options").set(43, [71, 4, 0, 7, 0, 0, 255]);
    let effects = proxy(loader()).hear_request(&at_boot_service(request, GIVEN, 68));
    let (ack, _) = sent(&effects).expect("an ACK");
    let vendor = option(&ack, 43).expect("vendor options");
    assert!(vendor.ends_with(&[71, 4, 0, 7, 0, 0, 255]), "{vendor:?}");
}

#[test]
fn the_boot_service_is_no_mirror() {
    let elsewhere = [192, 0, 2, 7].into();
    let mut site = proxy(loader());
    assert_eq!(site.hear_request(&at_boot_service(ovmf_pxe(), elsewhere, 68)), [], "no link of ours");
    let mut spoofed = at_boot_service(ovmf_pxe(), GIVEN, 68);
    spoofed.ciaddr = Some([10, 1, 0, 78].into());
    assert_eq!(site.hear_request(&spoofed), [], "another's address");
}

#[test]
fn a_silent_site_is_silent() {
    let mut site = proxy(loader());
    site.plan.network.dhcp = DhcpMode::Off;
    assert_eq!(site.hear(&ovmf_pxe()), []);
    assert_eq!(site.hear_request(&at_boot_service(ovmf_pxe(), GIVEN, 68)), []);
}

/// QUIRKS 20 and 22: firmware that wants it otherwise, and an operator who knows.
#[test]
fn a_pinned_form_is_obeyed_for_the_site_and_the_hosts_word_wins() {
    let expected: [(ReplyForm, &[u8], usize); 3] = [
        (ReplyForm::Discovery, &[53, 54, 60, 43, 67, 66, 97], 15),
        (ReplyForm::BootService, &[53, 54, 60, 97], 0),
        (ReplyForm::File, &[53, 54, 60, 67, 66, 97], 15),
    ];
    for (form, options, file) in expected {
        let mut site = proxy(loader());
        site.plan.network.reply.form = Some(ReplyForm::Discovery);
        site.plan.hosts.values_mut().for_each(|host| host.reply.form = Some(form));
        let (offer, _) = site.reply(&ovmf_pxe());
        assert_eq!((codes(&offer).as_slice(), offer.file.len()), (options, file), "{form:?}");
        let effects = site.hear_request(&at_boot_service(ovmf_pxe(), GIVEN, 4011));
        let (ack, _) = sent(&effects).expect("an ACK");
        assert_eq!((option(&ack, 60), ack.file.len()), (Some(&b"PXEClient"[..]), 15), "{form:?}");
    }
}
