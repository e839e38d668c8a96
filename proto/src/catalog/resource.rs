//! What all kinds have in common.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    AgentSpec, HostSpec, ImageSpec, MirrorSpec, OperatorSpec, OrderSpec, ProfileSpec, SecretSpec, SiteSpec,
    TokenSpec, mistakes::Stopped,
};
use crate::{Uid, Wall, name};

/// The kinds of resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// A VLAN or remote location.
    Site,
    /// An enrolled agent.
    Agent,
    /// A machine.
    Host,
    /// One immutable version of an operating system or loader set.
    Image,
    /// How to boot an image.
    Profile,
    /// An upstream package mirror.
    Mirror,
    /// Permission to install one host once.
    Order,
    /// A value for templates that is never shown.
    Secret,
    /// A join token.
    Token,
    /// Who may do what.
    Operator,
}

impl Kind {
    /// All of them, in the order in which a set of documents is written: what is referred to comes first.
    pub const ALL: [Self; 10] = [
        Self::Operator,
        Self::Secret,
        Self::Image,
        Self::Mirror,
        Self::Site,
        Self::Profile,
        Self::Host,
        Self::Token,
        Self::Agent,
        Self::Order,
    ];

    /// As in documents: `Host`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Site => "Site",
            Self::Agent => "Agent",
            Self::Host => "Host",
            Self::Image => "Image",
            Self::Profile => "Profile",
            Self::Mirror => "Mirror",
            Self::Order => "Order",
            Self::Secret => "Secret",
            Self::Token => "Token",
            Self::Operator => "Operator",
        }
    }

    /// May `apply` declare it? Agents enrol, orders and tokens are created by their own calls.
    #[must_use]
    pub const fn declarable(self) -> bool {
        match self {
            Self::Site | Self::Host | Self::Image | Self::Profile | Self::Mirror | Self::Secret => true,
            Self::Agent | Self::Order | Self::Token | Self::Operator => false,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.word())
    }
}

/// A word that names no kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected one of Site, Host, Image, Profile, Mirror, Secret; found {0:?}")]
pub struct NotAKind(String);

impl FromStr for Kind {
    type Err = NotAKind;

    /// In any case.
    fn from_str(text: &str) -> Result<Self, NotAKind> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.word().eq_ignore_ascii_case(text))
            .ok_or_else(|| NotAKind(text.into()))
    }
}

/// A mistake in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The path of the field, for example `spec.subnets[0].pools[1]`; "" for the whole.
    pub field: String,
    /// What is wrong, and what was expected.
    pub message: String,
}

impl Problem {
    /// A mistake at `field`.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() {
            out.write_str(&self.message)
        } else {
            write!(out, "{}: {}", self.field, self.message)
        }
    }
}

/// What distinguishes one kind from another.
pub trait Spec: Clone + fmt::Debug + PartialEq + Serialize + DeserializeOwned {
    /// Its kind.
    const KIND: Kind;

    /// The mistakes that can be seen in this spec alone.
    fn validate(&self) -> Vec<Problem>;

    /// Without what is never shown.
    #[must_use]
    fn redacted(&self) -> Self {
        self.clone()
    }
}

/// One document of the catalog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, bound(deserialize = "S: DeserializeOwned"))]
pub struct Resource<S> {
    /// Its kind.
    pub kind: Kind,
    /// Unique within the kind.
    pub name: String,
    /// For selecting and pruning.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What operators want.
    pub spec: S,
    /// Kept by the controller; ignored in what people write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
    /// What was seen; kept by the controller, ignored in what people write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Value>,
}

/// What the controller keeps of a resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// Never changes, whatever the name.
    pub id: Uid,
    /// The store's revision of the last write; filled in when the document is read.
    #[serde(default)]
    pub revision: u64,
    /// When it was created, milliseconds since the Unix epoch.
    pub created_ms: Wall,
    /// By manager, the paths of the fields that it declared.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub managers: BTreeMap<String, Vec<String>>,
}

impl<S: Spec> Resource<S> {
    /// A document as an operator would write it.
    pub fn new(name: impl Into<String>, spec: S) -> Self {
        Self { kind: S::KIND, name: name.into(), labels: BTreeMap::new(), spec, meta: None, status: None }
    }

