//! What a cell's work is counted in.

use serde::{Deserialize, Serialize};

/// The unit of a load's amount; rates and costs follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Payload bytes: rates in MB/s (10⁶), costs in CPU seconds a GB (10⁹).
    Bytes,
    /// HTTP requests: rates a second, costs in CPU seconds a million, which is microseconds each.
    Requests,
    /// Four-way DHCP exchanges: rates a second, costs in CPU milliseconds a thousand.
    Exchanges,
    /// Machines that have booted, all at once: seconds to the last; costs in CPU milliseconds each.
    Boots,
}

impl Unit {
    /// Of `amount` in `seconds`, as [`Self::rate_name`] says.
    #[must_use]
    pub fn rate(self, amount: u64, seconds: f64) -> f64 {
        let amount = amount as f64;
        match self {
            Self::Bytes => amount / seconds / 1e6,
            Self::Requests | Self::Exchanges => amount / seconds,
            Self::Boots => seconds,
        }
    }

    /// Of CPU time for `amount`, as [`Self::cost_name`] says.
    #[must_use]
    pub fn cost(self, amount: u64, cpu_seconds: f64) -> f64 {
        let amount = amount as f64;
        match self {
            Self::Bytes => cpu_seconds / amount * 1e9,
            Self::Requests | Self::Exchanges => cpu_seconds / amount * 1e6,
            Self::Boots => cpu_seconds / amount * 1e3,
        }
    }

    /// Of the rate's figures.
    #[must_use]
    pub fn rate_name(self) -> &'static str {
        match self {
            Self::Bytes => "MB/s",
            Self::Requests => "requests/s",
            Self::Exchanges => "exchanges/s",
            Self::Boots => "s to the last",
        }
    }

    /// Of the cost's figures.
    #[must_use]
    pub fn cost_name(self) -> &'static str {
        match self {
            Self::Bytes => "CPU-s/GB",
            Self::Requests => "CPU-µs each",
            Self::Exchanges => "CPU-ms per 1,000",
            Self::Boots => "CPU-ms each",
        }
    }

    /// Is more of the rate better?
    #[must_use]
    pub fn more_is_better(self) -> bool {
        match self {
            Self::Bytes | Self::Requests | Self::Exchanges => true,
            Self::Boots => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_costs_have_their_units() {
        assert_eq!(Unit::Bytes.rate(3_000_000, 1.5), 2.0);
        assert_eq!(Unit::Bytes.cost(500_000_000, 1.0), 2.0);
        assert_eq!(Unit::Requests.cost(2_000_000, 9.0), 4.5, "microseconds each");
        assert_eq!(Unit::Exchanges.cost(1_000, 0.1), 100.0, "milliseconds a thousand");
        assert_eq!(Unit::Boots.rate(200, 7.5), 7.5);
        assert_eq!(Unit::Boots.cost(200, 1.0), 5.0);
    }
}
