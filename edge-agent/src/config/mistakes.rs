//! Every mistake of a TOML file at once, though whoever reads one stops at the first: what a mistake is about is left out, and the
//! rest is read again. That something left out is missing then is no mistake of its own.

use std::{collections::BTreeSet, ops::Range};

use proto::hint;
use serde::de::DeserializeOwned;
use toml::{
    Spanned,
    de::{DeTable, DeValue, Deserializer, Error},
};

/// As many mistakes of one file are told.
const MOST: usize = 50;

/// What was wrong with the text, each with its line, and what could not be read because of it.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) problems: Vec<String>,
    /// Keys with those of the sections that they stand in: `controller.name`.
    left_out: BTreeSet<String>,
}

impl Found {
    /// Stands the key, or the section that it would stand in, in the file, though it could not be read?
    pub(super) fn has_left_out(&self, key: &str) -> bool {
        let sections = key.match_indices('.').map(|(dot, _)| &key[..dot]);
        sections.chain([key]).any(|key| self.left_out.contains(key))
    }

    fn note(&mut self, text: &str, mut error: Error) {
        error.set_input(Some(text));
        self.problems.push(plainly(&error));
    }
}

/// The text as far as it can be read. None: it is no TOML, or lacks what the type cannot do without.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> (Option<T>, Found) {
    let mut found = Found::default();
    let (mut table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        errors.into_iter().take(MOST).for_each(|error| found.note(text, error));
        return (None, found);
    }
    while found.problems.len() < MOST {
        let error = match T::deserialize(Deserializer::from(table.clone())) {
            Ok(value) => return (Some(value), found),
            Err(error) => error,
        };
        let place = error.span();
        found.note(text, error);
        let Some(key) = place.and_then(|place| leave_out(table.get_mut(), &place)) else { break };
        found.left_out.insert(key);
    }
    (None, found)
}

/// Takes out the innermost key that stands here, or whose value does, and tells its name.
fn leave_out(table: &mut DeTable<'_>, place: &Range<usize>) -> Option<String> {
    let inner = table.iter_mut().find_map(|(key, value)| {
        let below = match value.get_mut() {
            DeValue::Table(table) => leave_out(table, place),
            DeValue::Array(list) => list.iter_mut().find_map(|value| {
                let DeValue::Table(table) = value.get_mut() else { return None };
                leave_out(table, place)
            }),
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => None,
        };
        below.map(|below| format!("{}.{below}", key.get_ref()))
    });
    if inner.is_some() {
        return inner;
    }
    let here = |span: Range<usize>| span.start <= place.start && place.end <= span.end;
    let stands = |(key, value): &(&Spanned<_>, &Spanned<DeValue<'_>>)| here(key.span()) || here(value.span());
    let key = table.iter().find(stands)?.0.get_ref().to_string();
    table.remove(key.as_str())?;
    Some(key)
}

/// A complaint of the TOML reader with its message in words of the file. What stands around the message stays: line and
/// column, and the line itself as its writer has it.
fn plainly(error: &Error) -> String {
    let (whole, message) = (error.to_string(), error.message());
    let Some((place, rest)) = whole.rsplit_once(message) else { return whole };
    let place = place.strip_prefix("TOML parse error at ").unwrap_or(place);
    format!("{place}{}{}", in_plain_words(message), rest.trim_end())
}

fn in_plain_words(message: &str) -> String {
    const WORDS: [(&str, &str); 5] = [
        ("u16", "a number from 1 to 65535"),
        ("usize", "a whole number"),
        ("a sequence", "a list: [\"...\"]"),
        ("struct RawController", "the section [controller]"),
        ("struct RawInterface", "the section [[interface]]"),
    ];
    if message == "invalid type: map, expected a sequence" {
        return "one section where several may stand: write its name in two brackets, as in [[interface]]"
            .into();
    }
    let message = hint::of_field(message);
    let Some((found, expected)) = message.rsplit_once("expected ") else { return message };
    let plain =
        WORDS.iter().find(|(technical, _)| *technical == expected).map_or(expected, |(_, plain)| plain);
    format!("{found}expected {plain}")
}
