//! Draws the fleet: a pure function of rows and an area.

use std::collections::BTreeSet;

use proto::Wall;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Row, Table, Widget};

use super::fleet::{Agent, Boot, Fleet, Order, State};
use super::keys::{Looking, Part};
use crate::output::words;

/// Lines that are no rows of a part: the head, and the foot.
const FRAME: u16 = 2;
/// Lines of a part besides its rows: its title, its headings, and a blank line.
const AROUND: u16 = 3;
/// Cells of a bar.
const BAR: u16 = 16;
/// What keys do.
const KEYS: &str = "q quit   s sort   / filter   Tab next part   \u{2191}\u{2193} scroll";

/// As high as all rows are.
pub(super) fn height(fleet: &Fleet) -> u16 {
    let rows = [fleet.agents.len(), fleet.running.len(), fleet.failures.len(), fleet.orders.len()];
    let rows: usize = rows.iter().map(|rows| (*rows).max(1)).sum();
    u16::try_from(rows).unwrap_or(u16::MAX / 2).min(2_000) + 4 * AROUND + FRAME
}

/// The picture as text, without colours.
pub(super) fn text(fleet: &Fleet, looking: &Looking, area: Rect) -> String {
    let mut buffer = Buffer::empty(area);
    // Nobody presses a key on it.
    compose(fleet, looking, Line::default(), area, &mut buffer);
    let line = |y| (area.left()..area.right()).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    (area.top()..area.bottom()).map(|y| format!("{}\n", line(y).trim_end())).collect()
}

/// The picture. `trouble`: why it is not of now.
pub(super) fn draw(fleet: &Fleet, looking: &Looking, trouble: Option<&str>, area: Rect, out: &mut Buffer) {
    compose(fleet, looking, foot(looking, trouble), area, out);
}

fn compose(fleet: &Fleet, looking: &Looking, foot: Line<'_>, area: Rect, out: &mut Buffer) {
    let parts = parts(fleet, looking);
    let heights = heights(&parts, area.height.saturating_sub(FRAME));
    let constraints = [1].into_iter().chain(heights).chain([1]).map(Constraint::Length);
    let areas = Layout::vertical(constraints).split(area);
    head(fleet).render(areas[0], out);
    for ((part, area), number) in parts.into_iter().zip(&areas[1..]).zip(0_usize..) {
        let above = if looking.part as usize == number { looking.above } else { 0 };
        part.render(*area, above, looking.part as usize == number, out);
    }
    foot.render(areas[areas.len() - 1], out);
}

/// Each part as high as its rows are, or, where there is no room for all, the higher ones as high as is left.
fn heights(parts: &[Shown], room: u16) -> Vec<u16> {
    let wanted = |part: &Shown| u16::try_from(part.rows.len().max(1)).unwrap_or(u16::MAX / 8) + AROUND;
    let mut heights: Vec<u16> = parts.iter().map(|part| wanted(part).min(room.max(1))).collect();
    while heights.iter().sum::<u16>() > room {
        let Some(highest) = heights.iter_mut().max().filter(|height| **height > 0) else { break };
        *highest -= 1;
    }
    heights
}

fn head(fleet: &Fleet) -> Line<'static> {
    let online = fleet.agents.iter().filter(|agent| agent.state == State::Online).count();
    let away =
        fleet.agents.iter().filter(|agent| matches!(agent.state, State::Away(_) | State::Missing)).count();
    let Fleet { name, now, running, failures, well, .. } = fleet;
    let text = format!(
        "{name}: {} online, {away} away or missing; {} under way; of the last day {well} well, {} not   {}",
        words::count(online, "agent"),
        words::count(running.len(), "boot"),
        failures.len(),
        words::moment(*now)
    );
    Line::styled(text, Style::new().add_modifier(Modifier::BOLD))
}

fn foot(looking: &Looking, trouble: Option<&str>) -> Line<'static> {
    if let Some(trouble) = trouble {
        return Line::styled(trouble.to_owned(), Style::new().fg(Color::Red));
    }
    match (looking.typing, looking.filter.as_str()) {
        (true, filter) => Line::from(format!("filter: {filter}_   Enter keeps it, Esc drops it")),
        (false, "") => Line::from(format!("{KEYS}   by {}", looking.sort.word())),
        (false, filter) => Line::from(format!("{KEYS}   by {}   only {filter}", looking.sort.word())),
    }
}

/// One part, laid out.
struct Shown {
    title: &'static str,
    /// How many there are of what the title names; a site has as many rows as agents.
    count: usize,
    headings: Vec<&'static str>,
    widths: Vec<Constraint>,
    rows: Vec<(Vec<String>, Style)>,
}

impl Shown {
    fn render(self, area: Rect, above: usize, chosen: bool, out: &mut Buffer) {
        if area.height == 0 {
            return;
        }
        let [title, table] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(area);
        let marked = if chosen {
            Style::new().add_modifier(Modifier::REVERSED)
        } else {
            Style::new().add_modifier(Modifier::BOLD)
        };
        Line::styled(format!("{} ({})", self.title, self.count), marked).render(title, out);
        let above = above.min(self.rows.len().saturating_sub(1));
        let rows = self.rows.into_iter().skip(above).map(|(cells, style)| Row::new(cells).style(style));
        let headings = Row::new(self.headings).style(Style::new().add_modifier(Modifier::DIM));
        Table::new(rows, self.widths).header(headings).column_spacing(2).render(table, out);
    }
}

