//! Prometheus' own text format, made of OpenMetrics.
//!
//! The library writes OpenMetrics alone. The older format differs in little: a counter's family has the name of its
//! samples, with `_total`, and there are no units, no exemplars and no end mark. The input is what the library wrote, so
//! what does not look like it is passed on as it is.

/// Writes anew what stands in `openmetrics`.
pub(super) fn text(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len());
    let mut help = None;
    for line in openmetrics.lines() {
        match line.strip_prefix("# ").and_then(|rest| rest.split_once(' ').or(Some((rest, "")))) {
            Some(("HELP", rest)) => help = Some(rest),
            Some(("TYPE", rest)) => describe(&mut text, help.take(), rest),
            Some(("UNIT" | "EOF", _)) => {}
            Some(_) | None => push(&mut text, &[without_exemplar(line)]),
        }
    }
    text
}

/// The lines of a family, of which `kind` is `NAME TYPE` and `help` is `NAME TEXT`.
fn describe(text: &mut String, help: Option<&str>, kind: &str) {
    let (name, kind) = kind.split_once(' ').unwrap_or((kind, "untyped"));
    let total = if kind == "counter" { "_total" } else { "" };
    if let Some((_, help)) = help.and_then(|help| help.split_once(' ')) {
        push(text, &["# HELP ", name, total, " ", help]);
    }
    push(text, &["# TYPE ", name, total, " ", kind]);
}

fn push(text: &mut String, parts: &[&str]) {
    parts.iter().for_each(|part| text.push_str(part));
    text.push('\n');
}

/// A sample up to its exemplar, which begins with a `#` outside of quotes.
fn without_exemplar(line: &str) -> &str {
    let (mut quoted, mut escaped) = (false, false);
    for (place, byte) in line.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'#' if !quoted => return line[..place].trim_end(),
            _ => {}
        }
    }
    line
}
