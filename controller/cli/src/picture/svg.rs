//! The same as a picture in a file, which any browser shows. It loads nothing and runs nothing.

use std::fmt::Write as _;
use std::time::Duration;

use proto::{Wall, v1};

use super::{Bar, End, layout, length};
use crate::output::{plain, words};

/// In pixels: the picture, where the bars begin and end, and the height of a line.
const WIDTH: usize = 960;
const LEFT: usize = 190;
const RIGHT: usize = 560;
const LINE: usize = 26;
/// Above the first bar.
const HEAD: usize = 78;
/// Characters of a remark, and of the sentence above: what fits.
const REMARK: usize = 58;
const SENTENCE: usize = 130;

/// The whole file.
#[must_use]
pub(crate) fn svg(boot: &v1::ExplainedBoot) -> String {
    let (bars, total) = layout(boot);
    let height = HEAD + bars.len() * LINE + 40;
    let mut out = String::new();
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"13\">"
    );
    let _ = writeln!(out, "<title>{}</title>", escaped(&heading(boot)));
    let _ = writeln!(out, "<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>");
    text(&mut out, (16, 28), "#111111", "font-size=\"16\" font-weight=\"bold\"", &heading(boot));
    text(&mut out, (16, 52), "#444444", "", &cut(&answer(boot), SENTENCE));
    for (number, bar) in bars.iter().enumerate() {
        line(&mut out, bar, total, HEAD + number * LINE);
    }
    axis(&mut out, total, HEAD + bars.len() * LINE + 16);
    out.push_str("</svg>\n");
    out
}

fn heading(boot: &v1::ExplainedBoot) -> String {
    let summary = boot.boot.clone().unwrap_or_default();
    let who = if summary.host.is_empty() { "an unknown machine" } else { &summary.host };
    let at = words::moment(Wall(summary.began_ms));
    plain(&format!("Boot of {who} at site {}, {at}: {}", summary.site, summary.outcome))
}

fn answer(boot: &v1::ExplainedBoot) -> String {
    plain(boot.findings.first().map_or("", |finding| finding.sentence.as_str()))
}

fn line(out: &mut String, bar: &Bar, total: Duration, top: usize) {
    let (from, to) = (along(bar.from, total), along(bar.to, total));
    let width = to.saturating_sub(from).max(2);
    let fill = match bar.end {
        End::Done => "#2e7d32",
        End::Broken => "#c62828",
        End::Unknown => "#f9a825",
    };
    let baseline = top + 14;
    text(out, (16, baseline), "#111111", "", &bar.title);
    let _ = writeln!(
        out,
        "<rect x=\"{from}\" y=\"{}\" width=\"{width}\" height=\"14\" rx=\"2\" fill=\"{fill}\"/>",
        top + 2
    );
    let lasted = length(bar.to.saturating_sub(bar.from));
    let remark = if bar.remark.is_empty() { lasted } else { format!("{lasted}, {}", bar.remark) };
    text(out, (RIGHT + 12, baseline), "#444444", "font-size=\"12\"", &cut(&remark, REMARK));
}

fn axis(out: &mut String, total: Duration, top: usize) {
    let _ =
        writeln!(out, "<line x1=\"{LEFT}\" y1=\"{top}\" x2=\"{RIGHT}\" y2=\"{top}\" stroke=\"#999999\"/>");
    text(out, (LEFT, top + 16), "#666666", "font-size=\"11\"", "0 s");
    text(out, (RIGHT, top + 16), "#666666", "font-size=\"11\" text-anchor=\"end\"", &length(total));
}

fn along(time: Duration, total: Duration) -> usize {
    let room = (RIGHT - LEFT) as u128;
    LEFT + usize::try_from(time.as_millis() * room / total.as_millis().max(1)).unwrap_or(RIGHT - LEFT)
}

fn text(out: &mut String, (x, y): (usize, usize), fill: &str, more: &str, text: &str) {
    let _ = writeln!(out, "<text x=\"{x}\" y=\"{y}\" fill=\"{fill}\" {more}>{}</text>", escaped(text));
}

fn cut(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    text.chars().take(room - 1).chain(['…']).collect()
}

/// What machines and operators wrote is text, never a part of the picture.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::tests::broken;
    use super::*;

    #[test]
    fn what_a_machine_says_stays_text() {
        let mut boot = broken();
        boot.boot.get_or_insert_default().host = "<script>alert(1)</script>".into();
        let picture = svg(&boot);
        assert!(!picture.contains("<script"), "{picture}");
        assert!(
            picture.contains("&lt;script&gt;") && picture.contains("fell &lt;silent&gt;\u{fffd}[2J"),
            "{picture}"
        );
    }

    #[test]
    fn every_stage_has_its_bar_and_all_elements_are_closed() {
        let picture = svg(&broken());
        assert_eq!(picture.matches("rx=\"2\"").count(), 3);
        assert_eq!(picture.matches("<text").count(), picture.matches("</text>").count());
        assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
        for bar in picture.lines().filter(|line| line.contains("rx=\"2\"")) {
            let number = |name: &str| {
                let rest = bar.split_once(&format!("{name}=\"")).map_or("", |(_, rest)| rest);
                rest.split('"').next().and_then(|text| text.parse::<usize>().ok()).expect("a number")
            };
            assert!(number("x") >= LEFT && number("x") + number("width") <= RIGHT + 2, "{bar}");
        }
    }
}
