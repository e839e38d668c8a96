//! Findings as people read them: the answer in one sentence first, then where it stopped, what was expected, what is likely
//! and what to do.

use proto::v1;

use crate::output::plain;

/// The narrowest text.
const NARROWEST: usize = 40;

/// The lines of one finding, its name and what that means first; `width` in characters.
#[must_use]
pub(crate) fn lines(finding: &v1::Finding, width: usize) -> Vec<String> {
    let name = match finding.meaning.as_str() {
        "" => format!("{}:", finding.cause),
        meaning => format!("{}: {meaning}", finding.cause),
    };
    wrapped(&plain(&name), width.max(NARROWEST)).into_iter().chain(parts(finding, width)).collect()
}

fn parts(finding: &v1::Finding, width: usize) -> Vec<String> {
    let likely = match finding.certainty.as_str() {
        "seen" => "cause",
        "likely" => "likely cause",
        _ => "possible cause",
    };
    let said = [("stopped", &finding.stopped_at), ("expected", &finding.expected), (likely, &finding.likely)];
    let evidence = finding.evidence.iter().map(|evidence| ("evidence", evidence));
    let parts = said.into_iter().chain(evidence).chain([("what to do", &finding.remedy)]);
    parts.flat_map(|(name, text)| labelled(name, text, width)).collect()
}

/// `label     text`, and further lines under the text.
#[must_use]
pub(crate) fn labelled(label: &str, text: &str, width: usize) -> Vec<String> {
    const LABELS: usize = 16;
    let room = width.saturating_sub(LABELS + 2).max(NARROWEST);
    let mut lines = wrapped(&plain(text), room).into_iter();
    let first = lines.next().unwrap_or_default();
    let first = format!("  {label:<LABELS$}{first}").trim_end().to_owned();
    std::iter::once(first).chain(lines.map(|line| format!("  {:LABELS$}{line}", ""))).collect()
}

/// Broken between words.
#[must_use]
pub(crate) fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding() -> v1::Finding {
        v1::Finding {
            cause: "nothing-asked".into(),
            stopped_at: "its ROM took the address 10.1.0.9 and then asked for nothing".into(),
            expected: "a request for ipxe.efi".into(),
            likely: "UDP ports 69 and 4011 cannot be reached\u{1b}[2J".into(),
            remedy: "let them pass".into(),
            certainty: "likely".into(),
            evidence: vec!["web-2 passed".into()],
            meaning: "it has an address, and did not ask for what to boot".into(),
            ..v1::Finding::default()
        }
    }

    #[test]
    fn a_finding_reads_from_where_it_stopped_to_what_to_do() {
        let expected = [
            "nothing-asked: it has an address, and did not ask for what",
            "to boot",
            "  stopped         its ROM took the address 10.1.0.9 and then",
            "                  asked for nothing",
            "  expected        a request for ipxe.efi",
            "  likely cause    UDP ports 69 and 4011 cannot be",
            "                  reached\u{fffd}[2J",
            "  evidence        web-2 passed",
            "  what to do      let them pass",
        ];
        assert_eq!(lines(&finding(), 60), expected);
    }
}
