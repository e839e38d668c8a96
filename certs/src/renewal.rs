//! When to renew a certificate: at half its life, spread so that a fleet enrolled in one minute does not
//! come back in one minute (S12).

use std::time::{Duration, SystemTime};

/// Half of the spread, in thousandths of the life: ±10 % of the half are ±5 % of the whole.
const SPREAD_PERMILLE: u32 = 50;

/// The moment to renew a certificate: half of its life, plus or minus a tenth of that half.
///
/// `seed` decides where in that window: a stable one (of the identity, say) gives a stable moment, a random
/// one another each time. A life that is empty or turned round gives `not_before`: renew at once.
#[must_use]
pub fn renew_at(not_before: SystemTime, not_after: SystemTime, seed: u64) -> SystemTime {
    let life = not_after.duration_since(not_before).unwrap_or(Duration::ZERO);
    let from_start = 500 - SPREAD_PERMILLE;
    let permille = from_start + (scatter(seed) % u64::from(2 * SPREAD_PERMILLE + 1)) as u32;
    not_before + life / 1000 * permille
}

/// SplitMix64's output function: neighbouring seeds fall far apart.
fn scatter(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::UNIX_EPOCH;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    proptest! {
        #[test]
        fn the_moment_is_within_a_tenth_of_half_life(seed: u64, life_seconds in 1..10_u64.pow(9)) {
            let life = Duration::from_secs(life_seconds);
            let at = renew_at(UNIX_EPOCH, UNIX_EPOCH + life, seed).duration_since(UNIX_EPOCH).expect("later");
            prop_assert!(at >= life.mul_f64(0.449), "{at:?} of {life:?}");
            prop_assert!(at <= life.mul_f64(0.551), "{at:?} of {life:?}");
        }
    }

    #[test]
    fn neighbouring_seeds_are_spread_over_the_window() {
        let moments: std::collections::BTreeSet<_> =
            (0..1000).map(|seed| renew_at(UNIX_EPOCH, UNIX_EPOCH + DAY, seed)).collect();
        assert!(moments.len() > 90, "{} different moments", moments.len());
        let window = moments.last().expect("some").duration_since(*moments.first().expect("some"));
        assert!(window.expect("sorted") > DAY.mul_f64(0.09));
    }

    #[test]
    fn a_life_turned_round_renews_at_once() {
        assert_eq!(renew_at(UNIX_EPOCH + DAY, UNIX_EPOCH, 7), UNIX_EPOCH + DAY);
    }
}
