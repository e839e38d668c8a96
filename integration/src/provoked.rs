//! Where each cause of the diagnosis is provoked for real: no example of its rule, but a machine, a server or packets that do it.
//!
//! docs/diagnosis.md shows this; `tests/diagnosis/manual.rs` sees to it that every cause is here and every place there.

use std::fmt::Write as _;

use controller::diagnosis::Cause;

use Place::{Case, Test};

/// Where a cause is provoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A case of the lab: its name.
    Case(&'static str),
    /// A test in integration/tests/diagnosis: its file and its name.
    Test(&'static str, &'static str),
}

/// The case that plants most of them.
const EXPLAIN: Place = Case("explain");
/// Tests that find several.
const WIRE: Place = Test("boot.rs", "what_stops_it_on_the_wire_is_found");
const PLAN: Place = Test("boot.rs", "what_the_plan_keeps_from_it_is_found");
const TRANSFER: Place = Test("tftp.rs", "a_transfer_that_comes_to_nothing_is_found");
const INSTALLER: Place = Test("boot.rs", "an_installer_that_fails_falls_silent_or_takes_too_long_is_found");

/// All of them, in the manual's order.
pub const PROVOKED: &[(Cause, &[Place])] = &[
    (Cause::NotHeard, &[EXPLAIN]),
    (Cause::AgentAway, &[EXPLAIN]),
    (Cause::PlanNotObeyed, &[EXPLAIN]),
    (Cause::UnknownMachine, &[EXPLAIN]),
    (Cause::DhcpOff, &[EXPLAIN]),
    (Cause::PoolEmpty, &[EXPLAIN, PLAN]),
    (Cause::AddressInUse, &[EXPLAIN]),
    (Cause::OfferNotTaken, &[EXPLAIN, WIRE]),
    (Cause::ForeignOfferTaken, &[EXPLAIN, WIRE]),
    (Cause::NothingAsked, &[EXPLAIN, WIRE]),
    (Cause::StoppedAtSizeProbe, &[TRANSFER]),
    (Cause::BlockTooLarge, &[TRANSFER]),
    (Cause::StuckRetransmitting, &[TRANSFER]),
    (Cause::TransferBroken, &[TRANSFER]),
    (Cause::NoLoader, &[EXPLAIN, PLAN]),
    (Cause::WrongLoader, &[EXPLAIN]),
    (Cause::LoaderSilent, &[EXPLAIN, Case("secure-boot-refused"), WIRE]),
    (Cause::FileMissing, &[EXPLAIN, Test("boot.rs", "a_file_that_there_is_not_is_found")]),
    (Cause::NoKernelAsked, &[WIRE]),
    (Cause::KernelSilent, &[WIRE]),
    (Cause::NoAnswerAsked, &[Test("later.rs", "a_system_that_asks_for_nothing_is_found")]),
    (Cause::AnswerRefused, &[EXPLAIN, Test("boot.rs", "an_answer_file_that_is_refused_is_found")]),
    (Cause::InstallerSilent, &[INSTALLER]),
    (Cause::InstallerFailed, &[EXPLAIN, INSTALLER]),
    (Cause::OrderEnded, &[EXPLAIN, INSTALLER]),
    (Cause::OrderNotObeyed, &[EXPLAIN, PLAN]),
    (Cause::IdentityDisagrees, &[EXPLAIN, PLAN]),
    (Cause::ImageArriving, &[Test("boot.rs", "an_image_that_is_not_there_is_found")]),
    (Cause::Loops, &[EXPLAIN, Test("later.rs", "a_machine_that_begins_again_and_again_is_found")]),
    (Cause::Unexplained, &[Test("later.rs", "what_no_rule_knows_is_said_to_be_so")]),
];

/// What a case of the lab provokes.
pub fn by_case(name: &str) -> impl Iterator<Item = Cause> {
    let is_there = move |place: &Place| matches!(place, Case(known) if *known == name);
    let there = PROVOKED.iter().filter(move |(_, places)| places.iter().any(is_there));
    there.map(|(cause, _)| *cause)
}

/// The manual's table.
#[must_use]
pub fn table() -> String {
    let mut out = "| cause | provoked by |\n|---|---|\n".to_owned();
    for (cause, places) in PROVOKED {
        let places: Vec<_> = places.iter().map(words).collect();
        let _ = writeln!(out, "| `{}` | {} |", cause.word(), places.join("; "));
    }
    out
}

fn words(place: &Place) -> String {
    match place {
        Case(name) => format!("case `{name}`"),
        Test(file, name) => format!("test `{name}` ({file})"),
    }
}
