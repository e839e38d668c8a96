//! As much of PromQL as is needed to write our questions, and to find out what they ask for.

/// How many more there are of a counter than `window` ago.
///
/// `increase()` alone takes the first value of a series for its beginning and counts from there. Ours are rare: the first boot that
/// fails for some cause makes a series that begins with 1, and would never be counted. So a series that was not there at the
/// beginning of the window counts whole; one that was, by `increase()`, which knows of restarts.
#[must_use]
pub fn lately(selector: &str, window: &str) -> String {
    format!("(({selector} unless {selector} offset {window}) or increase({selector}[{window}]))")
}

/// A part of a question that names a metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    /// The metric's name.
    pub name: String,
    /// The labels that it chooses by.
    pub labels: Vec<String>,
    /// All of it, as Prometheus takes it.
    pub text: String,
}

/// What is no metric of ours and may be asked for: what Prometheus itself knows of its targets and of its alerts.
pub const OF_PROMETHEUS: &[&str] = &["up", "ALERTS"];
/// What all of ours begin with.
const OURS: &str = "bootlane_";

/// Every selector of a question, in order.
#[must_use]
pub fn selectors(text: &str) -> Vec<Selector> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(word) = next_word(&mut rest) {
        if !word.starts_with(OURS) && !OF_PROMETHEUS.contains(&word) {
            continue;
        }
        let braces = if rest.starts_with('{') { until_closed(rest) } else { "" };
        rest = &rest[braces.len()..];
        let text = format!("{word}{braces}");
        found.push(Selector { name: word.to_owned(), labels: matched_labels(braces), text });
    }
    found
}

/// The labels that a question groups or joins by.
#[must_use]
pub fn grouping_labels(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(word) = next_word(&mut rest) {
        let list = rest.trim_start();
        if matches!(word, "by" | "without" | "on" | "ignoring" | "group_left" | "group_right")
            && let Some((labels, _)) = list.strip_prefix('(').and_then(|list| list.split_once(')'))
        {
            let labels = labels.split(',').map(str::trim).filter(|label| !label.is_empty());
            found.extend(labels.map(str::to_owned));
        }
    }
    found
}

/// Puts values in the place of `$name` and `${name}`.
#[must_use]
pub fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let mut values = values.to_vec();
    // `$site` is no part of `$sites`.
    values.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    values.iter().fold(text.to_owned(), |text, (name, value)| {
        text.replace(&format!("${{{name}}}"), value).replace(&format!("${name}"), value)
    })
}

/// The next word outside of quotes; `rest` then begins behind it.
fn next_word<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let is_word = |character: char| character.is_ascii_alphanumeric() || "_:$".contains(character);
    loop {
        let first = rest.chars().next()?;
        if first == '"' {
            *rest = &rest[quoted(rest)..];
        } else if is_word(first) {
            let end = rest.find(|character| !is_word(character)).unwrap_or(rest.len());
            let (word, behind) = rest.split_at(end);
            *rest = behind;
            return Some(word);
        } else {
            *rest = &rest[first.len_utf8()..];
        }
    }
}

/// How long the quoted text is with which `text` begins.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|(_, character)| {
        let ends = *character == '"' && !escaped;
        escaped = *character == '\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |(place, _)| place + 1)
}

/// From the brace with which `text` begins to the one that closes it.
fn until_closed(text: &str) -> &str {
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let step = if first == '"' { quoted(rest) } else { first.len_utf8() };
        rest = &rest[step..];
        if first == '}' {
            break;
        }
    }
    &text[..text.len() - rest.len()]
}

fn matched_labels(braces: &str) -> Vec<String> {
    let mut rest = braces;
    std::iter::from_fn(|| next_word(&mut rest)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_found_outside_of_quotes() {
        let text =
            r#"sum by (site) (rate(bootlane_boots_total{site=~"$site", cause!="up } bootlane_x"}[5m])) / up"#;
        let found = selectors(text);
        let names: Vec<_> = found.iter().map(|selector| selector.name.as_str()).collect();
        assert_eq!(names, ["bootlane_boots_total", "up"]);
        assert_eq!(found[0].labels, ["site", "cause"]);
        assert_eq!(found[0].text, r#"bootlane_boots_total{site=~"$site", cause!="up } bootlane_x"}"#);
        assert_eq!(grouping_labels(text), ["site"]);
    }

    #[test]
    fn quotes_may_hold_quotes() {
        let found = selectors(r#"bootlane_a{b="\"}", c="d"} + bootlane_e"#);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].labels, ["b", "c"]);
    }

    #[test]
    fn longer_names_are_filled_in_first() {
        let filled =
            fill("$site ${site} $sites $__range", &[("site", "a"), ("sites", "b"), ("__range", "5m")]);
        assert_eq!(filled, "a a b 5m");
    }

    #[test]
    fn what_began_within_the_window_counts_whole() {
        assert_eq!(lately("a", "1h"), "((a unless a offset 1h) or increase(a[1h]))");
    }
}
