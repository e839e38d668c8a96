//! GRUB's configuration. Paths are taken from `$root`, which is where GRUB itself has come from, TFTP or HTTP, until the
//! script has found that it can have HTTP.

use proto::plan::{Part, Slot};

use super::{Line, Menu, Parts, Script};

/// Back to the firmware, which goes on with the next boot device.
pub(super) const LOCAL_DISK: &str = "exit\n";

pub(super) fn boot(script: &Script<'_>) -> Vec<Part> {
    let mut out = Parts::of(script.folder);
    out.text(&format!("# {} for {}\n", script.profile, script.host));
    by_http(&mut out);
    out.text("for pause in 2 4 8 16; do\n  if linux ");
    out.path(script.kernel);
    out.separate(&words(&script.arguments));
    out.boot_card();
    out.separate(&words(script.more.as_deref().unwrap_or_default()));
    out.text("; then\n");
    match script.initrds.as_slice() {
        [] => out.text("    boot\n"),
        initrds => {
            out.text("    if initrd");
            initrds.iter().for_each(|initrd| {
                out.text(" ");
                out.path(initrd);
            });
            out.text("; then boot; fi\n");
        }
    }
    out.text(
        "  fi\n  set root=\"$came_from\"\n  echo Bootlane: it did not load, trying again in $pause seconds\n  \
         sleep $pause\ndone\n",
    );
    out.text(&format!("echo Bootlane: going on with the local disk\nsleep 5\n{LOCAL_DISK}"));
    out.done()
}

/// Kernel and RAM disk by HTTP, wherever GRUB itself has come from: its TFTP is one block of 1 KiB a round trip (QUIRKS 49).
/// Names of GRUB 2.06 have no room for a port. A GRUB without the module, such as a signed one, goes on by TFTP; so
/// does any where HTTP did not work.
fn by_http(out: &mut Parts) {
    out.text("set came_from=\"$root\"\nif [ \"");
    out.slot(Slot::BaseUrl);
    out.text("\" = \"http://");
    out.slot(Slot::ServerAddress);
    out.text("\" ]; then\n  if insmod http; then set root=\"http,");
    out.slot(Slot::ServerAddress);
    out.text("\"; fi\nfi\n");
}

pub(super) fn menu(menu: &Menu<'_>) -> Vec<Part> {
    let mut out = Parts::default();
    let Menu { host, lines, timeout, .. } = menu;
    out.text(&format!("# menu for {host}\n"));
    choice(&mut out, lines, *timeout, "");
    out.done()
}

/// The lines of one menu of the tree. A menu below begins without what was set above; Escape leads back.
fn choice(out: &mut Parts, lines: &[Line<'_>], timeout: u32, indent: &str) {
    out.text(&format!(
        "{indent}set default=disk\n{indent}set timeout={timeout}\n{indent}menuentry 'Local disk' --id disk {{\n{indent}  {LOCAL_DISK}{indent}}}\n"
    ));
    for line in lines {
        match line {
            Line::Boot { folder, title } => {
                out.text(&format!("{indent}menuentry '{title}' --id {folder} {{\n{indent}  configfile "));
                out.path(&format!("{folder}/grub.cfg"));
                out.text(&format!("\n{indent}}}\n"));
            }
            Line::Menu { key, title, lines } => {
                out.text(&format!("{indent}submenu '{title} >' --id {key} {{\n"));
                choice(out, lines, timeout, &format!("{indent}  "));
                out.text(&format!("{indent}}}\n"));
            }
        }
    }
}

/// Words of a command line, each of which GRUB takes as it stands.
fn words(parts: &[Part]) -> Vec<Part> {
    let word = |part: &Part| match part {
        Part::Literal(bytes) => Part::Literal(escaped(bytes).into()),
        // Values of slots and secrets: safe in a URL, or never in arguments.
        Part::Slot(_) | Part::Secret(_) => part.clone(),
    };
    parts.iter().map(word).collect()
}

/// GRUB's manual, "Shell-like scripting", Quoting: a backslash takes the next character's meaning away.
fn escaped(bytes: &[u8]) -> Vec<u8> {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || !byte.is_ascii() || b" /._-:=,+%@~".contains(&byte);
    bytes.iter().flat_map(|byte| [(!plain(*byte)).then_some(b'\\'), Some(*byte)]).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grub_would_obey_is_escaped() {
        let escape = |text: &str| String::from_utf8(escaped(text.as_bytes())).expect("text");
        assert_eq!(escape("ds=nocloud-net;s=http://a/b c"), r"ds=nocloud-net\;s=http://a/b c");
        assert_eq!(escape("a=$b {c} \"d\" 'e' #f \\g é"), r#"a=\$b \{c\} \"d\" \'e\' \#f \\g é"#);
    }
}
