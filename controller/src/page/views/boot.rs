//! One boot: what is wrong with it, its stages as bars, and its timeline. Live: each event adds a line, and bars grow.

use axum::extract::{Extension, Path, State};
use axum::response::Html;
use maud::{Markup, html};
use proto::words::{plain, rough, size};
use proto::{AttemptId, Wall};

use super::{framed, parts};
use crate::app::App;
use crate::diagnosis::{End, StageSpan, Standing};
use crate::events::{BootFilter, BootSummary, StoredEvent};
use crate::explain::{Explained, Inquiry};
use crate::overview::BootLine;
use crate::page::guard::Visitor;
use crate::page::problem::Problem;
use crate::page::state::Page;

/// The digits of an attempt, and the fewest that name one.
const DIGITS: usize = 32;
const FEWEST: usize = 4;
/// As many recent attempts are searched for one by its first digits.
const SEARCHED: usize = 1_000;
/// How wide bars are drawn, in the units of their picture.
const WIDTH: u64 = 1_000;
/// The narrowest bar.
const NARROWEST: u64 = 4;

/// `GET /boots/ATTEMPT`.
pub(super) async fn show(
    State(page): State<Page>,
    Extension(visitor): Extension<Visitor>,
    Path(digits): Path<String>,
) -> Result<Html<String>, Problem> {
    let view = BootView::read(&page.app, by_digits(&page.app, &digits).await?).await?;
    let live = format!("/boots/{}/live?after={}", view.line.boot.attempt, view.events.len());
    let title = format!("Boot of {}", view.name());
    Ok(framed(&page, &visitor, &title, &live, &view.render()))
}

/// An attempt as it stands in a path.
pub(in crate::page) fn attempt(digits: &str) -> Result<AttemptId, Problem> {
    digits.parse().map_err(|_| Problem::NotFound("such boot".into()))
}

/// All digits of an attempt, or the first of one recent attempt, as lists show them.
async fn by_digits(app: &App, digits: &str) -> Result<AttemptId, Problem> {
    let is_short = (FEWEST..DIGITS).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_short {
        return attempt(digits);
    }
    let digits = digits.to_ascii_lowercase();
    let recent = app.events.boots(BootFilter { limit: SEARCHED, ..BootFilter::default() }).await?;
    let mut found = recent.iter().map(|boot| boot.attempt).filter(|id| id.to_string().starts_with(&digits));
    match (found.next(), found.next()) {
        (Some(attempt), None) => Ok(attempt),
        (Some(_), Some(_)) => {
            Err(Problem::NotFound("one boot alone that begins so: give more digits".into()))
        }
        (None, _) => Err(Problem::NotFound("such boot among the recent ones".into())),
    }
}

/// A boot that is known.
pub(in crate::page) async fn known(app: &App, attempt: AttemptId) -> Result<BootSummary, Problem> {
    let gone = || Problem::NotFound(format!("boot {attempt}: older ones are forgotten"));
    app.events.boot(attempt).await?.ok_or_else(gone)
}

/// A boot and all that is shown of it.
pub(in crate::page) struct BootView {
    line: BootLine,
    events: Vec<StoredEvent>,
    now: Wall,
}

impl BootView {
    /// Reads it.
    pub(in crate::page) async fn read(app: &App, attempt: AttemptId) -> Result<Self, Problem> {
        let boot = known(app, attempt).await?;
        let mut inquiry = Inquiry::new(app);
        let Explained { boot, events, diagnosis } = inquiry.explain(boot).await?;
        Ok(Self { line: BootLine::of(app, boot, diagnosis).await?, events, now: inquiry.now() })
    }

    /// Does it go on, so that what is shown changes with time alone?
    pub(in crate::page) fn is_under_way(&self) -> bool {
        self.line.diagnosis.standing == Standing::UnderWay
    }

    /// Its timeline, a row for each event.
    pub(in crate::page) fn lines(&self) -> Vec<Markup> {
        let began = self.events.first().map_or(Wall(0), |first| first.numbered.event.at);
        self.events.iter().enumerate().map(|(index, event)| event_row(index + 1, began, event)).collect()
    }

    /// What changes as it goes on, each under an id of its own.
    pub(in crate::page) fn parts(&self) -> [Markup; 3] {
        [self.summary(), self.findings(), self.stages()]
    }

    fn render(&self) -> Markup {
        html! {
            h1 { "Boot of " (parts::machine(&self.line)) }
            @for part in self.parts() { (part) }
            h2 { "Timeline" }
            div class="scroll" { table {
                caption { "Times since its first event, by the clock of its agent" }
                thead { tr { th scope="col" { "Time" } th scope="col" { "What" } th scope="col" { "" } } }
                tbody id="events" aria-live="polite" aria-relevant="additions" {
                    @for line in self.lines() { (line) }
                }
            } }
        }
    }

