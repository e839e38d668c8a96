//! Lines as dnsmasq reads them (`read_file` in its `option.c`): quotes, comments behind blanks, no continuation.

/// A directive and its value's parts between commas; None: it has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Directive {
    pub(super) name: String,
    pub(super) fields: Vec<String>,
    /// The line without its comment.
    pub(super) text: String,
}

/// A character, and whether it stood in quotes, where none has a meaning.
type Character = (char, bool);

/// The directive of a line; None: a comment, or nothing.
///
/// # Errors
/// A quote that does not end.
pub(super) fn read(line: &str) -> Result<Option<Directive>, &'static str> {
    let characters = characters(line)?;
    let characters = trim(&characters);
    if characters.is_empty() {
        return Ok(None);
    }
    let (name, value) = match characters.iter().position(|(c, _)| *c == '=') {
        Some(at) => (&characters[..at], Some(&characters[at + 1..])),
        None => (characters, None),
    };
    let fields = value.into_iter().flat_map(|value| value.split(|c| *c == (',', false)));
    Ok(Some(Directive {
        name: text(trim(name)),
        fields: fields.map(|field| text(trim(field))).collect(),
        text: text(characters),
    }))
}

/// The parts of a value alone, as the lines of `dhcp-hostsfile` have them.
///
/// # Errors
/// A quote that does not end.
pub(super) fn value(name: &str, line: &str) -> Result<Option<Directive>, &'static str> {
    let directive = read(&format!("{name}={line}"))?;
    Ok(directive.filter(|directive| directive.fields.iter().any(|field| !field.is_empty())))
}

fn characters(line: &str) -> Result<Vec<Character>, &'static str> {
    let mut read = Vec::new();
    let mut rest = line.chars();
    let mut is_behind_blank = true;
    while let Some(c) = rest.next() {
        match c {
            '"' => quoted(&mut rest, &mut read)?,
            '#' if is_behind_blank => break,
            c if c.is_ascii_whitespace() => read.push((' ', false)),
            c => read.push((c, false)),
        }
        is_behind_blank = c.is_ascii_whitespace();
    }
    Ok(read)
}

fn quoted(rest: &mut std::str::Chars<'_>, read: &mut Vec<Character>) -> Result<(), &'static str> {
    loop {
        match rest.next().ok_or("a quote begins and does not end")? {
            '"' => return Ok(()),
            '\\' => {
                let mut ahead = rest.clone();
                let escaped = ahead.next().and_then(escape);
                read.push((escaped.unwrap_or('\\'), true));
                if escaped.is_some() {
                    *rest = ahead;
                }
            }
            c => read.push((c, true)),
        }
    }
}

fn escape(c: char) -> Option<char> {
    Some(match c {
        '"' | '\\' => c,
        't' => '\t',
        'n' => '\n',
        'b' => '\u{8}',
        'r' => '\r',
        'e' => '\u{1b}',
        _ => return None,
    })
}

fn trim(characters: &[Character]) -> &[Character] {
    let is_content = |character: &Character| *character != (' ', false);
    let Some(first) = characters.iter().position(is_content) else { return &[] };
    let last = characters.iter().rposition(is_content).unwrap_or(first);
    &characters[first..=last]
}

fn text(characters: &[Character]) -> String {
    characters.iter().map(|(c, _)| *c).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(line: &str) -> (String, Vec<String>) {
        let directive = read(line).expect("legal").expect("a directive");
        (directive.name, directive.fields)
    }

    #[test]
    fn blanks_quotes_and_comments() {
        for (line, name, fields) in [
            (
                "  dhcp-range = 10.0.0.1 , 10.0.0.9,12h  # pool",
                "dhcp-range",
                vec!["10.0.0.1", "10.0.0.9", "12h"],
            ),
            ("dhcp-option=15,\"a, b # c\"", "dhcp-option", vec!["15", "a, b # c"]),
            ("dhcp-option=x,\"\\\"\\t\\x\" ", "dhcp-option", vec!["x", "\"\t\\x"]),
            ("dhcp-boot=a#b\r", "dhcp-boot", vec!["a#b"]),
            ("dhcp-boot=a,\\", "dhcp-boot", vec!["a", "\\"]),
        ] {
            assert_eq!(parts(line), (name.into(), fields.into_iter().map(str::to_owned).collect()), "{line}");
        }
        assert_eq!(parts("enable-tftp"), ("enable-tftp".into(), vec![]));
    }

    #[test]
    fn what_says_nothing_and_what_is_broken() {
        for line in ["", "   ", "# x", "\t#dhcp-range=1"] {
            assert_eq!(read(line), Ok(None), "{line}");
        }
        assert!(read("dhcp-boot=\"a").is_err());
        assert_eq!(value("dhcp-host", " # nobody"), Ok(None));
    }
}
