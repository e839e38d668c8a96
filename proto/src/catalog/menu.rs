//! A menu that a machine shows before it starts from its disk.

use serde::{Deserialize, Serialize};

use super::{Problem, check_name};
use crate::Span;

/// What people may choose at a machine that would otherwise start from its disk. Nothing in it installs: that takes an
/// order, and an order shows no menu.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "fields, such as default and entries")]
pub struct MenuSpec {
    /// Profiles of mode `run`, in the order in which they are shown, below the local disk.
    pub entries: Vec<String>,
    /// How long it waits for a key before it goes on with the local disk.
    #[serde(default = "ten_seconds")]
    pub timeout: Span,
}

fn ten_seconds() -> Span {
    Span::seconds(10)
}

/// What fits a screen.
const ENTRIES: usize = 20;
/// The longest wait, in seconds: PXELINUX counts tenths of a second, up to 35,996.
const TIMEOUT: u32 = 1_800;
/// What the local disk is called in every program's menu.
const DISK: &str = "disk";

impl MenuSpec {
    pub(super) fn validate(&self, problems: &mut Vec<Problem>) {
        if !(1..=ENTRIES).contains(&self.entries.len()) {
            let message = format!("has {} entries, expected 1 to {ENTRIES}", self.entries.len());
            problems.push(Problem::new("menu.entries", message));
        }
        for (index, name) in self.entries.iter().enumerate() {
            let field = format!("menu.entries[{index}]");
            problems.extend(check_name(&field, name));
            if name == DISK {
                let message =
                    format!("{name:?} is what the local disk is called: give the profile another name");
                problems.push(Problem::new(field, message));
            } else if self.entries[..index].contains(name) {
                problems.push(Problem::new(field, format!("{name:?} is named twice")));
            }
        }
        // 0 would wait for ever, and nobody may be there.
        if !(1..=TIMEOUT).contains(&self.timeout.as_seconds()) {
            problems.push(Problem::new("menu.timeout", format!("is {}, expected 1s to 30m", self.timeout)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_named_at_once() {
        let fields = |json: &str| {
            let menu: MenuSpec = serde_json::from_str(json).expect("well-formed");
            let mut problems = vec![];
            menu.validate(&mut problems);
            problems.into_iter().map(|problem| problem.field).collect::<Vec<_>>()
        };
        assert_eq!(fields(r#"{"entries":["rescue","memtest"]}"#), [""; 0]);
        assert_eq!(
            fields(r#"{"entries":["a","a","B","disk"],"timeout":"0s"}"#),
            ["menu.entries[1]", "menu.entries[2]", "menu.entries[3]", "menu.timeout"]
        );
        assert_eq!(fields(r#"{"entries":[]}"#), ["menu.entries"]);
    }
}
