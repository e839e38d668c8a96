//! What boot programs find under the names that they make up.

use proto::{
    Digest, Platform, Program,
    plan::{BlobRef, Boot, Content, Guard, LoaderSet, Part, PlannedFile, Slot, Stage, loaders_entry},
};

use super::*;

fn set(name: &str, program: Program, entry: (Platform, &str), files: &[&str]) -> LoaderSet {
    let blob = |path: &&str| {
        let digest = Digest::of(format!("{name}/{path}").as_bytes());
        ((*path).to_owned(), BlobRef { digest, size: 1 })
    };
    let disk = vec![Part::Literal(format!("{name}: your disk\n").into())];
    LoaderSet {
        name: name.into(),
        program,
        entries: [(entry.0, entry.1.to_owned())].into(),
        files: files.iter().map(blob).collect(),
        site_default: name == "ipxe",
        texts: [(program.script().to_owned(), disk)].into(),
    }
}

fn sets() -> [LoaderSet; 3] {
    let shim = ["shimx64.efi", "grubx64.efi", "mmx64.efi", "x86_64-efi/fs.lst"];
    [
        set("ipxe", Program::Ipxe, (Platform::Bios, "undionly.kpxe"), &["undionly.kpxe"]),
        set("pxe", Program::Pxelinux, (Platform::Bios, "pxelinux.0"), &["pxelinux.0", "ldlinux.c32"]),
        set("shim", Program::Grub, (Platform::UefiX64, "shimx64.efi"), &shim),
    ]
}

/// The paper's boot for machines with these loaders; each program is told the attempt and the order's token.
fn boot_by(loaders: &[&str]) -> Boot {
    let script = |program: Program| {
        let parts = vec![
            Part::Literal(format!("{program} ").into()),
            Part::Slot(Slot::AttemptId),
            Part::Literal(" ".into()),
            Part::Slot(Slot::ClientMacHyphens),
        ];
        let content = Content::Parts(parts);
        let file = PlannedFile { stage: Stage::Script, guard: Guard::Attempt, content };
        (program.script().to_owned(), file)
    };
    let mut boot = Boot { loaders: loaders.iter().map(|name| (*name).to_owned()).collect(), ..boot() };
    boot.files.extend([Program::Pxelinux, Program::Grub].map(script));
    boot
}

fn plan_by(loaders: &[&str], ordered: bool) -> SitePlan {
    let mut entries = vec![network_entry(&network()), host_entry(&host())];
    entries.extend(sets().iter().map(loaders_entry));
    let order = OrderPlan { boot: boot_by(loaders), ..order() };
    if ordered {
        entries.extend([order_entry(&order)].into_iter().chain(secrets_entry(&order)));
    }
    plan_of(2, entries)
}

fn offered_file(paper: &Paper) -> String {
    let last = &paper.sent.last().expect("it was answered").1;
    let file = &last[108..236];
    String::from_utf8(file.split(|byte| *byte == 0).next().expect("at least one").to_vec()).expect("text")
}

/// Under which name, and as what, the last file was given.
fn served(paper: &mut Paper, name: &str) -> Option<(String, Stage)> {
    match paper.ask(5, ADDRESS, name) {
        FileAnswer::Send { served, .. } => Some((served.name, served.stage)),
        FileAnswer::NotFound => None,
    }
}

#[test]
fn secure_boot_goes_through_shim_and_grub_to_the_attempts_kernel() {
    let mut paper = Paper::new(plan_by(&["shim"], true));
    paper.dora(1, Voice::UefiRom);
    assert_eq!(offered_file(&paper), "shim/shimx64.efi");
    let loader = |path: &str| Some((format!("shim/{path}"), Stage::Loader));
    assert_eq!(served(&mut paper, "shim/shimx64.efi"), loader("shimx64.efi"));
    assert_eq!(served(&mut paper, "shim/revocations_sbat.efi"), None);
    assert_eq!(served(&mut paper, "l/shim/grubx64.efi"), loader("grubx64.efi"), "by HTTP");
    assert_eq!(served(&mut paper, r"\shim\MMX64.EFI"), loader("mmx64.efi"), "QUIRKS 45");
    assert_eq!(served(&mut paper, "grubx64.efi"), loader("grubx64.efi"), "QUIRKS 50: the folder was lost");
    assert_eq!(served(&mut paper, "grub/x86_64-efi/fs.lst"), loader("x86_64-efi/fs.lst"));
    assert_eq!(served(&mut paper, "grub/x86_64-efi/crypto.lst"), None);
    let attempt = paper.attempt();
    let script = format!("grub {attempt} 52-54-00-00-00-01");
    for name in
        ["grub/grub.cfg", "debian-installer/arm64/grub/grub.cfg", "shim/grub.cfg-01-52-54-00-00-00-01"]
    {
        assert_eq!(paper.text(6, name).as_deref(), Some(script.as_str()), "{name}");
    }
    assert_eq!(
        paper.text(6, "shim/grub.cfg-52:54:00:00:00:01").as_deref(),
        Some(script.as_str()),
        "QUIRKS 49"
    );
    assert_eq!(paper.text(6, &format!("a/{attempt}/linux")).as_deref(), Some("a blob"));
    assert_eq!(paper.decisions(), [Answer::Loader]);
}