fn parts(fleet: &Fleet, looking: &Looking) -> Vec<Shown> {
    let now = fleet.now;
    let rows = |part| match part {
        Part::Sites => looking.agents(fleet).into_iter().map(|agent| self::agent(agent, now)).collect(),
        Part::Running => looking.running(fleet).into_iter().map(|boot| running(boot, now)).collect(),
        Part::Failures => looking.failures(fleet).into_iter().map(|boot| failure(boot, now)).collect(),
        Part::Orders => looking.orders(fleet).into_iter().map(|order| self::order(order, now)).collect(),
    };
    let widths = |widths: &[u16]| {
        let fixed = widths.iter().map(|width| Constraint::Length(*width));
        fixed.chain([Constraint::Min(10)]).collect()
    };
    let shown = |title, part, headings: &[&'static str], lengths: &[u16]| {
        let rows: Vec<_> = rows(part);
        Shown { title, count: rows.len(), headings: headings.to_vec(), widths: widths(lengths), rows }
    };
    let sites: BTreeSet<_> = looking.agents(fleet).into_iter().map(|agent| agent.site.as_str()).collect();
    let headings = ["SITE", "AGENT", "STATE", "PLAN", "JOURNAL", "LEASES", "MISSING", "CACHE"];
    vec![
        Shown { count: sites.len(), ..shown("Sites", Part::Sites, &headings, &[16, 16, 16, 8, 8, 7, 8]) },
        shown("Boots under way", Part::Running, &["HOST", "SITE", "", "SINCE", "STAGE"], &[20, 16, BAR, 7]),
        shown("Boots that stopped", Part::Failures, &["HOST", "SITE", "WHEN", "WHY"], &[20, 16, 10]),
        shown(
            "Orders",
            Part::Orders,
            &["ORDER", "HOST", "SITE", "PHASE", "ENDS", "PROFILE"],
            &[22, 20, 16, 10, 10],
        ),
    ]
}

fn agent(agent: &Agent, now: Wall) -> (Vec<String>, Style) {
    let (state, colour) = match agent.state {
        State::Online if agent.disk_low => ("disk low".to_owned(), Some(Color::Yellow)),
        State::Online => ("online".to_owned(), None),
        State::Away(Wall(0)) => ("never heard".to_owned(), Some(Color::Red)),
        State::Away(heard) => (format!("away, {}", words::relative(heard, now)), Some(Color::Red)),
        State::Revoked => ("revoked".to_owned(), Some(Color::DarkGray)),
        State::Missing => ("no agent".to_owned(), Some(Color::Red)),
    };
    let plan = match (agent.state, agent.current) {
        // Whatever it obeys, it is nobody's plan any more.
        (State::Revoked, _) => "",
        (State::Missing | State::Away(_) | State::Online, true) => "newest",
        (State::Missing | State::Away(_) | State::Online, false) => "behind",
    };
    let cache = match agent.budget {
        0 => words::size(agent.cache),
        budget => format!("{} of {}", words::size(agent.cache), words::size(budget)),
    };
    let there = agent.state != State::Missing;
    let cells = [
        plan.to_owned(),
        agent.journal.to_string(),
        agent.leases.to_string(),
        agent.missing.to_string(),
        cache,
    ];
    let cells = cells.map(|cell| if there { cell } else { String::new() });
    let named = [agent.site.clone(), agent.name.clone(), state];
    (
        named.into_iter().chain(cells).collect(),
        colour.map_or_else(Style::new, |colour| Style::new().fg(colour)),
    )
}

fn running(boot: &Boot, now: Wall) -> (Vec<String>, Style) {
    let since = words::rough(now.since(boot.began));
    (vec![boot.who.clone(), boot.site.clone(), bar(boot.percent()), since, boot.stage.clone()], Style::new())
}

fn bar(percent: Option<u16>) -> String {
    let Some(percent) = percent else { return String::new() };
    let full = usize::from(percent.min(100) * BAR / 100);
    "\u{2588}".repeat(full) + &"\u{2591}".repeat(usize::from(BAR) - full)
}

fn failure(boot: &Boot, now: Wall) -> (Vec<String>, Style) {
    let when = words::relative(boot.last, now);
    (vec![boot.who.clone(), boot.site.clone(), when, boot.why.clone()], Style::new().fg(Color::Red))
}

fn order(order: &Order, now: Wall) -> (Vec<String>, Style) {
    let ends = words::relative(order.not_after, now);
    let Order { name, host, site, phase, profile, .. } = order;
    let late = order.not_after < now;
    let style = if late { Style::new().fg(Color::Yellow) } else { Style::new() };
    ([name, host, site, phase, &ends, profile].map(Clone::clone).to_vec(), style)
}
