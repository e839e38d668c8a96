//! The clients of the lab, packet by packet: what each shows of itself, and every option of what it gets.

use dhcproto::{Decodable, Decoder, v4};
use proptest::prelude::*;
use proto::{Platform, event::Client};

use super::*;

const UUID_97: [u8; 17] = [0, 4, 3, 2, 1, 6, 5, 8, 7, 9, 10, 11, 12, 13, 14, 15, 16];
const ROM_PARAMETERS: &[u8] = &[1, 3, 6, 12, 15, 28, 43, 60, 66, 67, 128, 135, 235];
const LOADER: &str = "x64/snponly.efi";

/// What the clients of LAB's table send.
fn pxe_rom(arch: u8, class: &[u8]) -> Message {
    message(
        KNOWN,
        &[
            (53, &[1]),
            (57, &[0x05, 0xc0]),
            (55, ROM_PARAMETERS),
            (93, &[0, arch]),
            (94, &[1, 3, 0]),
            (97, &UUID_97),
            (60, class),
        ],
    )
}

pub(super) fn ovmf_pxe() -> Message {
    let mut rom = pxe_rom(7, b"PXEClient:Arch:00007:UNDI:003000");
    rom.broadcast = true;
    rom
}

pub(super) fn ovmf_http() -> Message {
    let mut rom = pxe_rom(16, b"HTTPClient:Arch:00016:UNDI:003000");
    rom.broadcast = true;
    rom
}

pub(super) fn ipxe_bios() -> Message {
    let mut ipxe = pxe_rom(0, b"PXEClient:Arch:00000:UNDI:002001");
    let options = ipxe.options.as_mut().expect("options");
    options.set(61, [[1].as_slice(), &KNOWN.0].concat());
    options.set(77, *b"iPXE");
    options.set(175, [177, 5, 1, 0x1a, 0xf4, 0x10, 0, 235, 3, 1, 0, 0, 19, 1, 1]);
    ipxe
}

pub(super) fn installer() -> Message {
    message(KNOWN, &[(53, &[1]), (57, &[2, 64]), (55, &[1, 3, 6, 12, 15, 28, 42]), (60, b"d-i")])
}

fn answered(answer: BootAnswer, request: &Message) -> (Message, Destination) {
    let mut site = Site::new();
    site.answer = answer;
    site.reply(request)
}

pub(super) fn loader() -> BootAnswer {
    BootAnswer::Loader { name: LOADER.into() }
}

pub(super) fn script() -> BootAnswer {
    BootAnswer::Script { url: "http://10.1.0.2:8080/a/00112233445566778899aabbccddeeff/boot.ipxe".into() }
}

#[test]
fn every_client_is_known_for_what_it_is() {
    let uuid = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
    let mut undionly = ipxe_bios();
    undionly.options.as_mut().expect("options").set(60, *b"PXEClient");
    for (message, client, platform) in [
        (pxe_rom(0, b"PXEClient:Arch:00000:UNDI:002001"), Client::PxeRom, Some(Platform::Bios)),
        (ovmf_pxe(), Client::PxeRom, Some(Platform::UefiX64)),
        (ovmf_http(), Client::HttpRom, Some(Platform::UefiX64)),
        (ipxe_bios(), Client::Ipxe, Some(Platform::Bios)),
        (undionly, Client::Ipxe, Some(Platform::Bios)),
        (pxe_rom(11, b"PXEClient:Arch:00011:UNDI:003000"), Client::PxeRom, Some(Platform::UefiArm64)),
    ] {
        let request = Request::parse(&message.emit()).expect("legal");
        assert_eq!((request.client, request.platform, request.uuid), (client, platform, Some(uuid)));
        assert!(request.is_boot_class());
        assert_eq!(request.max_datagram, 1472);
    }
    let request = Request::parse(&installer().emit()).expect("legal");
    assert_eq!((request.client, request.platform, request.is_boot_class()), (Client::Os, None, false));
}

