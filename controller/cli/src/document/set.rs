//! What the documents of one set demand of each other.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use proto::Mac;
use proto::catalog::{AnyResource, Kind};

use super::{Declared, Mistake};

/// Documents or addresses that are named twice.
#[must_use]
pub(crate) fn check_set(documents: &[Declared]) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    let mut names: BTreeMap<(Kind, &str), &Declared> = BTreeMap::new();
    let mut macs: BTreeMap<Mac, (&Declared, String)> = BTreeMap::new();
    for document in documents {
        match names.entry((document.kind, &document.name)) {
            Entry::Vacant(free) => drop(free.insert(document)),
            Entry::Occupied(first) => {
                mistakes.push(twice(
                    document,
                    "name",
                    &format!("{} {}", document.kind, document.name),
                    first.get().place("name"),
                ));
                // Its addresses are those of the first; they say nothing new.
                continue;
            }
        }
        let AnyResource::Host(host) = &document.typed else { continue };
        for (index, mac) in host.spec.macs.iter().enumerate() {
            let field = format!("spec.macs[{index}]");
            match macs.entry(*mac) {
                Entry::Vacant(free) => drop(free.insert((document, field))),
                Entry::Occupied(first) => {
                    let (other, at) = first.get();
                    let what = format!("{mac} of Host {}", other.name);
                    mistakes.push(twice(document, &field, &what, other.place(at)));
                }
            }
        }
    }
    mistakes
}

fn twice(document: &Declared, field: &str, what: &str, first: super::Place) -> Mistake {
    let message = format!("{field}: {what} stands at {first} already");
    Mistake { place: document.place(field), message }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Source, load};
    use super::*;

    #[test]
    fn what_is_named_twice_is_named_with_both_places() {
        let host = |name: &str| {
            format!("kind: Host\nname: {name}\nspec:\n  site: lyon\n  macs: ['52:54:00:00:00:01']\n")
        };
        let text = format!("{}---\n{}---\n{}", host("a"), host("b"), host("a"));
        let documents = load(&Arc::new(Source { name: "x.yaml".into(), text })).documents;
        let mistakes: Vec<_> = check_set(&documents).iter().map(Mistake::to_string).collect();
        let expected = [
            "x.yaml:11:10: spec.macs[0]: 52:54:00:00:00:01 of Host a stands at x.yaml:5:10 already",
            "x.yaml:14:7: name: Host a stands at x.yaml:2:7 already",
        ];
        assert_eq!(mistakes, expected);
    }
}
