//! A menu that a machine shows before it starts from its disk.

mod entry;

use serde::{Deserialize, Serialize};

use super::{Problem, check_name};
use crate::Span;
pub use entry::MenuEntry;

/// What people may choose at a machine that would otherwise start from its disk. Nothing in it installs: that takes an
/// order, and an order shows no menu.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "fields, such as default and entries")]
pub struct MenuSpec {
    /// What stands above it; None: the host's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// In the order in which they are shown, below the local disk.
    pub entries: Vec<MenuEntry>,
    /// How long it waits for a key before it goes on with the local disk.
    #[serde(default = "ten_seconds")]
    pub timeout: Span,
}

fn ten_seconds() -> Span {
    Span::seconds(10)
}

/// What fits a screen.
const ENTRIES: usize = 20;
/// Profiles of a menu and all that is below it: each is planned for each host that shows the menu.
const PROFILES: usize = 60;
/// Menus below menus, this one among them.
const DEPTH: usize = 4;
/// The longest title, in characters: what every loader shows on one line of 80.
const TITLE: usize = 60;
/// The longest wait, in seconds: PXELINUX counts tenths of a second, up to 35,996.
const TIMEOUT: u32 = 1_800;
/// What the local disk is called in every program's menu.
const DISK: &str = "disk";

impl MenuSpec {
    /// Each profile that it names, with the path of its field behind `menu.`, whatever menu below it that is in.
    #[must_use]
    pub fn profiles(&self) -> Vec<(String, &str)> {
        let mut found = Vec::new();
        collect("entries", &self.entries, &mut found);
        found
    }

    pub(super) fn validate(&self, problems: &mut Vec<Problem>) {
        problems.extend(self.title.as_deref().and_then(|title| check_title("menu.title", title)));
        check_entries("menu.entries", &self.entries, 1, problems);
        let profiles = self.profiles();
        if profiles.len() > PROFILES {
            let message = format!("names {} profiles, expected at most {PROFILES}", profiles.len());
            problems.push(Problem::new("menu.entries", message));
        }
        for (index, (path, name)) in profiles.iter().enumerate() {
            let field = format!("menu.{path}");
            problems.extend(check_name(&field, name));
            if *name == DISK {
                let message =
                    format!("{name:?} is what the local disk is called: give the profile another name");
                problems.push(Problem::new(field, message));
            } else if profiles[..index].iter().any(|(_, before)| before == name) {
                problems.push(Problem::new(field, format!("{name:?} is named twice")));
            }
        }
        // 0 would wait for ever, and nobody may be there.
        if !(1..=TIMEOUT).contains(&self.timeout.as_seconds()) {
            problems.push(Problem::new("menu.timeout", format!("is {}, expected 1s to 30m", self.timeout)));
        }
    }
}

fn collect<'a>(path: &str, entries: &'a [MenuEntry], found: &mut Vec<(String, &'a str)>) {
    for (index, entry) in entries.iter().enumerate() {
        match entry {
            MenuEntry::Profile { profile, title: None } => found.push((format!("{path}[{index}]"), profile)),
            MenuEntry::Profile { profile, title: Some(_) } => {
                found.push((format!("{path}[{index}].profile"), profile));
            }
            MenuEntry::Menu { entries, .. } => collect(&format!("{path}[{index}].entries"), entries, found),
        }
    }
}

fn check_entries(path: &str, entries: &[MenuEntry], depth: usize, problems: &mut Vec<Problem>) {
    if !(1..=ENTRIES).contains(&entries.len()) {
        let message = format!("has {} entries, expected 1 to {ENTRIES}", entries.len());
        problems.push(Problem::new(path, message));
    }
    if depth > DEPTH {
        return problems
            .push(Problem::new(path, format!("is a menu {depth} deep, expected at most {DEPTH}")));
    }
    for (index, entry) in entries.iter().enumerate() {
        let title = |title: &str| check_title(&format!("{path}[{index}].title"), title);
        problems.extend(entry.own_title().and_then(title));
        if let MenuEntry::Menu { entries, .. } = entry {
            check_entries(&format!("{path}[{index}].entries"), entries, depth + 1, problems);
        }
    }
}

/// Titles stand in scripts of three loaders, so they hold what none of these would obey.
fn check_title(field: &str, title: &str) -> Option<Problem> {
    let plain = |c: char| c.is_ascii_alphanumeric() || " .,:()+-_/#@=!?*".contains(c);
    let framed = title.trim() != title || title.is_empty();
    (framed || title.len() > TITLE || !title.chars().all(plain)).then(|| {
        let rule = format!(
            "expected 1 to {TITLE} letters of ASCII, digits, blanks between them, or of . , : ( ) + - _ / # @ = ! ? *"
        );
        Problem::new(field, format!("{title:?} cannot be shown by every loader: {rule}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Vec<String> {
        let menu: MenuSpec = serde_json::from_str(json).expect("well-formed");
        let mut problems = vec![];
        menu.validate(&mut problems);
        problems.into_iter().map(|problem| problem.field).collect()
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        assert_eq!(fields(r#"{"entries":["rescue","memtest"]}"#), [""; 0]);
        assert_eq!(
            fields(r#"{"entries":["a","a","B","disk"],"timeout":"0s"}"#),
            ["menu.entries[1]", "menu.entries[2]", "menu.entries[3]", "menu.timeout"]
        );
        assert_eq!(fields(r#"{"entries":[]}"#), ["menu.entries"]);
    }

    #[test]
    fn mistakes_of_menus_below_are_named_by_their_place() {
        let json = r#"{"title":"Lyon: node's","entries":[{"title":"Tools","entries":["a",{"profile":"a","title":"A ${net0/mac}"}]},
            {"title":"Empty","entries":[]},{"profile":"disk","title":"Disk"}]}"#;
        assert_eq!(
            fields(json),
            [
                "menu.title",
                "menu.entries[0].entries[1].title",
                "menu.entries[1].entries",
                "menu.entries[0].entries[1].profile",
                "menu.entries[2].profile"
            ]
        );
        let deep = (0..DEPTH)
            .fold(r#""x""#.to_owned(), |inner, _| format!(r#"{{"title":"M","entries":[{inner}]}}"#));
        let path = format!("menu.entries{}", "[0].entries".repeat(DEPTH));
        assert_eq!(fields(&format!(r#"{{"entries":[{deep}]}}"#)), [path]);
    }

    #[test]
    fn many_profiles_are_too_many() {
        let menu = |number: usize| {
            let names: Vec<_> = (0..16).map(|entry| format!("\"p{number}-{entry}\"")).collect();
            format!(r#"{{"title":"M{number}","entries":[{}]}}"#, names.join(","))
        };
        let menus: Vec<_> = (0..4).map(menu).collect();
        assert_eq!(fields(&format!(r#"{{"entries":[{}]}}"#, menus.join(","))), ["menu.entries"]);
        assert_eq!(fields(&format!(r#"{{"entries":[{}]}}"#, menus[..3].join(","))), [""; 0]);
    }
}
