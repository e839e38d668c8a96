//! Documents as operators write them: JSON, checked on its own, with the path of every mistake.

use proto::catalog::{AnyResource, Kind, Problem, check_name, read_document};
use serde_json::{Map, Value};

/// The fields of a document.
const FIELDS: [&str; 6] = ["kind", "name", "labels", "spec", "meta", "status"];
/// The most labels of a document.
const LABELS: usize = 64;
/// The longest key or value of a label, in bytes.
const LABEL: usize = 255;

/// What an operator wrote, as far as it is known before it meets what is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// The whole, without what the controller keeps (`meta`, `status`).
    pub(super) body: Map<String, Value>,
}

impl Document {
    /// Reads a document. `meta` and `status` are left out: they are the controller's.
    ///
    /// # Errors
    /// Every mistake in its outermost fields.
    pub fn from_json(json: &[u8]) -> Result<Self, Vec<Problem>> {
        let value: Value = serde_json::from_slice(json)
            .map_err(|error| vec![Problem::new("", format!("is no JSON: {error}"))])?;
        let Value::Object(mut body) = value else {
            return Err(vec![Problem::new("", "is no object with kind, name and spec")]);
        };
        let unknown = body.keys().filter(|field| !FIELDS.contains(&field.as_str()));
        let mut problems: Vec<_> = unknown
            .map(|field| Problem::new(field, "unknown field; expected kind, name, labels, spec"))
            .collect();
        let text = |field: &str| body.get(field).and_then(Value::as_str);
        let kind = match text("kind").map(str::parse::<Kind>) {
            Some(Ok(kind)) => Some(kind),
            Some(Err(error)) => {
                problems.push(Problem::new("kind", error.to_string()));
                None
            }
            None => {
                problems.push(Problem::new("kind", "is missing, or no text"));
                None
            }
        };
        let name = text("name").unwrap_or_default().to_owned();
        problems.extend(check_name("name", &name));
        body.remove("meta");
        body.remove("status");
        match kind {
            Some(kind) if problems.is_empty() => {
                body.insert("kind".into(), kind.word().into());
                Ok(Self { kind, name, body })
            }
            Some(_) | None => Err(problems),
        }
    }
}

/// The document of this kind that a body is, or the path and nature of what is wrong.
///
/// # Errors
/// Every mistake, as far as one does not hide another ([`read_document`]).
pub(super) fn parse(kind: Kind, body: Value) -> Result<AnyResource, Vec<Problem>> {
    let any = read_document(kind, body)?;
    let mut problems = any.validate();
    problems.extend(check_labels(&any));
    problems.extend(check_certificate_name(&any));
    if problems.is_empty() { Ok(any) } else { Err(problems) }
}

fn check_labels(any: &AnyResource) -> Option<Problem> {
    let labels = any.labels();
    if labels.len() > LABELS {
        return Some(Problem::new(
            "labels",
            format!("has {} entries, at most {LABELS} are taken", labels.len()),
        ));
    }
    let plain = |text: &str| text.len() <= LABEL && !text.chars().any(char::is_control);
    let bad = labels.iter().find(|(key, value)| key.is_empty() || !plain(key) || !plain(value));
    bad.map(|(key, _)| {
        let key: String = key.chars().take(40).collect();
        Problem::new(
            format!("labels.{key}"),
            format!("expected 1 to {LABEL} bytes without control characters"),
        )
    })
}

/// Names that stand in certificates are stricter: no dots.
fn check_certificate_name(any: &AnyResource) -> Option<Problem> {
    let error = match any.kind() {
        Kind::Site => any.name().parse::<certs::SiteName>().err(),
        Kind::Agent => any.name().parse::<certs::AgentName>().err(),
        Kind::Operator => any.name().parse::<certs::OperatorName>().err(),
        Kind::Host
        | Kind::Image
        | Kind::Profile
        | Kind::Mirror
        | Kind::Order
        | Kind::Secret
        | Kind::Token => None,
    };
    error.map(|error| Problem::new("name", error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(json: &str) -> Vec<Problem> {
        match Document::from_json(json.as_bytes()) {
            Err(problems) => problems,
            Ok(document) => parse(document.kind, Value::Object(document.body)).expect_err("a mistake"),
        }
    }

    #[test]
    fn an_unknown_field_is_named_with_its_path() {
        let json =
            r#"{"kind":"site","name":"lyon","spec":{"subnets":[{"network":"10.0.0.0/24","pool":[]}]}}"#;
        let problems = mistakes(json);
        assert_eq!(problems[0].field, "spec.subnets[0].pool", "{problems:?}");
        assert!(problems[0].message.contains("unknown field `pool`"), "{problems:?}");
        assert_eq!(mistakes(r#"{"kind":"Host","name":"a","spce":{}}"#)[0].field, "spce");
    }

    #[test]
    fn several_mistakes_are_told_at_once() {
        let json = r#"{"kind":"Host","name":"a","spec":{"sight":"lyon","site":"lyon","macs":["x","52:54:00:00:00:01","y"]}}"#;
        let problems = mistakes(json);
        let fields: Vec<_> = problems.iter().map(|problem| problem.field.as_str()).collect();
        assert_eq!(fields, ["spec.macs[0]", "spec.macs[2]", "spec.sight"], "{problems:?}");
    }

    #[test]
    fn names_in_certificates_have_no_dots() {
        let json = r#"{"kind":"Site","name":"lyon.example","spec":{"subnets":[{"network":"10.0.0.0/24"}]}}"#;
        assert_eq!(mistakes(json)[0].field, "name");
    }

    #[test]
    fn labels_are_bounded() {
        let long = "x".repeat(256);
        let json = format!(
            r#"{{"kind":"Host","name":"a","labels":{{"rack":"{long}"}},"spec":{{"site":"a","macs":["52:54:00:00:00:01"]}}}}"#
        );
        assert_eq!(mistakes(&json)[0].field, "labels.rack");
    }

    #[test]
    fn nested_json_ends_in_an_error() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(mistakes(&deep)[0].message.contains("recursion limit"));
    }
}