#[test]
fn a_uefi_pxe_rom_gets_a_loader() {
    let (offer, to) = answered(loader(), &ovmf_pxe());
    assert_eq!(to, Destination::Broadcast);
    assert_eq!((offer.yiaddr, offer.siaddr, offer.file.as_slice()), (FIXED, SERVER, LOADER.as_bytes()));
    let expected: &[(u8, &[u8])] = &[
        (53, &[2]),
        (54, &SERVER.octets()),
        (51, &3600_u32.to_be_bytes()),
        (58, &1800_u32.to_be_bytes()),
        (59, &3150_u32.to_be_bytes()),
        (60, b"PXEClient"),
        (43, &[6, 1, 8, 10, 4, 0, b'P', b'X', b'E', 255]),
        (67, b"x64/snponly.efi\0"),
        (66, b"10.1.0.2"),
        (97, &UUID_97),
        (1, &[255, 255, 255, 0]),
        (3, &[10, 1, 0, 1]),
        (6, &[10, 1, 0, 1, 10, 1, 0, 3]),
        (12, b"web-1"),
        (15, b"lyon.example"),
        (28, &[10, 1, 0, 255]),
    ];
    assert_eq!(offer.options.expect("options").iter().collect::<Vec<_>>(), expected);
}

#[test]
fn a_bios_rom_is_answered_by_unicast_and_never_by_overload() {
    let (offer, to) = answered(loader(), &pxe_rom(0, b"PXEClient:Arch:00000:UNDI:002001"));
    assert_eq!(to, Destination::Unicast { address: FIXED, mac: KNOWN });
    assert_eq!(option(&offer, 52), None);
    assert_eq!(offer.file, LOADER.as_bytes());
}

#[test]
fn uefi_http_boot_gets_a_url() {
    let (offer, _) = answered(loader(), &ovmf_http());
    let url = "http://10.1.0.2:8080/l/x64/snponly.efi";
    assert_eq!(option(&offer, 60), Some(&b"HTTPClient"[..]));
    assert_eq!(option(&offer, 67), Some(format!("{url}\0").as_bytes()));
    assert_eq!((offer.file.as_slice(), option(&offer, 43)), (url.as_bytes(), None));
}

#[test]
fn ipxe_gets_a_script_and_waits_for_no_proxy() {
    let (offer, to) = answered(script(), &ipxe_bios());
    let BootAnswer::Script { url } = script() else { unreachable!("a script") };
    assert_eq!(to, Destination::Unicast { address: FIXED, mac: KNOWN });
    assert_eq!((offer.siaddr, offer.file.as_slice()), (SERVER, url.as_bytes()));
    assert_eq!(option(&offer, 67), Some(url.as_bytes()));
    assert_eq!(option(&offer, 175), Some(&[0xb0, 1, 1][..]));
    assert_eq!((option(&offer, 60), option(&offer, 43)), (None, None));
    let client_id = [[1].as_slice(), &KNOWN.0].concat();
    assert_eq!(option(&offer, 61), Some(client_id.as_slice()), "RFC 6842");
}

#[test]
fn a_long_url_stands_in_option_67_alone() {
    let url = format!("http://10.1.0.2:8080/a/{}/boot.ipxe", "x".repeat(300));
    let (offer, _) = answered(BootAnswer::Script { url: url.clone() }, &ipxe_bios());
    assert_eq!(option(&offer, 67), Some(url.as_bytes()), "split and joined, RFC 3396");
    assert!(offer.file.is_empty());
}

/// The menu of LAB that ends with "PXE-E21: Remote boot cancelled" at once.
#[test]
fn the_local_disk_is_a_menu_of_one_entry() {
    let menu = [
        &[6, 1, 8][..],
        &[8, 7, 0, 0, 1, 10, 1, 0, 2],
        &[9, 8, 0, 0, 5],
        b"Local",
        &[10, 6, 0],
        b"Local",
        &[255],
    ]
    .concat();
    for client in [ovmf_pxe(), pxe_rom(0, b"PXEClient"), ipxe_bios()] {
        let (offer, _) = answered(BootAnswer::LocalDisk, &client);
        assert_eq!(option(&offer, 60), Some(&b"PXEClient"[..]));
        assert_eq!(option(&offer, 43), Some(menu.as_slice()));
        assert_eq!((offer.file.len(), option(&offer, 67)), (0, None));
    }
    let (offer, _) = answered(BootAnswer::LocalDisk, &ovmf_http());
    assert_eq!(option(&offer, 67), Some(&b"http://10.1.0.2:8080/l/none\0"[..]));
}

