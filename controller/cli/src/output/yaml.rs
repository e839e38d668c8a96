//! YAML that every reader takes for the same. The library writes as YAML 1.2 wants it; readers of YAML 1.1, which most others are,
//! take some plain words for numbers, dates and truth values (yaml.org/type): `18:00` is 1080, `010` is 8, `no` is false. Such texts
//! stand in quotes here.
//!
//! The library writes single values, as it cannot be told which of them to quote; what holds them is laid out here.

use serde::Serialize;
use serde_yaml_ng::Value;

/// A value as YAML, ended by a line feed.
#[must_use]
pub(crate) fn text(value: &impl Serialize) -> String {
    let value = serde_yaml_ng::to_value(value).expect("what is shown has string keys, which YAML can write");
    let mut out = String::new();
    write(&mut out, &value, 0, 0);
    out
}

/// Writes a value below something at column `above`. Its first line is begun already if `column` is not where lines begin.
fn write(out: &mut String, value: &Value, column: usize, above: usize) {
    let begin = |out: &mut String| {
        if out.is_empty() || out.ends_with('\n') {
            out.extend(std::iter::repeat_n(' ', column));
        }
    };
    match value {
        Value::Mapping(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                begin(out);
                out.push_str(&key(name));
                out.push(':');
                member(out, value, column);
            }
        }
        Value::Sequence(items) if !items.is_empty() => {
            for item in items {
                begin(out);
                out.push_str("- ");
                write(out, item, column + 2, column);
            }
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Sequence(_)
        | Value::Mapping(_)
        | Value::Tagged(_) => {
            begin(out);
            out.push_str(&below(&leaf(value), above));
        }
    }
}

/// The value of a field, behind its colon.
fn member(out: &mut String, value: &Value, column: usize) {
    let inner = match value {
        Value::Mapping(fields) if !fields.is_empty() => Some(column + 2),
        // A list stands as far left as its name.
        Value::Sequence(items) if !items.is_empty() => Some(column),
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Sequence(_)
        | Value::Mapping(_)
        | Value::Tagged(_) => None,
    };
    out.push(if inner.is_some() { '\n' } else { ' ' });
    write(out, value, inner.unwrap_or(column), column);
}

/// A name on one line.
fn key(name: &Value) -> String {
    match name {
        Value::String(name) if name.contains('\n') => escaped(name),
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Sequence(_)
        | Value::Mapping(_)
        | Value::Tagged(_) => leaf(name).trim_end().to_owned(),
    }
}

/// On one line, whatever is in it: JSON's escapes are YAML's, and the two breaks that JSON leaves as they are have escapes, too.
fn escaped(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    BREAKS.iter().fold(json, |json, line| json.replace(*line, &format!("\\u{:04x}", u32::from(*line))))
}

/// Breaks of lines to YAML 1.1 and the library, and none to YAML 1.2 (§5.4).
const BREAKS: [char; 2] = ['\u{2028}', '\u{2029}'];

/// A single value as the library writes it at the outermost level, with its line feed; quoted where it must be.
fn leaf(value: &Value) -> String {
    match value {
        Value::String(text) if is_other_in_1_1(text) => format!("'{text}'\n"),
        Value::String(text) if text.contains(BREAKS) => escaped(text) + "\n",
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Sequence(_)
        | Value::Mapping(_)
        | Value::Tagged(_) => {
            // Between others of a list, where nothing depends on the end of the document.
            let list = serde_yaml_ng::to_string(&[value, &Value::Null]).expect("a value can be written");
            let written = list.strip_prefix("- ").and_then(|rest| rest.strip_suffix("- null\n"));
            written.expect("a list is written so").to_owned()
        }
    }
}

/// A text of several lines, so far to the right as its place asks for.
fn below(written: &str, above: usize) -> String {
    let pad = " ".repeat(above);
    let mut lines = written.split_inclusive('\n');
    let first = lines.next().unwrap_or_default().to_owned();
    lines.fold(first, |text, line| if line == "\n" { text + line } else { text + &pad + line })
}

/// Does a reader of YAML 1.1 take this plain text for something else than a text, which one of YAML 1.2 does not?
fn is_other_in_1_1(text: &str) -> bool {
    const WORDS: [&str; 8] = ["y", "yes", "n", "no", "on", "off", "=", "<<"];
    WORDS.contains(&text.to_ascii_lowercase().as_str()) || is_number(text) || is_date(text)
}

