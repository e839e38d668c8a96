//! The configurations of PXELINUX and GRUB, as far as ours use them: one kernel, or the local disk.

use std::collections::BTreeMap;

/// What a configuration comes to when nobody presses a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Configured {
    /// Names as they stand: the kernel, then the initial RAM disks.
    Boot {
        files: Vec<String>,
        arguments: String,
    },
    LocalDisk,
    Nothing,
}

/// PXELINUX's ("Config file format" of Syslinux): the label that DEFAULT names, or after a menu ONTIMEOUT.
pub(super) fn pxelinux(text: &str) -> Configured {
    let mut head = BTreeMap::new();
    let mut labels: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut label = None;
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let word = word.to_ascii_uppercase();
        if word == "LABEL" {
            label = Some(rest.to_owned());
            labels.entry(rest.to_owned()).or_default();
        } else {
            let block = label.as_ref().and_then(|label| labels.get_mut(label)).unwrap_or(&mut head);
            block.insert(word, rest.to_owned());
        }
    }
    let chosen = head.get("ONTIMEOUT").or(head.get("DEFAULT")).and_then(|name| labels.get(name));
    let Some(chosen) = chosen else { return Configured::Nothing };
    let kernel = chosen.get("LINUX").or(chosen.get("KERNEL"));
    match (kernel, chosen.contains_key("LOCALBOOT")) {
        (_, true) => Configured::LocalDisk,
        (Some(kernel), false) => {
            let initrds = chosen.get("INITRD").into_iter().flat_map(|names| names.split(','));
            let files = std::iter::once(kernel.as_str()).chain(initrds).map(str::to_owned).collect();
            Configured::Boot { files, arguments: chosen.get("APPEND").cloned().unwrap_or_default() }
        }
        (None, false) => Configured::Nothing,
    }
}

/// GRUB's, and whether it goes on by HTTP where the module is to be had.
pub(super) fn grub(text: &str) -> (Configured, bool) {
    let (mut files, mut arguments, mut http, mut may) = (Vec::new(), None, false, false);
    for line in text.lines().map(str::trim) {
        let line = line.strip_prefix("if ").unwrap_or(line);
        let command = line.split("; then").next().unwrap_or(line);
        let (word, rest) = command.split_once(' ').unwrap_or((command, ""));
        match word {
            "[" => may = are_equal(rest),
            "insmod" if rest == "http" => http = may,
            "set" if rest == "default=disk" => return (Configured::LocalDisk, false),
            "linux" => {
                let (kernel, words) = rest.split_once(' ').unwrap_or((rest, ""));
                files.insert(0, kernel.to_owned());
                arguments = Some(unescaped(words));
            }
            "initrd" => files.extend(rest.split(' ').map(str::to_owned)),
            "exit" if arguments.is_none() => return (Configured::LocalDisk, false),
            _ => {}
        }
    }
    match arguments {
        Some(arguments) => (Configured::Boot { files, arguments }, http),
        None => (Configured::Nothing, false),
    }
}

/// `"a" = "b" ]`
fn are_equal(test: &str) -> bool {
    let mut words = test.split('"').skip(1).step_by(2);
    words.next() == words.next()
}

/// GRUB's manual, "Quoting": a backslash takes the next character's meaning away.
fn unescaped(words: &str) -> String {
    let mut escaped = false;
    let plain = |c: &char| {
        escaped = *c == '\\' && !escaped;
        !escaped
    };
    words.chars().filter(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot(files: &[&str], arguments: &str) -> Configured {
        let files = files.iter().map(|file| (*file).to_owned()).collect();
        Configured::Boot { files, arguments: arguments.into() }
    }

    #[test]
    fn pxelinux_boots_its_default() {
        let text = "# run for node-1\nDEFAULT boot\nPROMPT 0\nLABEL boot\n  LINUX ::a/1/vmlinuz\n  INITRD ::a/1/i,::a/1/j\n  \
                    APPEND a=b;c quiet\nLABEL disk\n  LOCALBOOT 0\n";
        assert_eq!(pxelinux(text), boot(&["::a/1/vmlinuz", "::a/1/i", "::a/1/j"], "a=b;c quiet"));
        let menu = "UI menu.c32\nTIMEOUT 100\nONTIMEOUT disk\nLABEL disk\n  LOCALBOOT 0\nLABEL x\n  CONFIG ::a/1/x/c\n";
        assert_eq!(pxelinux(menu), Configured::LocalDisk);
        assert_eq!(pxelinux("PROMPT 0\n"), Configured::Nothing);
    }

    #[test]
    fn grub_boots_what_it_is_told_and_knows_where_from() {
        let text = "set came_from=\"$root\"\nif [ \"http://10.1.0.2\" = \"http://10.1.0.2\" ]; then\n  \
                    if insmod http; then set root=\"http,10.1.0.2\"; fi\nfi\nfor pause in 2 4; do\n  \
                    if linux /a/1/vmlinuz a=b\\;c \\\\x quiet; then\n    if initrd /a/1/i /a/1/j; then boot; fi\n  fi\n\
                    done\nexit\n";
        let expected = boot(&["/a/1/vmlinuz", "/a/1/i", "/a/1/j"], "a=b;c \\x quiet");
        assert_eq!(grub(text), (expected.clone(), true));
        assert_eq!(grub(&text.replacen("10.1.0.2\"", "10.1.0.2:8080\"", 1)), (expected, false));
        assert_eq!(grub("exit\n"), (Configured::LocalDisk, false));
        assert_eq!(grub("# menu\nset default=disk\n"), (Configured::LocalDisk, false));
        assert_eq!(grub("echo\n"), (Configured::Nothing, false));
    }
}
