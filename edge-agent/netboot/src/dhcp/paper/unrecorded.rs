//! Replies that no record stands behind: what a known host is told while nothing can be put on disk.

use super::*;

impl Site {
    /// What the plan alone says to a message.
    fn unrecorded(&self, message: &Message) -> Option<(Message, Destination)> {
        let request = Request::parse(&message.emit()).expect("a legal request");
        let context = Context {
            network: &self.plan.network,
            host: self.plan.host_of(request.mac),
            plan: &self.plan,
            server: SERVER,
            base_url: "http://10.1.0.2:8080",
            answer: &BootAnswer::LocalDisk,
            form: proto::plan::ReplyForm::default(),
            wire: None,
            grants_allowed: false,
        };
        let (datagram, to) = self.server.reply_from_plan(&request, &context)?;
        Some((Message::parse(&datagram).expect("legal"), to))
    }
}

#[test]
fn a_fixed_address_needs_no_record_and_gets_a_short_lease() {
    let site = Site::new();
    let (offer, _) = site.unrecorded(&discover(KNOWN)).expect("an OFFER");
    assert_eq!((kind(&offer), offer.yiaddr), (Some(2), FIXED));
    let (ack, _) = site.unrecorded(&select(&discover(KNOWN), &offer)).expect("an ACK");
    assert_eq!((kind(&ack), ack.yiaddr), (Some(5), FIXED));
    assert_eq!(option(&ack, 51), Some(&600_u32.to_be_bytes()[..]));
    let renewed = site.unrecorded(&renew(KNOWN, FIXED)).expect("an ACK");
    assert_eq!(renewed.1, Destination::Address(FIXED, 68));
    assert_eq!(site.server.leases().count(), 0, "nothing is remembered");
}

#[test]
fn a_rom_is_sent_to_its_disk_without_a_record() {
    let site = Site::new();
    let mut rom = discover(KNOWN);
    let options = rom.options.as_mut().expect("options");
    options.set(60, *b"PXEClient:Arch:00007:UNDI:003000");
    options.set(93, [0, 7]);
    let (offer, _) = site.unrecorded(&rom).expect("an OFFER");
    assert_eq!(option(&offer, 60), Some(&b"PXEClient"[..]));
    assert_eq!(
        (offer.file.len(), option(&offer, 67)),
        (0, None),
        "no file: the menu's one entry is the disk"
    );
}

#[test]
fn what_is_not_the_plans_to_give_waits() {
    let mut site = Site::new();
    assert_eq!(site.unrecorded(&discover(STRANGER)), None);
    assert_eq!(site.unrecorded(&reboot(KNOWN, [10, 1, 0, 10].into())), None, "another address");
    let mut elsewhere = reboot(KNOWN, FIXED);
    elsewhere.options.as_mut().expect("options").set(54, [10, 1, 0, 77]);
    assert_eq!(site.unrecorded(&elsewhere), None, "another server's offer");

    let hosts = [host(1, "web-1", vec![KNOWN], None), host(2, "web-2", vec![KNOWN_TOO], Some(FIXED))];
    site.plan = plan(2, "10.1.0.8-10.1.0.12", &hosts);
    assert_eq!(site.unrecorded(&discover(KNOWN)), None, "a pool address is a new grant");
    site.boot(KNOWN_TOO);
    let hosts = [host(1, "web-1", vec![KNOWN], Some(FIXED))];
    site.plan = plan(3, "10.1.0.8-10.1.0.12", &hosts);
    assert_eq!(site.unrecorded(&discover(KNOWN)), None, "somebody else still holds it");
}