#[test]
fn quirk_45_windows_finds_its_files_whatever_case_it_asks_in() {
    let files = ["bootmgfw.efi", "Boot/BCD", "Boot/Fonts/wgl4_boot.ttf", "boot/boot.sdi"];
    let windows = set("winpe", Program::Ipxe, (Platform::UefiX64, "bootmgfw.efi"), &files);
    let host = HostPlan { boot: Some(boot_by(&["winpe"])), ..host() };
    let entries = [network_entry(&network()), host_entry(&host), loaders_entry(&windows)];
    let mut paper = Paper::new(plan_of(2, entries.to_vec()));
    paper.dora(1, Voice::UefiRom);
    let loader = |path: &str| Some((format!("winpe/{path}"), Stage::Loader));
    for (asked, path) in [
        (r"\Boot\BCD", "Boot/BCD"),
        (r"\boot\bcd", "Boot/BCD"),
        (r"/boot\Fonts\WGL4_Boot.ttf", "Boot/Fonts/wgl4_boot.ttf"),
        (r"\Boot\boot.sdi", "boot/boot.sdi"),
        (r"winpe\BOOTMGFW.EFI", "bootmgfw.efi"),
    ] {
        assert_eq!(served(&mut paper, asked), loader(path), "{asked}");
    }
    assert_eq!(served(&mut paper, r"\Boot\BCD.LOG"), None, "what is not there is error 1");
}

#[test]
fn quirk_48_pxelinux_finds_what_is_its_own_and_nothing_else() {
    let mut paper = Paper::new(plan_by(&["pxe"], true));
    let mut request = message(MessageType::Discover, Voice::Ipxe, MAC, 7);
    request.opts_mut().remove(OptionCode::UserClass);
    request.opts_mut().remove(OptionCode::from(77));
    paper.say(1, &request);
    assert_eq!(offered_file(&paper), "pxe/pxelinux.0");
    request.opts_mut().insert(DhcpOption::MessageType(MessageType::Request));
    request.opts_mut().insert(DhcpOption::RequestedIpAddress(ADDRESS));
    request.opts_mut().insert(DhcpOption::ServerIdentifier(SERVER));
    paper.say(2, &request);
    let script = format!("pxelinux {} 52-54-00-00-00-01", paper.attempt());
    for own in ["01-52-54-00-00-00-01", "0A010009", "0A01000", "0", "default"] {
        assert_eq!(paper.text(3, &format!("pxe/pxelinux.cfg/{own}")), Some(script.clone()), "{own}");
    }
    assert_eq!(paper.text(3, "pxelinux.cfg/default"), Some(script), "by an absolute prefix");
    for other in ["01-52-54-00-00-00-02", "0A010008", "00000000-0000-0000-0000-000000000001", "0A01000900"] {
        assert_eq!(paper.text(3, &format!("pxe/pxelinux.cfg/{other}")), None, "{other}");
    }
    assert_eq!(served(&mut paper, "pxe/ldlinux.c32"), Some(("pxe/ldlinux.c32".into(), Stage::Loader)));
    assert_eq!(served(&mut paper, "pxe/menu.c32"), None);
}

#[test]
fn without_an_order_a_loader_that_came_by_itself_is_sent_to_the_disk() {
    let mut paper = Paper::new(plan_by(&["shim"], false));
    paper.dora(1, Voice::UefiRom);
    assert_eq!(paper.decisions(), [Answer::LocalDisk]);
    assert_eq!(paper.text(2, "grub/grub.cfg").as_deref(), Some("shim: your disk\n"));
    assert_eq!(paper.text(2, "pxe/pxelinux.cfg/default").as_deref(), Some("pxe: your disk\n"));
    assert_eq!(paper.ask(2, [10, 1, 0, 77].into(), "grub/grub.cfg"), FileAnswer::NotFound, "a stranger");
}

#[test]
fn after_a_restart_of_the_agent_the_orders_attempt_is_gone_on_with() {
    let mut paper = Paper::new(plan_by(&["shim"], true));
    paper.dora(1, Voice::UefiRom);
    let script = paper.text(2, "grub/grub.cfg").expect("it is there");
    let mut again = Paper::restarted(&paper.ledger, at(3));
    again.input(3, Input::Plan(Arc::new(plan_by(&["shim"], true))));
    assert_eq!(again.text(4, "grub/grub.cfg"), Some(script));
}

