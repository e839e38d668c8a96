//! The fleet's measurement runs: a small one, for what it does and not for its figures. Needs root.

use integration::binaries::{Binaries, Profile};
use integration::fleet_bench::{Options, measure};

#[test]
fn a_small_fleet_is_measured_by_both_ways() {
    let binaries = Binaries::build(Profile::of_this_program()).expect("they build");
    let options = Options {
        controller: binaries.controller,
        cli: binaries.cli,
        agents: 6,
        sites: 2,
        rounds: 2,
        changes: 3,
        cli_changes: 2,
    };
    let rounds = measure(options).expect("measured");
    let counts: Vec<_> = rounds.iter().map(|round| (round.api.count, round.cli.count)).collect();
    assert_eq!(counts, [(18, 12), (18, 12)], "each agent gets each change");
}
