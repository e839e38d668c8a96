//! Clocks that are behind, or have run away: orders in doubt, time that goes on.

use super::*;

#[test]
fn an_installers_word_does_not_get_around_a_clock_in_doubt() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(5_000, Voice::Ipxe);
    let token = paper.token();
    let mut paper = Paper::restarted(&paper.ledger.clone(), at(10));
    paper.input(10, Input::Plan(Arc::new(plan_with_order())));
    assert_eq!(paper.callback(11, &token, Callback::Started), ReportAnswer::TooLate);
    assert_eq!(paper.text(12, &format!("o/{token}/preseed.cfg")), None);
}

#[test]
fn time_goes_on_from_what_was_recorded() {
    let mut before = Paper::new(plan());
    before.dora(7_000, Voice::Ipxe);
    let mut paper = Paper::restarted(&before.ledger, at(10));
    paper.input(10, Input::Contact);
    paper.input(11, Input::Plan(Arc::new(plan_with_order())));
    paper.wait(10 + 300);
    assert_eq!(
        paper.phases().last(),
        Some(&OrderPhase::Expired),
        "7,000 s and 300 s more are past its 7,200 s"
    );
}

#[test]
fn a_clock_that_ran_away_is_set_right_by_the_controller() {
    let mut before = Paper::new(plan());
    before.dora(4_000_000_000, Voice::Ipxe);
    let mut paper = Paper::restarted(&before.ledger, at(1_000));
    paper.input(1_000, Input::Plan(Arc::new(plan_with_order())));
    paper.input(1_001, Input::ControllerTime(at(5_000).wall));
    paper.dora(1_002, Voice::Ipxe);
    assert_eq!(paper.decisions().last(), Some(&Answer::LocalDisk), "the clocks lie apart");
    paper.input(1_003, Input::ControllerTime(at(1_003).wall));
    paper.dora(2_000, Voice::Ipxe);
    assert_eq!(paper.decisions().last(), Some(&Answer::Script), "2,000 s is within its 7,200 s");
    let mut again = Paper::restarted(&paper.ledger, at(2_001));
    again.input(2_001, Input::Plan(Arc::new(plan_with_order())));
    assert!(!again.site.clock_in_doubt);
}

#[test]
fn a_clock_that_is_behind_puts_orders_in_doubt_until_contact() {
    let mut before = Paper::new(plan());
    before.dora(5_000, Voice::Ipxe);
    let mut paper = Paper::restarted(&before.ledger, at(10));
    paper.input(10, Input::Plan(Arc::new(plan_with_order())));
    paper.dora(11, Voice::Ipxe);
    assert_eq!(paper.decisions().last(), Some(&Answer::LocalDisk));
    paper.input(12, Input::Contact);
    paper.dora(400, Voice::Ipxe);
    assert_eq!(paper.decisions().last(), Some(&Answer::Script));
    let times: Vec<_> = paper.site.events_after(0).map(|numbered| numbered.event.at).collect();
    assert!(times.is_sorted(), "recorded time never goes back");
}

#[test]
fn a_form_that_was_learnt_while_the_clock_ran_ahead_does_not_bring_that_time_back() {
    let year = 31_536_000;
    let host = HostPlan { boot: Some(boot()), ..host() };
    let mut before = Paper::new(plan_of(2, vec![network_entry(&network()), host_entry(&host)]));
    before.dora(year, Voice::UefiRom);
    before.fetch(year + 1, ADDRESS, "snponly.efi");
    before.input(1_000, Input::ControllerTime(at(1_000).wall));
    let snapshot: Vec<_> = before.site.snapshot().collect();
    assert!(snapshot.iter().any(|record| matches!(record, Record::Form(_))), "it was learnt");
    let without_events = |record: &&Record| !matches!(record, Record::Event(_) | Record::WallSet(_));
    let delivered: Vec<_> = snapshot.iter().filter(without_events).cloned().collect();
    for ledger in [snapshot, delivered] {
        let paper = Paper::restarted(&ledger, at(1_001));
        assert_eq!(paper.site.recorded, at(1_000).wall);
        assert!(!paper.site.clock_in_doubt);
    }
}
