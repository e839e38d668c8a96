//! A machine's serial console, as the file that QEMU writes while it runs.
//!
//! Firmware paints with ANSI escapes and repeats itself, so the text is kept as it came and searched
//! for markers; what is shown to people has the escapes taken out.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// How much of a console is searched and kept; a machine that says more is in a loop.
const CONSOLE_LIMIT: u64 = 16 << 20;

/// A reader of a console that another process writes.
#[derive(Debug)]
pub struct SerialConsole {
    path: PathBuf,
    text: Vec<u8>,
    /// Where the search for the next marker begins.
    searched: usize,
}

impl SerialConsole {
    /// A console that is, or will be, written to `path`.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), text: Vec::new(), searched: 0 }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Looks for `marker` behind the last one that was found; returns the rest of its line, which may
    /// still be growing. Markers are thus found in the order they are asked for.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn find(&mut self, marker: &str) -> io::Result<Option<String>> {
        self.read_more()?;
        let Some(start) = position(&self.text[self.searched..], marker.as_bytes()) else {
            return Ok(None);
        };
        let start = self.searched + start;
        let end = start + marker.len();
        self.searched = end;
        let rest = &self.text[end..];
        let line =
            rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')).map_or(rest, |length| &rest[..length]);
        Ok(Some(plain(line).trim().to_owned()))
    }

    /// The last lines, without escapes, for a message about what went wrong.
    #[must_use]
    pub fn tail(&mut self, lines: usize) -> String {
        // What was read before is better than nothing.
        let _ = self.read_more();
        let text = plain(&self.text);
        let all: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    fn read_more(&mut self) -> io::Result<()> {
        let mut file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        let known = self.text.len() as u64;
        file.seek(SeekFrom::Start(known))?;
        file.take(CONSOLE_LIMIT.saturating_sub(known)).read_to_end(&mut self.text)?;
        Ok(())
    }
}

fn position(text: &[u8], marker: &[u8]) -> Option<usize> {
    if marker.is_empty() {
        return Some(0);
    }
    text.windows(marker.len()).position(|window| window == marker)
}

/// The text without ANSI control sequences (ECMA-48 §5.4) and other control characters.
fn plain(bytes: &[u8]) -> String {
    let mut kept = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter().copied();
    while let Some(byte) = rest.next() {
        match byte {
            0x1b => skip_escape(&mut rest),
            b'\n' | b'\t' | b' '..=b'~' | 0x80..=0xff => kept.push(byte),
            _ => {}
        }
    }
    String::from_utf8_lossy(&kept).into_owned()
}

fn skip_escape(rest: &mut impl Iterator<Item = u8>) {
    if rest.next() == Some(b'[') {
        // Parameters end with a byte from '@' to '~'.
        rest.find(|byte| (b'@'..=b'~').contains(byte));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn console_of(parts: &[&[u8]]) -> (tempfile::NamedTempFile, SerialConsole) {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        for part in parts {
            file.write_all(part).expect("written");
        }
        let console = SerialConsole::at(file.path());
        (file, console)
    }

    #[test]
    fn markers_are_found_in_order_while_the_file_grows() {
        let (mut file, mut console) = console_of(&[b"SeaBIOS\r\nBOOTLANE-MARK user"]);
        assert_eq!(console.find("SeaBIOS").expect("readable").as_deref(), Some(""));
        assert_eq!(console.find("BOOTLANE-MARK userspace").expect("readable"), None);
        file.write_all(b"space one\r\nnext").expect("written");
        assert_eq!(console.find("BOOTLANE-MARK userspace").expect("readable").as_deref(), Some("one"));
        assert_eq!(console.find("SeaBIOS").expect("readable"), None);
    }

    #[test]
    fn a_console_that_does_not_exist_yet_is_empty() {
        let mut console = SerialConsole::at("/nonexistent/serial.log");
        assert_eq!(console.find("x").expect("no error"), None);
        assert_eq!(console.tail(5), "");
    }

    #[test]
    fn the_tail_has_no_escapes_and_no_empty_lines() {
        let (_file, mut console) =
            console_of(&[b"\x1b[2J\x1b[01;01Hone\r\n\r\n\x1b[1mtwo\x1b[0m\r\nthree\r\n"]);
        assert_eq!(console.tail(2), "two\nthree");
        assert_eq!(console.tail(9), "one\ntwo\nthree");
    }
}
