//! PXELINUX and GRUB at work: what they ask for, where they look for their configuration, and what that boots.
//!
//! In the words of the lab's PXELINUX 6.04, shim 16.1 and GRUB 2.06 (LAB): names, order, and what may be missing.

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use proto::{Mac, Platform, Program};

use super::{
    Source,
    config::{Configured, grub, pxelinux},
};

/// How often a script begins anew when a file does not arrive, with pauses of 2, 4, 8 and 16 s: what the planner's
/// scripts do.
pub(super) const MAX_TRIES: u32 = 4;

/// A loader that reads a configuration of its own.
#[derive(Debug)]
pub(super) struct BootProgram {
    program: Program,
    address: Ipv4Addr,
    server: Ipv4Addr,
    /// What stands before names: a folder by TFTP, or a URL; ends in a slash unless it is empty.
    prefix: String,
    questions: VecDeque<Question>,
    /// GRUB's folder of modules.
    modules: &'static str,
    /// GRUB: a boot that goes by HTTP if the module comes.
    awaits_http: Option<(Vec<String>, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Question {
    /// It goes on without.
    Optional(String),
    /// It does not.
    Needed(String, &'static str),
    /// The first that comes is read.
    Configuration(String),
}

/// What it does next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Fetch(Source),
    Boot { files: Vec<Source>, arguments: String },
    LocalDisk,
    GiveUp(&'static str),
}

/// How a loader came, and to whom.
#[derive(Debug, Clone)]
pub(super) struct Loaded {
    pub(super) source: Source,
    /// Option 210.
    pub(super) path_prefix: Option<String>,
    pub(super) address: Ipv4Addr,
    pub(super) server: Ipv4Addr,
    pub(super) mac: Mac,
    pub(super) platform: Platform,
}

impl Loaded {
    fn name(&self) -> &str {
        match &self.source {
            Source::Tftp { name, .. } => name,
            Source::Http { url } => url,
        }
    }

    /// The folder in which the loader lies, with its slash.
    fn folder(&self) -> &str {
        self.name().rfind('/').map_or("", |at| &self.name()[..=at])
    }
}

impl BootProgram {
    /// Any program but iPXE, which has a way of its own.
    pub(super) fn new(program: Program, loaded: &Loaded) -> Self {
        let (prefix, questions) = match program {
            Program::Grub => (root_of(loaded), grub_asks(loaded)),
            Program::Pxelinux | Program::Lpxelinux | Program::Ipxe => {
                let prefix = loaded.path_prefix.clone().unwrap_or_else(|| loaded.folder().to_owned());
                (prefix, pxelinux_asks(loaded))
            }
        };
        let Loaded { address, server, .. } = *loaded;
        let modules = modules(loaded.platform);
        Self { program, address, server, prefix, questions, modules, awaits_http: None }
    }

    /// The machine's own address.
    pub(super) fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// How often a file of the kernel is asked for again.
    pub(super) fn retries(&self) -> u32 {
        match self.program {
            // `ONERROR disk`.
            Program::Pxelinux | Program::Lpxelinux => 0,
            Program::Grub | Program::Ipxe => MAX_TRIES,
        }
    }

    /// What it asks for first, or next.
    pub(super) fn next(&self) -> Next {
        match self.questions.front() {
            Some(Question::Optional(name) | Question::Needed(name, _) | Question::Configuration(name)) => {
                Next::Fetch(self.source(name))
            }
            None => Next::GiveUp("no configuration"),
        }
    }

    /// The end of the fetch that [`Self::next`] asked for.
    pub(super) fn fetched(&mut self, file: Option<&[u8]>) -> Next {
        if let Some((files, arguments)) = self.awaits_http.take() {
            return self.boot(&files, arguments, file.is_some());
        }
        match (self.questions.pop_front(), file) {
            (Some(Question::Needed(_, why)), None) => Next::GiveUp(why),
            (Some(Question::Configuration(_)), Some(text)) => self.configured(&String::from_utf8_lossy(text)),
            (Some(Question::Optional(_) | Question::Needed(..) | Question::Configuration(_)) | None, _) => {
                self.next()
            }
        }
    }

    fn configured(&mut self, text: &str) -> Next {
        let (configured, http) = match self.program {
            Program::Grub => grub(text),
            Program::Pxelinux | Program::Lpxelinux | Program::Ipxe => (pxelinux(text), false),
        };
        match configured {
            Configured::LocalDisk => Next::LocalDisk,
            Configured::Nothing => Next::GiveUp("a configuration that boots nothing"),
            Configured::Boot { files, arguments } if http && !self.prefix.contains("://") => {
                self.awaits_http = Some((files, arguments));
                Next::Fetch(self.source(&format!("{GRUB_PREFIX}/{}/http.mod", self.modules)))
            }
            Configured::Boot { files, arguments } => self.boot(&files, arguments, false),
        }
    }

    fn boot(&self, files: &[String], arguments: String, by_http: bool) -> Next {
        let source = |name: &String| match by_http {
            true => Source::Http { url: format!("http://{}{name}", self.server) },
            false => self.source(name),
        };
        Next::Boot { files: files.iter().map(source).collect(), arguments }
    }

    fn source(&self, name: &str) -> Source {
        let name = match (name.strip_prefix("::"), name.contains("://"), self.program) {
            (Some(from_root), ..) => from_root.to_owned(),
            (None, true, _) => name.to_owned(),
            // From the root, which is where it has come from.
            (None, false, Program::Grub) if name.starts_with('/') => {
                format!("{}{name}", self.prefix.trim_end_matches('/'))
            }
            (None, false, _) => format!("{}{name}", self.prefix),
        };
        if name.contains("://") {
            return Source::Http { url: name };
        }
        let options: &[(&str, &str)] = match self.program {
            Program::Grub => &[("blksize", "1024"), ("tsize", "0")],
            Program::Pxelinux | Program::Lpxelinux | Program::Ipxe => &[("tsize", "0"), ("blksize", "1408")],
        };
        Source::Tftp { server: self.server, name, options }
    }
}

/// LAB; the ARM64 build of Debian's installer has another, and the server looks at the end of names alone.
const GRUB_PREFIX: &str = "/grub";
/// LAB: beside shim, and a machine goes on without them.
const SHIM_LOOKS_FOR: [&str; 3] = ["revocations_sku.efi", "revocations_sbat.efi", "shim_certificate_0.efi"];
const MODULE_LISTS: [&str; 4] = ["command.lst", "fs.lst", "crypto.lst", "terminal.lst"];

/// `http://SERVER` of a loader that came by HTTP; nothing by TFTP.
fn root_of(loaded: &Loaded) -> String {
    let Source::Http { url } = &loaded.source else { return String::new() };
    let authority = url.find("://").map_or(0, |at| at + 3);
    let end = url[authority..].find('/').map_or(url.len(), |at| authority + at);
    url[..end].to_owned()
}

fn grub_asks(loaded: &Loaded) -> VecDeque<Question> {
    let mut questions = VecDeque::new();
    let folder = loaded.folder();
    let name = &loaded.name()[folder.len()..];
    if name.starts_with("shim") {
        let beside = |name: &str| match folder.contains("://") {
            true => format!("{folder}{name}"),
            false => format!("/{folder}{name}"),
        };
        questions.extend(SHIM_LOOKS_FOR.map(|name| Question::Optional(beside(name))));
        let second = beside(&format!("grub{}.efi", suffix(loaded.platform)));
        questions.push_back(Question::Needed(second, "shim finds no GRUB"));
    }
    let modules = modules(loaded.platform);
    questions.extend(MODULE_LISTS.map(|list| Question::Optional(format!("{GRUB_PREFIX}/{modules}/{list}"))));
    questions.push_back(Question::Configuration(format!("{GRUB_PREFIX}/grub.cfg")));
    questions
}

/// The end of the names of EFI programs (UEFI 2.10 §3.5.1.1).
fn suffix(platform: Platform) -> &'static str {
    match platform {
        Platform::UefiIa32 => "ia32",
        Platform::UefiArm32 => "arm",
        Platform::UefiArm64 => "aa64",
        Platform::UefiRiscv64 => "riscv64",
        Platform::UefiRiscv32 => "riscv32",
        Platform::UefiLoong64 => "loongarch64",
        Platform::UefiIa64 => "ia64",
        Platform::UefiX64
        | Platform::Bios
        | Platform::UbootArm32
        | Platform::UbootArm64
        | Platform::PpcOpenFirmware
        | Platform::RaspberryPi => "x64",
    }
}

/// GRUB's folder of modules.
fn modules(platform: Platform) -> &'static str {
    match platform {
        Platform::Bios => "i386-pc",
        Platform::UefiIa32 => "i386-efi",
        Platform::UefiArm32 => "arm-efi",
        Platform::UefiArm64 => "arm64-efi",
        Platform::UefiRiscv64 => "riscv64-efi",
        Platform::UefiRiscv32 => "riscv32-efi",
        Platform::UefiLoong64 => "loongarch64-efi",
        Platform::UefiIa64 => "ia64-efi",
        Platform::UbootArm32 => "arm-uboot",
        Platform::PpcOpenFirmware => "powerpc-ieee1275",
        Platform::UefiX64 | Platform::UbootArm64 | Platform::RaspberryPi => "x86_64-efi",
    }
}

/// LAB: its core, then the configuration by the card's address (no UUID was asked for), by its own address in hexadecimal with
/// ever fewer digits, and for all.
fn pxelinux_asks(loaded: &Loaded) -> VecDeque<Question> {
    let mut questions =
        VecDeque::from([Question::Needed("ldlinux.c32".into(), "PXELINUX finds no ldlinux.c32")]);
    let address = format!("{:08X}", loaded.address.to_bits());
    let by_address = (1..=address.len()).rev().map(|digits| address[..digits].to_owned());
    let names = [format!("01-{}", loaded.mac.to_string().replace(':', "-"))].into_iter().chain(by_address);
    let names = names.chain(["default".to_owned()]);
    questions.extend(names.map(|name| Question::Configuration(format!("pxelinux.cfg/{name}"))));
    questions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(source: Source, platform: Platform) -> Loaded {
        let (address, server) = ([10, 1, 0, 9].into(), [10, 1, 0, 2].into());
        let mac = Mac([0x52, 0x54, 0, 0, 0, 1]);
        Loaded { source, path_prefix: None, address, server, mac, platform }
    }

    fn tftp(name: &str) -> Source {
        Source::Tftp { server: [10, 1, 0, 2].into(), name: name.into(), options: &[] }
    }

    fn name(next: &Next) -> String {
        match next {
            Next::Fetch(Source::Tftp { name, .. }) => name.clone(),
            Next::Fetch(Source::Http { url }) => url.clone(),
            Next::Boot { .. } | Next::LocalDisk | Next::GiveUp(_) => panic!("{next:?}"),
        }
    }

    /// What it asks for, of which only what ends so is there, and what comes of it.
    fn run(mut program: BootProgram, there: &[(&str, &str)]) -> (Vec<String>, Next) {
        let (mut asked, mut next) = (Vec::new(), program.next());
        while let Next::Fetch(_) = next {
            let name = name(&next);
            let file = there.iter().find(|(end, _)| name.ends_with(end)).map(|(_, text)| text.as_bytes());
            asked.push(name);
            next = program.fetched(file);
        }
        (asked, next)
    }

    #[test]
    fn pxelinux_asks_behind_its_folder_and_finds_the_root_by_two_colons() {
        let program = BootProgram::new(Program::Pxelinux, &loaded(tftp("pxe/pxelinux.0"), Platform::Bios));
        let config = "DEFAULT boot\nLABEL boot\n LINUX ::a/1/linux\n APPEND quiet\n";
        let (asked, next) = run(program, &[("ldlinux.c32", ""), ("/0A0100", config)]);
        let names = ["ldlinux.c32", "pxelinux.cfg/01-52-54-00-00-00-01", "pxelinux.cfg/0A010009"];
        assert_eq!(asked[..3], names.map(|name| format!("pxe/{name}")));
        assert_eq!(asked.len(), 5);
        let Next::Boot { files, arguments } = next else { panic!("{next:?}") };
        let Source::Tftp { name, .. } = &files[0] else { panic!("{files:?}") };
        assert_eq!((name.as_str(), arguments.as_str()), ("a/1/linux", "quiet"));
    }

    #[test]
    fn lpxelinux_goes_on_by_http() {
        let path_prefix = Some("http://10.1.0.2/l/lpxe/".to_owned());
        let loaded = Loaded { path_prefix, ..loaded(tftp("lpxe/lpxelinux.0"), Platform::Bios) };
        let program = BootProgram::new(Program::Lpxelinux, &loaded);
        let (asked, next) =
            run(program, &[("ldlinux.c32", ""), ("/default", "DEFAULT d\nLABEL d\nLOCALBOOT 0\n")]);
        assert_eq!(asked[0], "http://10.1.0.2/l/lpxe/ldlinux.c32");
        assert_eq!((asked.len(), next), (11, Next::LocalDisk));
    }

    #[test]
    fn shim_and_grub_each_miss_what_may_be_missing() {
        let config = "if [ \"http://10.1.0.2\" = \"http://10.1.0.2\" ]; then\ninsmod http\nfi\nif linux /a/1/linux quiet; then\n";
        let grub = || BootProgram::new(Program::Grub, &loaded(tftp("shim/shimx64.efi"), Platform::UefiX64));
        let there = [("shim/grubx64.efi", ""), ("/grub/grub.cfg", config)];
        let (asked, next) = run(grub(), &there);
        assert_eq!(asked[3..5], ["/shim/grubx64.efi", "/grub/x86_64-efi/command.lst"]);
        assert_eq!(asked[8..], ["/grub/grub.cfg", "/grub/x86_64-efi/http.mod"]);
        let Next::Boot { files, .. } = next else { panic!("{next:?}") };
        assert!(matches!(&files[..], [Source::Tftp { name, .. }] if name == "/a/1/linux"), "{files:?}");
        let (_, next) = run(grub(), &[there[0], there[1], ("http.mod", "")]);
        let http = Source::Http { url: "http://10.1.0.2/a/1/linux".into() };
        assert_eq!(next, Next::Boot { files: vec![http], arguments: "quiet".into() });
        assert_eq!(run(grub(), &[]).1, Next::GiveUp("shim finds no GRUB"));
    }

    #[test]
    fn grub_that_came_by_http_stays_there() {
        let source = Source::Http { url: "http://10.1.0.2:8080/l/grub/grubaa64.efi".into() };
        let program = BootProgram::new(Program::Grub, &loaded(source, Platform::UefiArm64));
        let (asked, _) = run(program, &[]);
        assert_eq!(asked[0], "http://10.1.0.2:8080/grub/arm64-efi/command.lst");
    }
}
