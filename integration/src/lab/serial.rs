//! A machine's serial console, as the file that QEMU writes while it runs.
//!
//! Firmware and boot loaders paint: ANSI escapes, and percentages that are backspaced away. Markers
//! are looked for in the text as a person would read it, with both taken out.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// How much of a console is read; a machine that says more is in a loop.
const CONSOLE_LIMIT: u64 = 16 << 20;
/// How much of a line is shown to people.
const LINE_LIMIT: usize = 160;

/// A reader of a console that another process writes.
#[derive(Debug)]
pub struct SerialConsole {
    path: PathBuf,
    /// Bytes of the file that were read.
    read: u64,
    painter: Painter,
    /// Where in the text the search for the next marker begins.
    searched: usize,
}

impl SerialConsole {
    /// A console that is, or will be, written to `path`.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), read: 0, painter: Painter::default(), searched: 0 }
    }

    /// The file, with every byte that the machine wrote.
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
        let text = &self.painter.text;
        // Text behind the last marker may have been backspaced away.
        self.searched = self.searched.min(text.len());
        let Some(start) = position(&text[self.searched..], marker.as_bytes()) else {
            return Ok(None);
        };
        let end = self.searched + start + marker.len();
        self.searched = end;
        let rest = &text[end..];
        let length = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        Ok(Some(String::from_utf8_lossy(&rest[..length]).trim().to_owned()))
    }

    /// The last lines that say something, for a message about what went wrong.
    #[must_use]
    pub fn tail(&mut self, lines: usize) -> String {
        // What was read before is better than nothing.
        let _ = self.read_more();
        let text = String::from_utf8_lossy(&self.painter.text);
        let said: Vec<&str> =
            text.lines().map(str::trim).filter(|line| !line.is_empty()).map(shortened).collect();
        said[said.len().saturating_sub(lines)..].join("\n")
    }

    fn read_more(&mut self) -> io::Result<()> {
        let mut file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        file.seek(SeekFrom::Start(self.read))?;
        let mut bytes = Vec::new();
        file.take(CONSOLE_LIMIT.saturating_sub(self.read)).read_to_end(&mut bytes)?;
        self.read += bytes.len() as u64;
        for byte in bytes {
            self.painter.take(byte);
        }
        Ok(())
    }
}

fn position(text: &[u8], marker: &[u8]) -> Option<usize> {
    if marker.is_empty() {
        return Some(0);
    }
    text.windows(marker.len()).position(|window| window == marker)
}

fn shortened(line: &str) -> &str {
    line.char_indices().nth(LINE_LIMIT).map_or(line, |(end, _)| &line[..end])
}

/// Turns what is sent to a terminal into text (ECMA-48 §5.3, §5.4).
#[derive(Debug, Default)]
struct Painter {
    text: Vec<u8>,
    state: State,
}

#[derive(Debug, Default, Clone, Copy)]
enum State {
    #[default]
    Text,
    /// Behind ESC.
    Escape,
    /// Behind ESC and `[`.
    ControlSequence,
}

impl Painter {
    fn take(&mut self, byte: u8) {
        match self.state {
            State::Text => self.character(byte),
            State::Escape => match byte {
                b'[' => self.state = State::ControlSequence,
                // Intermediate bytes; the sequence goes on.
                0x20..=0x2f => {}
                _ => self.state = State::Text,
            },
            State::ControlSequence => {
                if (b'@'..=b'~').contains(&byte) {
                    self.state = State::Text;
                    // CUP: what follows stands somewhere else.
                    if byte == b'H' {
                        self.text.push(b'\n');
                    }
                }
            }
        }
    }

    fn character(&mut self, byte: u8) {
        match byte {
            0x1b => self.state = State::Escape,
            0x08 if self.text.last().is_some_and(|last| *last != b'\n') => {
                self.text.pop();
            }
            b'\n' | b'\t' | b' '..=b'~' | 0x80..=0xff => self.text.push(byte),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn console_of(content: &[u8]) -> (tempfile::NamedTempFile, SerialConsole) {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(content).expect("written");
        let console = SerialConsole::at(file.path());
        (file, console)
    }

    fn found(console: &mut SerialConsole, marker: &str) -> Option<String> {
        console.find(marker).expect("readable")
    }

    #[test]
    fn markers_are_found_in_order_while_the_file_grows() {
        let (mut file, mut console) = console_of(b"SeaBIOS\r\nBOOTLANE-MARK user");
        assert_eq!(found(&mut console, "SeaBIOS").as_deref(), Some(""));
        assert_eq!(found(&mut console, "MARK userspace"), None);
        file.write_all(b"space one\r\nnext").expect("written");
        assert_eq!(found(&mut console, "MARK userspace").as_deref(), Some("one"));
        assert_eq!(found(&mut console, "SeaBIOS"), None);
    }

    #[test]
    fn a_percentage_that_was_backspaced_away_does_not_hide_the_outcome() {
        let (_file, mut console) =
            console_of(b"/linux... 18%\x08\x08\x08\x08    \x08\x08\x08\x08 66%\x08\x08\x08\x08    \x08\x08\x08\x08 ok\r\n");
        assert!(found(&mut console, "/linux... ok").is_some());
    }

    #[test]
    fn an_escape_that_is_cut_in_two_by_reading_is_still_one() {
        let (mut file, mut console) = console_of(b"one\x1b[3");
        assert_eq!(found(&mut console, "two"), None);
        file.write_all(b"2m two").expect("written");
        assert!(found(&mut console, "one two").is_some());
    }

    #[test]
    fn a_console_that_does_not_exist_yet_is_empty() {
        let mut console = SerialConsole::at("/nonexistent/serial.log");
        assert_eq!(found(&mut console, "x"), None);
        assert_eq!(console.tail(5), "");
    }

    #[test]
    fn the_tail_has_no_escapes_and_no_empty_lines() {
        let (_file, mut console) =
            console_of(b"\x1b[2J\x1b[01;01Hone\r\n\r\n\x1b[1mtwo\x1b[0m\r\n\x1b(Bthree\r\n");
        assert_eq!(console.tail(2), "two\nthree");
        assert_eq!(console.tail(9), "one\ntwo\nthree");
    }

    #[test]
    fn a_long_line_is_cut_for_people() {
        let (_file, mut console) = console_of("ä".repeat(1000).as_bytes());
        assert_eq!(console.tail(1).chars().count(), LINE_LIMIT);
    }
}
