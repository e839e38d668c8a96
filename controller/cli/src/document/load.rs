//! Reading documents: several in one YAML text, or a list of them, or JSON, which YAML's reader understands too.

use std::sync::Arc;

use proto::catalog::{
    AgentSpec, AnyResource, HostSpec, ImageSpec, Kind, MirrorSpec, OperatorSpec, OrderSpec, Problem,
    ProfileSpec, Resource, SecretSpec, SiteSpec, Spec, Stopped, TokenSpec, read_document_with,
};
use serde::de::{Deserializer as _, IgnoredAny};
use serde_json::{Map, Value};
use serde_yaml_ng::{Deserializer, Error};

use super::undeclarable::undeclarable;
use super::{Declared, Mistake, Place, Source};

/// What a document must have before it can be read as one of its kind.
#[derive(Debug, Default, serde::Deserialize)]
struct Head {
    kind: Option<Value>,
    name: Option<Value>,
}

/// A text, as far as it can be read.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// What is right by itself.
    pub(crate) documents: Vec<Declared>,
    /// Every mistake that can be seen in single documents; one that breaks the text hides those behind it.
    pub(crate) mistakes: Vec<Mistake>,
    /// The names of what has mistakes. None: something without a name, or whatever stands behind what breaks the text.
    pub(crate) unread: Vec<Option<String>>,
}

/// All documents of a text.
pub(crate) fn load(source: &Arc<Source>) -> Loaded {
    let mut loaded = Loaded::default();
    let raws = Deserializer::from_str(&source.text);
    let typed = Deserializer::from_str(&source.text);
    for (index, (raw, typed)) in raws.zip(typed).enumerate() {
        if let Err(broken) = loaded.one(source, index, raw, typed) {
            loaded.mistakes.push(broken);
            loaded.unread.push(None);
            break;
        }
    }
    loaded
}

impl Loaded {
    /// One document of the text, or a list of them.
    ///
    /// # Errors
    /// Where nothing behind it can be read.
    fn one(
        &mut self,
        source: &Arc<Source>,
        index: usize,
        raw: Deserializer<'_>,
        typed: Deserializer<'_>,
    ) -> Result<(), Mistake> {
        let value: Value = serde::Deserialize::deserialize(raw).map_err(|error| mistake(source, &error))?;
        match value {
            // A text that ends in `---`, or nothing but comments.
            Value::Null => skip(source, typed)?,
            Value::Array(values) => {
                skip(source, typed)?;
                for (place, value) in values.into_iter().enumerate() {
                    self.take(name_of(&value), element(source, (index, Some(place)), value));
                }
            }
            value @ (Value::Object(_) | Value::String(_) | Value::Number(_) | Value::Bool(_)) => {
                self.take(name_of(&value), document(source, (index, None), value, typed));
            }
        }
        Ok(())
    }

    fn take(&mut self, name: Option<String>, read: Result<Declared, Vec<Mistake>>) {
        match read {
            Ok(document) => self.documents.push(document),
            Err(found) => {
                self.mistakes.extend(found);
                self.unread.push(name);
            }
        }
    }
}

fn name_of(value: &Value) -> Option<String> {
    value.get("name").and_then(Value::as_str).map(str::to_owned)
}

fn skip(source: &Source, typed: Deserializer<'_>) -> Result<(), Mistake> {
    typed.deserialize_ignored_any(IgnoredAny).map(|_| ()).map_err(|error| mistake(source, &error))
}

/// An element of a list, as `bootlane … list -o json` writes one.
fn element(
    source: &Arc<Source>,
    index: (usize, Option<usize>),
    value: Value,
) -> Result<Declared, Vec<Mistake>> {
    let kind = element_kind(source, index, &value)?;
    let typed = read_document_with(value.clone(), |value| from_value(kind, value))
        .map_err(|problems| placed(source, index, kind, problems))?;
    finish(source, index, kind, value, typed)
}