    /// The mistakes that can be seen in this document alone.
    #[must_use]
    pub fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.kind != S::KIND {
            problems.push(Problem::new("kind", format!("is {}, expected {}", self.kind, S::KIND)));
        }
        problems.extend(check_name("name", &self.name));
        let within = |problem: Problem| Problem::new(format!("spec.{}", problem.field), problem.message);
        problems.extend(self.spec.validate().into_iter().map(within));
        problems
    }

    /// Its immutable id; None before the controller has taken it.
    #[must_use]
    pub fn id(&self) -> Option<Uid> {
        self.meta.as_ref().map(|meta| meta.id)
    }
}

/// The rule for names: 1 to 63 lower-case letters, digits, dots and hyphens, a letter or digit at both ends.
#[must_use]
pub fn check_name(field: &str, name: &str) -> Option<Problem> {
    name::flaw(name).map(|flaw| Problem::new(field, flaw))
}

/// A document of any kind.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each variant is the kind of its name")]
pub enum AnyResource {
    Site(Resource<SiteSpec>),
    Agent(Resource<AgentSpec>),
    Host(Resource<HostSpec>),
    Image(Resource<ImageSpec>),
    Profile(Resource<ProfileSpec>),
    Mirror(Resource<MirrorSpec>),
    Order(Resource<OrderSpec>),
    Secret(Resource<SecretSpec>),
    Token(Resource<TokenSpec>),
    Operator(Resource<OperatorSpec>),
}

/// JSON that is no document of the catalog.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAResource(pub Problem);

impl NotAResource {
    fn new(field: &str, message: impl Into<String>) -> Self {
        Self(Problem::new(field, message))
    }
}

/// A message of serde, in the words of documents.
#[must_use]
pub fn for_people(message: &str) -> String {
    message
        .replace("expected a sequence", "expected a list, such as [A, B]")
        .replace("expected a map", "expected fields")
        .replace("invalid type: sequence,", "found a list,")
        .replace("invalid type: map,", "found fields,")
        .replace("invalid type: ", "found ")
}

/// The text or number at a path.
fn leaf(value: &Value, path: &serde_path_to_error::Path) -> Option<Value> {
    use serde_path_to_error::Segment;
    let at = path.iter().try_fold(value, |at, segment| match segment {
        Segment::Seq { index } => at.get(index),
        Segment::Map { key } => at.get(key),
        Segment::Enum { .. } | Segment::Unknown => None,
    });
    at.filter(|found| found.is_string() || found.is_number()).cloned()
}

macro_rules! each {
    ($any:expr, $resource:ident => $body:expr) => {
        match $any {
            AnyResource::Site($resource) => $body,
            AnyResource::Agent($resource) => $body,
            AnyResource::Host($resource) => $body,
            AnyResource::Image($resource) => $body,
            AnyResource::Profile($resource) => $body,
            AnyResource::Mirror($resource) => $body,
            AnyResource::Order($resource) => $body,
            AnyResource::Secret($resource) => $body,
            AnyResource::Token($resource) => $body,
            AnyResource::Operator($resource) => $body,
        }
    };
}

impl AnyResource {
    /// From JSON whose kind is known; [`super::read_document`] tells every mistake of it.
    ///
    /// # Errors
    /// Names the first field that is unknown, missing or of the wrong type.
    pub fn from_value(kind: Kind, value: Value) -> Result<Self, NotAResource> {
        Self::read(kind, &value).map_err(|Stopped { path, message }| {
            let path = path.to_string();
            NotAResource::new(if path == "." { "" } else { &path }, message)
        })
    }

