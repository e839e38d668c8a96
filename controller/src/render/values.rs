//! What templates may speak of: variables of site, profile and host (the later wins), and built-ins.

use minijinja::value::{Serde, Value};
use proto::catalog::Variables;
use serde_json::{Value as Json, json};

use super::marks;

/// A variable that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path} {problem}")]
pub(crate) struct BadValue {
    /// Its path below `variables`.
    pub(crate) path: String,
    /// What is wrong.
    pub(crate) problem: String,
}

/// Names that variables cannot take.
const BUILT_IN: [&str; 3] = ["host", "site", "order"];

/// The context of templates: `layers` in rising order, then the built-ins.
pub(crate) fn context(layers: &[&Variables], built_in: &[(&str, Json)]) -> Result<Value, BadValue> {
    let mut all = serde_json::Map::new();
    for (name, value) in layers.iter().flat_map(|layer| layer.iter()) {
        if BUILT_IN.contains(&name.as_str()) {
            let problem = "is the name of a built-in value: choose another".to_owned();
            return Err(BadValue { path: name.clone(), problem });
        }
        check(name, value)?;
        all.insert(name.clone(), value.clone());
    }
    all.extend(built_in.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    Ok(Value::from(Serde(Json::Object(all))))
}

/// The built-in `host`.
pub(crate) fn host(name: &str, mac: Option<String>, address: Option<String>, serial: Option<&str>) -> Json {
    let hostname = name.split('.').next().unwrap_or(name);
    let domain = name.split_once('.').map(|(_, domain)| domain);
    json!({
        "name": name, "hostname": hostname, "domain": domain,
        "mac": mac, "address": address, "serial": serial,
    })
}

fn check(path: &str, value: &Json) -> Result<(), BadValue> {
    match value {
        Json::Null | Json::Bool(_) | Json::Number(_) => Ok(()),
        Json::String(text) => check_text(path, text),
        Json::Array(items) => {
            items.iter().enumerate().try_for_each(|(index, item)| check(&format!("{path}[{index}]"), item))
        }
        Json::Object(fields) => fields.iter().try_for_each(|(name, value)| {
            check_text(path, name)?;
            check(&format!("{path}.{name}"), value)
        }),
    }
}

fn check_text(path: &str, text: &str) -> Result<(), BadValue> {
    let problem = match text.chars().find(|c| c.is_control()) {
        Some(c) => format!("holds the control character {c:?}: use a list for several lines"),
        None if marks::has_mark(text) => "holds a character that is reserved (U+FDD0 or U+FDD1)".to_owned(),
        None => return Ok(()),
    };
    Err(BadValue { path: path.to_owned(), problem })
}
