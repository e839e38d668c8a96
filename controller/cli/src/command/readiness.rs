//! `bootlane image status`, and what sites hold of what an order takes, in words.

use clap::Args;
use proto::{Wall, v1};
use serde_json::{Value, json};

use super::{Context, wan};
use crate::failure::Failure;
use crate::output::{Format, document, plain, table, words, yaml};

/// `image status`.
#[derive(Debug, Args)]
pub(crate) struct ImageStatus {
    /// Only this image
    image: Option<String>,
    /// Only at this site
    #[arg(long)]
    site: Option<String>,
}

/// Shows what sites hold.
pub(crate) async fn image_status(context: &mut Context, wanted: ImageStatus) -> Result<(), Failure> {
    let (image, site) = (wanted.image.unwrap_or_default(), wanted.site.unwrap_or_default());
    let request = v1::ImageStatusRequest { image, site, ..v1::ImageStatusRequest::default() };
    let entries = context.connect().await?.image_status(request).await?;
    match context.output.format_or(Format::Table) {
        Format::Table => {
            let now = words::now();
            let rows: Vec<_> = entries.iter().map(|entry| row(entry, now)).collect();
            if rows.is_empty() {
                context.output.remark(
                    "no site with an agent needs it: no host, order, profile or `prefetch` there names it",
                );
            }
            let headings = ["site", "image", "agent", "state", "size", "rate", "done", "remarks"];
            context.output.line(&table::render(&headings, &rows, context.output.colours()))
        }
        Format::Json => context.output.line(&document::json(&all(&entries))),
        Format::Yaml => context.output.text(&yaml::text(&all(&entries))),
    }
}

fn row(entry: &v1::Readiness, now: Wall) -> Vec<String> {
    vec![
        entry.site.clone(),
        entry.image.clone(),
        entry.agent.clone(),
        state(entry, now),
        words::size(entry.bytes),
        rate(entry),
        done(entry, now),
        remarks(entry),
    ]
}

/// `ready`, `arriving 43%`, `silent since 2h`.
fn state(entry: &v1::Readiness, now: Wall) -> String {
    match entry.state.as_str() {
        "ready" | "unknown" => entry.state.clone(),
        "silent" if entry.as_of_ms == 0 => "silent".into(),
        "silent" => {
            let since = words::rough(now.since(Wall(entry.as_of_ms)));
            format!("silent since {since}, had {}%", percent(entry))
        }
        // Of one that waits or failed nothing may be here.
        _ if entry.held_bytes == 0 => entry.state.clone(),
        state => format!("{state} {}%", percent(entry)),
    }
}

/// 100 only when all of it is there.
fn percent(entry: &v1::Readiness) -> u64 {
    let held = u128::from(entry.held_bytes) * 100 / u128::from(entry.bytes.max(1));
    let most = if entry.missing_blobs == 0 { 100 } else { 99 };
    u64::try_from(held).unwrap_or(most).min(most)
}

fn rate(entry: &v1::Readiness) -> String {
    match entry.bytes_per_second {
        0 => String::new(),
        bytes => format!("{}/s", words::size(bytes)),
    }
}

fn done(entry: &v1::Readiness, now: Wall) -> String {
    if entry.done_ms == 0 {
        String::new()
    } else {
        words::relative(Wall(entry.done_ms.max(now.0 + 1_000)), now)
    }
}

fn remarks(entry: &v1::Readiness) -> String {
    let state = match (entry.why.as_str(), entry.remedy.as_str()) {
        (why, "") => why.to_owned(),
        ("", remedy) => remedy.to_owned(),
        (why, remedy) => format!("{why}: {remedy}"),
    };
    let parts = [state, wan::of_agent(entry)];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}

fn all(entries: &[v1::Readiness]) -> Value {
    Value::Array(entries.iter().map(value).collect())
}

