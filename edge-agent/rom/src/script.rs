//! As much of iPXE's script language as boot scripts need: a kernel, its RAM disks, a chain, the local disk.

/// What a script comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Script {
    /// Boot these files.
    Boot {
        /// URLs: the kernel, then the initial RAM disks.
        files: Vec<String>,
        /// The kernel's command line.
        arguments: String,
    },
    /// Go on with another script or loader.
    Chain(String),
    /// `exit` or `sanboot`.
    LocalDisk,
    /// A menu, and what is chosen when nobody presses a key.
    Menu(String),
}

/// A script that leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// It does not begin with `#!ipxe`.
    #[error("no iPXE script")]
    NoScript,
    /// It boots nothing.
    #[error("the script ends without booting")]
    NoEnd,
    /// It is for BIOS alone, and says so.
    #[error("the script is for BIOS alone")]
    BiosOnly,
}

impl Script {
    /// Reads a script that came from `base`, which relative names are relative to, as an iPXE for EFI or for BIOS. Commands that change nothing
    /// here, such as `echo`, are passed over; what stands behind `||` or `boot` is never reached.
    ///
    /// # Errors
    /// [`ScriptError`].
    pub fn read(text: &str, base: &str, efi: bool) -> Result<Self, ScriptError> {
        let mut lines = text.lines();
        if lines.next().map(str::trim_end) != Some("#!ipxe") {
            return Err(ScriptError::NoScript);
        }
        let (mut files, mut arguments) = (Vec::new(), String::new());
        for line in lines {
            let command = line.split(" || ").next().unwrap_or_default().trim();
            let (word, rest) = command.split_once(' ').unwrap_or((command, ""));
            let (url, behind) = operand(rest, base);
            match word {
                "kernel" => {
                    files.insert(0, url);
                    arguments = behind;
                }
                "imgargs" => arguments = behind,
                "initrd" | "module" | "imgfetch" => files.push(url),
                "iseq" if efi && rest.starts_with("${platform} efi && goto failed") => {
                    return Err(ScriptError::BiosOnly);
                }
                "choose" => return Ok(Self::Menu(chosen(rest).to_owned())),
                "chain" => return Ok(Self::Chain(url)),
                "exit" | "sanboot" => return Ok(Self::LocalDisk),
                "boot" => return Ok(Self::Boot { files, arguments }),
                _ => {}
            }
        }
        Err(ScriptError::NoEnd)
    }
}

/// What `choose` takes when nobody presses a key.
fn chosen(rest: &str) -> &str {
    let mut words = rest.split_whitespace().skip_while(|word| *word != "--default");
    words.nth(1).unwrap_or_default()
}

/// The first word that is no option, as a URL, and what stands behind it.
fn operand(rest: &str, base: &str) -> (String, String) {
    let mut words = rest.split_whitespace();
    while let Some(word) = words.next() {
        match word {
            "--name" | "--timeout" => drop(words.next()),
            option if option.starts_with("--") => {}
            name => return (resolve(name, base), words.collect::<Vec<_>>().join(" ")),
        }
    }
    (String::new(), String::new())
}

/// RFC 3986 §5.2, for names beside the script and from the root.
fn resolve(name: &str, base: &str) -> String {
    if name.contains("://") {
        return name.into();
    }
    let authority = base.find("://").map_or(0, |at| at + 3);
    let root = base[authority..].find('/').map_or(base.len(), |at| authority + at);
    match name.strip_prefix('/') {
        Some(name) => format!("{}/{name}", &base[..root]),
        None => format!("{}/{name}", base.rfind('/').filter(|at| *at >= root).map_or(base, |at| &base[..at])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "http://10.1.0.2:8080/a/0011/boot.ipxe";

    #[test]
    fn a_kernel_with_its_ram_disks() {
        let text = "#!ipxe\n# a comment\necho hello\nkernel --name linux linux auto=true url=x || exit 1\n\
                    initrd /l/initrd.gz\ninitrd http://other/x.gz\nboot\n";
        let files = vec![
            "http://10.1.0.2:8080/a/0011/linux".into(),
            "http://10.1.0.2:8080/l/initrd.gz".into(),
            "http://other/x.gz".into(),
        ];
        assert_eq!(
            Script::read(text, BASE, true),
            Ok(Script::Boot { files, arguments: "auto=true url=x".into() })
        );
    }

    #[test]
    fn the_other_ends() {
        let read = |text| Script::read(text, BASE, true);
        assert_eq!(read("#!ipxe\nsanboot --drive 0x80"), Ok(Script::LocalDisk));
        assert_eq!(read("#!ipxe\nexit 1"), Ok(Script::LocalDisk));
        assert_eq!(read("#!ipxe\nchain http://a/b"), Ok(Script::Chain("http://a/b".into())));
        assert_eq!(read("#!ipxe\necho"), Err(ScriptError::NoEnd));
        assert_eq!(read("<html>"), Err(ScriptError::NoScript));
        let bios = "#!ipxe\niseq ${platform} efi && goto failed ||\nkernel linux\nboot";
        assert_eq!(read(bios), Err(ScriptError::BiosOnly));
        assert!(Script::read(bios, BASE, false).is_ok());
        let menu =
            "#!ipxe\nitem disk Local disk\nchoose --default disk --timeout 5000 choice || goto disk\nchain x";
        assert_eq!(read(menu), Ok(Script::Menu("disk".into())));
    }
}