    fn summary(&self) -> Markup {
        let boot = &self.line.boot;
        html! {
            dl id="summary" {
                dt { "Outcome" } dd { (parts::outcome(&self.line)) @if !boot.stage.is_empty() { ", came to: " (plain(&boot.stage)) } }
                dt { "Began" } dd { (parts::when(boot.began_ms, self.now)) ", took " (rough(boot.last_ms.since(boot.began_ms))) }
                dt { "Where" } dd { (parts::site(&boot.site)) ", agent " (boot.agent) }
                @if let Some(mac) = boot.mac { dt { "Address of its card" } dd class="mono" { (mac) } }
                dt { "Attempt" } dd class="mono" { (boot.attempt) }
            }
        }
    }

    fn findings(&self) -> Markup {
        let found = &self.line.diagnosis.findings;
        html! { div id="findings" role="status" { @for finding in found { (parts::finding(finding)) } } }
    }

    fn stages(&self) -> Markup {
        let stages = &self.line.diagnosis.stages;
        let Some(first) = stages.first() else { return html! { div id="stages" {} } };
        let end = stages.iter().map(|stage| self.end(stage)).max().unwrap_or(first.began);
        let span = (first.began, end);
        html! {
            div id="stages" class="scroll" {
                h2 { "Stages" }
                table class="stages" {
                    thead { tr {
                        th scope="col" { "Stage" } th scope="col" class="number" { "Took" } th scope="col" class="number wide" { "Sent" }
                        th scope="col" { "" } th scope="col" class="chart" { "From " (rough(span.1.since(span.0))) " in all" }
                    } }
                    tbody { @for stage in stages { (stage_row(stage, self.end(stage), span)) } }
                }
            }
        }
    }

    /// Where its bar ends: one that is open goes on until now, by the clock of the controller.
    fn end(&self, stage: &StageSpan) -> Wall {
        match stage.end {
            End::Open if self.is_under_way() => stage.last.max(self.now),
            End::Open | End::Done | End::Broken(_) | End::Silent => stage.last,
        }
    }

    fn name(&self) -> String {
        let mac =
            || self.line.boot.mac.map_or_else(|| "an unknown machine".to_owned(), |mac| mac.to_string());
        self.line.host.clone().unwrap_or_else(mac)
    }
}

fn event_row(number: usize, began: Wall, event: &StoredEvent) -> Markup {
    let (what, words) = event.numbered.event.kind.words();
    html! {
        tr id={ "event-" (number) } {
            td class="time" { (parts::offset(began, event.numbered.event.at)) }
            th scope="row" { (what) }
            td { (plain(&words)) }
        }
    }
}

fn stage_row(stage: &StageSpan, end: Wall, span: (Wall, Wall)) -> Markup {
    let why = match &stage.end {
        End::Broken(why) => Some(why.as_str()),
        End::Open | End::Done | End::Silent => None,
    };
    html! {
        tr {
            th scope="row" { (stage.step.title()) }
            td class="number" { (took(stage.began, end)) }
            td class="number wide" {
                @if stage.bytes > 0 { (size(stage.bytes)) }
                @if let Some(rate) = stage.rate() { br; span class="quiet" { (size(rate)) "/s" } }
            }
            td {
                @match stage.end { End::Done => {}, End::Open | End::Broken(_) | End::Silent => { span class=(class(&stage.end)) { (stage.end.word()) } " " } }
                (plain(&stage.detail))
                @if let Some(why) = why { ": " (plain(why)) }
                @if stage.retransmissions > 0 { ", blocks sent again: " (stage.retransmissions) }
            }
            td class="chart" { (bar(stage, end, span)) }
        }
    }
}

/// A bar, for who sees it: its row says the same in numbers.
fn bar(stage: &StageSpan, end: Wall, (from, to): (Wall, Wall)) -> Markup {
    let span = to.0.saturating_sub(from.0);
    // An agent's clock may say anything.
    let scale = |at: Wall| {
        let part = u128::from(at.0.saturating_sub(from.0).min(span)) * u128::from(WIDTH);
        u64::try_from(part / u128::from(span.max(1))).unwrap_or(WIDTH)
    };
    let width = scale(end).saturating_sub(scale(stage.began)).max(NARROWEST);
    let x = scale(stage.began).min(WIDTH - width);
    html! {
        svg viewBox={ "0 0 " (WIDTH) " 18" } preserveAspectRatio="none" aria-hidden="true" {
            rect class="track" width=(WIDTH) height="18" {}
            rect class=(stage.end.word()) x=(x) width=(width) height="18" {}
        }
    }
}

