//! What each network bootstrap program reads: one boot, in the program's own words.

mod grub;
mod ipxe;
mod pxelinux;

use std::collections::BTreeMap;

use bytes::Bytes;
use proto::catalog::{MenuEntry, MenuSpec};
use proto::plan::{Part, Slot};
use proto::{Program, Span};

/// A boot, as every program must tell it. All names are plain: letters, digits, dots, hyphens and underscores.
pub(super) struct Script<'a> {
    pub(super) host: &'a str,
    pub(super) profile: &'a str,
    /// The folder of its files within the attempt, with a slash; "" for none.
    pub(super) folder: &'a str,
    pub(super) kernel: &'a str,
    pub(super) initrds: Vec<&'a str>,
    /// The kernel's arguments, rendered.
    pub(super) arguments: Vec<Part>,
    /// What follows them.
    pub(super) more: Option<Vec<Part>>,
    /// Can only machines with BIOS start it?
    pub(super) bios_only: bool,
    /// How long a link that is up may carry nothing yet.
    pub(super) link_wait: Option<Span>,
    /// Is what it says to go to the agent's syslog port?
    pub(super) syslog: bool,
}

/// A choice between boots, each of which has its own script in a folder of its name.
pub(super) struct Menu<'a> {
    host: &'a str,
    /// Above all of it.
    title: String,
    lines: Vec<Line<'a>>,
    /// In seconds; then the local disk.
    timeout: u32,
}

/// A line of a menu.
enum Line<'a> {
    /// A boot by its folder.
    Boot { folder: &'a str, title: &'a str },
    /// A menu below, by a word that no folder is called.
    Menu { key: String, title: &'a str, lines: Vec<Line<'a>> },
}

impl<'a> Menu<'a> {
    /// The menu that this host shows.
    pub(super) fn of(host: &'a str, menu: &'a MenuSpec) -> Self {
        let title = menu.title.clone().unwrap_or_else(|| format!("Bootlane: {host}"));
        let lines = lines(&menu.entries, &mut 0);
        Self { host, title, lines, timeout: menu.timeout.as_seconds() }
    }
}

/// Folders are names of profiles, which have no capital letters.
fn lines<'a>(entries: &'a [MenuEntry], menus: &mut u32) -> Vec<Line<'a>> {
    let line = |entry: &'a MenuEntry| match entry {
        MenuEntry::Profile { profile, .. } => Line::Boot { folder: profile, title: entry.title() },
        MenuEntry::Menu { title, entries } => {
            *menus += 1;
            let key = format!("MENU{menus}");
            Line::Menu { key, title, lines: lines(entries, menus) }
        }
    };
    entries.iter().map(line).collect()
}

/// The file that makes `program` show this menu.
pub(super) fn menu(program: Program, menu: &Menu<'_>) -> Vec<Part> {
    match program {
        Program::Ipxe => ipxe::menu(menu),
        Program::Pxelinux | Program::Lpxelinux => pxelinux::menu(program, menu),
        Program::Grub => grub::menu(menu),
    }
}

/// The file that tells `program` to boot this.
pub(super) fn boot(program: Program, script: &Script<'_>) -> Vec<Part> {
    match program {
        Program::Ipxe => ipxe::boot(script),
        Program::Pxelinux | Program::Lpxelinux => pxelinux::boot(program, script),
        Program::Grub => grub::boot(script),
    }
}

/// The files that every machine finds beside `program`: what it does without a boot of its own.
pub(super) fn texts(program: Program, link_wait: Option<Span>) -> BTreeMap<String, Vec<Part>> {
    let (name, text) = match program {
        Program::Ipxe => (Program::AUTOEXEC, autoexec(link_wait)),
        Program::Pxelinux | Program::Lpxelinux => {
            (program.script(), vec![Part::Literal(pxelinux::local_disk().into())])
        }
        Program::Grub => (program.script(), vec![Part::Literal(grub::LOCAL_DISK.into())]),
    };
    BTreeMap::from([(name.to_owned(), text)])
}

/// What iPXE runs from beside itself: it asks by DHCP as every other iPXE does, for longer.
pub(super) fn autoexec(link_wait: Option<Span>) -> Vec<Part> {
    vec![Part::Literal(ipxe::autoexec(link_wait).into())]
}

/// Parts under construction; neighbouring literals become one.
#[derive(Default)]
struct Parts {
    /// Of the files that are named, within the attempt.
    folder: String,
    parts: Vec<Part>,
    literal: Vec<u8>,
}

impl Parts {
    fn of(folder: &str) -> Self {
        Self { folder: folder.to_owned(), ..Self::default() }
    }

    fn text(&mut self, text: &str) {
        self.literal.extend(text.as_bytes());
    }

    fn slot(&mut self, slot: Slot) {
        self.part(Part::Slot(slot));
    }

    /// A file of the boot, by HTTP.
    fn url(&mut self, name: &str) {
        self.slot(Slot::BaseUrl);
        self.path(name);
    }

    /// A file of the boot, from the server's root.
    fn path(&mut self, name: &str) {
        self.text("/");
        self.relative(name);
    }

    /// The same, without the slash of the root.
    fn relative(&mut self, name: &str) {
        self.text("a/");
        self.slot(Slot::AttemptId);
        self.text(&format!("/{}{name}", self.folder));
    }

    /// A blank and the parts; nothing for none.
    fn separate(&mut self, parts: &[Part]) {
        if !parts.is_empty() {
            self.text(" ");
            parts.iter().for_each(|part| self.part(part.clone()));
        }
    }

    /// The card that booted, so that a machine with several goes on with the right one (QUIRKS 56).
    fn boot_card(&mut self) {
        self.text(" BOOTIF=01-");
        self.slot(Slot::ClientMacHyphens);
    }

    fn part(&mut self, part: Part) {
        match part {
            Part::Literal(bytes) => self.literal.extend(bytes),
            Part::Slot(_) | Part::Secret(_) => {
                self.flush();
                self.parts.push(part);
            }
        }
    }

    fn flush(&mut self) {
        if !self.literal.is_empty() {
            self.parts.push(Part::Literal(Bytes::from(std::mem::take(&mut self.literal))));
        }
    }

    fn done(mut self) -> Vec<Part> {
        self.flush();
        self.parts
    }
}
