//! Golden events in, stages and findings out.

mod causes;
mod evidence;
mod examples;
mod golden;
mod manual;
mod stages;

use proto::Wall;

use super::{Cause, Context, Diagnosis, Standing, examine};
use golden::Story;

/// The diagnosis of a story, so many seconds after its last event.
fn diagnosed(story: &Story, seconds_after: u64, context: Context) -> Diagnosis {
    let now = Wall(story.boot().last_ms.0 + seconds_after * 1_000);
    examine(&story.boot(), &story.events, &Context { now, ..context })
}

#[test]
fn the_words_are_unlike_and_fit_for_labels() {
    let words: std::collections::BTreeSet<_> = Cause::ALL.iter().map(|cause| cause.word()).collect();
    assert_eq!(words.len(), Cause::ALL.len());
    let fits = |word: &&str| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    assert!(words.iter().all(fits), "{words:?}");
}

#[test]
fn silence_is_judged_by_the_present_that_is_named() {
    let story = Story::pxe().leased();
    let early = diagnosed(&story, 89, Context::default());
    assert_eq!((early.standing, early.cause()), (Standing::UnderWay, None));
    assert_eq!(early.look_again, Some(Wall(story.boot().last_ms.0 + 90_000)));
    let late = diagnosed(&story, 90, Context::default());
    assert_eq!((late.standing, late.cause()), (Standing::Silent, Some(Cause::NothingAsked)));
    assert_eq!(late.look_again, None);
}

#[test]
fn the_next_attempt_ends_the_one_before() {
    let story = Story::pxe().leased();
    let next_began = Some(Wall(story.boot().last_ms.0 + 5_000));
    let superseded = diagnosed(&story, 6, Context { next_began, ..Context::default() });
    assert_eq!((superseded.standing, superseded.cause()), (Standing::Silent, Some(Cause::NothingAsked)));
}