/// yaml.org/type/int.html and float.html: base 2, 8, 10 and 60, with underscores.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let all = |text: &str, digit: fn(&u8) -> bool| {
        !text.is_empty() && text.bytes().all(|byte| byte == b'_' || digit(&byte))
    };
    if let Some(binary) = digits.strip_prefix("0b") {
        return all(binary, |byte| matches!(byte, b'0' | b'1'));
    }
    if let Some(hexadecimal) = digits.strip_prefix("0x") {
        return all(hexadecimal, u8::is_ascii_hexdigit);
    }
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "_"));
    let mut places = whole.split(':');
    let first = places.next().unwrap_or_default();
    let sixtieth = |place: &str| place.len() <= 2 && place.parse::<u8>().is_ok_and(|place| place < 60);
    first.starts_with(|c: char| c.is_ascii_digit())
        && all(first, u8::is_ascii_digit)
        && places.all(sixtieth)
        && (fraction.is_empty() || all(fraction, u8::is_ascii_digit))
}

/// yaml.org/type/timestamp.html: a day, or one with a time.
fn is_date(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let mut part = || parts.next().unwrap_or_default();
    let (year, month, rest) = (part(), part(), part());
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (day, time) = rest.split_at(end);
    let digits = |text: &str, lengths: std::ops::RangeInclusive<usize>| {
        lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let timed = time.is_empty() || time.starts_with(['T', 't', ' ', '\t']);
    digits(year, 4..=4) && digits(month, 1..=2) && digits(day, 1..=2) && timed
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What readers of YAML 1.1 would take for something else; the list of yaml.org/type.
    const OTHERS: [&str; 19] = [
        "18:00",
        "190:20:30",
        "52:54:00:12:34:56",
        "20:30.15",
        "yes",
        "No",
        "ON",
        "off",
        "y",
        "N",
        "010",
        "+12",
        "0b1010",
        "685_230",
        "2001-12-14",
        "2001-12-14T21:59:43.10-05:00",
        "2001-12-14 21:59",
        "=",
        "<<",
    ];

    #[test]
    fn what_yaml_1_1_reads_otherwise_is_quoted() {
        for text in OTHERS {
            assert_eq!(super::text(&json!({"to": text})), format!("to: '{text}'\n"));
        }
        assert_eq!(text(&json!({"on": ["no"]})), "'on':\n- 'no'\n");
    }

    #[test]
    fn all_else_is_as_plain_as_before() {
        for text in [
            "lyon",
            "10.1.0.2",
            "10.1.0.0/24",
            "52:54:00:00:00:aa",
            "1.7/2-x",
            "25%",
            "2h",
            "18:60",
            "2001-12-14x",
        ] {
            assert_eq!(super::text(&json!({"to": text})), format!("to: {text}\n"));
        }
        let value =
            json!({"a": {"b": [1, {"c": true, "d": [[], {}]}, [["x"]]], "e": null}, "f": 1.5, "g": "true"});
        assert_eq!(text(&value), serde_yaml_ng::to_string(&value).expect("written"));
    }

    #[test]
    fn every_text_is_read_as_it_was_wherever_it_stands() {
        let texts = [
            "",
            " a",
            "a ",
            "a\n",
            "a\n\n",
            "\n",
            "  a\n b\n",
            "a\n\nb",
            "- a",
            "a: b",
            "# a",
            "'",
            "\"",
            "\t",
            "a\r\n",
            "~",
            "null",
            "---",
            "...",
            "!x",
            "&x",
            "\u{1b}[2J",
            "\u{feff}",
            "%",
            "@",
            "|",
            "é\u{2028}",
            "a\u{2029}b",
        ];
        for text in texts.into_iter().chain(OTHERS) {
            let value = json!({"a": text, "b": [text, {text: text, "c": [[text], text]}, text], "d": {"e": {text: text}}});
            let written = super::text(&value);
            let read: serde_json::Value = serde_yaml_ng::from_str(&written).unwrap_or_default();
            assert_eq!(read, value, "{text:?}: {written}");
        }
        assert_eq!(text(&json!("18:00")), "'18:00'\n");
    }
}
