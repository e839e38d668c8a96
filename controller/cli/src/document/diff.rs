//! What a write changes, line by line.

use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use crate::output::{document::yaml_of_content, plain};

/// Lines of context around a change.
const CONTEXT: usize = 3;

/// The difference between two documents' labels and specs as unified hunks; "" if there is none.
#[must_use]
pub(crate) fn diff(before: Option<&Value>, after: Option<&Value>, colours: bool) -> String {
    let text = |document: Option<&Value>| document.map(yaml_of_content).unwrap_or_default();
    let (before, after) = (text(before), text(after));
    let diff = TextDiff::from_lines(&before, &after);
    let mut lines = String::new();
    for hunk in diff.unified_diff().context_radius(CONTEXT).iter_hunks() {
        lines.push_str(&format!("  {}\n", hunk.header()));
        for change in hunk.iter_changes() {
            lines.push_str(&line(change.tag(), change.value().trim_end_matches('\n'), colours));
        }
    }
    lines
}

fn line(tag: ChangeTag, text: &str, colours: bool) -> String {
    let (sign, colour) = match tag {
        ChangeTag::Equal => (' ', ""),
        ChangeTag::Delete => ('-', "\x1b[31m"),
        ChangeTag::Insert => ('+', "\x1b[32m"),
    };
    let text = plain(text);
    match colour {
        colour if colours && !colour.is_empty() => format!("  {colour}{sign}{text}\x1b[0m\n"),
        _ => format!("  {sign}{text}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_change_shows_both_lines() {
        let (before, after) =
            (json!({"spec": {"a": 1, "b": 2}}), json!({"spec": {"a": 1, "b": 3}, "meta": {"x": 1}}));
        let text = diff(Some(&before), Some(&after), false);
        assert_eq!(text, "  @@ -1,3 +1,3 @@\n   spec:\n     a: 1\n  -  b: 2\n  +  b: 3\n");
        assert_eq!(diff(Some(&before), Some(&before), true), "");
    }

    #[test]
    fn colours_are_only_there_when_asked_for() {
        let after = json!({"spec": {}});
        assert!(diff(None, Some(&after), true).contains("\x1b[32m+spec: {}"));
        assert!(!diff(None, Some(&after), false).contains('\x1b'));
    }
}