fn document(
    source: &Arc<Source>,
    index: (usize, Option<usize>),
    value: Value,
    typed: Deserializer<'_>,
) -> Result<Declared, Vec<Mistake>> {
    let kind = element_kind(source, index, &value)?;
    match from_text(kind, typed) {
        Ok(typed) => finish(source, index, kind, value, typed),
        // The reader stops at its first mistake; only of that it tells the place.
        Err(first) => Err(match read_document_with(value, |value| from_value(kind, value)) {
            Ok(_) => vec![mistake(source, &first)],
            Err(problems) => placed(source, index, kind, problems),
        }),
    }
}

/// Mistakes in the order in which they stand in the text.
fn placed(
    source: &Source,
    index: (usize, Option<usize>),
    kind: Kind,
    problems: Vec<Problem>,
) -> Vec<Mistake> {
    let place = |problem: Problem| match unknown_field(&problem) {
        Some(parent) => Mistake {
            place: super::place::find_key(source, index, &problem.field),
            message: Problem::new(parent, &*problem.message).to_string(),
        },
        None => {
            Mistake { place: super::place::find(source, index, &problem.field), message: problem.to_string() }
        }
    };
    let told = problems.into_iter().filter(|problem| !is_the_controllers(kind, problem));
    let mut mistakes: Vec<_> = told.map(place).collect();
    // That there are more stands behind all of them.
    let told = mistakes.len().min(proto::catalog::MOST_MISTAKES);
    mistakes[..told].sort_by_key(|mistake| (mistake.place.line, mistake.place.column));
    mistakes
}

/// What holds an unknown field.
fn unknown_field(problem: &Problem) -> Option<&str> {
    let (name, _) = problem.message.strip_prefix("unknown field `")?.split_once('`')?;
    Some(problem.field.strip_suffix(name)?.trim_end_matches('.'))
}

/// Without a value of a secret the one that is stored stays: the controller knows whether there is one.
fn is_the_controllers(kind: Kind, problem: &Problem) -> bool {
    kind == Kind::Secret && problem.field == "spec.value" && problem.message == "is missing"
}

fn element_kind(source: &Source, index: (usize, Option<usize>), value: &Value) -> Result<Kind, Vec<Mistake>> {
    if !value.is_object() {
        return Err(at(source, index, "", "is no document: expected kind, name and spec".into()));
    }
    let head: Head = serde_json::from_value(value.clone()).unwrap_or_default();
    if head.name.is_none() {
        return Err(at(source, index, "", "name: is missing".into()));
    }
    let kind = match head.kind {
        None => return Err(at(source, index, "", "kind: is missing".into())),
        Some(Value::String(word)) => {
            word.parse().map_err(|error| at(source, index, "kind", format!("kind: {error}")))?
        }
        Some(_) => return Err(at(source, index, "kind", "kind: is no text".into())),
    };
    // Before its fields are looked at: there is nothing to mend in them.
    match undeclarable(kind, value) {
        Some(message) => Err(at(source, index, "kind", message)),
        None => Ok(kind),
    }
}

/// Checks the document by itself and keeps of its canonical form what the file declares.
fn finish(
    source: &Arc<Source>,
    index: (usize, Option<usize>),
    kind: Kind,
    value: Value,
    typed: AnyResource,
) -> Result<Declared, Vec<Mistake>> {
    let declared = Declared {
        source: Arc::clone(source),
        index,
        kind,
        name: typed.name().to_owned(),
        json: declared(value, typed.to_value()),
        typed,
    };
    let problems = declared.typed.validate().into_iter();
    let mistakes: Vec<_> = problems
        .filter(|problem| !is_the_controllers(kind, problem))
        .map(|problem| Mistake { place: declared.place(&problem.field), message: problem.to_string() })
        .collect();
    if mistakes.is_empty() { Ok(declared) } else { Err(mistakes) }
}

/// The fields of `written` in the form of `canonical`, without what only the controller writes.
fn declared(written: Value, canonical: Value) -> Value {
    let mut kept = common(&written, canonical);
    if let Value::Object(fields) = &mut kept {
        fields.retain(|field, _| field != "meta" && field != "status");
    }
    kept
}

