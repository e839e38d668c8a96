//! REPORT.md: what was carried over, what was not and why, in the order of the lines.

use std::fmt::Write as _;

use super::{Fate, Migrated, Note};
use crate::output::{plain, words::count};

/// Characters of a line that are shown.
const SHOWN: usize = 160;

/// The report, for what was read of `source`.
pub(crate) fn text(source: &str, folder: &str, migrated: &Migrated) -> String {
    let mut text = format!("# Migrated from {source}\n\n{}.\n", summary(migrated));
    let apply = format!("`bootlane apply -f {folder} --dry-run` shows what would change");
    text.push_str("\n## Before you apply\n\n");
    for (number, step) in (1..).zip(&migrated.before) {
        let _ = writeln!(text, "{number}. {}", plain(step));
    }
    let _ = writeln!(text, "{}. {apply}; without `--dry-run` it is done.", migrated.before.len() + 1);
    text.push_str(
        "\nNothing here installs a machine: a profile of mode `install` waits for `bootlane order create`.\n",
    );
    let mut file = None;
    for note in &migrated.notes {
        if file != Some(&note.place.file) {
            let _ = write!(text, "\n## {}\n\n", plain(&note.place.file));
            file = Some(&note.place.file);
        }
        line(&mut text, note);
    }
    text
}

/// How much was carried over, in one line.
pub(crate) fn summary(migrated: &Migrated) -> String {
    let left = migrated.notes.iter().filter(|note| is_left(note)).count();
    let kinds = migrated.documents.iter().fold(Vec::<(String, usize)>::new(), |mut kinds, document| {
        let word = document.kind().word().to_lowercase();
        match kinds.iter_mut().find(|(known, _)| *known == word) {
            Some((_, number)) => *number += 1,
            None => kinds.push((word, 1)),
        }
        kinds
    });
    let kinds: Vec<_> = kinds.iter().map(|(word, number)| count(*number, word)).collect();
    let documents = if kinds.is_empty() { "no document".to_owned() } else { kinds.join(", ") };
    let carried = migrated.notes.len() - left;
    format!("{documents}; {} carried over, {left} not", count(carried, "line"))
}

fn is_left(note: &Note) -> bool {
    match note.fate {
        Fate::Left { .. } => true,
        Fate::Carried { .. } => false,
    }
}

fn line(text: &mut String, note: &Note) {
    let _ = match note.place.line {
        0 => write!(text, "- {}", code(&note.what)),
        line => write!(text, "- line {line}: {}", code(&note.what)),
    };
    let _ = match &note.fate {
        Fate::Carried { to } => writeln!(text, ": {}", plain(to)),
        Fate::Left { why, to_do } if to_do.is_empty() => {
            writeln!(text, ": **not carried over**: {}", plain(why))
        }
        Fate::Left { why, to_do } => {
            writeln!(text, ": **not carried over**: {}. To do: {}", plain(why), plain(to_do))
        }
    };
}

/// As a span of code, which holds whatever stands in it.
fn code(what: &str) -> String {
    let mut shown: String = plain(what).chars().take(SHOWN).collect();
    if shown.len() < what.len() && what.chars().count() > SHOWN {
        shown.push('…');
    }
    if shown.contains('`') { format!("`` {} ``", shown.replace("``", "` `")) } else { format!("`{shown}`") }
}
