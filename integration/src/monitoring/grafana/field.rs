//! What a number means: its unit, from where on it is a worry, and where to read on.

use serde_json::{Value, json};

/// A unit, by Grafana's name for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Things a second.
    PerSecond,
    /// Bytes, by powers of 1,024.
    Bytes,
    /// Bytes a second.
    BytesPerSecond,
    /// A length of time.
    Seconds,
    /// A part of 1, shown in per cent.
    Share,
    /// Cores: seconds of processor time a second, shown in per cent of one.
    Cores,
    /// A text; nothing is made of it.
    Text,
}

impl Unit {
    pub(super) const fn id(self) -> &'static str {
        match self {
            Self::Count => "short",
            Self::PerSecond => "ops",
            Self::Bytes => "bytes",
            Self::BytesPerSecond => "binBps",
            Self::Seconds => "s",
            Self::Share | Self::Cores => "percentunit",
            Self::Text => "string",
        }
    }
}

/// A colour, by Grafana's name for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// All is well.
    Green,
    /// Somebody should look today.
    Orange,
    /// Somebody should look now.
    Red,
    /// No judgement.
    Blue,
    /// Of text: no judgement and no emphasis.
    Plain,
}

impl Colour {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::Orange => "orange",
            Self::Red => "red",
            Self::Blue => "blue",
            Self::Plain => "text",
        }
    }
}

/// From which values on a number is a worry. Each colour holds from its value up to the next.
#[derive(Debug, Clone, PartialEq)]
pub struct Levels {
    /// Below every step.
    pub base: Colour,
    /// Ascending.
    pub steps: Vec<(f64, Colour)>,
}

impl Levels {
    /// A number that judges nothing.
    #[must_use]
    pub fn none() -> Self {
        Self { base: Colour::Blue, steps: Vec::new() }
    }

    /// More is worse: orange from `warning` on, red from `critical` on.
    #[must_use]
    pub fn rising(warning: f64, critical: f64) -> Self {
        Self { base: Colour::Green, steps: vec![(warning, Colour::Orange), (critical, Colour::Red)] }
    }

    /// Any is bad.
    #[must_use]
    pub fn none_wanted() -> Self {
        Self { base: Colour::Green, steps: vec![(1.0, Colour::Red)] }
    }

    /// Less is worse: red below `critical`, orange below `warning`.
    #[must_use]
    pub fn falling(critical: f64, warning: f64) -> Self {
        Self { base: Colour::Red, steps: vec![(critical, Colour::Orange), (warning, Colour::Green)] }
    }

    /// The colour of a value.
    #[must_use]
    pub fn colour(&self, value: f64) -> Colour {
        self.steps.iter().rev().find(|(from, _)| value >= *from).map_or(self.base, |(_, colour)| *colour)
    }

    pub(super) fn json(&self) -> Value {
        let base = json!({ "color": self.base.name(), "value": null });
        let steps = self.steps.iter().map(|(from, colour)| json!({ "color": colour.name(), "value": from }));
        json!({ "mode": "absolute", "steps": std::iter::once(base).chain(steps).collect::<Vec<_>>() })
    }
}

/// A word that is shown instead of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    /// The number.
    pub value: i64,
    /// The word.
    pub word: &'static str,
    /// Its colour.
    pub colour: Colour,
}

impl Meaning {
    pub(super) fn json(meanings: &[Self]) -> Value {
        let of = |meaning: &Self| {
            let result = json!({ "text": meaning.word, "color": meaning.colour.name() });
            (meaning.value.to_string(), result)
        };
        let options: serde_json::Map<_, _> = meanings.iter().map(of).collect();
        if options.is_empty() { json!([]) } else { json!([{ "type": "value", "options": options }]) }
    }
}

/// Where a click on a value leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// What the menu says.
    pub title: &'static str,
    /// The address, with Grafana's variables in it.
    pub url: String,
}

impl Link {
    /// To another of our dashboards, with the same time, where `variable` has the value of this label.
    #[must_use]
    pub fn dashboard(title: &'static str, uid: &str, variable: &str, label: &str) -> Self {
        // A series has labels; a row of a table has fields.
        let url = format!("/d/{uid}?var-{variable}=${{__field.labels.{label}}}&${{__url_time_range}}");
        Self { title, url }
    }

    /// The same from a table.
    #[must_use]
    pub fn from_row(title: &'static str, uid: &str, variables: &[(&str, &str)]) -> Self {
        let values: Vec<_> = variables
            .iter()
            .map(|(variable, column)| format!("var-{variable}=${{__data.fields[\"{column}\"]}}"))
            .collect();
        Self { title, url: format!("/d/{uid}?{}&${{__url_time_range}}", values.join("&")) }
    }

    /// To another of our dashboards, where `variable` has the value that was clicked on.
    #[must_use]
    pub fn from_value(title: &'static str, uid: &str, variable: &str) -> Self {
        Self { title, url: format!("/d/{uid}?var-{variable}=${{__value.text}}&${{__url_time_range}}") }
    }

    pub(super) fn json(&self) -> Value {
        json!({ "title": self.title, "url": self.url, "targetBlank": false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_say_the_colour_of_a_value() {
        let levels = Levels::rising(1.0, 5.0);
        assert_eq!([0.0, 1.0, 4.9, 5.0].map(|value| levels.colour(value)), {
            [Colour::Green, Colour::Orange, Colour::Orange, Colour::Red]
        });
        let levels = Levels::falling(0.9, 0.98);
        assert_eq!([0.0, 0.9, 1.0].map(|value| levels.colour(value)), {
            [Colour::Red, Colour::Orange, Colour::Green]
        });
    }
}
