//! Several subnets on one link, relay agents that select one, and what operators add to replies.

use proto::plan::CustomOption;

use super::{
    golden::{loader, ovmf_pxe},
    *,
};

/// `10.1.0.0/24` with three addresses to lease shares its link with `10.9.0.0/24`.
fn shared(hosts: &[HostPlan]) -> Site {
    let mut plan = plan(1, "10.1.0.8-10.1.0.10", hosts);
    for subnet in &mut plan.network.subnets {
        subnet.shared = Some("floor-2".into());
    }
    plan.network.subnets[1].lease = Duration::from_secs(60);
    Site::of(plan)
}

fn machine(n: u8) -> Mac {
    Mac([2, 0, 0, 3, 0, n])
}

#[test]
fn a_full_subnet_goes_on_in_the_next_one_of_the_link() {
    let mut site = shared(&[]);
    let addresses: Vec<_> = (0..5).map(|n| site.boot(machine(n))).collect();
    assert_eq!(addresses.iter().filter(|a| a.octets()[1] == 1).count(), 3, "its own subnet first");
    let (offer, _) = site.reply(&discover(machine(4)));
    assert_eq!(offer.yiaddr, addresses[4]);
    assert_eq!(option(&offer, 3), Some(&[10, 9, 0, 1][..]), "the router of the address's subnet");
    assert_eq!(option(&offer, 51), Some(&60_u32.to_be_bytes()[..]), "and its lease");
    assert_eq!(kind(&site.reply(&renew(machine(4), addresses[4])).0), Some(5));
    assert_eq!(site.server.leases().count(), 5, "one each");
}

#[test]
fn a_fixed_address_may_be_of_any_subnet_of_the_link() {
    let fixed = [10, 9, 0, 7].into();
    let mut site = shared(&[host(1, "web-1", vec![KNOWN], Some(fixed))]);
    assert_eq!(site.boot(KNOWN), fixed);
    let mut apart = Site::of(plan(1, "10.1.0.8-10.1.0.10", &[host(1, "web-1", vec![KNOWN], Some(fixed))]));
    assert_ne!(apart.boot(KNOWN), fixed, "another link");
}

#[test]
fn a_machine_has_one_lease_on_a_link_wherever_it_asks() {
    let mut site = shared(&[]);
    let address = site.boot(STRANGER);
    let mut relayed = discover(STRANGER);
    relayed.giaddr = [10, 9, 0, 1].into();
    assert_eq!(site.reply(&relayed).0.yiaddr, address);
}

#[test]
fn a_relayed_machine_selects_its_subnet() {
    let mut site = Site::new();
    let mut request = discover(STRANGER);
    request.options.as_mut().expect("options").set(118, [10, 9, 0, 0]);
    let (offer, _) = site.reply(&request);
    assert!(offer.yiaddr.octets().starts_with(&[10, 1, 0]), "no relay agent, no belief");
    assert_eq!(option(&offer, 118), None);
    request.giaddr = [10, 1, 0, 1].into();
    request.mac = machine(1);
    let (offer, _) = site.reply(&request);
    assert!(offer.yiaddr.octets().starts_with(&[10, 9, 0]), "RFC 3011");
    assert_eq!(option(&offer, 118), Some(&[10, 9, 0, 0][..]));
    request.options.as_mut().expect("options").set(82, [5, 4, 10, 1, 0, 0]);
    request.mac = machine(2);
    let (offer, _) = site.reply(&request);
    assert!(offer.yiaddr.octets().starts_with(&[10, 1, 0]), "RFC 3527 comes first");
    assert_eq!(codes(&offer).last(), Some(&82));
}

fn custom(code: u8, value: &'static [u8]) -> CustomOption {
    CustomOption { code, value: value.into() }
}

#[test]
fn operators_add_options_and_the_hosts_word_wins() {
    let mut known = host(1, "web-1", vec![KNOWN], Some(FIXED));
    known.reply.options = vec![custom(26, &[5, 220]), custom(3, &[10, 1, 0, 254])];
    let mut plan = plan(1, "10.1.0.8-10.1.0.12", &[known]);
    plan.network.reply.options = vec![
        custom(26, &[35, 40]),
        custom(114, b"https://x"),
        custom(150, &[1, 2, 3, 4]),
        custom(160, b"https://y"),
    ];
    let mut site = Site::of(plan);
    site.answer = loader();
    let (offer, _) = site.reply(&discover(KNOWN));
    assert_eq!(option(&offer, 26), Some(&[5, 220][..]));
    assert_eq!(option(&offer, 3), Some(&[10, 1, 0, 254][..]));
    assert_eq!(
        (option(&offer, 114), option(&offer, 150)),
        (Some(&b"https://x"[..]), Some(&[1, 2, 3, 4][..]))
    );
    let (offer, _) = site.reply(&Message { mac: STRANGER, ..ovmf_pxe() });
    assert_eq!(option(&offer, 26), Some(&[35, 40][..]));
    assert_eq!((option(&offer, 114), option(&offer, 160)), (None, None), "QUIRKS 28: never to a PXE client");
}

#[test]
fn a_huge_pool_is_no_work_for_one_packet() {
    let mut plan = plan(1, "10.1.0.8-10.1.0.10", &[]);
    plan.network.subnets = vec![subnet("10.0.0.0/8", "10.0.0.1-10.255.255.254")];
    let mut site = Site::of(plan);
    assert!(site.boot(STRANGER).octets()[0] == 10);
}
