//! The iPXE script that boots a kernel: retries with a rising pause, and a clear end when that does not help.

use proto::Span;
use proto::plan::{Part, Slot};

use super::{Line, Menu, Parts, Script};

/// How often a file is tried again before the script gives up, if nothing else is said; pauses are 2, 4, 8 and 16 seconds.
const RETRIES: u32 = 4;

/// Tries enough that the pauses between them are as long as the wait: Debian's iPXE of 2019 has no `iflinkwait`.
fn retries(link_wait: Option<Span>) -> u32 {
    let wanted = link_wait.map_or(0, Span::as_seconds);
    let pauses = |tries: u32| (1 << (tries + 1)) - 2;
    (RETRIES..).find(|tries| pauses(*tries) >= wanted).unwrap_or(RETRIES)
}

/// Asks by DHCP as every other iPXE does, and goes on with what it is told; after six times, with a minute of pauses between
/// them, with the next boot device (QUIRKS 54). `autoboot` alone would take the link down after each failure, and a port
/// behind spanning tree would begin to wait again: `dhcp` leaves it up.
pub(super) fn autoexec(link_wait: Option<Span>) -> String {
    let (set, ask, longer) = match link_wait.map(wait_of_each_card) {
        Some(step) => (
            format!("set wait:int32 {step}\n"),
            [EACH_CARD, "dhcp && autoboot ||\n"].concat(),
            format!("inc wait {step}\n"),
        ),
        None => (String::new(), "autoboot ||\n".to_owned(), String::new()),
    };
    format!(
        "#!ipxe\nset pause:int8 1\n{set}:again\n{ask}iseq ${{pause}} 32 && exit 1 ||\nsleep ${{pause}}\n\
         inc pause ${{pause}}\n{longer}goto again\n"
    )
}

/// Waits for the link of each card in turn, and asks at the first that has one. `iflinkwait` without a card does the same,
/// but for the whole time at each: nobody has plugged in the first ports of many machines.
const EACH_CARD: &str = "set card:int8 0\n:card\nisset ${net${card}/mac} || goto none\n\
     iflinkwait --timeout ${wait} net${card} && dhcp net${card} && autoboot net${card} ||\ninc card\ngoto card\n:none\n";

/// In milliseconds, at first; each of the five times after it is longer by so much. All of them are as long as the wait, and
/// a port that nobody has plugged in costs little before one that somebody has, whose link is often there after 3 seconds.
fn wait_of_each_card(wait: Span) -> u64 {
    let (wait, steps) = (u64::from(wait.as_seconds()) * 1_000, (1..=6).sum());
    wait.div_ceil(steps).max(wait.min(3_000))
}

/// iPXE's timeouts are in milliseconds. The card that booted, whose link may have gone down.
fn await_link(wait: Span) -> String {
    format!("iflinkwait --timeout {} netX ||\n", u64::from(wait.as_seconds()) * 1_000)
}

pub(super) fn boot(script: &Script<'_>) -> Vec<Part> {
    let mut out = Parts::of(script.folder);
    let Script { host, profile, kernel, .. } = script;
    out.text(&format!("#!ipxe\n# {profile} for {host}\nset tries:int8 0\nset pause:int16 2\n"));
    if script.syslog {
        // It asks for option 7 by itself, but beside another server it may hear of none.
        out.text("set syslog ");
        out.slot(Slot::ServerAddress);
        out.text("\n");
    }
    out.text(&format!(":again\nimgfree\nset what kernel {kernel}\n"));
    if script.bios_only {
        out.text("iseq ${platform} efi && set what a program for BIOS alone ||\niseq ${platform} efi && goto failed ||\n");
    }
    out.text("kernel ");
    out.url(kernel);
    // EFI kernels find an initial RAM disk by this name alone (LAB, iPXE 2019).
    script.initrds.iter().for_each(|initrd| out.text(&format!(" initrd={initrd}")));
    out.separate(&script.arguments);
    // The card that booted, so that a machine with several installs through the right one (QUIRKS 56).
    out.text(" BOOTIF=01-${netX/mac:hexhyp}");
    out.separate(script.more.as_deref().unwrap_or_default());
    out.text(" || goto retry\n");
    for initrd in &script.initrds {
        out.text(&format!("set what initrd {initrd}\ninitrd --name {initrd} "));
        out.url(initrd);
        out.text(" || goto retry\n");
    }
    out.text("set what start of the kernel\nboot || goto failed\n");
    out.text(&ending(script));
    out.done()
}

