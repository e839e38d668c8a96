//! Who needs a secret: documents name secrets inside templates, where no index finds them, so they are read through when
//! a secret is to be removed.
//!
//! A template asks for `secret('name')`, or for `secret(variable)` where a variable of the profile, the site or the host
//! names it. What a template works out in any other way is not found; the plan then says what it lacks.

use std::collections::{BTreeMap, BTreeSet};

use proto::catalog::{AnyResource, Kind, ProfileSpec};
use serde_json::Value;

use super::{
    ReadError,
    draft::{Draft, Id},
};

/// The template that a Debian image has by itself.
const PRESEED: &str = include_str!("../plan/boot/preseed.cfg");
const CALL: &str = "secret(";

/// What templates ask for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked<'a> {
    /// Secrets by name.
    names: BTreeSet<&'a str>,
    /// Variables that name secrets.
    variables: BTreeSet<&'a str>,
}

/// The documents that ask for a secret, as they will be.
pub(super) async fn users(draft: &Draft, secret: &str) -> Result<BTreeSet<Id>, ReadError> {
    let mut documents = Vec::new();
    for kind in [Kind::Profile, Kind::Site, Kind::Host] {
        for stored in draft.catalog().list_any(kind, None).await?.items {
            documents.extend(draft.get(kind, stored.name()).await?);
        }
    }
    let mut variables = asked(PRESEED).variables;
    let mut users = BTreeSet::new();
    for document in &documents {
        let AnyResource::Profile(profile) = document else { continue };
        for template in templates(&profile.spec) {
            let found = asked(template);
            if found.names.contains(secret) {
                users.insert((Kind::Profile, document.name().to_owned()));
            }
            variables.extend(found.variables);
        }
    }
    let names_it = |values: &BTreeMap<String, Value>| {
        variables.iter().any(|name| values.get(*name).and_then(Value::as_str) == Some(secret))
    };
    let naming = documents.iter().filter(|document| variables_of(document).is_some_and(names_it));
    users.extend(naming.map(|document| (document.kind(), document.name().to_owned())));
    Ok(users)
}

fn templates(profile: &ProfileSpec) -> impl Iterator<Item = &str> {
    let arguments = profile.boot.arguments.iter().chain(&profile.boot.more_arguments);
    let texts = profile.templates.values().map(|template| &template.text);
    arguments.chain(texts).map(String::as_str)
}

fn variables_of(document: &AnyResource) -> Option<&BTreeMap<String, Value>> {
    match document {
        AnyResource::Profile(profile) => Some(&profile.spec.variables),
        AnyResource::Site(site) => Some(&site.spec.variables),
        AnyResource::Host(host) => Some(&host.spec.variables),
        AnyResource::Agent(_)
        | AnyResource::Image(_)
        | AnyResource::Mirror(_)
        | AnyResource::Order(_)
        | AnyResource::Secret(_)
        | AnyResource::Token(_)
        | AnyResource::Operator(_) => None,
    }
}

fn asked(template: &str) -> Asked<'_> {
    let mut asked = Asked::default();
    for argument in template.split(CALL).skip(1).map(str::trim_start) {
        let quoted =
            ['\'', '"'].into_iter().find_map(|quote| argument.strip_prefix(quote)?.split_once(quote));
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        match quoted {
            Some((name, _)) => asked.names.insert(name),
            None => asked.variables.insert(argument.split(|c| !is_name(c)).next().unwrap_or_default()),
        };
    }
    asked.variables.remove("");
    asked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_variables_are_found() {
        let found =
            asked("{{ secret('a') }}{{ secret( \"b-c\" ) | preseed }} {{ secret(root_password) }} secret(");
        assert_eq!(found.names, ["a", "b-c"].into());
        assert_eq!(found.variables, ["root_password"].into());
        assert_eq!(asked(PRESEED).variables, ["root_password"].into());
    }
}
