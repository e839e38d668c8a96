//! Changing single fields of a document.

use std::str::FromStr;

use serde_json::{Map, Value};

use crate::failure::Failure;

/// One field's new value, or its end.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Edit {
    path: Vec<String>,
    value: Option<Value>,
}

impl Edit {
    /// A field below `spec`, its names separated by dots.
    pub(crate) fn spec(path: &str, value: impl Into<Value>) -> Self {
        let path = std::iter::once("spec").chain(path.split('.')).map(Into::into).collect();
        Self { path, value: Some(value.into()) }
    }

    /// A field below `spec`, if there is a value for it.
    pub(crate) fn optional<V: Into<Value>>(path: &str, value: Option<V>) -> Option<Self> {
        value.map(|value| Self::spec(path, value))
    }

    /// A field below `spec`, if the list has anything in it.
    pub(crate) fn list<V: ToString>(path: &str, values: &[V]) -> Option<Self> {
        let texts: Vec<Value> = values.iter().map(|value| value.to_string().into()).collect();
        (!texts.is_empty()).then(|| Self::spec(path, texts))
    }

    /// An entry of the map `field` below `spec`; its key may hold dots.
    pub(crate) fn entry(field: &str, key: &str, value: impl Into<Value>) -> Self {
        Self { path: vec!["spec".into(), field.into(), key.into()], value: Some(value.into()) }
    }

    /// A label.
    pub(crate) fn label(key: &str, value: &str) -> Self {
        Self { path: vec!["labels".into(), key.into()], value: Some(value.into()) }
    }
}

/// A field to take away: `address`, `labels.rack`, `variables.disk`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unset(Vec<String>);

impl Unset {
    /// As an edit.
    pub(crate) fn edit(&self) -> Edit {
        Edit { path: self.0.clone(), value: None }
    }
}

impl FromStr for Unset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.strip_prefix("spec.").unwrap_or(text);
        let (field, rest) = text.split_once('.').map_or((text, None), |(field, rest)| (field, Some(rest)));
        if field.is_empty() || rest.is_some_and(str::is_empty) {
            return Err("expected a field such as address or labels.rack".into());
        }
        let outer = (field != "labels").then_some("spec");
        Ok(Self(outer.into_iter().chain([field]).chain(rest).map(Into::into).collect()))
    }
}

/// Labels as arguments of `add` and `set`.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Labels {
    /// A label; may be repeated
    #[arg(short = 'l', long = "label", value_name = "KEY=VALUE", value_parser = super::catalog::key_value)]
    labels: Vec<(String, String)>,
}

impl Labels {
    /// As edits.
    pub(crate) fn edits(&self) -> impl Iterator<Item = Edit> {
        self.labels.iter().map(|(key, value)| Edit::label(key, value))
    }
}

/// Template variables as arguments of `add` and `set`.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Variables {
    /// A value for templates, read as YAML; may be repeated
    #[arg(long = "var", value_name = "KEY=VALUE", value_parser = super::catalog::key_value)]
    variables: Vec<(String, String)>,
}

impl Variables {
    /// As edits.
    pub(crate) fn edits(&self) -> impl Iterator<Item = Edit> {
        self.variables.iter().map(|(key, text)| Edit::entry("variables", key, scalar(text)))
    }
}

/// Numbers, booleans, lists and maps as YAML writes them; what is no YAML is text.
fn scalar(text: &str) -> Value {
    match serde_yaml_ng::from_str(text) {
        Ok(Value::Null) | Err(_) => Value::String(text.to_owned()),
        Ok(value) => value,
    }
}

/// Carries out the edits, in order.
///
/// # Errors
/// When a field to take away is not there, or lies below something that has no fields.
pub(crate) fn edit(document: &mut Value, edits: impl IntoIterator<Item = Edit>) -> Result<(), Failure> {
    for Edit { path, value } in edits {
        let done = match value {
            Some(value) => put(document, &path, value),
            None => take(document, &path),
        };
        if done.is_none() {
            return Err(Failure::usage(format!("there is no field {} to change", path.join("."))));
        }
    }
    Ok(())
}

fn put(at: &mut Value, path: &[String], value: Value) -> Option<()> {
    let Some((field, rest)) = path.split_first() else {
        *at = value;
        return Some(());
    };
    let below = match at {
        Value::Object(fields) => fields.entry(field.clone()).or_insert_with(|| Value::Object(Map::new())),
        Value::Array(values) => values.get_mut(field.parse::<usize>().ok()?)?,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return None,
    };
    put(below, rest, value)
}

fn take(at: &mut Value, path: &[String]) -> Option<()> {
    let (last, outer) = path.split_last()?;
    let mut at = at;
    for field in outer {
        at = at.get_mut(field)?;
    }
    at.as_object_mut()?.remove(last).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_put_and_taken() {
        let mut document = json!({"spec": {"address": "10.0.0.1", "subnets": [{"network": "a"}]}});
        let edits = [
            Edit::label("rack.a", "r1"),
            Edit::spec("subnets.0.network", "b"),
            Edit::entry("variables", "x.y", scalar("3")),
            "address".parse::<Unset>().expect("a field").edit(),
        ];
        edit(&mut document, edits).expect("all are there");
        let expected = json!({"labels": {"rack.a": "r1"},
            "spec": {"subnets": [{"network": "b"}], "variables": {"x.y": 3}}});
        assert_eq!(document, expected);
    }

    #[test]
    fn what_is_not_there_cannot_be_taken() {
        let mut document = json!({"spec": {"site": "lyon"}});
        let unset: Unset = "labels.rack".parse().expect("a field");
        assert!(edit(&mut document, [unset.edit()]).is_err());
        assert!("".parse::<Unset>().is_err() && "labels.".parse::<Unset>().is_err());
    }

    #[test]
    fn variables_are_what_they_look_like() {
        assert_eq!(scalar("true"), json!(true));
        assert_eq!(scalar("[a, 2]"), json!(["a", 2]));
        assert_eq!(scalar("a: b: c"), json!("a: b: c"));
        assert_eq!(scalar(""), json!(""));
    }
}
