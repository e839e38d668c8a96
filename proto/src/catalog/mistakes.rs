//! Every mistake of a document at once, though whoever reads one stops at the first.
//!
//! What a mistake is about is left out of the document, and the rest is read again. That something left out is missing then
//! is no mistake of its own. What can be read at last is validated, but for the fields of the spec in which something was
//! left out: what is said of those might follow from that alone.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use super::{AnyResource, Kind, Problem};
use crate::hint;

/// As many mistakes of one document are told.
pub const MOST_MISTAKES: usize = 20;

/// Where and why a reader stopped.
#[derive(Debug)]
pub struct Stopped {
    /// The field, as the reader counts.
    pub path: Path,
    /// What is wrong with it, without its path.
    pub message: String,
}

/// A document of a known kind, from JSON.
///
/// # Errors
/// Every mistake that can be seen in it alone, [`MOST_MISTAKES`] at most. One that can be read is not validated.
pub fn read(kind: Kind, value: Value) -> Result<AnyResource, Vec<Problem>> {
    read_with(value, |value| AnyResource::read(kind, value))
}

/// The same by a reader of the caller's.
///
/// # Errors
/// See [`read()`].
pub fn read_with(
    mut value: Value,
    read: impl Fn(&Value) -> Result<AnyResource, Stopped>,
) -> Result<AnyResource, Vec<Problem>> {
    let mut found = Found::default();
    loop {
        let stopped = match read(&value) {
            Ok(any) if found.problems.is_empty() => return Ok(any),
            Ok(any) => return Err(found.and_validated(&any)),
            Err(stopped) => stopped,
        };
        if found.problems.len() == MOST_MISTAKES {
            let more = "has more mistakes: they are told when these are mended";
            found.problems.push(Problem::new("", more));
            return Err(found.problems);
        }
        if !found.leave_out(&mut value, &stopped) {
            return Err(found.problems);
        }
    }
}

#[derive(Debug, Default)]
struct Found {
    problems: Vec<Problem>,
    /// By the paths of the document as it was written.
    left_out: BTreeSet<String>,
    /// The elements that lists have lost, by the lists' paths.
    gone: BTreeMap<String, BTreeSet<usize>>,
}

impl Found {
    /// Notes what the reader stopped at, and takes it out; false: there is nothing that could be read without it.
    fn leave_out(&mut self, value: &mut Value, stopped: &Stopped) -> bool {
        // What is in the value of a choice has no path of its own.
        let path = stopped.path.to_string();
        let field = self.as_written(path.trim_end_matches(".?"));
        let missing = hint::between_ticks(&stopped.message, "missing field ").map(|name| join(&field, name));
        if missing.is_none_or(|missing| !self.left_out.contains(&missing)) {
            self.problems.push(Problem::new(&field, hint::of_field(&stopped.message)));
        }
        let steps: Vec<_> = stopped.path.iter().map_while(step).collect();
        let Some((last, above)) = steps.split_last() else { return false };
        let Some(parent) = above.iter().try_fold(value, below) else { return false };
        match (last, parent) {
            (Step::Key(key), Value::Object(fields)) => {
                self.left_out.insert(field);
                fields.remove(*key).is_some()
            }
            (Step::Index(index), Value::Array(list)) if *index < list.len() => {
                let (list_path, written) = split_index(&field);
                self.gone.entry(list_path.to_owned()).or_default().insert(written);
                list.remove(*index);
                true
            }
            (Step::Key(_) | Step::Index(_), _) => false,
        }
    }

    /// A path of what is left, as it is in the document that was written.
    fn as_written(&self, path: &str) -> String {
        let mut written = String::new();
        let mut rest = path.strip_prefix('.').unwrap_or(path);
        while let Some((before, after)) = rest.split_once('[') {
            written.push_str(before);
            let (index, behind) = after.split_once(']').unwrap_or((after, ""));
            let index = index.parse().map_or_else(|_| index.to_owned(), |at| self.index(&written, at));
            written.push_str(&format!("[{index}]"));
            rest = behind;
        }
        written + rest
    }

    /// The index, in the list as it was written, of an element that is left.
    fn index(&self, list: &str, left: usize) -> String {
        let gone = self.gone.get(list);
        let stands = |index: &usize| gone.is_none_or(|gone| !gone.contains(index));
        (0..).filter(stands).nth(left).unwrap_or(left).to_string()
    }

