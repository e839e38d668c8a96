//! Quoting: a filter for each format, so that a value stays one value wherever it is put (S9).
//!
//! Each format is an escape of characters and what stands around the whole. Escaping goes piece by piece, so a slot
//! inside stays a slot, and a secret is escaped when its value is put in.

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};

use super::marks::{Mark, Marks, Piece};

/// What a value is quoted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// A word or more of a line of an iPXE script: refuses what iPXE would expand or obey.
    Ipxe,
    /// One word of a POSIX shell.
    Shell,
    /// One word of a GRUB script, which quotes as a shell does.
    Grub,
    /// The value of a line of a preseed file.
    Preseed,
    /// One word of a kickstart command.
    Kickstart,
    /// JSON.
    Json,
    /// YAML, of which JSON is a part.
    Yaml,
    /// Text between the tags of XML, or within an attribute's quotes.
    Xml,
}

impl Format {
    pub(super) const ALL: [Self; 8] = [
        Self::Ipxe,
        Self::Shell,
        Self::Grub,
        Self::Preseed,
        Self::Kickstart,
        Self::Json,
        Self::Yaml,
        Self::Xml,
    ];

    /// The filter's name.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Ipxe => "ipxe",
            Self::Shell => "shell",
            Self::Grub => "grub",
            Self::Preseed => "preseed",
            Self::Kickstart => "kickstart",
            Self::Json => "json",
            Self::Yaml => "yaml",
            Self::Xml => "xml",
        }
    }

    /// What stands around the whole.
    const fn quote(self) -> &'static str {
        match self {
            Self::Ipxe | Self::Preseed | Self::Xml => "",
            Self::Shell | Self::Grub => "'",
            Self::Kickstart | Self::Json | Self::Yaml => "\"",
        }
    }

    /// The text within the quotes; an error says what the format cannot hold.
    pub(super) fn escape(self, text: &str) -> Result<String, String> {
        match self {
            Self::Ipxe => no_control(text).and_then(plain_for_ipxe).map(str::to_owned),
            Self::Shell if text.contains('\0') => Err("holds a NUL character".into()),
            Self::Shell => Ok(single_quoted(text)),
            Self::Grub => no_control(text).map(single_quoted),
            Self::Preseed => match no_control(text)? {
                text if text.ends_with('\\') => Err("ends with a backslash, which continues the line".into()),
                text => Ok(text.to_owned()),
            },
            Self::Kickstart => Ok(no_control(text)?.replace('\\', r"\\").replace('"', "\\\"")),
            Self::Json | Self::Yaml => Ok(json_inner(text)),
            Self::Xml => text.chars().map(in_xml).collect(),
        }
    }
}

fn no_control(text: &str) -> Result<&str, String> {
    match text.chars().find(|c| c.is_control()) {
        Some(c) => Err(format!("holds the control character {c:?}")),
        None => Ok(text),
    }
}

/// iPXE expands `${…}` and obeys these words wherever they stand; it has no way to quote them.
fn plain_for_ipxe(text: &str) -> Result<&str, String> {
    if text.contains('$') {
        return Err("holds `$`, which iPXE would expand".into());
    }
    match text.split_whitespace().find(|word| matches!(*word, "||" | "&&" | ";" | "#")) {
        Some(word) => Err(format!("holds the word `{word}`, which iPXE would obey")),
        None => Ok(text),
    }
}

/// A quote ends the word, stands escaped, and begins the next part of the same word.
fn single_quoted(text: &str) -> String {
    text.replace('\'', r"'\''")
}

fn json_inner(text: &str) -> String {
    let quoted = plain_for_yaml(&serde_json::Value::from(text).to_string());
    quoted[1..quoted.len() - 1].to_owned()
}

/// JSON in which nothing stands that YAML takes for a line break or for unprintable (YAML 1.2 §5.1, 1.1 §4.1.4). Outside of its
/// strings JSON has no such characters.
fn plain_for_yaml(json: &str) -> String {
    let mut plain = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                plain.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => plain.push(c),
        }
    }
    plain
}

/// XML 1.0 §2.2 and §2.4; white space by its number, as attributes and line ends are normalised (§2.11, §3.3.3).
fn in_xml(c: char) -> Result<String, String> {
    match c {
        '&' => Ok("&amp;".into()),
        '<' => Ok("&lt;".into()),
        '>' => Ok("&gt;".into()),
        '"' => Ok("&quot;".into()),
        '\'' => Ok("&apos;".into()),
        '\t' | '\n' | '\r' => Ok(format!("&#{};", u32::from(c))),
        '\0'..'\u{20}' | '\u{fffe}' | '\u{ffff}' => Err(format!("holds {c:?}, which XML cannot hold")),
        c => Ok(c.into()),
    }
}

/// The filter of a format.
pub(super) fn filter(marks: &Marks, format: Format, value: &Value) -> Result<Value, Error> {
    let refused =
        |why: String| Error::new(ErrorKind::InvalidOperation, format!("| {}: {why}", format.word()));
    let text = match (value.as_str(), format) {
        (Some(text), _) => text.to_owned(),
        (None, Format::Json | Format::Yaml) => return structure(marks, value).map_err(refused),
        (None, _) if matches!(value.kind(), ValueKind::Number | ValueKind::Bool) => value.to_string(),
        (None, _) => return Err(refused(format!("takes text or a number, not a {}", value.kind()))),
    };
    let pieces = marks.pieces(&text).ok_or_else(|| refused("a url, slot or secret was cut".into()))?;
    let mut quoted = format.quote().to_owned();
    for piece in pieces {
        match piece {
            Piece::Text(text) => {
                let escaped = format.escape(text).map_err(|why| refused(format!("the value {why}")))?;
                quoted.push_str(&escaped);
            }
            Piece::Mark(Mark::Slot(slot)) => quoted.push_str(&marks.slot(slot)),
            Piece::Mark(Mark::Secret(name, None)) => quoted.push_str(&marks.secret(&name, Some(format))),
            Piece::Mark(Mark::Secret(_, Some(_))) => return Err(refused("a secret is quoted twice".into())),
        }
    }
    quoted.push_str(format.quote());
    Ok(Value::from(quoted))
}

/// Lists and maps as JSON. A secret within could not be escaped, so there must be none.
fn structure(marks: &Marks, value: &Value) -> Result<Value, String> {
    let json = serde_json::to_string(value).map_err(|error| error.to_string())?;
    let pieces = marks.pieces(&json).ok_or("a url, slot or secret was cut")?;
    match pieces.iter().any(|piece| matches!(piece, Piece::Mark(Mark::Secret(..)))) {
        true => Err("a secret within a list or map: quote it by itself".into()),
        false => Ok(Value::from(plain_for_yaml(&json))),
    }
}
