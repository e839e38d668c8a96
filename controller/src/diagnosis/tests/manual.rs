//! docs/diagnosis.md says what the rules say: its part on the causes is made from their examples.
//!
//! To write it anew: `BOOTLANE_WRITE_DOCS=1 cargo test -p controller --lib diagnosis::tests::manual`.

use std::fmt::Write as _;
use std::path::Path;

use super::super::Cause;
use super::examples;

/// What stands before it is written by hand.
const MADE: &str = "<!-- made from the rules' examples; see controller/src/diagnosis/tests/manual.rs -->\n";

#[test]
fn the_manual_says_what_the_rules_say() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/diagnosis.md");
    let text = std::fs::read_to_string(&file).expect("docs/diagnosis.md is there");
    let (before, made) = text.split_once(MADE).expect("it has a part that is made");
    if std::env::var_os("BOOTLANE_WRITE_DOCS").is_some() {
        std::fs::write(&file, format!("{before}{MADE}{}", causes())).expect("it can be written");
        return;
    }
    assert!(made == causes(), "docs/diagnosis.md is not what the rules say: write it anew (see {})", file!());
}

fn causes() -> String {
    let mut out = String::new();
    for cause in Cause::ALL {
        let finding = examples::of(*cause).swap_remove(examples::place(*cause));
        let _ = writeln!(out, "\n### `{}`\n", cause.word());
        let _ = writeln!(out, "This means: {}.\n", cause.meaning());
        let _ = writeln!(out, "> {}\n", finding.sentence());
        let _ = writeln!(out, "- Stopped: {}.", finding.stopped_at);
        let _ = writeln!(out, "- Expected: {}.", finding.expected);
        let _ = writeln!(out, "- Cause ({}): {}.", finding.certainty.word(), finding.likely);
        for evidence in &finding.evidence {
            let _ = writeln!(out, "- Evidence: {evidence}.");
        }
        let _ = writeln!(out, "- What to do: {}.", finding.remedy);
    }
    out
}
