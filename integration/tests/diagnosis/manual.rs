//! docs/diagnosis.md says where each cause is provoked, and there it is.
//!
//! To write its table anew: `BOOTLANE_WRITE_DOCS=1 cargo test -p integration --test diagnosis manual`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use controller::diagnosis::Cause;
use integration::cases::{BY_CARGO, CASES};
use integration::provoked::{PROVOKED, Place, table};

/// What stands around the table, which is made.
const BEGIN: &str =
    "<!-- made from integration/src/provoked.rs; see integration/tests/diagnosis/manual.rs -->\n";
const END: &str = "<!-- end of what is made -->\n";

#[test]
fn the_manual_says_where_each_cause_is_provoked() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/diagnosis.md");
    let text = fs::read_to_string(&file).expect("docs/diagnosis.md is there");
    let (before, rest) = text.split_once(BEGIN).expect("it has a table that is made");
    let (made, after) = rest.split_once(END).expect("the table ends");
    if std::env::var_os("BOOTLANE_WRITE_DOCS").is_some() {
        fs::write(&file, format!("{before}{BEGIN}{}{END}{after}", table())).expect("it can be written");
        return;
    }
    assert!(made == table(), "docs/diagnosis.md does not say where causes are provoked: see {}", file!());
}

#[test]
fn every_cause_is_provoked_somewhere() {
    let there: Vec<_> = PROVOKED.iter().map(|(cause, _)| *cause).collect();
    assert_eq!(there, Cause::ALL);
    for (cause, places) in PROVOKED {
        assert!(!places.is_empty(), "nothing provokes {}", cause.word());
        for place in *places {
            must_be_there(*cause, *place);
        }
    }
}

/// A case by its name; a test by what it asserts.
fn must_be_there(cause: Cause, place: Place) {
    match place {
        Place::Case(name) => {
            let known = CASES.iter().chain(BY_CARGO).any(|case| case.name == name);
            assert!(known, "{} is said to be provoked by the case {name}, which there is not", cause.word());
        }
        Place::Test(file, name) => {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diagnosis").join(file);
            let text =
                fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let begins = format!("fn {name}()");
            let (_, test) = text.split_once(&begins).unwrap_or_else(|| panic!("{file} has no test {name}"));
            let test = test.split("\n}\n").next().unwrap_or_default();
            let found: BTreeSet<_> = test.split("Cause::").skip(1).filter_map(word).collect();
            assert!(found.contains(format!("{cause:?}").as_str()), "{name} does not find {cause:?}");
        }
    }
}

fn word(text: &str) -> Option<&str> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric()).next()
}
