//! Random lives of a ledger against a vector.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Act {
    Append(Vec<u8>),
    Commit,
    /// Compacts to the state, of which this many of the oldest records are forgotten.
    Compact(usize),
    /// Drops the ledger with what is pending, as a crash does.
    Reopen,
    Close,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => prop::collection::vec(any::<u8>(), 0..60).prop_map(Act::Append),
        4 => Just(Act::Commit),
        1 => (0..20_usize).prop_map(Act::Compact),
        1 => Just(Act::Reopen),
        1 => Just(Act::Close),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_ledger_is_a_vector_that_survives(
        acts in prop::collection::vec(act(), 0..80),
        zeros_bytes in prop_oneof![Just(0), 1..600_u64],
    ) {
        let dir = tempfile::tempdir().expect("tempdir");
        let options = || Options { zeros_bytes, ..options() };
        let (mut ledger, ..) = read_with(dir.path(), options()).expect("new");
        let (mut durable, mut pending) = (Vec::new(), Vec::new());
        for act in acts {
            match act {
                Act::Append(body) => {
                    ledger.append(TAG, &body).expect("append");
                    pending.push(body);
                }
                Act::Commit => {
                    ledger.commit().expect("commit");
                    durable.append(&mut pending);
                }
                Act::Compact(forgotten) => {
                    durable.append(&mut pending);
                    durable.drain(..forgotten.min(durable.len()));
                    ledger.compact(durable.iter().map(|body| (TAG, body))).expect("compact");
                }
                Act::Reopen | Act::Close => {
                    if matches!(act, Act::Close) {
                        ledger.close().expect("close");
                        durable.append(&mut pending);
                    } else {
                        drop(ledger);
                        pending.clear();
                    }
                    let (reopened, opened, found) = read_with(dir.path(), options()).expect("opens");
                    prop_assert_eq!(opened.torn_bytes, 0);
                    prop_assert_eq!(&found, &durable);
                    ledger = reopened;
                }
            }
        }
        drop(ledger);
        prop_assert_eq!(read_records(dir.path()), durable);
    }
}
