//! Who owns which field: the merge of `apply` and the ownership after any write (DESIGN §4).
//!
//! A field is a leaf of `labels` or `spec`, named by its JSON Pointer (RFC 6901): anything but a non-empty object. The
//! specs of images and secrets are one field each, for nobody shares those. A manager that applies declares fields;
//! what it declared before and does not now is removed unless another manager declares it too. A field that another
//! manager owns is changed only by force.

use std::collections::{BTreeMap, BTreeSet};

use proto::catalog::{Kind, Problem};
use serde_json::{Map, Value};

/// By manager, the fields that it owns: as `meta.managers` keeps them.
pub(super) type Managers = BTreeMap<String, Vec<String>>;

/// The most managers of one document.
const MANAGERS: usize = 16;

/// The fields of a document's body, by pointer.
pub(super) fn leaves(kind: Kind, body: &Map<String, Value>) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for part in ["labels", "spec"] {
        let Some(value) = body.get(part) else { continue };
        let whole = part == "spec" && matches!(kind, Kind::Image | Kind::Secret);
        collect(format!("/{part}"), value, whole, &mut all);
    }
    all
}

fn collect(at: String, value: &Value, whole: bool, all: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) if !whole && !fields.is_empty() => {
            for (name, value) in fields {
                collect(format!("{at}/{}", escape(name)), value, false, all);
            }
        }
        Value::Object(_)
        | Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_) => {
            all.insert(at, value.clone());
        }
    }
}