fn common(written: &Value, canonical: Value) -> Value {
    match (written, canonical) {
        (Value::Object(written), Value::Object(canonical)) => {
            let kept = canonical.into_iter().filter_map(|(field, value)| {
                let common = common(written.get(&field)?, value);
                Some((field, common))
            });
            Value::Object(kept.collect::<Map<_, _>>())
        }
        (Value::Array(written), Value::Array(canonical)) if written.len() == canonical.len() => Value::Array(
            written.iter().zip(canonical).map(|(written, value)| common(written, value)).collect(),
        ),
        (_, canonical) => canonical,
    }
}

fn from_text<'de>(
    kind: Kind,
    text: impl serde::Deserializer<'de, Error = Error>,
) -> Result<AnyResource, Error> {
    fn typed<'de, S: Spec>(text: impl serde::Deserializer<'de, Error = Error>) -> Result<Resource<S>, Error> {
        serde::Deserialize::deserialize(text)
    }
    Ok(match kind {
        Kind::Site => AnyResource::Site(typed::<SiteSpec>(text)?),
        Kind::Agent => AnyResource::Agent(typed::<AgentSpec>(text)?),
        Kind::Host => AnyResource::Host(typed::<HostSpec>(text)?),
        Kind::Image => AnyResource::Image(typed::<ImageSpec>(text)?),
        Kind::Profile => AnyResource::Profile(typed::<ProfileSpec>(text)?),
        Kind::Mirror => AnyResource::Mirror(typed::<MirrorSpec>(text)?),
        Kind::Order => AnyResource::Order(typed::<OrderSpec>(text)?),
        Kind::Secret => AnyResource::Secret(typed::<SecretSpec>(text)?),
        Kind::Token => AnyResource::Token(typed::<TokenSpec>(text)?),
        Kind::Operator => AnyResource::Operator(typed::<OperatorSpec>(text)?),
    })
}

/// From a value whose text was read already, by the same reader: what is no text in JSON may be one in YAML.
fn from_value(kind: Kind, value: &Value) -> Result<AnyResource, Stopped> {
    let text = serde_yaml_ng::to_string(value).expect("what came from YAML is YAML");
    let reader = Deserializer::from_str(&text);
    let mut track = serde_path_to_error::Track::new();
    from_text(kind, serde_path_to_error::Deserializer::new(reader, &mut track)).map_err(|error| {
        let path = track.path();
        Stopped { message: without_path(&without_place(&error), &path.to_string()), path }
    })
}

/// The reader writes its own path before most messages: that of the field, of what should hold it, or of what it holds, where the
/// path of a choice ends at the choice. Of the last the end is kept.
fn without_path(message: &str, path: &str) -> String {
    let path = path.trim_end_matches(".?");
    let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
    let bare = [path, parent].into_iter().find_map(|path| message.strip_prefix(path)?.strip_prefix(": "));
    let inner = || message.strip_prefix(path)?.strip_prefix('.').filter(|inner| inner.contains(": "));
    bare.or_else(inner).unwrap_or(message).to_owned()
}

fn at(source: &Source, index: (usize, Option<usize>), field: &str, message: String) -> Vec<Mistake> {
    vec![Mistake { place: super::place::find(source, index, field), message }]
}

fn mistake(source: &Source, error: &Error) -> Mistake {
    Mistake { place: Place::of_error(source, error), message: without_place(error) }
}

