//! Days and times of day as people write them: `mon-fri`, `08:00`.

use std::{fmt, str::FromStr};

use crate::text::written_as_text;

const WEEK: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// A day of the week, or several in a row: `sat`, `mon-fri`, `sat-mon`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Days {
    /// 0 is Monday.
    first: u8,
    last: u8,
}

impl Days {
    /// Bit 0 is Monday.
    #[must_use]
    pub fn mask(self) -> u8 {
        let length = (self.last + 7 - self.first) % 7;
        (0..=length).fold(0, |mask, ahead| mask | 1 << ((self.first + ahead) % 7))
    }
}

impl fmt::Display for Days {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(WEEK[usize::from(self.first)])?;
        if self.first == self.last { Ok(()) } else { write!(out, "-{}", WEEK[usize::from(self.last)]) }
    }
}

/// Not days.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected days such as mon, sat-sun or mon-fri, found {0:?}")]
pub struct NotDays(String);

impl FromStr for Days {
    type Err = NotDays;

    fn from_str(text: &str) -> Result<Self, NotDays> {
        let day = |name: &str| WEEK.iter().position(|day| *day == name).and_then(|at| u8::try_from(at).ok());
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (day(first), day(last)) {
            (Some(first), Some(last)) => Ok(Self { first, last }),
            _ => Err(NotDays(text.chars().take(40).collect())),
        }
    }
}

/// A time of day by the clock on the wall, from `00:00` to `24:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeOfDay {
    minutes: u16,
}

impl TimeOfDay {
    /// Since midnight: 0 to 1440.
    #[must_use]
    pub fn minutes(self) -> u16 {
        self.minutes
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:02}:{:02}", self.minutes / 60, self.minutes % 60)
    }
}

/// Not a time of day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a time of day such as 08:00, found {0:?}")]
pub struct NotATime(String);

impl FromStr for TimeOfDay {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        let error = || NotATime(text.chars().take(40).collect());
        let (hours, minutes) = text.split_once(':').ok_or_else(error)?;
        let number = |digits: &str| {
            let plain = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| digits.parse::<u16>().ok()).flatten()
        };
        let (hours, minutes) = number(hours).zip(number(minutes)).ok_or_else(error)?;
        let total = hours * 60 + minutes;
        if minutes < 60 && total <= 1_440 { Ok(Self { minutes: total }) } else { Err(error()) }
    }
}

written_as_text!(Days, TimeOfDay);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_and_written() {
        for (text, mask) in
            [("mon", 0b1), ("sun", 0b100_0000), ("mon-fri", 0b1_1111), ("sat-mon", 0b110_0001)]
        {
            let days: Days = text.parse().expect("days");
            assert_eq!((days.mask(), days.to_string()), (mask, text.to_owned()));
        }
        assert_eq!("tue-mon".parse::<Days>().expect("days").mask(), 0b111_1111);
        for text in ["", "Mon", "monday", "mon-", "mon-fri-sat", "1"] {
            assert!(text.parse::<Days>().is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_read_and_written() {
        for (text, minutes) in [("00:00", 0), ("08:05", 485), ("23:59", 1_439), ("24:00", 1_440)] {
            let time: TimeOfDay = text.parse().expect("a time");
            assert_eq!((time.minutes(), time.to_string()), (minutes, text.to_owned()));
        }
        for text in ["", "8:00", "08:60", "24:01", "0800", "+8:00", "08:00:00"] {
            assert!(text.parse::<TimeOfDay>().is_err(), "{text}");
        }
    }
}