/// What is stored with what `manager` declares: the fields that it no longer declares taken out, the others put in.
pub(super) fn merge(
    stored: &Map<String, Value>,
    managers: &Managers,
    manager: &str,
    declared: &BTreeMap<String, Value>,
) -> Map<String, Value> {
    let mut merged = Value::Object(stored.clone());
    for field in managers.get(manager).into_iter().flatten() {
        let shared = managers.iter().any(|(other, fields)| other != manager && fields.contains(field));
        if !declared.contains_key(field) && !shared {
            remove(&mut merged, field);
        }
    }
    for (field, value) in declared {
        set(&mut merged, field, value.clone());
    }
    match merged {
        Value::Object(merged) => merged,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}

/// The declared fields that another manager owns and that would change: one problem for each.
pub(super) fn conflicts(
    before: &BTreeMap<String, Value>,
    after: &BTreeMap<String, Value>,
    managers: &Managers,
    manager: &str,
    declared: &BTreeMap<String, Value>,
) -> Vec<Problem> {
    let others = managers.iter().filter(|(other, _)| *other != manager);
    let owned = others.flat_map(|(other, fields)| fields.iter().map(move |field| (field, other)));
    let changed = owned.filter(|(field, _)| {
        declared.keys().any(|mine| overlap(mine, field)) && before.get(*field) != after.get(*field)
    });
    changed
        .map(|(field, other)| {
            let message =
                format!("is owned by manager {other:?}, with another value: agree, or take it by force");
            Problem::new(dotted(field), message)
        })
        .collect()
}

/// The owners after `manager` has applied `declared`; a field that it took by force is its alone.
pub(super) fn after_apply(
    managers: &Managers,
    manager: &str,
    declared: &BTreeMap<String, Value>,
    before: &BTreeMap<String, Value>,
    after: &BTreeMap<String, Value>,
) -> Managers {
    let mut owners = kept(managers, before, after);
    owners.insert(manager.to_owned(), declared.keys().cloned().collect());
    owners.retain(|_, fields| !fields.is_empty());
    owners
}

/// The owners after `manager` has put the whole: it owns what it changed, others keep what it left as it was.
pub(super) fn after_put(
    managers: &Managers,
    manager: &str,
    declared: &BTreeMap<String, Value>,
    before: &BTreeMap<String, Value>,
    after: &BTreeMap<String, Value>,
) -> Managers {
    let mut owners = kept(managers, before, after);
    let owned: BTreeSet<_> = owners.values().flatten().cloned().collect();
    let mine = owners.entry(manager.to_owned()).or_default();
    let changed = declared.keys().filter(|field| before.get(*field) != after.get(*field));
    mine.extend(changed.filter(|field| !owned.contains(*field)).cloned());
    owners.retain(|_, fields| !fields.is_empty());
    owners
}

/// Ownership of what has not changed.
fn kept(managers: &Managers, before: &BTreeMap<String, Value>, after: &BTreeMap<String, Value>) -> Managers {
    let same = |field: &&String| after.contains_key(*field) && before.get(*field) == after.get(*field);
    let keep = |fields: &Vec<String>| fields.iter().filter(same).cloned().collect();
    managers.iter().map(|(manager, fields)| (manager.clone(), keep(fields))).collect()
}

/// A manager's name as it may be stored, and whether there is room for one more.
pub(super) fn check_manager(managers: &Managers, manager: &str) -> Option<Problem> {
    let problem = proto::catalog::check_name("manager", manager);
    let full = managers.len() >= MANAGERS && !managers.contains_key(manager);
    problem.or_else(|| full.then(|| Problem::new("", format!("has {MANAGERS} managers already"))))
}

/// The fields that differ, as people write paths.
pub(super) fn changed(before: &BTreeMap<String, Value>, after: &BTreeMap<String, Value>) -> Vec<String> {
    let all: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    all.into_iter()
        .filter(|field| before.get(*field) != after.get(*field))
        .map(|field| dotted(field))
        .collect()
}

fn overlap(a: &str, b: &str) -> bool {
    let within = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    within(a, b) || within(b, a)
}

fn set(root: &mut Value, pointer: &str, value: Value) {
    let mut at = root;
    for name in pointer.split('/').skip(1) {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        let Value::Object(fields) = at else { return };
        at = fields.entry(unescape(name)).or_insert(Value::Null);
    }
    *at = value;
}

/// Takes a field out, and every object above it that is empty then, but not `labels` and `spec` themselves.
fn remove(root: &mut Value, pointer: &str) {
    let Some((parent, name)) = pointer.rsplit_once('/') else { return };
    let Some(Value::Object(fields)) = root.pointer_mut(parent) else { return };
    fields.remove(&unescape(name));
    if fields.is_empty() && parent.matches('/').count() > 1 {
        remove(root, parent);
    }
}

/// RFC 6901 §3.
fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// RFC 6901 §4.
fn unescape(name: &str) -> String {
    name.replace("~1", "/").replace("~0", "~")
}

/// A pointer as people write paths: `spec.variables.disk`.
fn dotted(pointer: &str) -> String {
    let names: Vec<_> = pointer.split('/').skip(1).map(unescape).collect();
    names.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn body(value: Value) -> Map<String, Value> {
        value.as_object().cloned().expect("tests write objects")
    }

    fn host(value: Value) -> BTreeMap<String, Value> {
        leaves(Kind::Host, &body(value))
    }

    #[test]
    fn leaves_are_named_by_pointers() {
        let fields =
            host(json!({"name":"a","labels":{"a/b":"1"},"spec":{"macs":["x"],"variables":{"c.d":{"e":2}}}}));
        let names: Vec<_> = fields.keys().map(String::as_str).collect();
        assert_eq!(names, ["/labels/a~1b", "/spec/macs", "/spec/variables/c.d/e"]);
        let image = body(json!({"spec":{"files":{"a":{"size":1}}}}));
        assert_eq!(leaves(Kind::Image, &image).keys().collect::<Vec<_>>(), ["/spec"]);
    }

    #[test]
    fn what_a_manager_drops_is_removed_and_what_others_hold_stays() {
        let stored = body(json!({"spec":{"a":1,"b":{"c":2},"d":3}}));
        let managers = Managers::from([
            ("git".into(), vec!["/spec/a".into(), "/spec/b/c".into(), "/spec/d".into()]),
            ("cli".into(), vec!["/spec/d".into()]),
        ]);
        let merged = merge(&stored, &managers, "git", &host(json!({"spec":{"a":7}})));
        assert_eq!(Value::Object(merged), json!({"spec":{"a":7,"d":3}}));
    }

    #[test]
    fn a_conflict_names_the_field_and_the_manager() {
        let managers = Managers::from([("git".into(), vec!["/spec/a".into(), "/spec/b/c".into()])]);
        let before = host(json!({"spec":{"a":1,"b":{"c":2}}}));
        let declared = host(json!({"spec":{"a":1,"b":5}}));
        let after = host(json!({"spec":{"a":1,"b":5}}));
        let found = conflicts(&before, &after, &managers, "cli", &declared);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].field, "spec.b.c");
        assert!(found[0].message.contains("\"git\""));
        assert_eq!(conflicts(&before, &after, &managers, "git", &declared), []);
    }

    #[test]
    fn taking_by_force_takes_the_field_from_its_owner() {
        let managers = Managers::from([("git".into(), vec!["/spec/a".into(), "/spec/b".into()])]);
        let (before, after) = (host(json!({"spec":{"a":1,"b":2}})), host(json!({"spec":{"a":9,"b":2}})));
        let owners = after_apply(&managers, "cli", &host(json!({"spec":{"a":9}})), &before, &after);
        assert_eq!(owners["git"], ["/spec/b"]);
        assert_eq!(owners["cli"], ["/spec/a"]);
    }

    #[test]
    fn a_put_owns_what_it_changes_alone() {
        let managers = Managers::from([("git".into(), vec!["/spec/a".into(), "/spec/b".into()])]);
        let (before, after) =
            (host(json!({"spec":{"a":1,"b":2}})), host(json!({"spec":{"a":1,"b":3,"c":4}})));
        let owners = after_put(&managers, "cli", &after, &before, &after);
        assert_eq!(owners["git"], ["/spec/a"]);
        assert_eq!(owners["cli"], ["/spec/b", "/spec/c"]);
    }
}