fn class(end: &End) -> &'static str {
    match end {
        End::Open => "busy",
        End::Done => "good",
        End::Broken(_) => "bad",
        End::Silent => "warn",
    }
}

/// To the millisecond within a second, to the second beyond a minute.
fn took(from: Wall, to: Wall) -> String {
    let took = to.since(from);
    match took.as_secs() {
        0..60 => format!("{}.{:03} s", took.as_secs(), took.subsec_millis()),
        seconds => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proto::Incarnation;
    use proto::event::{Event, EventKind, NumberedEvent};

    use super::*;
    use crate::diagnosis::Step;
    use crate::events::Source;

    fn stage(began: u64, last: u64, end: End) -> StageSpan {
        StageSpan {
            step: Step::Loader,
            began: Wall(began),
            last: Wall(last),
            end,
            bytes: 2_048,
            transfer: Duration::from_millis(500),
            retransmissions: 1,
            detail: "<b>snponly.efi\u{202e}".into(),
        }
    }

    #[test]
    fn a_stage_is_a_bar_and_a_row_that_says_the_same() {
        let broken = stage(1_250, 1_750, End::Broken("no <answer>".into()));
        let row = stage_row(&broken, broken.last, (Wall(1_000), Wall(2_000))).into_string();
        let expected = concat!(
            r#"<tr><th scope="row">loader</th><td class="number">0.500 s</td>"#,
            r#"<td class="number wide">2.0 KiB<br><span class="quiet">4.0 KiB/s</span></td>"#,
            r#"<td><span class="bad">broken</span> &lt;b&gt;snponly.efi"#,
            "\u{fffd}",
            r#": no &lt;answer&gt;, blocks sent again: 1</td>"#,
            r#"<td class="chart"><svg viewBox="0 0 1000 18" preserveAspectRatio="none" aria-hidden="true">"#,
            r#"<rect class="track" width="1000" height="18"></rect>"#,
            r#"<rect class="broken" x="250" width="500" height="18"></rect></svg></td></tr>"#,
        );
        assert_eq!(row, expected);
    }

    #[test]
    fn a_bar_is_never_outside_of_its_picture() {
        for (began, last) in [(0, 0), (5, 5), (9_999, 10_000), (10_000, 10_000), (0, 10_000)] {
            let stage = stage(began, last, End::Done);
            let svg = bar(&stage, stage.last, (Wall(0), Wall(10_000))).into_string();
            let number = |name: &str| -> u64 {
                let (_, rest) = svg.rsplit_once(name).expect("it has one");
                rest.split('"').next().and_then(|digits| digits.parse().ok()).expect("a number")
            };
            assert!(
                number(" x=\"") + number(" width=\"") <= WIDTH && number(" width=\"") >= NARROWEST,
                "{svg}"
            );
        }
        let still = stage(7, 7, End::Open);
        assert!(bar(&still, still.last, (Wall(7), Wall(7))).into_string().contains("width=\"4\""));
        let forever = bar(&still, Wall(u64::MAX), (Wall(0), Wall(u64::MAX))).into_string();
        assert!(forever.contains("x=\"0\" width=\"1000\" height=\"18\""), "{forever}");
        let backwards = bar(&still, Wall(3), (Wall(0), Wall(10))).into_string();
        assert!(backwards.contains("width=\"4\""), "{backwards}");
    }

    #[test]
    fn what_a_machine_says_is_text_and_nothing_else() {
        let kind =
            EventKind::Progress { percent: Some(40), text: "</td><script>alert(1)</script>\u{1b}[2J".into() };
        let event = Event { at: Wall(1_500), attempt: None, host: None, mac: None, kind };
        let source = Source { site: "lyon".into(), agent: "lyon-1".into() };
        let numbered = NumberedEvent { number: 1, event };
        let stored = StoredEvent { source, incarnation: Incarnation([1; 16]), numbered };
        let expected = concat!(
            r#"<tr id="event-3"><td class="time"><time datetime="1970-01-01T00:00:01Z" title="1970-01-01T00:00:01Z">+0.500s</time></td>"#,
            r#"<th scope="row">installer</th><td>40% &lt;/td&gt;&lt;script&gt;alert(1)&lt;/script&gt;"#,
            "\u{fffd}[2J</td></tr>",
        );
        assert_eq!(event_row(3, Wall(1_000), &stored).into_string(), expected);
    }
}