#[test]
fn a_rom_that_speaks_after_grub_has_its_configuration_begins_another_boot() {
    let mut paper = Paper::new(plan_by(&["shim"], true));
    paper.dora(1, Voice::UefiRom);
    paper.ask(2, ADDRESS, "shim/shimx64.efi");
    let first = paper.attempt();
    paper.dora(3, Voice::UefiRom);
    assert_eq!(paper.attempt(), first, "nothing has run yet");
    let script = paper.text(4, "grub/grub.cfg").expect("it is there");
    assert!(script.contains(&first));
    paper.dora(60, Voice::UefiRom);
    assert_ne!(paper.attempt(), first, "it was reset");
}

#[test]
fn what_a_host_names_takes_the_place_of_its_ipxe_once() {
    let mut paper = Paper::new(plan_by(&["pxe"], true));
    paper.dora(1, Voice::Ipxe);
    assert_eq!(offered_file(&paper), "pxe/pxelinux.0");
    paper.ask(2, ADDRESS, "pxe/pxelinux.0");
    paper.dora(3, Voice::Ipxe);
    assert!(offered_file(&paper).ends_with("/boot.ipxe"), "it was an iPXE after all");
    assert_eq!(paper.decisions(), [Answer::Loader, Answer::Script]);
    let mut paper = Paper::new(plan_by(&["ipxe"], true));
    paper.dora(1, Voice::Ipxe);
    assert_eq!(paper.decisions(), [Answer::Script], "the site's default is for other ROMs");
}

#[test]
fn a_menu_may_end_in_the_disk_at_any_time() {
    let menu = Boot { menu: true, profile: "menu".into(), ..boot_by(&["shim"]) };
    let mut entries = vec![network_entry(&network()), host_entry(&HostPlan { boot: Some(menu), ..host() })];
    entries.extend(sets().iter().map(loaders_entry));
    let mut paper = Paper::new(plan_of(2, entries));
    paper.dora(1, Voice::UefiRom);
    assert_eq!(paper.decisions(), [Answer::Loader]);
    assert!(paper.text(2, "grub/grub.cfg").is_some_and(|script| script.starts_with("grub ")));
    paper.dora(60, Voice::Os);
    let up = paper.events().iter().any(|event| matches!(event, EventKind::OsUp { .. }));
    assert!(up, "{:?}", paper.events());
}

#[test]
fn a_set_that_is_not_in_the_plan_is_a_doubt() {
    let mut paper = Paper::new(plan_by(&["later", "ipxe"], true));
    paper.dora(1, Voice::UefiRom);
    assert_eq!(paper.decisions(), [Answer::LocalDisk]);
}

#[test]
fn quirk_52_a_boot_s_own_autoexec_comes_before_its_set_s() {
    let text = |text: &'static str| vec![Part::Literal(text.into())];
    let (entry, files) = ("snponly-shim.efi", ["snponly-shim.efi", "snponly.efi"]);
    let mut ipxe = set("ipxe", Program::Ipxe, (Platform::UefiX64, entry), &files);
    ipxe.texts = [(Program::AUTOEXEC.to_owned(), text("for all"))].into();
    let plan = |own: bool| {
        let mut boot = boot_by(&["ipxe"]);
        let file = PlannedFile {
            stage: Stage::Loader,
            guard: Guard::Attempt,
            content: Content::Parts(text("for one")),
        };
        boot.files.extend(own.then(|| (Program::AUTOEXEC.to_owned(), file)));
        let order = OrderPlan { boot, ..order() };
        let mut entries = vec![network_entry(&network()), host_entry(&host()), loaders_entry(&ipxe)];
        entries.extend([order_entry(&order)].into_iter().chain(secrets_entry(&order)));
        plan_of(2, entries)
    };
    for (own, expected) in [(true, "for one"), (false, "for all")] {
        let mut paper = Paper::new(plan(own));
        paper.dora(1, Voice::UefiRom);
        assert_eq!(offered_file(&paper), "ipxe/snponly-shim.efi");
        let second = ("ipxe/snponly.efi".to_owned(), Stage::Loader);
        assert_eq!(served(&mut paper, "ipxe/snponly.efi"), Some(second), "what the shim asks for");
        for name in ["ipxe/autoexec.ipxe", "l/ipxe/autoexec.ipxe", "autoexec.ipxe", r"\ipxe\autoexec.ipxe"] {
            assert_eq!(paper.text(2, name).as_deref(), Some(expected), "{name}");
        }
    }
}
