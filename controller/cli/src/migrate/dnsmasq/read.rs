//! The directives of files and of those that they name.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::line::{self, Directive};
use crate::migrate::{Fate, Files, Migrated, Place};
use crate::output::words::count;

/// The most files that are read.
const FILES: usize = 1_000;

/// A directive and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub(super) place: Place,
    pub(super) directive: Directive,
}

/// Reads files and what they name. Each file is read once, as dnsmasq does, so that a circle ends.
pub(super) struct Reader<'f> {
    pub(super) files: &'f dyn Files,
    /// What was read, in that order.
    pub(super) read: Vec<Arc<str>>,
    seen: BTreeSet<String>,
    /// What it says, in the order in which dnsmasq reads it.
    pub(super) said: Vec<Said>,
}

impl<'f> Reader<'f> {
    pub(super) fn new(files: &'f dyn Files) -> Self {
        Self { files, read: Vec::new(), seen: BTreeSet::new(), said: Vec::new() }
    }

    /// Reads a file of directives and those that it names, one after the other: nesting takes no stack.
    pub(super) fn file(&mut self, path: &str, migrated: &mut Migrated) {
        let start = Place { file: path.into(), line: 0 };
        let mut waiting = vec![(start, path.to_owned(), None::<&'static str>)];
        while let Some((from, path, of)) = waiting.pop() {
            let Some(text) = self.text(&from, &path, migrated) else { continue };
            let mut named = self.lines(&path, &text, of, migrated);
            named.reverse();
            waiting.append(&mut named);
        }
    }

    fn text(&mut self, from: &Place, path: &str, migrated: &mut Migrated) -> Option<String> {
        if !self.seen.insert(path.to_owned()) {
            migrated.note(from, path, Fate::left("this file is read already", ""));
            return None;
        }
        if self.seen.len() > FILES {
            migrated.mistake(from, format!("more than {FILES} files are named"));
            return None;
        }
        match self.files.text(path) {
            Ok(text) => {
                self.read.push(path.into());
                Some(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
            }
            Err(error) => {
                let message = format!("cannot read {path}: {error}");
                migrated.mistake(from, message);
                None
            }
        }
    }

    /// What the lines of a file say; the files that they name. `of`: the directive whose values the lines are.
    fn lines(
        &mut self,
        path: &str,
        text: &str,
        of: Option<&'static str>,
        migrated: &mut Migrated,
    ) -> Vec<(Place, String, Option<&'static str>)> {
        let mut named = Vec::new();
        let file: Arc<str> = path.into();
        for (number, content) in (1..).zip(text.lines()) {
            let place = Place { file: Arc::clone(&file), line: number };
            let read = match of {
                Some(name) => line::value(name, content),
                None => line::read(content),
            };
            match read {
                Err(broken) => migrated.mistake(&place, broken),
                Ok(None) => {}
                Ok(Some(directive)) => {
                    if !self.names_files(&place, &directive, &mut named, migrated) {
                        self.said.push(Said { place, directive });
                    }
                }
            }
        }
        named
    }

    fn names_files(
        &self,
        place: &Place,
        directive: &Directive,
        named: &mut Vec<(Place, String, Option<&'static str>)>,
        migrated: &mut Migrated,
    ) -> bool {
        let Directive { name, fields, text } = directive;
        let of = match name.as_str() {
            "conf-file" => None,
            "dhcp-hostsfile" => Some("dhcp-host"),
            "dhcp-optsfile" => Some("dhcp-option"),
            "conf-dir" => {
                let files = self.folder(place, fields, migrated);
                migrated.note(place, text, Fate::carried(format!("{} read", count(files.len(), "file"))));
                named.extend(files.into_iter().map(|path| (place.clone(), path, None)));
                return true;
            }
            _ => return false,
        };
        match fields.first().filter(|path| !path.is_empty()) {
            Some(path) => {
                migrated.note(place, text, Fate::carried("the file is read"));
                named.push((place.clone(), path.clone(), of));
            }
            None => migrated.mistake(place, format!("{name} names no file")),
        }
        true
    }

    /// The files of a folder: `conf-dir=DIR,.bak` leaves out by ending, `conf-dir=DIR,*.conf` takes by ending.
    fn folder(&self, place: &Place, fields: &[String], migrated: &mut Migrated) -> Vec<String> {
        let Some((folder, endings)) = fields.split_first() else {
            migrated.mistake(place, "conf-dir names no folder");
            return vec![];
        };
        let taken: Vec<_> = endings.iter().filter_map(|ending| ending.strip_prefix('*')).collect();
        let is_left = |name: &str| {
            endings.iter().any(|ending| {
                !ending.is_empty() && !ending.starts_with('*') && name.ends_with(ending.as_str())
            })
        };
        let is_hidden = |name: &str| {
            name.ends_with('~') || name.starts_with('.') || name.starts_with('#') && name.ends_with('#')
        };
        let is_taken = |name: &str| {
            !is_hidden(name)
                && !is_left(name)
                && (taken.is_empty() || taken.iter().any(|end| name.ends_with(end)))
        };
        match self.files.names(folder) {
            Ok(names) => {
                let folder = folder.trim_end_matches('/');
                names.iter().filter(|name| is_taken(name)).map(|name| format!("{folder}/{name}")).collect()
            }
            Err(error) => {
                migrated.mistake(place, format!("cannot read {folder}: {error}"));
                vec![]
            }
        }
    }
}