/// The reader repeats the place at the end of its message.
fn without_place(error: &Error) -> String {
    let text = proto::catalog::for_people(&error.to_string());
    match error.location() {
        Some(at) => text.replace(&format!(" at line {} column {}", at.line(), at.column()), ""),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Declared>, Vec<String>> {
        let source = Arc::new(Source { name: "a.yaml".into(), text: text.into() });
        let Loaded { documents, mistakes, unread } = load(&source);
        assert_eq!(unread.is_empty(), mistakes.is_empty());
        if mistakes.is_empty() {
            Ok(documents)
        } else {
            Err(mistakes.iter().map(Mistake::to_string).collect())
        }
    }

    const SITE: &str = "kind: Site\nname: lyon\nspec:\n  subnets:\n    - network: 10.1.0.0/24\n";

    #[test]
    fn the_value_of_a_choice_is_named_by_one_path() {
        let text = format!("{SITE}  options:\n    150: {{address: 7}}\n");
        let mistakes = read(&text).expect_err("no address");
        let [mistake] = mistakes.as_slice() else { panic!("{mistakes:?}") };
        assert_eq!(mistake.matches("spec.options.150").count(), 1, "{mistake}");
        assert!(mistake.contains("spec.options.150: address: ") && !mistake.contains('?'), "{mistake}");
    }

    #[test]
    fn several_documents_of_one_text() {
        let text = format!("# sites\n{SITE}---\n{SITE}---\n");
        let read = read(&text).expect("legal");
        assert_eq!(read.len(), 2);
        assert_eq!(read[1].place("").line, 8);
    }

    #[test]
    fn only_what_is_written_is_declared_in_canonical_form() {
        let text = "{kind: Host, name: a, spec: {site: lyon, macs: [5254.0000.0001]}, status: {x: 1}}";
        let json = read(text).expect("legal").remove(0).json;
        let expected = serde_json::json!({"kind": "Host", "name": "a",
            "spec": {"site": "lyon", "macs": ["52:54:00:00:00:01"]}});
        assert_eq!(json, expected);
    }

    #[test]
    fn an_unknown_field_is_named_with_its_place() {
        let text = "kind: Site\nname: lyon\nspec:\n  subnets:\n    - network: 10.1.0.0/24\n      pool: []\n";
        let mistakes = read(text).expect_err("a mistake");
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        assert!(mistakes[0].starts_with("a.yaml:6:7: spec.subnets[0]: unknown field `pool`"), "{mistakes:?}");
    }

    #[test]
    fn every_mistake_of_a_document_is_told_in_order() {
        let text = "\
kind: Site
name: lyon
spec:
  subnets:
    - network: 10.1.0.0
    - network: 10.2.0.0/24
      pool: [10.2.0.1]
      pools: [10.2.0.300, 10.2.0.9, x]
  link_wait: soon
  cache: 1KiB
";
        let mistakes = read(text).expect_err("mistakes");
        let starts = [
            "a.yaml:5:16: spec.subnets[0].network: ",
            "a.yaml:7:7: spec.subnets[1]: unknown field `pool`: did you mean `pools`? expected one of",
            "a.yaml:8:15: spec.subnets[1].pools[0]: ",
            "a.yaml:8:37: spec.subnets[1].pools[2]: ",
            "a.yaml:9:14: spec.link_wait: ",
            "a.yaml:10:10: spec.cache: is 1KiB",
        ];
        assert_eq!(mistakes.len(), starts.len(), "{mistakes:#?}");
        for (mistake, start) in mistakes.iter().zip(starts) {
            assert!(mistake.starts_with(start), "{mistake} / {start}");
        }
        let list = text
            .lines()
            .map(|line| format!("  {line}\n"))
            .collect::<String>()
            .replacen("  kind", "- kind", 1);
        let in_list = read(&list).expect_err("mistakes");
        assert_eq!(in_list.len(), starts.len(), "{in_list:#?}");
        assert!(in_list[1].starts_with("a.yaml:7:9: spec.subnets[1]: unknown field `pool`"), "{in_list:#?}");
    }

    #[test]
    fn an_order_in_a_file_is_refused_with_the_command_that_makes_it() {
        let text = "kind: Order\nname: web-1-1\nspec: {host: web-1, profile: debian-12, when: now}\n";
        let mistakes = read(text).expect_err("a mistake");
        let expected = "a.yaml:1:7: kind: an Order cannot be applied, since it is permission for one installation: \
                        `bootlane order create web-1 --profile debian-12` makes one";
        assert_eq!(mistakes, [expected]);
        let mistakes = read("kind: Order\nname: a\nspec: {host: $(reboot)}\n").expect_err("a mistake");
        assert!(mistakes[0].ends_with("`bootlane order create HOST` makes one"), "{mistakes:?}");
        let mistakes = read("kind: Operator\nname: eve\nspec: {role: admin}\n").expect_err("a mistake");
        assert!(mistakes[0].contains("`bootlane operator add`"), "{mistakes:?}");
    }

    #[test]
    fn mistakes_of_several_documents_are_found_at_once() {
        let text = "kind: Moon\nname: a\n---\nkind: Host\nname: B\nspec: {site: lyon, macs: []}\n---\nname: a\n---\n7\n";
        let mistakes = read(text).expect_err("mistakes");
        let starts = [
            "a.yaml:1:7: kind: ",
            "a.yaml:5:7: name: ",
            "a.yaml:6:26: spec.macs: ",
            "a.yaml:8:1: kind: is missing",
            "a.yaml:10:1: is no document",
        ];
        assert_eq!(mistakes.len(), starts.len(), "{mistakes:?}");
        for (mistake, start) in mistakes.iter().zip(starts) {
            assert!(mistake.starts_with(start), "{mistake} / {start}");
        }
    }

    #[test]
    fn a_text_that_is_no_yaml_is_named_with_its_place() {
        let mistakes = read("kind: Host\n  name: a\n").expect_err("a mistake");
        assert!(mistakes[0].starts_with("a.yaml:2:7: "), "{mistakes:?}");
        let mistakes = read("a: &a [x]\nb: &b [*a, *a, *a]\nc: *d\n").expect_err("a mistake");
        assert!(mistakes[0].contains("unknown anchor"), "{mistakes:?}");
    }

    #[test]
    fn options_of_dhcp_are_maps_of_a_kind_and_a_value() {
        let site = |options| {
            read(&format!(
                "kind: Site\nname: a\nspec:\n  subnets: [{{network: 10.1.0.0/24}}]\n  options:\n    {options}\n"
            ))
        };
        let declared = site("150: {addresses: [10.1.0.2]}\n    time-offset: {u32: 3600}").expect("legal");
        assert_eq!(declared[0].json["spec"]["options"]["150"]["addresses"][0], "10.1.0.2");
        for (options, expected) in [
            ("42: 10.1.0.1", "expected a kind and its value, such as {address: 10.1.0.2}"),
            ("42: {adress: 10.1.0.1}", "unknown variant `adress`, expected one of `address`"),
            ("42: {address: 10.1.0.1, u8: 1}", "has two kinds"),
            ("53: {u8: 1}", "is not an operator's to set"),
        ] {
            let mistakes = site(options).expect_err("a mistake");
            assert!(mistakes[0].contains("spec.options.") && mistakes[0].contains(expected), "{mistakes:?}");
        }
    }

    #[test]
    fn a_length_of_time_is_wrong_where_it_stands() {
        for wrong in ["30", "500ms", "soon"] {
            let text = format!("{SITE}  watch_dhcp: false\n  link_wait: {wrong}\n");
            let mistakes = read(&text).expect_err("a mistake");
            let expected = "a.yaml:7:14: spec.link_wait: expected a length of time such as 90s";
            assert!(mistakes[0].starts_with(expected), "{mistakes:?}");
        }
    }

    /// Of `docs/resources.md`.
    fn examples() -> Vec<String> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/resources.md");
        let page = std::fs::read_to_string(path).expect("the page is there");
        let blocks = page.split("```yaml\n").skip(1);
        blocks.map(|block| block.split("```").next().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn the_page_of_resources_is_legal_and_shows_every_field() {
        let examples = examples();
        assert_eq!(examples.len(), 3, "a site, a host and a mirror");
        for example in examples {
            read(&example).expect("legal");
            let wrong = example.replace("\nspec:\n", "\nspec:\n  moon: 1\n");
            let mistakes = read(&wrong).expect_err("no such field");
            let (_, known) = mistakes[0].split_once("expected one of ").expect("it lists the fields");
            for field in known.split(", ").map(|field| field.trim_matches('`')) {
                assert!(example.contains(&format!("\n  {field}:")), "{field} is not shown");
            }
        }
    }

    #[test]
    fn json_and_lists_are_read_too() {
        let text = r#"[{"kind":"Host","name":"a","spec":{"site":"lyon","macs":["52:54:00:00:00:01"]}},
            {"kind":"Host","name":"b","spec":{"site":"lyon","macs":["52:54:00:00:00:02"],"colour":1}}]"#;
        let mistakes = read(text).expect_err("a mistake");
        assert!(
            mistakes[0].starts_with("a.yaml:2:") && mistakes[0].contains("unknown field `colour`"),
            "{mistakes:?}"
        );
    }
}
