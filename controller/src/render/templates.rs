//! The templates of one boot, and which of them a template means by a name.
//!
//! A profile's own template of a family's name takes its place, and may say `{% extends "NAME" %}` of the very one whose place it
//! takes. There is nothing else to name: no file, no other profile. The family's templates name each other alone, so that
//! what a profile adds cannot change them but by their blocks.

use std::collections::BTreeMap;

/// Before the name of what a family brings. Names of templates have no slash.
const FAMILY: &str = "family/";
/// Before the name of what a profile has.
const PROFILE: &str = "profile/";

/// The templates of one boot, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Templates {
    /// The profile's own.
    pub(crate) profile: BTreeMap<String, String>,
    /// The family's, those among them whose place the profile's take.
    pub(crate) family: BTreeMap<String, String>,
}

impl Templates {
    /// The key of the file that is served under this name.
    pub(super) fn key(&self, name: &str) -> String {
        let own = if self.profile.contains_key(name) { PROFILE } else { FAMILY };
        format!("{own}{name}")
    }

    /// The key of what `parent` means by this name.
    pub(super) fn meant(&self, name: &str, parent: &str) -> String {
        let by_profile = parent.strip_prefix(PROFILE).is_some_and(|own| own != name);
        if by_profile { self.key(name) } else { format!("{FAMILY}{name}") }
    }

    /// The text of a key.
    pub(super) fn source(&self, key: &str) -> Option<&str> {
        let of_profile = key.strip_prefix(PROFILE).map(|name| self.profile.get(name));
        let found = of_profile.or_else(|| Some(self.family.get(key.strip_prefix(FAMILY)?)))?;
        found.map(String::as_str)
    }

    /// A key that finds nothing, in words.
    pub(super) fn missing(&self, key: &str) -> String {
        let names = |of: &BTreeMap<String, String>| match of.is_empty() {
            true => "none".to_owned(),
            false => of.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
        };
        let (profile, family) = (names(&self.profile), names(&self.family));
        format!("there is no template {:?}: the family has {family}, the profile {profile}", bare(key))
    }
}

/// A key for people: `the family's preseed.cfg`.
pub(super) fn in_words(key: &str) -> String {
    let whose = if key.starts_with(FAMILY) { "the family's" } else { "the profile's" };
    format!("{whose} {}", bare(key))
}

fn bare(key: &str) -> &str {
    key.strip_prefix(FAMILY).or_else(|| key.strip_prefix(PROFILE)).unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> BTreeMap<String, String> {
        names.iter().map(|name| ((*name).to_owned(), String::new())).collect()
    }

    #[test]
    fn a_name_means_one_template() {
        let templates =
            Templates { profile: named(&["preseed.cfg", "late.sh"]), family: named(&["preseed.cfg"]) };
        assert_eq!(templates.key("preseed.cfg"), "profile/preseed.cfg", "the profile's takes its place");
        assert_eq!(templates.meant("preseed.cfg", "profile/preseed.cfg"), "family/preseed.cfg");
        assert_eq!(templates.meant("preseed.cfg", "profile/late.sh"), "profile/preseed.cfg");
        assert_eq!(templates.meant("late.sh", "family/preseed.cfg"), "family/late.sh", "is not the family's");
        assert_eq!(templates.source("family/late.sh"), None);
        assert_eq!(templates.source("late.sh"), None, "a key says whose it is");
    }
}
