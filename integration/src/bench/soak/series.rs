//! Memory over time, and whether it grows.

use std::time::Duration;

/// Looks at resident memory, in order.
#[derive(Debug, Default)]
pub(super) struct Series(Vec<(f64, f64)>);

impl Series {
    /// `resident` in bytes.
    pub(super) fn add(&mut self, at: Duration, resident: u64) {
        self.0.push((at.as_secs_f64(), resident as f64 / f64::from(1 << 20)));
    }

    /// In MiB.
    pub(super) fn first(&self) -> Option<f64> {
        self.0.first().map(|(_, mib)| *mib)
    }

    /// In MiB.
    pub(super) fn last(&self) -> Option<f64> {
        self.0.last().map(|(_, mib)| *mib)
    }

    /// What the line of least squares through the second half of the looks rises by, from its first to its last, in MiB.
    pub(super) fn growth_of_last_half(&self) -> Option<f64> {
        let half = &self.0[self.0.len() / 2..];
        let ((from, _), (to, _)) = (half.first()?, half.last()?);
        let count = half.len() as f64;
        let mean = |pick: fn(&(f64, f64)) -> f64| half.iter().map(pick).sum::<f64>() / count;
        let (time, size) = (mean(|(at, _)| *at), mean(|(_, mib)| *mib));
        let together: f64 = half.iter().map(|(at, mib)| (at - time) * (mib - size)).sum();
        let spread: f64 = half.iter().map(|(at, _)| (at - time).powi(2)).sum();
        (spread > 0.0).then(|| together / spread * (to - from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(mib: &[u64]) -> Series {
        let mut series = Series::default();
        for (second, mib) in (0..).zip(mib) {
            series.add(Duration::from_secs(10 * second), mib << 20);
        }
        series
    }

    #[test]
    fn the_first_half_may_grow() {
        assert_eq!(series(&[1, 20, 30, 40, 40, 40, 40, 40]).growth_of_last_half(), Some(0.0));
        let growth = series(&[9, 9, 9, 9, 10, 11, 12, 13]).growth_of_last_half().expect("enough looks");
        assert!((growth - 3.0).abs() < 1e-9, "{growth}");
        let saw = series(&[9, 9, 9, 9, 10, 12, 10, 12, 10, 12]).growth_of_last_half().expect("enough");
        assert!(saw < 1.5, "up and down is not up: {saw}");
    }

    #[test]
    fn one_look_is_no_line() {
        assert_eq!(series(&[5]).growth_of_last_half(), None);
        assert_eq!((series(&[]).first(), series(&[5, 6]).last()), (None, Some(6.0)));
    }
}