    /// With what validation finds in the fields that are whole.
    fn and_validated(mut self, any: &AnyResource) -> Vec<Problem> {
        let broken: BTreeSet<_> =
            self.problems.iter().map(|problem| outer(&problem.field).to_owned()).collect();
        for Problem { field, message } in any.validate() {
            let field = self.as_written(&field);
            if !broken.contains(outer(&field)) && self.problems.len() < MOST_MISTAKES {
                self.problems.push(Problem { field, message });
            }
        }
        self.problems
    }
}

enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

fn step(segment: &Segment) -> Option<Step<'_>> {
    match segment {
        Segment::Map { key } => Some(Step::Key(key)),
        Segment::Seq { index } => Some(Step::Index(*index)),
        // What is in the value of a choice falls with the choice.
        Segment::Enum { .. } | Segment::Unknown => None,
    }
}

fn below<'a>(value: &'a mut Value, step: &Step<'_>) -> Option<&'a mut Value> {
    match step {
        Step::Key(key) => value.get_mut(*key),
        Step::Index(index) => value.get_mut(*index),
    }
}

/// `spec.subnets[1]` as the list and the index in it.
fn split_index(path: &str) -> (&str, usize) {
    let (list, index) = path.rsplit_once('[').unwrap_or((path, ""));
    (list, index.trim_end_matches(']').parse().unwrap_or(0))
}

/// The field of the spec that a path is in: `spec.subnets` of `spec.subnets[0].pools`.
fn outer(path: &str) -> &str {
    let second = path.match_indices('.').nth(1).map_or(path.len(), |(at, _)| at);
    let path = &path[..second];
    path.split('[').next().unwrap_or(path)
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mistakes(kind: Kind, spec: Value) -> Vec<String> {
        let value = json!({"kind": kind.word(), "name": "a", "spec": spec});
        read(kind, value).expect_err("mistakes").iter().map(Problem::to_string).collect()
    }

    fn fields(mistakes: &[String]) -> Vec<&str> {
        mistakes.iter().filter_map(|mistake| mistake.split_once(": ")).map(|(field, _)| field).collect()
    }

    #[test]
    fn every_element_of_a_list_is_looked_at_under_its_own_number() {
        let macs = json!(["zz", "52:54:00:00:00:01", "52:54", "52:54:00:00:00:02", 7]);
        let found = mistakes(Kind::Host, json!({"site": "lyon", "macs": macs}));
        assert_eq!(fields(&found), ["spec.macs[0]", "spec.macs[2]", "spec.macs[4]"], "{found:?}");
    }

    #[test]
    fn mistakes_of_all_sorts_are_told_at_once() {
        let found = mistakes(
            Kind::Site,
            json!({"moon": 1, "lease": "2h", "cache": "1KiB", "link_wait": "soon", "subnets": [
                {"network": "10.1.0.0"},
                {"network": "10.2.0.0/24", "pool": [], "router": "x", "pools": ["10.2.0.300"]},
                {"pools": ["10.3.0.1-10.3.0.9"]},
            ]}),
        );
        let mut told = fields(&found);
        told.sort_unstable();
        let expected = [
            "spec.cache",
            "spec.lease",
            "spec.link_wait",
            "spec.moon",
            "spec.subnets[0].network",
            "spec.subnets[1].pool",
            "spec.subnets[1].pools[0]",
            "spec.subnets[1].router",
            "spec.subnets[2]",
        ];
        assert_eq!(told, expected, "{found:#?}");
        assert!(found.iter().any(|mistake| mistake.contains("did you mean `pools`? expected one of")));
    }

    #[test]
    fn what_follows_from_a_mistake_is_no_second_one() {
        let found = mistakes(Kind::Host, json!({"site": ["lyon"], "macs": "none"}));
        assert_eq!(fields(&found), ["spec.macs", "spec.site"], "{found:?}");
        // The pools cannot be judged while one of the networks is wrong; the name of the loaders can.
        let subnets = json!([{"network": "10.1.0.0/24", "exclude": ["10.1.0.5"], "pool": []}]);
        let found = mistakes(Kind::Site, json!({"subnets": subnets, "loaders": "/x"}));
        assert_eq!(fields(&found), ["spec.subnets[0].pool", "spec.loaders"], "{found:?}");
    }

    #[test]
    fn a_document_of_nothing_but_mistakes_is_cut_short() {
        let macs: Vec<_> = (0..1_000).map(|number| format!("bad {number}")).collect();
        let found = mistakes(Kind::Host, json!({"site": "lyon", "macs": macs}));
        assert_eq!(found.len(), MOST_MISTAKES + 1);
        assert!(found[MOST_MISTAKES].contains("more mistakes"), "{found:?}");
    }
}