#[test]
fn an_answer_for_another_program_is_the_local_disk() {
    let (offer, _) = answered(script(), &ovmf_pxe());
    assert!(option(&offer, 43).is_some_and(|menu| menu.starts_with(&[6, 1, 8, 8])));
    assert!(offer.file.is_empty());
}

#[test]
fn ipxe_takes_another_loader_and_waits_for_no_proxy() {
    let (offer, _) = answered(loader(), &ipxe_bios());
    assert!(!offer.file.is_empty());
    assert_eq!(option(&offer, 175), Some(&[0xb0, 1, 1][..]));
}

#[test]
fn an_installer_gets_its_parameters_and_nothing_to_boot() {
    for answer in [loader(), script(), BootAnswer::LocalDisk, BootAnswer::AddressOnly] {
        let (offer, _) = answered(answer, &installer());
        assert_eq!(codes(&offer), [53, 54, 51, 58, 59, 1, 3, 6, 12, 15, 28, 42]);
        assert_eq!((offer.siaddr, offer.file.len()), (Ipv4Addr::UNSPECIFIED, 0));
    }
}

#[test]
fn a_relayed_request_is_answered_to_the_relay_agent() {
    let circuit: &[u8] = &[1, 4, b'p', b'o', b'r', b't'];
    let mut relayed = ovmf_pxe();
    relayed.giaddr = [10, 9, 0, 1].into();
    relayed.mac = STRANGER;
    relayed.options.as_mut().expect("options").set(82, circuit);
    let (offer, to) = answered(loader(), &relayed);
    assert_eq!(to, Destination::Relay([10, 9, 0, 1].into()));
    assert_eq!((offer.giaddr, offer.xid), (relayed.giaddr, relayed.xid));
    assert!(offer.yiaddr.octets().starts_with(&[10, 9, 0]), "QUIRKS 1");
    assert_eq!(codes(&offer).last(), Some(&82), "RFC 3046 §2.2");
    assert_eq!(option(&offer, 82), Some(circuit));
}

#[test]
fn relay_agents_select_the_link_and_the_server_identifier() {
    let mut relayed = ovmf_pxe();
    relayed.mac = STRANGER;
    let area = [5, 4, 10, 9, 0, 0, 11, 4, 10, 9, 0, 1];
    relayed.options.as_mut().expect("options").set(82, area);
    let (offer, _) = answered(loader(), &relayed);
    assert!(offer.yiaddr.octets().starts_with(&[10, 1, 0]), "no relay agent, no belief");
    relayed.giaddr = [10, 1, 0, 1].into();
    let (offer, _) = answered(loader(), &relayed);
    assert!(offer.yiaddr.octets().starts_with(&[10, 9, 0]), "RFC 3527");
    assert_eq!(option(&offer, 54), Some(&[10, 9, 0, 1][..]), "RFC 5107");
}

#[test]
fn bootp_gets_file_and_siaddr_if_it_is_known() {
    let mut bootp = message(KNOWN, &[]);
    let mut site = Site::new();
    site.answer = loader();
    let (reply, _) = site.reply(&bootp);
    assert_eq!((reply.yiaddr, reply.siaddr, reply.file.as_slice()), (FIXED, SERVER, LOADER.as_bytes()));
    assert_eq!((kind(&reply), option(&reply, 51), option(&reply, 54)), (None, None, None));
    assert_eq!(reply.emit().len(), 300, "RFC 1542");
    bootp.options = None;
    assert_eq!(site.reply(&bootp).0.options, None, "no cookie where none was sent");
    bootp.mac = STRANGER;
    assert_eq!(sent(&site.hear(&bootp)), None);
}

