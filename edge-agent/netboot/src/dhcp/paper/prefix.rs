//! Option 210, by which LPXELINUX fetches by HTTP what firmware alone must fetch by TFTP.

use proto::{
    Program,
    plan::{CustomOption, LoaderSet, ReplyForm},
};

use super::{
    golden::{ipxe_bios, ovmf_pxe},
    *,
};

/// A site whose set `own` is this program, and a machine that is to load `own/NAME`.
fn site(program: Program, name: &str) -> Site {
    let mut site = Site::new();
    let set = LoaderSet {
        name: "own".into(),
        program,
        entries: [].into(),
        files: [].into(),
        site_default: true,
        texts: [].into(),
    };
    site.plan.loaders.insert(set.name.clone(), set);
    site.answer = BootAnswer::Loader { name: format!("own/{name}") };
    site
}

#[test]
fn quirk_29_lpxelinux_is_told_to_fetch_by_http() {
    let (offer, _) = site(Program::Lpxelinux, "lpxelinux.0").reply(&ipxe_bios());
    assert_eq!(offer.file, b"own/lpxelinux.0");
    assert_eq!(option(&offer, 210), Some(&b"http://10.1.0.2:8080/l/own/"[..]));
    let (offer, _) = site(Program::Lpxelinux, "bios/lpxelinux.0").reply(&ipxe_bios());
    assert_eq!(option(&offer, 210), Some(&b"http://10.1.0.2:8080/l/own/bios/"[..]), "its own folder");
}

#[test]
fn quirk_29_so_it_is_in_every_form_of_reply() {
    for form in [ReplyForm::Discovery, ReplyForm::File] {
        let mut site = site(Program::Lpxelinux, "lpxelinux.0");
        site.plan.network.reply.form = Some(form);
        let (offer, _) = site.reply(&ovmf_pxe());
        assert_eq!(option(&offer, 210), Some(&b"http://10.1.0.2:8080/l/own/"[..]), "{form:?}");
    }
}

#[test]
fn what_speaks_no_http_is_told_nothing_of_it() {
    for (program, name) in [(Program::Pxelinux, "pxelinux.0"), (Program::Grub, "shimx64.efi")] {
        assert_eq!(option(&site(program, name).reply(&ovmf_pxe()).0, 210), None, "{program}");
    }
}

#[test]
fn an_operator_s_prefix_is_the_one_that_is_told() {
    let mut site = site(Program::Lpxelinux, "lpxelinux.0");
    site.plan.network.reply.options.push(CustomOption { code: 210, value: b"tftp://10.1.0.7/"[..].into() });
    let (offer, _) = site.reply(&ipxe_bios());
    assert_eq!(option(&offer, 210), Some(&b"tftp://10.1.0.7/"[..]));
}
