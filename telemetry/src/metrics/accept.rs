//! Which form a scraper is given: what it asks for by `Accept` (RFC 9110 §12.5.1).

use super::exposition::Form;

/// OpenMetrics where it is wanted at least as much as plain text; else the older format, which everybody reads.
pub(super) fn form(accept: &str) -> Form {
    let (mut open, mut plain) = (0.0_f32, 0.0_f32);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        let (mut weight, mut known) = (1.0, true);
        for part in parts {
            match part.split_once('=') {
                Some(("q", value)) => weight = value.parse().unwrap_or(0.0),
                Some(("version", value)) => known = value.trim_matches('"').starts_with("1."),
                Some(_) | None => {}
            }
        }
        match kind {
            "application/openmetrics-text" if known => open = open.max(weight),
            "text/plain" | "text/*" => plain = plain.max(weight),
            _ => {}
        }
    }
    if open > 0.0 && open >= plain { Form::OpenMetrics } else { Form::Prometheus }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scrapers_get_what_they_ask_for() {
        let prometheus_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                            text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                            text/plain;version=0.0.4;q=0.4,*/*;q=0.1";
        for accept in [prometheus_2, prometheus_3, "application/openmetrics-text"] {
            assert_eq!(form(accept), Form::OpenMetrics, "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "text/html,*/*;q=0.8",
            "text/plain",
            "application/openmetrics-text;version=0.0.1",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=0.3,text/plain;q=0.4",
            "application/openmetrics-text;q=much",
            ";;;,=,",
        ] {
            assert_eq!(form(accept), Form::Prometheus, "{accept}");
        }
    }
}
