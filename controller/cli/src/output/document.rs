//! Documents as text: YAML that `apply` takes again, JSON for programs.

use serde::Serialize;
use serde_json::{Map, Value};

use proto::Wall;
use proto::catalog::Kind;

use super::{words, yaml};

/// A document in the order in which people write it.
#[derive(Serialize)]
struct Ordered<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spec: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a Value>,
}

/// A document as YAML. Of kinds that can be applied only what operators write; of others everything.
#[must_use]
pub(crate) fn yaml(document: &Value) -> String {
    let kind = document.get("kind").and_then(Value::as_str).and_then(|kind| kind.parse::<Kind>().ok());
    let declared = kind.is_some_and(Kind::declarable);
    let document = &if declared { document.clone() } else { with_moments(document) };
    let seen = |field| document.get(field).filter(|_| !declared);
    let ordered = Ordered {
        kind: document.get("kind"),
        name: document.get("name"),
        labels: document.get("labels"),
        spec: document.get("spec"),
        meta: seen("meta"),
        status: seen("status"),
    };
    yaml::text(&ordered)
}

/// The fields that are moments. Others of their ending are lengths of time and stay as they are.
const MOMENTS: [&str; 9] = [
    "armed_ms",
    "as_of_ms",
    "created_ms",
    "done_ms",
    "last_contact_ms",
    "not_after_ms",
    "over_ms",
    "since_ms",
    "until_ms",
];

/// Milliseconds since 1970 as people read them: `not_after_ms: 1772366400000` becomes `not_after: 2026-03-01T12:00:00Z`.
fn with_moments(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(name, value)| moment(name, value)).collect())
        }
        Value::Array(values) => values.iter().map(with_moments).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn moment(name: &str, value: &Value) -> (String, Value) {
    match (name.strip_suffix("_ms").filter(|_| MOMENTS.contains(&name)), value.as_u64()) {
        (Some(name), Some(0)) => (name.to_owned(), Value::Null),
        (Some(name), Some(at)) => (name.to_owned(), words::moment(Wall(at)).into()),
        (Some(_), None) | (None, _) => (name.to_owned(), with_moments(value)),
    }
}

/// Labels and spec alone: what a diff compares.
#[must_use]
pub(crate) fn yaml_of_content(document: &Value) -> String {
    let ordered = Ordered {
        kind: None,
        name: None,
        labels: document.get("labels"),
        spec: document.get("spec"),
        meta: None,
        status: None,
    };
    yaml::text(&ordered)
}

/// Any value as JSON over several lines.
#[must_use]
pub(crate) fn json(value: &Value) -> String {
    serde_json::to_string_pretty(value).expect("a JSON value can be written")
}

/// An object of these fields.
pub(crate) fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_has_the_order_people_write_and_nothing_of_the_controllers() {
        let json =
            r#"{"spec":{"site":"lyon"},"name":"web-1","kind":"Host","meta":{"revision":3},"status":{"a":1}}"#;
        let document = serde_json::from_str(json).expect("JSON");
        assert_eq!(yaml(&document), "kind: Host\nname: web-1\nspec:\n  site: lyon\n");
    }

    #[test]
    fn what_cannot_be_applied_shows_its_status() {
        let json = r#"{"spec":{},"name":"a","kind":"Agent",
            "status":{"connected":true,"last_contact_ms":1772366400999,"over_ms":0,"took_ms":0}}"#;
        let document = serde_json::from_str(json).expect("JSON");
        let text = yaml(&document);
        assert!(text.contains("connected: true"), "{text}");
        assert!(
            text.contains("last_contact: '2026-03-01T12:00:00Z'") && text.contains("over: null"),
            "{text}"
        );
        assert!(text.contains("took_ms: 0"), "no moment: {text}");
    }
}
