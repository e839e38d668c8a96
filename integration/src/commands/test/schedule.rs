//! Which steps run at the same time.
//!
//! Steps begin in their order. One that may share the machine runs beside its neighbours that may too, as many as
//! there are workers; one that may not waits for those before it, and those after it wait for it.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

/// Performs all steps, and hands over what became of each, in the order in which they end. An error of `ended` lets
/// those that run come to their end and begins no more.
pub(super) fn run<S: Sync, R: Send, E>(
    steps: &[S],
    workers: NonZeroUsize,
    shares: impl Fn(&S) -> bool,
    perform: impl Fn(usize, &S) -> R + Sync,
    mut ended: impl FnMut(usize, R) -> Result<(), E>,
) -> Result<(), E> {
    let mut first = 0;
    for group in steps.chunk_by(|one, next| shares(one) && shares(next)) {
        let at_once = workers.get().min(group.len());
        run_group(group, at_once, &|place, step| perform(first + place, step), &mut |place, result| {
            ended(first + place, result)
        })?;
        first += group.len();
    }
    Ok(())
}

fn run_group<S: Sync, R: Send, E>(
    group: &[S],
    at_once: usize,
    perform: &(impl Fn(usize, &S) -> R + Sync),
    ended: &mut impl FnMut(usize, R) -> Result<(), E>,
) -> Result<(), E> {
    let next = AtomicUsize::new(0);
    let (told, results) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..at_once {
            let (told, next) = (told.clone(), &next);
            scope.spawn(move || {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(step) = group.get(place) else { break };
                    if told.send((place, perform(place, step))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(told);
        let outcome = results.iter().try_for_each(|(place, result)| ended(place, result));
        // What runs still finds nobody who listens, and after a failure nothing more to do.
        next.store(group.len(), Ordering::Relaxed);
        drop(results);
        outcome
    })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::{Barrier, Mutex};

    use super::*;

    fn workers(count: usize) -> NonZeroUsize {
        NonZeroUsize::new(count).expect("not zero")
    }

    /// The steps' moments as they happened: `+a` began, `-a` ended. Capitals do not share.
    fn moments(steps: &str, count: usize, meet: &(dyn Fn(char) + Sync)) -> String {
        let steps: Vec<char> = steps.chars().collect();
        let happened = Mutex::new(String::new());
        let note = |sign: char, step: char| happened.lock().expect("no panic").extend([sign, step]);
        let perform = |place: usize, step: &char| {
            assert_eq!(steps[place], *step, "it is told its place");
            note('+', *step);
            meet(*step);
            note('-', *step);
            *step
        };
        let mut ends = String::new();
        let shares = |step: &char| step.is_ascii_lowercase();
        let ran = run(&steps, workers(count), shares, perform, |place, result| {
            assert_eq!(steps[place], result, "each end comes with its place");
            ends.push(result);
            Ok::<_, Infallible>(())
        });
        ran.expect("nothing fails");
        assert_eq!(ends.len(), steps.len(), "each ends once");
        happened.into_inner().expect("no panic")
    }

    #[test]
    fn one_worker_keeps_to_the_order() {
        assert_eq!(moments("aBcd", 1, &|_| {}), "+a-a+B-B+c-c+d-d");
    }

    #[test]
    fn those_that_share_run_beside_each_other() {
        // Each waits for the other: alone, neither would come to its end.
        let both = Barrier::new(2);
        let happened = moments("Aab", 2, &|step| {
            if step.is_ascii_lowercase() {
                both.wait();
            }
        });
        assert!(happened.starts_with("+A-A+"), "{happened}");
        let last_begin = happened.rfind('+').expect("they began");
        assert!(
            last_begin < happened.rfind("-a").min(happened.rfind("-b")).expect("they ended"),
            "{happened}"
        );
    }

    #[test]
    fn who_does_not_share_is_alone() {
        let happened = moments("abcDefG", 4, &|_| {});
        let alone = happened.find("+D-D").expect("nothing falls between its begin and its end");
        for step in "abc".chars() {
            assert!(happened.find(&format!("-{step}")).is_some_and(|end| end < alone), "{happened}");
        }
        for step in "ef".chars() {
            assert!(happened.find(&format!("+{step}")).is_some_and(|begin| begin > alone), "{happened}");
        }
        assert!(happened.ends_with("+G-G"), "{happened}");
    }

    #[test]
    fn no_more_run_at_once_than_there_are_workers() {
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        moments("abcdefghijklmnop", 3, &|_| {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::yield_now();
            running.fetch_sub(1, Ordering::SeqCst);
        });
        assert!(most.into_inner() <= 3);
    }

    #[test]
    fn ends_come_as_they_happen() {
        // The first does not end before the second's end was told.
        let (told, tells) = mpsc::channel();
        let tells = Mutex::new(tells);
        let perform = |place: usize, _: &char| {
            if place == 0 {
                tells.lock().expect("no panic").recv().expect("the second has ended");
            }
        };
        let mut ends = Vec::new();
        let ran = run(
            &['a', 'b'],
            workers(2),
            |_| true,
            perform,
            |place, ()| {
                ends.push(place);
                // The first one's end finds nobody who waits for it.
                let _ = told.send(());
                Ok::<_, Infallible>(())
            },
        );
        ran.expect("nothing fails");
        assert_eq!(ends, [1, 0]);
    }

    #[test]
    fn after_a_failure_to_keep_an_end_nothing_more_begins() {
        let begun = AtomicUsize::new(0);
        let perform = |_: usize, _: &char| begun.fetch_add(1, Ordering::SeqCst);
        let failed = run(
            &['A', 'b', 'c'],
            workers(2),
            |step| step.is_ascii_lowercase(),
            perform,
            |_, _| Err("the disk is full"),
        );
        assert_eq!((failed, begun.into_inner()), (Err("the disk is full"), 1));
    }
}
