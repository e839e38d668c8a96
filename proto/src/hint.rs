//! What was probably meant by a word that is none of those known.

/// The one of these that is nearest to `wrong`, where it is so near that it was probably meant: within a third of its letters.
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |name: &&str| strsim::damerau_levenshtein(name, wrong);
    let nearest = known.into_iter().min_by_key(distance)?;
    (distance(&nearest) <= (wrong.chars().count() / 3).max(1)).then_some(nearest)
}

/// A reader's message of an unknown field, as serde words it, with the name that was probably meant; any other as it is.
#[must_use]
pub fn of_field(message: &str) -> String {
    let hint = between_ticks(message, "unknown field ").and_then(|wrong| {
        let (_, expected) = message.split_once(", expected ")?;
        nearest(wrong, expected.split('`').skip(1).step_by(2))
    });
    match hint {
        Some(name) => message.replacen(", expected", &format!(": did you mean `{name}`? expected"), 1),
        None => message.to_owned(),
    }
}

/// The word between backticks behind `label` at the beginning of a message.
pub(crate) fn between_ticks<'a>(message: &'a str, label: &str) -> Option<&'a str> {
    let (word, _) = message.strip_prefix(label)?.strip_prefix('`')?.split_once('`')?;
    Some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_was_meant_and_nothing_else() {
        let sites = ["lyon", "oslo"];
        assert_eq!(nearest("lion", sites), Some("lyon"));
        assert_eq!(nearest("olso", sites), Some("oslo"));
        assert_eq!(nearest("nope", sites), None);
        assert_eq!(nearest("x", []), None);
    }

    #[test]
    fn only_unknown_fields_have_a_hint() {
        let message = "unknown field `pool`, expected one of `network`, `pools`";
        assert_eq!(
            of_field(message),
            "unknown field `pool`: did you mean `pools`? expected one of `network`, `pools`"
        );
        assert_eq!(of_field("missing field `pool`"), "missing field `pool`");
    }
}