#[test]
fn replies_fit_what_the_client_takes() {
    for (max, limit) in [(None, 548), (Some(100_u16), 548), (Some(1024), 996), (Some(65280), 1472)] {
        let mut request = ovmf_pxe();
        let options = request.options.as_mut().expect("options");
        match max {
            Some(max) => options.set(57, max.to_be_bytes()),
            None => options.set(57, []),
        }
        options.set(61, [7; 200]);
        options.set(82, [9; 255]);
        let name = "n".repeat(120);
        let effects = {
            let mut site = Site::new();
            site.answer = BootAnswer::Loader { name };
            site.hear(&request)
        };
        let Some(Effect::Send { datagram, .. }) = effects.last() else { panic!("a reply") };
        assert!((300..=limit).contains(&datagram.len()), "{max:?}: {}", datagram.len());
        let reply = Message::parse(datagram).expect("legal");
        assert_eq!((kind(&reply), option(&reply, 82).map(<[u8]>::len)), (Some(2), Some(255)));
    }
}

/// Another codec reads what ours writes.
/// Found by fuzzing: a refusal with both echoes at their longest did not fit.
#[test]
fn a_refusal_fits_what_the_client_takes() {
    let mut request = reboot(STRANGER, [10, 1, 0, 77].into());
    request.giaddr = [10, 1, 0, 1].into();
    let options = request.options.as_mut().expect("options");
    options.set(61, [1; 255]);
    options.set(82, [&[1, 253][..], &[7; 253]].concat());
    let (nak, _) = Site::new().reply(&request);
    assert_eq!((kind(&nak), option(&nak, 82)), (Some(6), option(&request, 82)));
    assert_eq!(option(&nak, 61), None, "what is missed least");
    assert!(nak.emit().len() <= 548, "{}", nak.emit().len());
}

#[test]
fn dhcproto_reads_the_replies() {
    let mut site = Site::new();
    site.answer = loader();
    let effects = site.hear(&ovmf_pxe());
    let Some(Effect::Send { datagram, .. }) = effects.last() else { panic!("a reply") };
    let reply = v4::Message::decode(&mut Decoder::new(datagram)).expect("legal");
    assert_eq!(reply.opts().msg_type(), Some(v4::MessageType::Offer));
    assert_eq!((reply.yiaddr(), reply.siaddr(), reply.chaddr()), (FIXED, SERVER, &KNOWN.0[..]));
    assert_eq!(
        reply.opts().get(v4::OptionCode::AddressLeaseTime),
        Some(&v4::DhcpOption::AddressLeaseTime(3600))
    );
    assert_eq!(
        reply.opts().get(v4::OptionCode::DomainNameServer),
        Some(&v4::DhcpOption::DomainNameServer(vec![[10, 1, 0, 1].into(), [10, 1, 0, 3].into()]))
    );
}

proptest! {
    /// S6: whatever comes, nothing breaks, and what is sent is legal and fits.
    #[test]
    fn mutated_packets_harm_nothing(
        which in 0_usize..5,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        cut in proptest::option::of(any::<prop::sample::Index>()),
        answer in 0_usize..4,
    ) {
        let clients = [ovmf_pxe(), ovmf_http(), ipxe_bios(), installer(), message(KNOWN, &[])];
        let mut bytes = clients[which].emit();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let mut site = Site::new();
        site.answer = [loader(), script(), BootAnswer::LocalDisk, BootAnswer::AddressOnly][answer].clone();
        if Request::parse(&bytes).is_ok() {
            let message = Message::parse(&bytes).expect("it was read");
            for effect in site.hear(&message) {
                if let Effect::Send { datagram, .. } = effect {
                    prop_assert!((300..=1472).contains(&datagram.len()));
                    prop_assert!(Message::parse(&datagram).is_ok());
                }
            }
        }
    }
}
