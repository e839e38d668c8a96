//! How fast an agent may fetch over the WAN, by the time of day.

use std::time::Duration;

use crate::{RateLimit, Wall, ZoneRule, v1};

/// The rates of one agent. Everything that it takes to obey them is here: the agent asks nobody for the time of day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wan {
    /// Where no window holds.
    pub usual: RateLimit,
    /// The first that holds counts.
    pub windows: Vec<WanWindow>,
    /// What the site's clocks show.
    pub zone: ZoneRule,
}

/// A part of the week with a rate of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WanWindow {
    /// The days on which it begins; bit 0 is Monday.
    pub days: u8,
    /// In minutes since midnight, 0 to 1439.
    pub from: u16,
    /// In minutes since midnight, 1 to 1440; before `from`: on the next day.
    pub to: u16,
    /// What may pass meanwhile.
    pub rate: RateLimit,
}

/// What holds at a moment, why, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InForce {
    /// What may pass.
    pub rate: RateLimit,
    /// Which of the windows holds; None: none, so it is the usual rate.
    pub window: Option<usize>,
    /// When another holds, or none; None: never, as far as can be told.
    pub until: Option<Wall>,
}

impl Default for Wan {
    /// No limit at any time.
    fn default() -> Self {
        Self { usual: RateLimit::UNLIMITED, windows: Vec::new(), zone: ZoneRule::utc() }
    }
}

/// Windows of one plan that are read.
const WINDOWS: usize = 64;
const DAY: u16 = 1_440;
const WEEK: u16 = 7 * DAY;
/// A rate is never foretold for longer, since clocks may be put forward or back in between.
const STEP: u16 = 60;
/// So far ahead is looked for a change: what is the same after a week and a day stays as it is.
const AHEAD: Duration = Duration::from_secs(8 * 86_400);

impl Wan {
    /// What may pass at this moment.
    #[must_use]
    pub fn limit_at(&self, moment: Wall) -> RateLimit {
        self.rate_of(self.window_at(moment))
    }

    /// What may pass at this moment, and until when.
    #[must_use]
    pub fn in_force(&self, moment: Wall) -> InForce {
        let window = self.window_at(moment);
        InForce { rate: self.rate_of(window), window, until: self.end_of(window, moment) }
    }

    fn rate_of(&self, window: Option<usize>) -> RateLimit {
        window.and_then(|at| self.windows.get(at)).map_or(self.usual, |window| window.rate)
    }

    fn window_at(&self, moment: Wall) -> Option<usize> {
        if self.windows.is_empty() {
            return None;
        }
        let now = self.minute_of_week(moment);
        self.windows.iter().position(|window| window.holds_at(now))
    }

    fn end_of(&self, window: Option<usize>, moment: Wall) -> Option<Wall> {
        let mut at = moment;
        while !self.windows.is_empty() && at < moment.plus(AHEAD) {
            at = at.plus(self.holds_for(at));
            // A change is at the beginning of a minute; a step lasts for a second at least, and may go beyond it.
            at = Wall(at.0 - at.0 % 60_000);
            if self.window_at(at) != window {
                return Some(at);
            }
        }
        None
    }

    /// For how long the rate of this moment surely holds: at least for a second, and an hour at most.
    #[must_use]
    pub fn holds_for(&self, moment: Wall) -> Duration {
        let now = self.minute_of_week(moment);
        let to_edge = |edge: u16| match (edge + WEEK - now) % WEEK {
            0 => WEEK,
            ahead => ahead,
        };
        let ahead = self.windows.iter().flat_map(|window| window.edges()).map(to_edge).min();
        let minutes = ahead.unwrap_or(STEP).min(STEP);
        let into_minute = Duration::from_millis(moment.0 % 60_000);
        let rest = Duration::from_secs(60 * u64::from(minutes)).saturating_sub(into_minute);
        rest.max(Duration::from_secs(1))
    }

    fn minute_of_week(&self, moment: Wall) -> u16 {
        let local = self.zone.at(moment);
        u16::from(local.weekday) * DAY + local.minute
    }
}

impl WanWindow {
    fn length(&self) -> u16 {
        if self.to > self.from { self.to - self.from } else { self.to + DAY - self.from }
    }

    /// The minutes of the week at which it begins.
    fn begins(&self) -> impl Iterator<Item = u16> + '_ {
        (0..7u16).filter(|day| self.days & (1 << day) != 0).map(|day| day * DAY + self.from)
    }

    fn holds_at(&self, minute_of_week: u16) -> bool {
        self.begins().any(|begin| (minute_of_week + WEEK - begin) % WEEK < self.length())
    }

    fn edges(&self) -> impl Iterator<Item = u16> + '_ {
        self.begins().flat_map(|begin| [begin, (begin + self.length()) % WEEK])
    }
}

impl From<&Wan> for v1::Wan {
    fn from(wan: &Wan) -> Self {
        let window = |window: &WanWindow| v1::WanWindow {
            days: window.days.into(),
            from: window.from.into(),
            to: window.to.into(),
            bits_per_second: window.rate.bits_per_second().unwrap_or(0),
        };
        Self {
            bits_per_second: wan.usual.bits_per_second().unwrap_or(0),
            windows: wan.windows.iter().map(window).collect(),
            zone: wan.zone.as_str().to_owned(),
        }
    }
}

