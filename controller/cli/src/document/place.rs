//! Where in a text a field stands.
//!
//! The YAML reader tells the place of what it stops at, and only that. So a field is found by reading the text once
//! more with a visitor that stops there.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Source;

/// A place in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The file.
    pub(crate) file: String,
    /// From 1; 0 where it is not known.
    pub(crate) line: usize,
    /// From 1.
    pub(crate) column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => out.write_str(&self.file),
            line => write!(out, "{}:{line}:{}", self.file, self.column),
        }
    }
}

/// A mistake in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// Where.
    pub(crate) place: Place,
    /// What, with the path of the field.
    pub(crate) message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.place, self.message)
    }
}

impl Place {
    /// Of an error of the reader.
    pub(super) fn of_error(source: &Source, error: &serde_yaml_ng::Error) -> Self {
        let (line, column) = error.location().map_or((0, 0), |at| (at.line(), at.column()));
        Self { file: source.name.clone(), line, column }
    }
}

/// Where the value of the field at `path` of a document stands, or the nearest that is there.
pub(super) fn find(source: &Source, index: (usize, Option<usize>), path: &str) -> Place {
    stop(source, index, path, At::Value)
}

/// Where the name of the field at `path` of a document stands, or the nearest that is there.
pub(super) fn find_key(source: &Source, index: (usize, Option<usize>), path: &str) -> Place {
    stop(source, index, path, At::Key)
}

fn stop(source: &Source, (document, element): (usize, Option<usize>), path: &str, at: At) -> Place {
    let path = match element {
        Some(index) => format!("[{index}].{path}"),
        None => path.to_owned(),
    };
    let reader = serde_yaml_ng::Deserializer::from_str(&source.text).nth(document);
    let stopped =
        reader.and_then(|reader| Stop { rest: path.trim_end_matches('.'), at }.deserialize(reader).err());
    match stopped {
        Some(stopped) => Place::of_error(source, &stopped),
        None => Place { file: source.name.clone(), line: 0, column: 0 },
    }
}

/// What of a field is looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Key,
    Value,
}

/// Stops at the end of the path.
#[derive(Clone, Copy)]
struct Stop<'a> {
    rest: &'a str,
    at: At,
}

const STOPPED: &str = "stopped on purpose";

impl<'de> DeserializeSeed<'de> for Stop<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Stop<'_> {
    type Value = ();

    /// Every value that is not gone into stops here.
    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(STOPPED)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let (false, Some(rest)) = (self.rest.is_empty(), map.next_key_seed(Key(self))?) {
            match rest {
                Some(rest) => return map.next_value_seed(Stop { rest, ..self }),
                None => map.next_value::<IgnoredAny>()?,
            };
        }
        Err(A::Error::custom(STOPPED))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        if let Some((index, rest)) = self.element() {
            for _ in 0..index {
                list.next_element::<IgnoredAny>()?;
            }
            list.next_element_seed(Stop { rest, ..self })?;
        }
        Err(A::Error::custom(STOPPED))
    }
}

/// What is left of the path below a key; None: the path does not lead there.
struct Key<'a>(Stop<'a>);

impl<'de, 'a> DeserializeSeed<'de> for Key<'a> {
    type Value = Option<&'a str>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_str(self)
    }
}

impl<'a> Visitor<'_> for Key<'a> {
    type Value = Option<&'a str>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(STOPPED)
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<Self::Value, E> {
        match self.0.below(key) {
            Some("") if self.0.at == At::Key => Err(E::custom(STOPPED)),
            rest => Ok(rest),
        }
    }
}

impl<'a> Stop<'a> {
    /// What is left of the path below this key. Keys may hold dots themselves, so they decide where one ends.
    fn below(&self, key: &str) -> Option<&'a str> {
        let rest = self.rest.strip_prefix(key)?;
        match rest.chars().next() {
            None | Some('[') => Some(rest),
            Some('.') => Some(&rest[1..]),
            Some(_) => None,
        }
    }

    fn element(&self) -> Option<(usize, &'a str)> {
        let (index, rest) = self.rest.strip_prefix('[')?.split_once(']')?;
        Some((index.parse().ok()?, rest.strip_prefix('.').unwrap_or(rest)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
kind: Site
name: lyon
labels: {example.com/rack: r1}
spec:
  subnets:
    - network: 10.1.0.0/24
      pools:
        - 10.1.0.5-10.1.0.9
        - 10.1.0.9-10.1.0.12
---
- kind: Host
  name: a
";

    fn at(index: (usize, Option<usize>), path: &str) -> (usize, usize) {
        let source = Source { name: "a.yaml".into(), text: TEXT.into() };
        let place = find(&source, index, path);
        (place.line, place.column)
    }

    #[test]
    fn a_field_is_found_by_its_path() {
        assert_eq!(at((0, None), ""), (1, 1));
        assert_eq!(at((0, None), "name"), (2, 7));
        assert_eq!(at((0, None), "labels.example.com/rack"), (3, 28));
        assert_eq!(at((0, None), "spec.subnets[0].pools[1]"), (9, 11));
        assert_eq!(at((1, Some(0)), "name"), (12, 9));
    }

    #[test]
    fn the_name_of_a_field_is_found_too() {
        let source = Source { name: "a.yaml".into(), text: TEXT.into() };
        let at = |path| {
            let place = find_key(&source, (0, None), path);
            (place.line, place.column)
        };
        assert_eq!(at("spec.subnets[0].pools"), (7, 7));
        assert_eq!(at("labels.example.com/rack"), (3, 10));
        assert_eq!(at("spec.subnets[0].router"), (6, 7), "where it would be");
    }

    #[test]
    fn a_field_that_is_not_there_stands_where_it_would_be() {
        assert_eq!(at((0, None), "spec.subnets[0].router"), (6, 7));
        assert_eq!(at((0, None), "spec.subnets[7].router"), (6, 5));
        assert_eq!(at((7, None), "name"), (0, 0));
    }
}
