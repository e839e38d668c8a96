//! Counting passed and failed tests from what `cargo test` prints.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How many tests a step stands for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) passed: u64,
    pub(super) failed: u64,
    /// Marked `#[ignore]`: neither passed nor failed, but named.
    pub(super) ignored: u64,
}

impl Counts {
    /// A step that counts as one test.
    pub(super) fn of_one(passed: bool) -> Self {
        Self { passed: u64::from(passed), failed: u64::from(!passed), ignored: 0 }
    }

    /// Adds up the result lines of all test binaries.
    ///
    /// A run that failed without a failed test did not get to its tests (it did not build, or a test ended its
    /// process), and one that succeeded without any test tested nothing: both are one failure.
    pub(super) fn of_tests(output: &str, succeeded: bool) -> Self {
        let total = output.lines().filter_map(result_line).fold(Self::default(), |sum, each| sum.and(&each));
        let unexplained = total.failed == 0 && (!succeeded || total.passed == 0);
        Self { failed: total.failed + u64::from(unexplained), ..total }
    }

    pub(super) fn and(self, other: &Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            ignored: self.ignored + other.ignored,
        }
    }

    /// What CI reads at the end of everything.
    pub(super) fn last_line(&self) -> String {
        format!("{} passed, {} failed", self.passed, self.failed)
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.last_line())?;
        if self.ignored > 0 { write!(f, ", {} ignored", self.ignored) } else { Ok(()) }
    }
}

/// `test result: ok. 13 passed; 0 failed; 0 ignored; 0 measured; …`, as libtest prints it. A test's own output
/// may stand before it on the line.
fn result_line(line: &str) -> Option<Counts> {
    let (_, result) = line.split_once("test result: ")?;
    let (_, numbers) = result.split_once(". ")?;
    let number_of = |word: &str| {
        numbers.split(';').find_map(|part| part.trim().strip_suffix(word)?.trim_end().parse().ok())
    };
    Some(Counts {
        passed: number_of("passed")?,
        failed: number_of("failed")?,
        ignored: number_of("ignored")?,
    })
}

/// What libtest prints of failed tests, of all binaries: their names and their words, from `failures:` to the
/// result. With `--no-fail-fast` these stand far from the end.
pub(super) fn failures(output: &str) -> Vec<&str> {
    let mut within = false;
    let keep = |line: &&str| {
        within |= *line == "failures:";
        let kept = within;
        within &= result_line(line).is_none();
        kept
    };
    output.lines().filter(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "
running 13 tests
.............
test result: ok. 13 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

running 4 tests
test a ... ok
a test's words test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 3 filtered out; finished in 1.90s
error: 1 target failed:
";

    #[test]
    fn all_binaries_are_added_up() {
        assert_eq!(Counts::of_tests(OUTPUT, false), Counts { passed: 15, failed: 1, ignored: 1 });
    }

    #[test]
    fn a_run_that_did_not_get_to_its_tests_is_one_failure() {
        let output = "error[E0308]: mismatched types\nerror: could not compile `netboot` (lib test)\n";
        assert_eq!(Counts::of_tests(output, false), Counts { passed: 0, failed: 1, ignored: 0 });
        let aborted =
            "test result: ok. 13 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n(signal: 9)\n";
        assert_eq!(Counts::of_tests(aborted, false), Counts { passed: 13, failed: 1, ignored: 0 });
    }

    #[test]
    fn nothing_tested_is_no_success() {
        assert_eq!(Counts::of_tests("", true).failed, 1);
        let filtered = "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 9 filtered out\n";
        assert_eq!(Counts::of_tests(filtered, true).failed, 1);
    }

    #[test]
    fn failures_are_found_wherever_they_stand() {
        let result = "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out";
        let binary = format!("running 3 tests\ntest a ... FAILED\n\nfailures:\n    a\n{result}\n");
        let output = format!("{binary}\n{OUTPUT}\n{binary}");
        assert_eq!(failures(&output), ["failures:", "    a", result, "failures:", "    a", result]);
        assert!(failures(OUTPUT).is_empty());
    }

    #[test]
    fn the_last_line_is_what_ci_expects() {
        let counts = Counts { passed: 812, failed: 3, ignored: 2 };
        assert_eq!(counts.last_line(), "812 passed, 3 failed");
        assert_eq!(counts.to_string(), "812 passed, 3 failed, 2 ignored");
    }
}