    /// From JSON whose kind is known, up to the first mistake.
    pub(super) fn read(kind: Kind, value: &Value) -> Result<Self, Stopped> {
        fn typed<S: Spec>(value: &Value) -> Result<Resource<S>, Stopped> {
            serde_path_to_error::deserialize(value).map_err(|error| {
                let path = error.path().clone();
                let found = leaf(value, &path).map(|found| format!(", found {found}"));
                let message = for_people(&error.into_inner().to_string());
                // What serde itself found wrong says so already.
                let found = found.filter(|_| !message.contains("expected")).unwrap_or_default();
                Stopped { path, message: message + &found }
            })
        }
        Ok(match kind {
            Kind::Site => Self::Site(typed(value)?),
            Kind::Agent => Self::Agent(typed(value)?),
            Kind::Host => Self::Host(typed(value)?),
            Kind::Image => Self::Image(typed(value)?),
            Kind::Profile => Self::Profile(typed(value)?),
            Kind::Mirror => Self::Mirror(typed(value)?),
            Kind::Order => Self::Order(typed(value)?),
            Kind::Secret => Self::Secret(typed(value)?),
            Kind::Token => Self::Token(typed(value)?),
            Kind::Operator => Self::Operator(typed(value)?),
        })
    }

    /// From JSON text.
    ///
    /// # Errors
    /// Names the place of what is not JSON, or the field that is wrong.
    pub fn from_json(json: &[u8]) -> Result<Self, NotAResource> {
        let value: Value =
            serde_json::from_slice(json).map_err(|error| NotAResource::new("", error.to_string()))?;
        let kind = value
            .get("kind")
            .and_then(Value::as_str)
            .ok_or_else(|| NotAResource::new("kind", "is missing"))?;
        let kind = kind.parse().map_err(|error: NotAKind| NotAResource::new("kind", error.to_string()))?;
        Self::from_value(kind, value)
    }

    /// As JSON.
    #[must_use]
    pub fn to_value(&self) -> Value {
        each!(self, resource => serde_json::to_value(resource)).expect("string keys and plain values")
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        each!(self, resource => resource.kind)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        each!(self, resource => &resource.name)
    }

    /// Its labels.
    #[must_use]
    pub fn labels(&self) -> &BTreeMap<String, String> {
        each!(self, resource => &resource.labels)
    }

    /// What the controller keeps of it.
    #[must_use]
    pub fn meta(&self) -> Option<&Meta> {
        each!(self, resource => resource.meta.as_ref())
    }

    /// Sets what the controller keeps of it.
    pub fn set_meta(&mut self, meta: Option<Meta>) {
        each!(self, resource => resource.meta = meta);
    }

    /// Sets what was seen of it.
    pub fn set_status(&mut self, status: Option<Value>) {
        each!(self, resource => resource.status = status);
    }

    /// The site that it belongs to; None for what belongs to the fleet.
    #[must_use]
    pub fn site(&self) -> Option<&str> {
        match self {
            Self::Site(site) => Some(&site.name),
            Self::Agent(agent) => Some(&agent.spec.site),
            Self::Host(host) => Some(&host.spec.site),
            Self::Order(order) => Some(&order.spec.site),
            Self::Token(token) => Some(&token.spec.site),
            Self::Image(_) | Self::Profile(_) | Self::Mirror(_) | Self::Secret(_) | Self::Operator(_) => None,
        }
    }

    /// The mistakes that can be seen in this document alone.
    #[must_use]
    pub fn validate(&self) -> Vec<Problem> {
        each!(self, resource => resource.validate())
    }

    /// Without what is never shown.
    #[must_use]
    pub fn redacted(mut self) -> Self {
        each!(&mut self, resource => resource.spec = resource.spec.redacted());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for name in ["a", "web-1", "web-1.lyon.example", "1"] {
            assert_eq!(check_name("name", name), None, "{name}");
        }
        for name in ["", "-a", "a-", "A", "a_b", "a/b", "..", "é", &"a".repeat(64)] {
            assert!(check_name("name", name).is_some(), "{name}");
        }
    }

    #[test]
    fn an_unknown_field_is_named() {
        let json = br#"{"kind":"Host","name":"a","spec":{"site":"lyon","macs":["52:54:00:00:00:01"],"colour":"red"}}"#;
        let error = AnyResource::from_json(json).expect_err("no such field");
        assert!(error.to_string().contains("unknown field `colour`"), "{error}");
    }

    #[test]
    fn an_unknown_kind_is_named() {
        let error =
            AnyResource::from_json(br#"{"kind":"Moon","name":"a","spec":{}}"#).expect_err("no such kind");
        assert!(error.to_string().contains("\"Moon\""), "{error}");
    }
}
