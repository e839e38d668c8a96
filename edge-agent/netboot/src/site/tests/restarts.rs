//! An agent that restarts while a machine boots: the boot stays one attempt, and has its end.

use super::*;

/// The engine of after a restart that took no time, with its plan.
fn restarted(paper: &Paper, second: u64, plan: SitePlan) -> Paper {
    let mut next = Paper::restarted(&paper.ledger, at(second));
    next.input(second, Input::Plan(Arc::new(plan)));
    next
}

fn began(paper: &Paper) -> usize {
    paper.events().iter().filter(|kind| matches!(kind, EventKind::AttemptBegan { .. })).count()
}

fn is_up(paper: &Paper) -> bool {
    paper.events().last() == Some(&EventKind::OsUp { address: Some(ADDRESS) })
}

#[test]
fn a_system_that_comes_up_after_a_restart_ends_the_attempt_of_before_it() {
    for (restart, up) in [(2, 60), (2, 1_200), (400, 410), (1_200, 1_260)] {
        let mut before = Paper::new(plan());
        before.dora(1, Voice::Ipxe);
        let attempt = before.attempt();
        let mut after = restarted(&before, restart, plan());
        after.dora(up, Voice::Os);
        assert!(is_up(&after), "{restart} s, {up} s: {:?}", after.events());
        assert_eq!((after.attempt(), began(&after)), (attempt, 1));
    }
}

#[test]
fn a_boot_that_was_under_way_goes_on_with_its_attempt() {
    let mut before = Paper::new(plan());
    before.dora(1, Voice::UefiRom);
    let attempt = before.attempt();
    let mut after = restarted(&before, 3, plan());
    after.dora(5, Voice::Ipxe);
    assert_eq!((after.attempt(), began(&after)), (attempt, 1));
}

#[test]
fn a_machine_that_was_quiet_for_long_begins_another_attempt() {
    let mut before = Paper::new(plan());
    before.dora(1, Voice::Ipxe);
    let attempt = before.attempt();
    let mut after = restarted(&before, 400, plan());
    after.dora(401, Voice::Ipxe);
    assert_ne!(after.attempt(), attempt);
}

#[test]
fn nobody_comes_up_a_day_later() {
    let mut before = Paper::new(plan());
    before.dora(1, Voice::Ipxe);
    let mut after = restarted(&before, 86_400, plan());
    after.dora(86_401, Voice::Os);
    assert!(!is_up(&after));
}

#[test]
fn a_machine_that_is_reset_minutes_after_it_was_sent_to_its_disk_begins_another_attempt_with_and_without_a_restart()
 {
    let mut before = Paper::new(plan());
    before.dora(1, Voice::UefiRom);
    let first = before.attempt();
    let mut after = restarted(&before, 190, plan());
    for paper in [&mut before, &mut after] {
        paper.dora(197, Voice::UefiRom);
        assert_ne!(paper.attempt(), first);
        assert_eq!(began(paper), 2);
    }
}