impl From<v1::Wan> for Wan {
    /// A window that makes no sense never holds, and a zone that is not understood is UTC: a site that fetches at the
    /// wrong hours is better than one that does not boot.
    fn from(message: v1::Wan) -> Self {
        let window = |window: &v1::WanWindow| {
            let (from, to) = (u16::try_from(window.from).ok()?, u16::try_from(window.to).ok()?);
            let days = u8::try_from(window.days & 0b111_1111).ok()?;
            let rate = RateLimit::bits(window.bits_per_second);
            (from < DAY && to <= DAY && from != to).then_some(WanWindow { days, from, to, rate })
        };
        Self {
            usual: RateLimit::bits(message.bits_per_second),
            windows: message.windows.iter().filter_map(window).take(WINDOWS).collect(),
            zone: message.zone.parse().unwrap_or_else(|_| ZoneRule::utc()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ZoneName;

    /// 2026-03-27, a Friday, 00:00 in Paris (UTC+1); summer time begins in the night to Sunday.
    const FRIDAY: u64 = 1_774_566_000;

    fn paris() -> Wan {
        let window = |days, from, to, bits| WanWindow { days, from, to, rate: RateLimit::bits(bits) };
        Wan {
            usual: RateLimit::bits(50),
            windows: vec![window(0b1_1111, 480, 1_080, 5), window(0b101_0000, 1_320, 360, 0)],
            zone: "Europe/Paris".parse::<ZoneName>().expect("a zone").rule(),
        }
    }

    fn at(hours: u64, minutes: u64) -> Wall {
        Wall((FRIDAY + hours * 3_600 + minutes * 60) * 1_000)
    }

    #[test]
    fn rates_follow_the_clock_on_the_wall() {
        let bits = |hours, minutes| paris().limit_at(at(hours, minutes)).bits_per_second();
        assert_eq!(
            (bits(7, 59), bits(8, 0), bits(17, 59), bits(18, 0)),
            (Some(50), Some(5), Some(5), Some(50))
        );
        // From Friday at 22:00 into Saturday, but not from Saturday on.
        assert_eq!((bits(22, 0), bits(29, 59), bits(30, 0), bits(46, 0)), (None, None, Some(50), Some(50)));
        // From Sunday at 22:00 over the end of the week; Monday's 8:00 is an hour earlier by UTC than Friday's.
        assert_eq!((bits(69, 0), bits(76, 59), bits(77, 0)), (None, None, Some(50)));
        assert_eq!((bits(78, 59), bits(79, 0)), (Some(50), Some(5)));
    }

    #[test]
    fn what_holds_is_known_until_it_may_change() {
        let holds = |hours, minutes| paris().holds_for(at(hours, minutes)).as_secs();
        assert_eq!((holds(7, 45), holds(8, 0), holds(17, 1)), (15 * 60, 3_600, 59 * 60));
        assert_eq!(Wan::default().holds_for(at(0, 0)), Duration::from_secs(3_600));
        let late = Wall(at(7, 59).0 + 59_900);
        assert_eq!(paris().holds_for(late), Duration::from_secs(1));
    }

    #[test]
    fn what_is_in_force_has_an_end() {
        let seen = |hours, minutes| {
            let InForce { rate, window, until } = paris().in_force(at(hours, minutes));
            (rate.bits_per_second(), window, until)
        };
        assert_eq!(seen(7, 59), (Some(50), None, Some(at(8, 0))));
        assert_eq!(seen(8, 0), (Some(5), Some(0), Some(at(18, 0))));
        assert_eq!(seen(22, 30), (None, Some(1), Some(at(30, 0))));
        // Through the night in which the clocks go forward.
        assert_eq!(seen(30, 0), (Some(50), None, Some(at(69, 0))));
        let late = Wall(at(7, 59).0 + 59_900);
        assert_eq!(paris().in_force(late).until, Some(at(8, 0)));
        let always = Wan {
            windows: vec![WanWindow { days: 127, from: 0, to: 1_440, ..paris().windows[0] }],
            ..paris()
        };
        let held = InForce { rate: RateLimit::bits(5), window: Some(0), until: None };
        assert_eq!(always.in_force(at(0, 0)), held);
        let usual = InForce { rate: RateLimit::UNLIMITED, window: None, until: None };
        assert_eq!(Wan::default().in_force(at(0, 0)), usual);
    }

    #[test]
    fn rates_there_and_back_and_nonsense_is_left_out() {
        assert_eq!(Wan::from(v1::Wan::from(&paris())), paris());
        let window = |from, to| v1::WanWindow { days: 255, from, to, bits_per_second: 1 };
        let windows = vec![window(1_440, 60), window(70_000, 60), window(60, 60), window(60, 1_441)];
        let odd = v1::Wan { bits_per_second: 9, windows, zone: "Middle/Earth".into() };
        assert_eq!(Wan::from(odd), Wan { usual: RateLimit::bits(9), ..Wan::default() });
    }
}
