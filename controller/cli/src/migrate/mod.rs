//! `bootlane migrate`: configuration of other boot servers becomes documents of the catalog.
//!
//! Pure but for [`disk`]: text in, documents and a note for each of its lines out. The documents are the catalog's own types
//! and are checked as the catalog checks them, so that what is written can be applied. Nothing is guessed silently: what
//! is assumed or left behind is noted with the line that it came from. No secret gets into a document or a note
//! ([`masked`]), and nothing that may overwrite a disk becomes more than a profile of mode `install`, which needs an order.

pub(crate) mod disk;
mod dnsmasq;
mod hosts;
mod masked;
mod names;
pub(crate) mod report;

use std::fmt;
use std::io;
use std::sync::Arc;

use proto::catalog::AnyResource;

pub(crate) use dnsmasq::migrate as dnsmasq;

/// What a migration reads: text by path.
pub(crate) trait Files {
    /// The text of a file.
    ///
    /// # Errors
    /// As the operating system says.
    fn text(&self, path: &str) -> io::Result<String>;

    /// The names in a folder, sorted.
    ///
    /// # Errors
    /// As the operating system says.
    fn names(&self, folder: &str) -> io::Result<Vec<String>>;
}

/// A line of what is migrated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The file, as it was named or found.
    pub(crate) file: Arc<str>,
    /// From 1; 0: the whole file.
    pub(crate) line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => out.write_str(&self.file),
            line => write!(out, "{}:{line}", self.file),
        }
    }
}

/// A line that is wrong by the rules of its own format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub(crate) struct Mistake {
    /// Where.
    pub(crate) place: Place,
    /// What is wrong, and what was expected.
    pub(crate) message: String,
}

/// What became of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is in the documents.
    Carried {
        /// As what, and what was assumed.
        to: String,
    },
    /// It is not.
    Left {
        /// Why not.
        why: String,
        /// What to do about it; "": nothing.
        to_do: String,
    },
}

impl Fate {
    /// It is in the documents, as this.
    pub(crate) fn carried(to: impl Into<String>) -> Self {
        Self::Carried { to: to.into() }
    }

    /// It is not in the documents.
    pub(crate) fn left(why: impl Into<String>, to_do: impl Into<String>) -> Self {
        Self::Left { why: why.into(), to_do: to_do.into() }
    }
}

/// A line of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    /// Where it stands.
    pub(crate) place: Place,
    /// What it says, without secrets.
    pub(crate) what: String,
    /// What became of it.
    pub(crate) fate: Fate,
}

/// What a migration gives.
#[derive(Debug, Default)]
pub(crate) struct Migrated {
    /// In the order in which they are written.
    pub(crate) documents: Vec<AnyResource>,
    /// In the order of the lines.
    pub(crate) notes: Vec<Note>,
    /// What to do before the documents are applied, each once.
    pub(crate) before: Vec<String>,
    /// Everything that is wrong; with one of them nothing is written.
    pub(crate) mistakes: Vec<Mistake>,
}

impl Migrated {
    /// Notes what became of a line.
    fn note(&mut self, place: &Place, what: &str, fate: Fate) {
        self.notes.push(Note { place: place.clone(), what: masked::line(what), fate });
    }

    /// Notes a line that is wrong.
    fn mistake(&mut self, place: &Place, message: impl Into<String>) {
        self.mistakes.push(Mistake { place: place.clone(), message: message.into() });
    }

    /// Puts the notes in the order of these files and of their lines.
    fn sort(&mut self, files: &[Arc<str>]) {
        let place = |place: &Place| (files.iter().position(|file| *file == place.file), place.line);
        self.notes.sort_by_key(|note| place(&note.place));
        self.mistakes.sort_by_key(|mistake| place(&mistake.place));
    }

    /// Says what is to be done first.
    fn first(&mut self, step: impl Into<String>) {
        let step = step.into();
        if !self.before.contains(&step) {
            self.before.push(step);
        }
    }

    /// Adds a document that came from this line, unless the catalog would refuse it.
    fn add(&mut self, place: &Place, document: AnyResource) {
        let problems = document.validate();
        let named = format!("{} {}", document.kind(), document.name());
        for problem in &problems {
            self.mistake(place, format!("{named} would be refused: {problem}"));
        }
        if problems.is_empty() {
            self.documents.push(document);
        }
    }
}

/// Files in memory, for tests.
#[cfg(test)]
#[derive(Default)]
pub(crate) struct Texts(pub(crate) std::collections::BTreeMap<String, String>);

#[cfg(test)]
impl Texts {
    pub(crate) fn new<const N: usize>(files: [(&str, &str); N]) -> Self {
        Self(files.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned())).collect())
    }
}

#[cfg(test)]
impl Files for Texts {
    fn text(&self, path: &str) -> io::Result<String> {
        self.0.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn names(&self, folder: &str) -> io::Result<Vec<String>> {
        let within = |path: &String| {
            let rest = path.strip_prefix(folder)?.strip_prefix('/')?;
            Some(rest.split('/').next().unwrap_or(rest).to_owned())
        };
        let mut names: Vec<_> = self.0.keys().filter_map(within).collect();
        names.dedup();
        if names.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(names) }
    }
}
