//! How long bytes will take that are still to come: by what comes now, and by the rates that the site allows at which hours.

use std::time::Duration;

use proto::Wall;
use proto::plan::Wan;

/// Nobody is told of a longer wait.
const LONGEST: Duration = Duration::from_secs(30 * 86_400);

/// How long `rest` bytes take from `now` on, when `measured` bytes a second come now; None: nothing comes, or it takes
/// longer than anybody could foretell.
pub(super) fn eta(rest: u64, measured: u64, wan: &Wan, now: Wall) -> Option<Duration> {
    if measured == 0 {
        return None;
    }
    // What comes as fast as it may is held back by the site's limit and will follow it; else by the link itself.
    let held_back = wan.limit_at(now).bytes_per_second().is_some_and(|limit| measured >= limit / 10 * 9);
    let (mut left, mut elapsed) = (rest as f64, Duration::ZERO);
    while elapsed < LONGEST {
        let at = now.plus(elapsed);
        let limit = wan.limit_at(at).bytes_per_second();
        let rate = match (limit, held_back) {
            (Some(limit), true) => limit,
            (Some(limit), false) => limit.min(measured),
            (None, _) => measured,
        };
        let step = wan.holds_for(at);
        let takes = left / rate.max(1) as f64;
        if takes <= step.as_secs_f64() {
            return Some(elapsed + Duration::from_secs_f64(takes));
        }
        left -= rate as f64 * step.as_secs_f64();
        elapsed += step;
    }
    None
}

#[cfg(test)]
mod tests {
    use proto::plan::WanWindow;
    use proto::{RateLimit, ZoneRule};

    use super::*;

    const MB: u64 = 1_000_000;
    /// 2026-03-27, a Friday, 07:00 UTC.
    const MORNING: Wall = Wall(1_774_594_800_000);

    /// 8 MB/s, and 1 MB/s from 8 to 18.
    fn office() -> Wan {
        let window = WanWindow { days: 0b1_1111, from: 480, to: 1_080, rate: RateLimit::bits(8 * MB) };
        Wan { usual: RateLimit::bits(64 * MB), windows: vec![window], zone: ZoneRule::utc() }
    }

    fn seconds(rest: u64, measured: u64, wan: &Wan) -> Option<u64> {
        eta(rest, measured, wan, MORNING).map(|length| length.as_secs())
    }

    #[test]
    fn without_limits_it_goes_on_as_it_goes() {
        assert_eq!(seconds(100 * MB, MB, &Wan::default()), Some(100));
        assert_eq!(seconds(100 * MB, 0, &Wan::default()), None);
        assert_eq!(seconds(u64::MAX, 1, &Wan::default()), None, "nobody waits for that");
    }

    #[test]
    fn what_the_limit_holds_back_follows_the_hours() {
        // An hour at 8 MB/s, then 1 MB/s.
        assert_eq!(seconds(8 * MB * 3_600 + 100 * MB, 8 * MB, &office()), Some(3_700));
        // Over the whole day: 10 hours at 1 MB/s and 8 MB/s again.
        let day = 8 * MB * 3_600 + MB * 36_000;
        assert_eq!(seconds(day + 8 * MB * 60, 8 * MB, &office()), Some(11 * 3_600 + 60));
    }

    #[test]
    fn a_link_that_is_slower_than_its_limit_stays_so() {
        assert_eq!(seconds(4 * MB * 3_600, 4 * MB, &office()), Some(3_600));
        assert_eq!(
            seconds(4 * MB * 3_600 + 50 * MB, 4 * MB, &office()),
            Some(3_650),
            "and no faster than the limit"
        );
    }
}
