//! What keys do: sort, filter, scroll, end.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::fleet::{Agent, Boot, Fleet, Order};

/// The longest filter.
const FILTER: usize = 40;

/// How somebody looks at the fleet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Looking {
    pub(super) sort: Sort,
    /// Rows that hold it alone are shown.
    pub(super) filter: String,
    /// Keys go into the filter.
    pub(super) typing: bool,
    /// Which part scrolls.
    pub(super) part: Part,
    /// Rows of that part above the first that is shown.
    pub(super) above: usize,
}

/// By what rows are sorted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Sort {
    /// Agents away and boots longest under way come first.
    #[default]
    Trouble,
    Name,
}

impl Sort {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Trouble => "trouble",
            Self::Name => "name",
        }
    }
}

/// A part of the picture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Part {
    #[default]
    Sites,
    Running,
    Failures,
    Orders,
}

/// What comes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Goes,
    Ends,
}

impl Looking {
    /// A key was pressed.
    #[expect(clippy::wildcard_enum_match_arm, reason = "all other keys mean nothing")]
    pub(super) fn press(&mut self, key: KeyEvent) -> Outcome {
        if key.kind == KeyEventKind::Release {
            return Outcome::Goes;
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            // The terminal is in raw mode, where this is no signal.
            KeyCode::Char('c') if control => return Outcome::Ends,
            code if self.typing => self.write(code),
            KeyCode::Char('q') | KeyCode::Esc => return Outcome::Ends,
            KeyCode::Char('s') => {
                self.sort = if self.sort == Sort::Name { Sort::Trouble } else { Sort::Name }
            }
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Tab => (self.part, self.above) = (self.part.next(), 0),
            KeyCode::Down => self.above = self.above.saturating_add(1),
            KeyCode::Up => self.above = self.above.saturating_sub(1),
            KeyCode::Home => self.above = 0,
            _ => {}
        }
        Outcome::Goes
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "all other keys write nothing")]
    fn write(&mut self, code: KeyCode) {
        match code {
            KeyCode::Char(c) if !c.is_control() && self.filter.len() < FILTER => self.filter.push(c),
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Esc => (self.filter, self.typing) = (String::new(), false),
            KeyCode::Enter => self.typing = false,
            _ => {}
        }
        self.above = 0;
    }

    fn keeps(&self, words: &[&str]) -> bool {
        let filter = self.filter.to_lowercase();
        words.iter().any(|word| word.to_lowercase().contains(&filter))
    }

    /// The agents that are shown, in order.
    pub(super) fn agents<'f>(&self, fleet: &'f Fleet) -> Vec<&'f Agent> {
        let kept = fleet.agents.iter().filter(|agent| self.keeps(&[&agent.site, &agent.name]));
        let mut rows: Vec<_> = kept.collect();
        rows.sort_by(|a, b| (&a.site, &a.name).cmp(&(&b.site, &b.name)));
        if self.sort == Sort::Trouble {
            rows.sort_by_key(|agent| (agent.state, agent.current, !agent.disk_low));
        }
        rows
    }

    /// The boots under way that are shown, in order.
    pub(super) fn running<'f>(&self, fleet: &'f Fleet) -> Vec<&'f Boot> {
        self.boots(&fleet.running, |boot| boot.began.0)
    }

    /// The boots that stopped, the latest first.
    pub(super) fn failures<'f>(&self, fleet: &'f Fleet) -> Vec<&'f Boot> {
        self.boots(&fleet.failures, |boot| u64::MAX - boot.last.0)
    }

    fn boots<'f>(&self, boots: &'f [Boot], trouble: impl Fn(&Boot) -> u64) -> Vec<&'f Boot> {
        let mut rows: Vec<_> = boots.iter().filter(|boot| self.keeps(&[&boot.site, &boot.who])).collect();
        rows.sort_by(|a, b| a.who.cmp(&b.who));
        if self.sort == Sort::Trouble {
            rows.sort_by_key(|boot| trouble(boot));
        }
        rows
    }

    /// The orders that are shown, in order.
    pub(super) fn orders<'f>(&self, fleet: &'f Fleet) -> Vec<&'f Order> {
        let kept = fleet.orders.iter().filter(|order| self.keeps(&[&order.site, &order.host, &order.name]));
        let mut rows: Vec<_> = kept.collect();
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        if self.sort == Sort::Trouble {
            rows.sort_by_key(|order| order.not_after);
        }
        rows
    }
}

impl Part {
    const fn next(self) -> Self {
        match self {
            Self::Sites => Self::Running,
            Self::Running => Self::Failures,
            Self::Failures => Self::Orders,
            Self::Orders => Self::Sites,
        }
    }
}
