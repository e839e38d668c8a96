//! PXELINUX's configuration, for TFTP and for HTTP. See "Config file format" of Syslinux's documentation.

use proto::Program;
use proto::plan::Part;

use super::{Line, Menu, Parts, Script};

/// What cannot be loaded ends in the disk: PXELINUX would try it again for ever (LAB).
const HEAD: &str = "PROMPT 0\nNOESCAPE 1\nONERROR disk\n";
/// QUIRKS 54: 0 gives the machine back to its firmware, which goes on with the next boot device.
const DISK: &str = "LABEL disk\n  LOCALBOOT 0\n";

pub(super) fn boot(program: Program, script: &Script<'_>) -> Vec<Part> {
    let mut out = Parts::of(script.folder);
    out.text(&format!("# {} for {}\nDEFAULT boot\n{HEAD}LABEL boot\n", script.profile, script.host));
    out.text("  LINUX ");
    file(&mut out, program, script.kernel);
    for (index, initrd) in script.initrds.iter().enumerate() {
        out.text(if index == 0 { "\n  INITRD " } else { "," });
        file(&mut out, program, initrd);
    }
    out.text("\n  APPEND");
    out.separate(&script.arguments);
    out.boot_card();
    out.separate(script.more.as_deref().unwrap_or_default());
    out.text(&format!("\n{DISK}"));
    out.done()
}

pub(super) fn menu(program: Program, menu: &Menu<'_>) -> Vec<Part> {
    let mut out = Parts::default();
    let Menu { title, lines, timeout, .. } = menu;
    out.text(&format!(
        "UI menu.c32\n{HEAD}TIMEOUT {}\nONTIMEOUT disk\nMENU TITLE {title}\n\
         {DISK}  MENU LABEL Local disk\n  MENU DEFAULT\n",
        timeout * 10
    ));
    choice(&mut out, program, lines);
    out.done()
}

/// The lines of one menu of the tree; the wait for a key, and the local disk behind it, hold in all of them.
fn choice(out: &mut Parts, program: Program, lines: &[Line<'_>]) {
    for line in lines {
        match line {
            Line::Boot { folder, title } => {
                out.text(&format!("LABEL {folder}\n"));
                if title != folder {
                    out.text(&format!("  MENU LABEL {title}\n"));
                }
                out.text("  CONFIG ");
                file(out, program, &format!("{folder}/{}", program.script()));
                out.text("\n");
            }
            Line::Menu { key, title, lines } => {
                out.text(&format!("MENU BEGIN {key}\nMENU TITLE {title}\n"));
                choice(out, program, lines);
                out.text(&format!("LABEL {key}-back\n  MENU LABEL < Back\n  MENU EXIT\nMENU END\n"));
            }
        }
    }
}

pub(super) fn local_disk() -> String {
    format!("DEFAULT disk\n{HEAD}{DISK}")
}

/// Names are put behind the configuration's folder unless they are URLs or begin with `::`, the server's root (LAB).
fn file(out: &mut Parts, program: Program, name: &str) {
    if program == Program::Lpxelinux {
        return out.url(name);
    }
    out.text("::");
    out.relative(name);
}
