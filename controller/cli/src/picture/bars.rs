//! Bars in a terminal.

use std::time::Duration;

use proto::v1;

use super::{Bar, End, layout, length};

/// The narrowest and the widest bar, in characters.
const BARS: (usize, usize) = (8, 48);
/// What stands beside the bars at least: a remark of some words.
const REMARK: usize = 24;
/// Two lengths of time, and all gaps.
const TIMES: usize = 23;

/// One line for each stage, none wider than `width` where that is possible; in colours or not.
#[must_use]
pub(crate) fn bars(boot: &v1::ExplainedBoot, width: usize, colours: bool) -> Vec<String> {
    let (bars, total) = layout(boot);
    let titles = bars.iter().map(|bar| bar.title.chars().count()).max().unwrap_or_default();
    let room = width.saturating_sub(titles + TIMES + REMARK).clamp(BARS.0, BARS.1);
    let rest = width.saturating_sub(titles + TIMES + room).max(REMARK / 2);
    bars.iter().map(|bar| line(bar, total, (titles, room, rest), colours)).collect()
}

fn line(bar: &Bar, total: Duration, (titles, room, rest): (usize, usize, usize), colours: bool) -> String {
    let (before, drawn) = place(bar, total, room);
    let after = room - before - drawn;
    let mark = match bar.end {
        End::Done | End::Broken => "█",
        End::Unknown => "░",
    };
    let drawing = coloured(bar.end, &mark.repeat(drawn), colours);
    let (from, lasted) = (length(bar.from), length(bar.to.saturating_sub(bar.from)));
    let remark = cut(&bar.remark, rest);
    let (left, right) = (" ".repeat(before), " ".repeat(after));
    let text = format!(
        "{:<titles$}  {left}{drawing}{right}  {:>8} {lasted:>8}  {remark}",
        bar.title,
        format!("+{from}")
    );
    text.trim_end().to_owned()
}

/// Characters before the bar, and of it: one at least.
fn place(bar: &Bar, total: Duration, room: usize) -> (usize, usize) {
    let total = total.as_millis().max(1);
    let at =
        |time: Duration| usize::try_from(time.as_millis() * room as u128 / total).unwrap_or(room).min(room);
    let (from, to) = (at(bar.from).min(room - 1), at(bar.to));
    (from, to.saturating_sub(from).max(1))
}

fn coloured(end: End, text: &str, colours: bool) -> String {
    // SGR: green, red, yellow (ECMA-48 §8.3.117).
    let code = match end {
        End::Done => 32,
        End::Broken => 31,
        End::Unknown => 33,
    };
    if colours { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// The beginning, if all of it is too long.
fn cut(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    text.chars().take(room.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{broken, under_way};
    use super::*;

    #[test]
    fn stages_lie_where_they_were() {
        let expected = [
            "address of the ROM   ██                      +0.000s   4.000s  10.1.0.9",
            "loader                 █                     +4.000s   1.000s  ipxe.efi, 1.0 MiB at 2.…",
            "kernel and RAM disk    ███████████████████   +5.000s  35.000s  machine fell <silent>\u{fffd}[…",
        ];
        assert_eq!(bars(&broken(), 87, false), expected);
    }

    #[test]
    fn what_is_under_way_is_drawn_to_the_present() {
        let drawn = bars(&under_way(), 120, false);
        assert!(drawn[2].contains("░░░░") && drawn[2].contains("1m00s"), "{drawn:#?}");
    }

    #[test]
    fn no_line_is_wider_than_there_is_room() {
        for width in [80, 100, 132, 200] {
            for line in bars(&broken(), width, false) {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
        assert!(
            bars(&broken(), 10, false).iter().all(|line| line.contains('█')),
            "too narrow, and drawn all the same"
        );
        assert_eq!(bars(&v1::ExplainedBoot::default(), 80, false), Vec::<String>::new());
    }

    #[test]
    fn colours_are_for_terminals() {
        assert!(!bars(&broken(), 80, false).concat().contains('\u{1b}'));
        assert!(bars(&broken(), 80, true)[2].contains("\u{1b}[31m"));
    }
}
