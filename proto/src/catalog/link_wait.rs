//! How long the network may take, once a link is up, until it carries a machine's packets.

use super::Problem;
use crate::Span;

/// As long as iPXE waits by itself for a port that spanning tree holds back (QUIRKS 12).
const LONGEST: Span = Span::seconds(180);

/// What is wrong with it.
pub(super) fn check(wait: Option<Span>) -> Option<Problem> {
    let wrong = wait.filter(|wait| *wait > LONGEST || wait.as_seconds() == 0)?;
    Some(Problem::new("link_wait", format!("is {wrong}, expected 1s to {LONGEST}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_at_least_a_second_and_at_most_three_minutes() {
        let wrong = |seconds| check(Some(Span::seconds(seconds))).map(|problem| problem.field);
        assert_eq!((check(None), wrong(1), wrong(180)), (None, None, None));
        assert_eq!((wrong(0), wrong(181)), (Some("link_wait".into()), Some("link_wait".into())));
    }
}
