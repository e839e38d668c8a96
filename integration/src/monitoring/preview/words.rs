//! Numbers in words, by their unit.

use super::super::grafana::Unit;

const THOUSANDS: &[(f64, &str)] = &[(1e9, " Bil"), (1e6, " Mil"), (1e3, " K")];
const BYTES: &[(f64, &str)] =
    &[(1_099_511_627_776.0, " TiB"), (1_073_741_824.0, " GiB"), (1_048_576.0, " MiB"), (1_024.0, " KiB")];
const SECONDS: &[(f64, &str)] = &[
    (31_557_600.0, " years"),
    (604_800.0, " weeks"),
    (86_400.0, " days"),
    (3_600.0, " hours"),
    (60.0, " mins"),
];

/// Such as `1.5 MiB`.
pub(super) fn value(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Count => scaled(value, THOUSANDS, ""),
        Unit::PerSecond => scaled(value, THOUSANDS, "/s"),
        Unit::Bytes => scaled(value, BYTES, " B"),
        Unit::BytesPerSecond => format!("{}/s", scaled(value, BYTES, " B")),
        Unit::Seconds if value.abs() < 1.0 && value != 0.0 => format!("{} ms", digits(value * 1_000.0)),
        Unit::Seconds => scaled(value, SECONDS, " s"),
        Unit::Share | Unit::Cores => format!("{}%", digits(value * 100.0)),
        Unit::Text => digits(value),
    }
}

fn scaled(value: f64, scales: &[(f64, &str)], plain: &str) -> String {
    let scale = scales.iter().find(|(from, _)| value.abs() >= *from);
    let (from, word) = scale.copied().unwrap_or((1.0, plain));
    format!("{}{word}", digits(value / from))
}

/// Three digits that count.
fn digits(value: f64) -> String {
    let places = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    let text = format!("{value:.places$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        let cases = [
            (Unit::Count, 0.0, "0"),
            (Unit::Count, 1_500.0, "1.5 K"),
            (Unit::Bytes, 1_572_864.0, "1.5 MiB"),
            (Unit::BytesPerSecond, 512.0, "512 B/s"),
            (Unit::Seconds, 0.0625, "62.5 ms"),
            (Unit::Seconds, 84_600.0, "23.5 hours"),
            (Unit::Share, 0.875, "87.5%"),
            (Unit::PerSecond, 0.25, "0.25/s"),
        ];
        for (unit, number, expected) in cases {
            assert_eq!(value(unit, number), expected);
        }
    }
}