/// For programs.
pub(super) fn value(entry: &v1::Readiness) -> Value {
    let some = |number: u64| (number != 0).then_some(number);
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    json!({
            "site": entry.site, "image": entry.image, "agent": entry.agent, "state": entry.state,
            "blobs": entry.blobs, "missing_blobs": entry.missing_blobs,
            "bytes": entry.bytes, "held_bytes": entry.held_bytes, "bytes_per_second": entry.bytes_per_second,
            "done_ms": some(entry.done_ms), "as_of_ms": some(entry.as_of_ms),
            "why": text(&entry.why), "remedy": text(&entry.remedy),
            "wan_bits_per_second": some(entry.wan_bits_per_second), "wan_until_ms": some(entry.wan_until_ms),
    })
}

/// What the site of an order still lacks, in a sentence; None: nothing.
pub(super) fn lacks(entry: &v1::Readiness, now: Wall) -> Option<String> {
    if entry.state == "ready" {
        return None;
    }
    let mut text = match (entry.state.as_str(), entry.missing_blobs) {
        ("unknown" | "silent", _) | (_, 0) => {
            format!("nobody knows whether agent {} holds all of it", entry.agent)
        }
        _ => {
            let (held, bytes) = (words::size(entry.held_bytes), words::size(entry.bytes));
            format!("agent {} holds {held} of {bytes}, {}%", entry.agent, percent(entry))
        }
    };
    let more = [rate(entry), arrives(entry, now), remarks(entry)];
    for more in more.iter().filter(|more| !more.is_empty()) {
        text.push_str(&format!("; {more}"));
    }
    Some(plain(&text))
}

fn arrives(entry: &v1::Readiness, now: Wall) -> String {
    let done = done(entry, now);
    if done.is_empty() { done } else { format!("the rest is there {done}") }
}

/// The same of an order's document, where it waits.
pub(super) fn of_order(order: &Value) -> Option<v1::Readiness> {
    let readiness = order.pointer("/status/readiness")?;
    let text = |field: &str| readiness.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let number = |field: &str| readiness.get(field).and_then(Value::as_u64).unwrap_or_default();
    let (bytes, held_bytes) = (number("bytes"), number("held_bytes"));
    Some(v1::Readiness {
        agent: order.pointer("/spec/agent").and_then(Value::as_str).unwrap_or_default().to_owned(),
        state: text("state"),
        bytes,
        held_bytes,
        missing_blobs: u32::from(held_bytes < bytes),
        bytes_per_second: number("bytes_per_second"),
        done_ms: number("done_ms"),
        why: text("why"),
        remedy: text("remedy"),
        as_of_ms: number("as_of_ms"),
        ..v1::Readiness::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Wall = Wall(1_772_366_400_000);

    fn entry(state: &str, held: u64, missing: u32) -> v1::Readiness {
        v1::Readiness {
            agent: "lyon-1".into(),
            state: state.into(),
            bytes: 1_000_000,
            held_bytes: held,
            missing_blobs: missing,
            ..v1::Readiness::default()
        }
    }

    #[test]
    fn states_read_like_states() {
        assert_eq!(state(&entry("ready", 1_000_000, 0), NOW), "ready");
        assert_eq!(state(&entry("arriving", 430_000, 1), NOW), "arriving 43%");
        assert_eq!(state(&entry("arriving", 999_999, 1), NOW), "arriving 99%");
        assert_eq!(state(&entry("waiting", 0, 2), NOW), "waiting");
        let silent = v1::Readiness { as_of_ms: NOW.0 - 7_200_000, ..entry("silent", 500_000, 1) };
        assert_eq!(state(&silent, NOW), "silent since 2h, had 50%");
    }

    #[test]
    fn what_is_lacking_is_one_sentence() {
        assert_eq!(lacks(&entry("ready", 1_000_000, 0), NOW), None);
        let arriving = v1::Readiness {
            bytes_per_second: 1_024,
            done_ms: NOW.0 + 300_000,
            ..entry("arriving", 500_000, 1)
        };
        let expected = "agent lyon-1 holds 488.2 KiB of 976.5 KiB, 50%; 1.0 KiB/s; the rest is there in 5m";
        assert_eq!(lacks(&arriving, NOW).as_deref(), Some(expected));
        let unknown = v1::Readiness { why: "it is away".into(), ..entry("unknown", 0, 3) };
        let expected = "nobody knows whether agent lyon-1 holds all of it; it is away";
        assert_eq!(lacks(&unknown, NOW).as_deref(), Some(expected));
    }
}
