//! What a template that extends another may say: blocks that the other has.
//!
//! The template engine takes a block of an unknown name without a word and uses it nowhere, so a slip of the pen would leave the
//! family's own partitioning in force. The tags are read from the text; a name that is only known when the template is
//! rendered is not followed.

use std::collections::{BTreeMap, BTreeSet};

use super::RenderError;
use super::templates::{Templates, in_words};

/// The blocks that a text defines, and what it extends.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outline<'t> {
    extends: Option<&'t str>,
    /// All of them.
    blocks: BTreeSet<&'t str>,
    /// Those that stand in no other, and their lines.
    outermost: BTreeMap<&'t str, usize>,
}

/// Has every template of the chain that begins with this one only blocks that those behind it have?
///
/// # Errors
/// The first block that nothing has, or a template that extends itself.
pub(super) fn check(templates: &Templates, key: &str) -> Result<(), RenderError> {
    let mut chain: Vec<(String, Outline<'_>)> = Vec::new();
    let mut next = Some(key.to_owned());
    while let Some(key) = next {
        if chain.iter().any(|(known, _)| *known == key) {
            return Err(RenderError::new(format!("{} extends itself", in_words(&key))));
        }
        // What is not there is told when it is loaded, with the line that names it.
        let Some(text) = templates.source(&key) else { return Ok(()) };
        let outline = outline(text);
        next = outline.extends.map(|name| templates.meant(name, &key));
        chain.push((key, outline));
    }
    chain.iter().enumerate().try_for_each(|(index, (key, outline))| match &chain[index + 1..] {
        [] => Ok(()),
        behind => known_blocks(key, outline, behind, index == 0),
    })
}

fn known_blocks(
    key: &str,
    outline: &Outline<'_>,
    behind: &[(String, Outline<'_>)],
    root: bool,
) -> Result<(), RenderError> {
    let known: BTreeSet<&str> = behind.iter().flat_map(|(_, outline)| &outline.blocks).copied().collect();
    let Some((name, line)) = outline.outermost.iter().find(|(name, _)| !known.contains(*name)) else {
        return Ok(());
    };
    let whose = if root { String::new() } else { format!(" of {}", in_words(key)) };
    let parent = behind.first().map(|(key, _)| in_words(key)).unwrap_or_default();
    let known = known.into_iter().collect::<Vec<_>>().join(", ");
    Err(RenderError::new(format!("line {line}{whose}: {parent} has no block {name:?}, only {known}")))
}

fn outline(text: &str) -> Outline<'_> {
    let mut outline = Outline::default();
    let mut depth = 0_usize;
    for (line, words) in Tags::of(text) {
        let mut words = words.split_whitespace();
        match (words.next(), words.next()) {
            (Some("extends"), Some(name)) => outline.extends = literal(name),
            (Some("block"), Some(name)) => {
                outline.blocks.insert(name);
                if depth == 0 {
                    outline.outermost.insert(name, line);
                }
                depth += 1;
            }
            (Some("endblock"), _) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    outline
}

/// The text of `"NAME"` or `'NAME'`.
fn literal(word: &str) -> Option<&str> {
    let within = |quote: char| word.strip_prefix(quote)?.strip_suffix(quote);
    within('"').or_else(|| within('\''))
}

/// The tags of a template, `{% … %}`, with their lines; none of comments and of `{% raw %}`.
struct Tags<'t> {
    rest: &'t str,
    line: usize,
}

impl<'t> Tags<'t> {
    fn of(text: &'t str) -> Self {
        Self { rest: text, line: 1 }
    }

    /// Goes on behind the next `end`; what stands before it.
    fn until(&mut self, end: &str) -> Option<&'t str> {
        let (before, after) = self.rest.split_once(end)?;
        self.line += before.matches('\n').count() + end.matches('\n').count();
        self.rest = after;
        Some(before)
    }

    /// Goes on behind `{% endraw %}`.
    fn skip_raw(&mut self) -> Option<()> {
        loop {
            self.until("{%")?;
            if inner(self.until("%}")?) == "endraw" {
                return Some(());
            }
        }
    }
}

impl<'t> Iterator for Tags<'t> {
    type Item = (usize, &'t str);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.until("{")?;
            if let Some(rest) = self.rest.strip_prefix('#') {
                self.rest = rest;
                self.until("#}")?;
            } else if let Some(rest) = self.rest.strip_prefix('%') {
                self.rest = rest;
                let line = self.line;
                match inner(self.until("%}")?) {
                    "raw" => self.skip_raw()?,
                    words => return Some((line, words)),
                }
            }
        }
    }
}

/// Without the signs of whitespace control.
fn inner(tag: &str) -> &str {
    tag.trim_start_matches(['-', '+']).trim_end_matches(['-', '+']).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_where_they_are_meant() {
        let text = "{%- extends 'a.cfg' -%}\n{# {% block no %} #}{% raw %}{% block raw %}{% endraw %}\n\
                    {% block one %}{% block two %}{% endblock %}{{ x }}{% endblock one %}\n{%+ block three %}{% endblock -%}";
        let outline = outline(text);
        assert_eq!(outline.extends, Some("a.cfg"));
        assert_eq!(outline.blocks, BTreeSet::from(["one", "three", "two"]));
        assert_eq!(outline.outermost, BTreeMap::from([("one", 3), ("three", 4)]));
    }

    #[test]
    fn what_is_cut_short_ends() {
        for text in
            ["{", "{%", "{#", "{% block", "{% raw %}", "{% raw %}{% x", "{% extends x %}", "{% block %}"]
        {
            assert_eq!(outline(text), Outline::default(), "{text:?}");
        }
    }
}