/// A key ends the waiting; nobody there is the local disk, as is Escape at the top; below it leads back.
pub(super) fn menu(menu: &Menu<'_>) -> Vec<Part> {
    let mut out = Parts::default();
    out.text(&format!("#!ipxe\n# menu for {}\n", menu.host));
    let Menu { title, lines, timeout, .. } = menu;
    choice(&mut out, Shown { key: "MENU", title, lines, above: None, timeout: *timeout });
    out.text(":boot\nchain ");
    out.slot(Slot::BaseUrl);
    out.text("/a/");
    out.slot(Slot::AttemptId);
    out.text("/${choice}/boot.ipxe || goto disk\n");
    // QUIRKS 54: UEFI goes on with its next boot option when a program fails, BIOS when it ends.
    out.text(":disk\niseq ${platform} efi && exit 1 || exit\n");
    out.done()
}

/// One menu of the tree.
struct Shown<'a> {
    key: &'a str,
    title: &'a str,
    lines: &'a [Line<'a>],
    above: Option<&'a str>,
    timeout: u32,
}

/// A menu under its label, and those below it behind it.
fn choice(out: &mut Parts, shown: Shown<'_>) {
    let Shown { key, title, lines, above, timeout } = shown;
    out.text(&format!(":{key}\nmenu {title}\nitem disk Local disk\n"));
    for line in lines {
        match line {
            Line::Boot { folder, title } => out.text(&format!("item {folder} {title}\n")),
            Line::Menu { key, title, .. } => out.text(&format!("item {key} {title} >\n")),
        }
    }
    above.into_iter().for_each(|above| out.text(&format!("item {above} < Back\n")));
    let escape = above.unwrap_or("disk");
    out.text(&format!("choose --default disk --timeout {} choice || goto {escape}\n", timeout * 1_000));
    out.text("iseq ${choice} disk && goto disk ||\n");
    let below = lines.iter().filter_map(|line| match line {
        Line::Boot { .. } => None,
        Line::Menu { key, title, lines } => Some((key, title, lines)),
    });
    let others = below.clone().map(|(key, ..)| key.as_str()).chain(above);
    others.for_each(|other| out.text(&format!("iseq ${{choice}} {other} && goto {other} ||\n")));
    out.text("goto boot\n");
    for (below, title, lines) in below {
        choice(out, Shown { key: below, title, lines, above: Some(key), timeout });
    }
}

/// Under UEFI a failing `exit` of iPXE 2019 spins for ever (LAB), so the machine is started again.
fn ending(script: &Script<'_>) -> String {
    let Script { host, profile, .. } = script;
    let retries = retries(script.link_wait);
    let await_link = script.link_wait.map(await_link).unwrap_or_default();
    format!(
        ":retry\niseq ${{tries}} {retries} && goto failed ||\ninc tries\n\
         echo Bootlane: ${{what}} did not load, trying again in ${{pause}} seconds\n\
         sleep ${{pause}}\ninc pause ${{pause}}\n{await_link}goto again\n\
         :failed\necho Bootlane: {profile} for {host} failed at: ${{what}}\n\
         iseq ${{platform}} efi && goto uefi ||\n\
         echo Bootlane: going on with the local disk\nsleep 5\nexit 1\n\
         :uefi\necho Bootlane: starting the machine again in 30 seconds\nsleep 30\nreboot\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_waits_for_a_card_are_together_as_long_as_what_is_said() {
        let first = |seconds| wait_of_each_card(Span::seconds(seconds));
        assert_eq!((first(1), first(30), first(180)), (1_000, 3_000, 8_572));
        assert!(
            (1..=180).all(|seconds| first(seconds) * (1 + 2 + 3 + 4 + 5 + 6) >= u64::from(seconds) * 1_000)
        );
    }

    #[test]
    fn the_pauses_are_as_long_as_the_wait() {
        let tries = |seconds| retries(Some(Span::seconds(seconds)));
        assert_eq!((retries(None), tries(1), tries(30), tries(31), tries(180)), (4, 4, 4, 5, 7));
    }
}
