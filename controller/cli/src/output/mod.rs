//! Where results and remarks go: results to standard output, remarks and progress to standard error.
//!
//! All commands write through [`Output`]; besides it only progress bars touch standard error. What comes from
//! the network is cleaned of control characters before a terminal sees it.

pub(crate) mod document;
pub(crate) mod table;
pub(crate) mod words;
pub(crate) mod yaml;

use std::io::{self, IsTerminal as _, Write};

pub(crate) use proto::words::{plain, plain_lines};

use crate::failure::Failure;

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// For files that `apply` reads again.
    Yaml,
    /// For programs.
    Json,
}

/// The two streams and how to write to them.
pub(crate) struct Output {
    format: Option<Format>,
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    colours: bool,
    live: bool,
    width: usize,
}

impl Output {
    /// The process's own streams. Colours only on a terminal, and not if `NO_COLOR` is set (no-color.org).
    pub(crate) fn process(format: Option<Format>) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            format,
            out: Box::new(io::stdout()),
            err: Box::new(io::stderr()),
            colours: io::stdout().is_terminal() && !plain,
            live: io::stderr().is_terminal(),
            width: width(),
        }
    }

    /// The format that was asked for, else this one.
    pub(crate) fn format_or(&self, default: Format) -> Format {
        self.format.unwrap_or(default)
    }

    /// May results be coloured?
    pub(crate) fn colours(&self) -> bool {
        self.colours
    }

    /// How many characters fit in a line.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Can progress be drawn in place?
    pub(crate) fn live(&self) -> bool {
        self.live
    }

    /// A line of the result.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.text(text)?;
        Ok(self.out.write_all(b"\n")?)
    }

    /// A part of the result.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Failure> {
        Ok(self.out.write_all(text.as_bytes())?)
    }

    /// Raw bytes of the result.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        Ok(self.out.write_all(bytes)?)
    }

    /// A remark for people, beside the result. A closed standard error costs nobody their result.
    pub(crate) fn remark(&mut self, text: &str) {
        let _ = writeln!(self.err, "{text}");
    }

    /// Hands everything to the operating system.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.out.flush()?)
    }
}

/// Of lines that no terminal limits.
const WIDTH: usize = 100;

/// The terminal's, if that tells one; a very narrow one is not believed.
fn width() -> usize {
    let told = rustix::termios::tcgetwinsize(io::stdout()).map(|size| usize::from(size.ws_col));
    told.ok().filter(|columns| *columns >= 40).unwrap_or(WIDTH)
}
