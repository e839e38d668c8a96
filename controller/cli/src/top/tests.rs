//! The fleet on a paper terminal.

use std::sync::Arc;

use proto::Wall;
use proto::catalog::Kind;
use proto::v1::BootSummary;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::Rect;
use serde_json::{Value, json};

use super::fleet::{Answers, Fleet};
use super::keys::{Looking, Outcome, Part, Sort};
use super::view;
use crate::client::Stored;

const NOW: Wall = Wall(1_772_366_400_000);

fn stored(kind: Kind, name: &str, spec: Value, status: Value) -> Stored {
    Stored { kind, name: name.into(), revision: 1, json: json!({"spec": spec, "status": status}) }
}

fn agent(name: &str, site: &str, status: Value) -> Stored {
    stored(Kind::Agent, name, json!({"site": site}), status)
}

fn boot(host: &str, ago: u64, outcome: &str, stage: &str) -> BootSummary {
    BootSummary {
        standing: if outcome == "running" { "under-way" } else { "ended" }.into(),
        host: host.into(),
        site: "lyon".into(),
        mac: vec![2, 0, 0, 0, 0, 9].into(),
        began_ms: NOW.0 - ago * 1_000 - 40_000,
        last_ms: NOW.0 - ago * 1_000,
        outcome: outcome.into(),
        stage: stage.into(),
        ..BootSummary::default()
    }
}

fn answers() -> Answers {
    let online = json!({"connected": true, "applied": "1.7/aabbccdd", "leases": 12, "cache_bytes": 1_500_000_000_u64,
        "cache_budget": 20_000_000_000_u64, "journal_events": 3});
    let away = json!({"connected": false, "applied": "1.3/00000000", "last_contact_ms": NOW.0 - 600_000, "missing_blobs": 2});
    let order =
        json!({"site": "lyon", "host": "web-1", "profile": "debian", "not_after_ms": NOW.0 + 7_200_000});
    let done = json!({"site": "lyon", "host": "web-2", "profile": "debian", "not_after_ms": NOW.0});
    Answers {
        sites: Vec::from(
            ["lyon", "nice", "oslo"]
                .map(|site| stored(Kind::Site, site, json!({}), json!({"plan": "1.7/aabbccdd"}))),
        )
        .into(),
        agents: vec![agent("lyon-1", "lyon", online), agent("oslo-1\u{1b}[2J", "oslo", away)].into(),
        orders: vec![
            stored(Kind::Order, "web-1-4", order, json!({"phase": "started", "over_ms": NOW.0 + 1})),
            stored(Kind::Order, "web-2-1", done, json!({"phase": "installed"})),
        ]
        .into(),
        boots: vec![
            boot("web-1", 2, "running", "installing 40 %"),
            boot("", 5, "running", "kernel"),
            BootSummary {
                standing: "silent".into(),
                cause: "loader-silent".into(),
                step: "loader".into(),
                ..boot("web-3", 100, "running", "loader")
            },
            BootSummary { cause: "order-ended".into(), ..boot("web-4", 60, "failed", "expired") },
            boot("web-6", 900, "running", "installing"),
            boot("web-5", 60, "installed", "installed"),
        ]
        .into(),
    }
}

#[test]
fn what_is_counted_is_what_is_named_and_a_revoked_agent_obeys_nothing() {
    let revoked = stored(
        Kind::Agent,
        "lyon-2",
        json!({"site": "lyon", "revoked": true}),
        json!({"applied": "1.7/aabbccdd"}),
    );
    let mut answers = answers();
    Arc::make_mut(&mut answers.agents).push(revoked);
    Arc::make_mut(&mut answers.boots).truncate(1);
    let fleet = Fleet::of("acme", &answers, NOW);
    let text = view::text(&fleet, &Looking::default(), Rect::new(0, 0, 110, view::height(&fleet)));
    assert!(text.contains("Sites (3)"), "four rows, as one site has two agents: {text}");
    assert!(text.contains("1 agent online") && text.contains("1 boot under way"), "{text}");
    let line = text.lines().find(|line| line.contains("lyon-2")).expect("a row");
    assert!(line.contains("revoked") && !line.contains("newest"), "{line}");
    assert!(!text.contains("q quit"), "nobody presses a key on paper: {text}");
}

fn fleet() -> Fleet {
    Fleet::of("acme", &answers(), NOW)
}

#[test]
fn the_fleet_in_one_picture() {
    let fleet = fleet();
    let text = view::text(&fleet, &Looking::default(), Rect::new(0, 0, 110, view::height(&fleet)));
    insta::assert_snapshot!("picture", text);
    assert!(!text.contains('\u{1b}'), "nothing steers a terminal");
}

#[test]
fn any_terminal_is_large_enough() {
    let (fleet, looking) = (fleet(), Looking::default());
    for (width, height) in [(1, 1), (2, 2), (20, 5), (40, 12), (80, 24), (300, 100)] {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("on paper");
        terminal
            .draw(|frame| {
                view::draw(&fleet, &looking, Some("the controller is away"), frame.area(), frame.buffer_mut())
            })
            .expect("on paper");
    }
}

#[test]
fn keys_sort_filter_and_end() {
    let mut looking = Looking::default();
    let press = |looking: &mut Looking, code| looking.press(KeyEvent::new(code, KeyModifiers::NONE));
    let fleet = fleet();
    let first = |looking: &Looking| looking.agents(&fleet)[0].site.clone();
    assert_eq!(first(&looking), "nice", "a site without an agent is trouble");
    press(&mut looking, KeyCode::Char('s'));
    assert_eq!((looking.sort, first(&looking)), (Sort::Name, "lyon".into()));
    for code in
        [KeyCode::Char('/'), KeyCode::Char('O'), KeyCode::Char('q'), KeyCode::Backspace, KeyCode::Enter]
    {
        assert_eq!(press(&mut looking, code), Outcome::Goes, "it is written, and ends nothing");
    }
    assert_eq!((looking.filter.as_str(), looking.typing), ("O", false));
    assert_eq!(looking.agents(&fleet).len(), 2, "lyon and oslo");
    press(&mut looking, KeyCode::Tab);
    press(&mut looking, KeyCode::Down);
    assert_eq!((looking.part, looking.above), (Part::Running, 1));
    assert_eq!(press(&mut looking, KeyCode::Char('q')), Outcome::Ends);
    looking.typing = true;
    assert_eq!(looking.press(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Outcome::Ends);
}

#[test]
fn scrolling_beyond_the_end_shows_the_last() {
    let fleet = fleet();
    let looking = Looking { above: 1_000, ..Looking::default() };
    let text = view::text(&fleet, &looking, Rect::new(0, 0, 110, view::height(&fleet)));
    assert!(text.contains("lyon-1") && !text.contains("no agent"), "{text}");
}
