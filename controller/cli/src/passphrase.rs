//! Secrets from people: out of a file or typed without echo, never from the command line.

use std::fs::File;
use std::io::{self, BufRead as _, Read as _, Write as _};
use std::path::Path;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::failure::{Exit, Failure};

/// The longest, in bytes.
const LONGEST: u64 = 64 * 1024;

/// The content of a file, `-` for standard input, without its last newline.
///
/// # Errors
/// When it cannot be read, is empty, too long or no text.
pub(crate) fn from_file(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let failed = |error| Failure::because(Exit::BadInput, &format!("read {}", path.display()), &error);
    let mut text = Zeroizing::new(String::new());
    if path.as_os_str() == "-" {
        io::stdin().take(LONGEST + 1).read_to_string(&mut text).map_err(failed)?;
    } else {
        File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_string(&mut text)).map_err(failed)?;
    }
    if text.len() as u64 > LONGEST {
        return Err(Failure::bad_input(format!("{} has more than {LONGEST} bytes", path.display())));
    }
    let secret = text.strip_suffix('\n').unwrap_or(&text);
    let secret = Zeroizing::new(secret.strip_suffix('\r').unwrap_or(secret).to_owned());
    if secret.is_empty() {
        Err(Failure::bad_input(format!("{} is empty", path.display())))
    } else {
        Ok(secret)
    }
}

/// Asks on the terminal, without echo; a second time too if it cannot be recovered when mistyped.
///
/// # Errors
/// Without a terminal, and when the two answers differ.
pub(crate) fn ask(what: &str, twice: bool) -> Result<Zeroizing<String>, Failure> {
    let terminal = File::options().read(true).write(true).open("/dev/tty").map_err(|_| {
        Failure::usage(format!("there is no terminal to ask for the {what}"))
            .remedy("give it in a file, see --help")
    })?;
    let first = answer(&terminal, &format!("{what}: "))?;
    if first.is_empty() {
        return Err(Failure::usage(format!("no {what} was given")));
    }
    if twice && *answer(&terminal, "once more: ")? != *first {
        return Err(Failure::usage("the two are not the same"));
    }
    Ok(first)
}

fn answer(terminal: &File, prompt: &str) -> Result<Zeroizing<String>, Failure> {
    let failed = |error: io::Error| Failure::because(Exit::Failed, "ask on the terminal", &error);
    let _silence = Silence::begin(terminal).map_err(failed)?;
    (&mut &*terminal).write_all(prompt.as_bytes()).map_err(failed)?;
    let mut line = Zeroizing::new(String::new());
    io::BufReader::new(terminal.take(LONGEST)).read_line(&mut line).map_err(failed)?;
    (&mut &*terminal).write_all(b"\n").map_err(failed)?;
    Ok(Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned()))
}

/// A terminal without echo; dropped, it is as before.
struct Silence<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Silence<'a> {
    fn begin(terminal: &'a File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        // There is nobody left to tell, and nothing else to try.
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_taken_without_its_last_newline() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("secret");
        for (content, secret) in [("a b\n", "a b"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("a", "a")] {
            std::fs::write(&file, content).expect("written");
            assert_eq!(from_file(&file).expect("readable").as_str(), secret);
        }
        std::fs::write(&file, "\n").expect("written");
        assert_eq!(from_file(&file).expect_err("empty").exit, Some(Exit::BadInput));
    }
}
