//! Names of the catalog for what others named by other rules.

use std::collections::BTreeSet;

/// The longest name.
const LONGEST: usize = 63;

/// The nearest name that the catalog takes: `CentOS 7 (x86_64)` becomes `centos-7-x86-64`; None: nothing is left of it.
pub(crate) fn nearest(text: &str) -> Option<String> {
    let mut name = String::new();
    for c in text.chars().map(|c| c.to_ascii_lowercase()) {
        match c {
            'a'..='z' | '0'..='9' | '.' => name.push(c),
            _ if name.ends_with('-') => {}
            _ => name.push('-'),
        }
    }
    let is_edge = |c: char| c == '-' || c == '.';
    let name: String = name.trim_matches(is_edge).chars().take(LONGEST).collect();
    let name = name.trim_end_matches(is_edge);
    (!name.is_empty()).then(|| name.to_owned())
}

/// Names that are taken.
#[derive(Debug, Default)]
pub(crate) struct Names(BTreeSet<String>);

impl Names {
    /// This name, or with the first number behind it that makes it the only one.
    pub(crate) fn unique(&mut self, name: &str) -> String {
        let numbered = (2_u32..).map(|number| {
            let end = format!("-{number}");
            let kept = &name[..name.len().min(LONGEST - end.len())];
            format!("{kept}{end}")
        });
        let mut candidates = std::iter::once(name.to_owned()).chain(numbered);
        let free = candidates.find(|name| !self.0.contains(name)).expect("numbers do not end");
        self.0.insert(free.clone());
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_legal_and_unique() {
        let mut names = Names::default();
        for (text, expected) in [
            ("CentOS 7 (x86_64)", "centos-7-x86-64"),
            ("^Install ESXi", "install-esxi"),
            ("centos_7 x86 64", "centos-7-x86-64-2"),
        ] {
            let name = names.unique(&nearest(text).expect("something is left"));
            assert_eq!(name, expected);
            assert_eq!(proto::catalog::check_name("name", &name), None);
        }
        assert_eq!(nearest("--. "), None);
        let long = nearest(&"a".repeat(100)).expect("a name");
        assert_eq!((names.unique(&long).len(), names.unique(&long).len()), (63, 63));
    }
}
