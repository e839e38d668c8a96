//! A table of the file under examination: what is taken is known, what is left over is a mistake.

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use telemetry::metrics::Listen;
use toml::{Table, Value};

/// A table and where to note what is wrong with it.
pub(super) struct Section<'m> {
    path: &'static str,
    table: Table,
    mistakes: &'m mut Vec<String>,
}

impl<'m> Section<'m> {
    /// The table at `path`; "" for the whole file.
    pub(super) fn new(path: &'static str, table: Table, mistakes: &'m mut Vec<String>) -> Self {
        Self { path, table, mistakes }
    }

    /// Notes a mistake.
    pub(super) fn mistake(&mut self, name: &str, what: impl Display) {
        let dot = if self.path.is_empty() { "" } else { "." };
        self.mistakes.push(format!("{}{dot}{name}: {what}", self.path));
    }

    /// A value as TOML has it.
    pub(super) fn value<T: DeserializeOwned>(&mut self, name: &str, default: T) -> T {
        let Some(value) = self.table.remove(name) else { return default };
        value.try_into().unwrap_or_else(|error: toml::de::Error| {
            self.mistake(name, plainly(error.message()));
            default
        })
    }

    /// A value that is written as text.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&mut self, name: &str, default: T) -> T {
        self.optional(name).unwrap_or(default)
    }

    /// A value that is written as text and has no default.
    pub(super) fn required<T: FromStr<Err: Display>>(&mut self, name: &str, what: &str) -> Option<T> {
        if !self.table.contains_key(name) {
            self.mistake(name, format!("is missing: {what}"));
        }
        self.optional(name)
    }

    /// A value that is written as text, if it is there.
    pub(super) fn optional<T: FromStr<Err: Display>>(&mut self, name: &str) -> Option<T> {
        let value = self.table.remove(name)?;
        let Value::String(text) = &value else {
            self.mistake(name, format!("expected text in quotes, found {}", kind(&value)));
            return None;
        };
        text.parse().map_err(|error| self.mistake(name, error)).ok()
    }

    /// Where to listen.
    pub(super) fn address(&mut self, name: &str) -> Option<SocketAddr> {
        self.optional(name).map(|Listen(address)| address)
    }

    /// A number within bounds.
    pub(super) fn within<T>(&mut self, name: &str, default: T, bounds: RangeInclusive<T>) -> T
    where
        T: DeserializeOwned + PartialOrd + Display + Copy,
    {
        let value = self.value(name, default);
        if !bounds.contains(&value) {
            self.mistake(name, format!("is {value}, expected {} to {}", bounds.start(), bounds.end()));
        }
        value
    }

    /// A table within; empty where there is none.
    pub(super) fn table(&mut self, name: &str) -> Table {
        self.value(name, Table::new())
    }

    /// Whatever was not taken is not known.
    pub(super) fn end(mut self) {
        let left: Vec<_> = std::mem::take(&mut self.table).into_iter().map(|(name, _)| name).collect();
        left.iter().for_each(|name| self.mistake(name, "is not known: see the commented default file"));
    }
}

/// A complaint of the TOML reader, in the words of who writes the file and not of who wrote the program.
fn plainly(message: &str) -> String {
    let words = [
        ("usize", "a whole number"),
        ("u32", "a whole number"),
        ("u64", "a whole number"),
        ("a map", "a table: [NAME] and lines below it"),
        ("a sequence", "a list in square brackets"),
        ("path string", "a path in quotes"),
    ];
    let (found, expected) = message.rsplit_once("expected ").unwrap_or((message, ""));
    let expected = words.iter().find(|(theirs, _)| *theirs == expected).map_or(expected, |(_, ours)| ours);
    if expected.is_empty() { message.to_owned() } else { format!("{found}expected {expected}") }
}

/// With its article.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}
