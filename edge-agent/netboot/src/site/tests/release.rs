//! Addresses that operators free: once, whatever comes twice, and never under an installer.

use proto::{LeaseRelease, ReleaseId, event::LeaseEnd};

use super::*;

const RELEASE: LeaseRelease = LeaseRelease { id: ReleaseId([7; 16]), address: ADDRESS, mac: MAC, at: None };

/// How leases ended, and how releases were answered.
fn told(paper: &Paper) -> (Vec<LeaseEnd>, Vec<Option<String>>) {
    let (mut ends, mut answers) = (vec![], vec![]);
    for kind in paper.events() {
        if let EventKind::LeaseEnded { how, .. } = kind {
            ends.push(how);
        } else if let EventKind::LeaseReleaseAnswered { release, address, refused } = kind {
            assert_eq!((release, address), (RELEASE.id, ADDRESS));
            answers.push(refused);
        }
    }
    (ends, answers)
}

fn leases(paper: &Paper) -> usize {
    paper.site.dhcp().leases().count()
}

#[test]
fn an_address_that_an_operator_frees_is_nobodys_once_and_for_its_machine_again() {
    let mut paper = Paper::new(plan());
    paper.dora(1, Voice::Os);
    paper.input(2, Input::Release(RELEASE));
    assert_eq!(leases(&paper), 0);
    paper.dora(3, Voice::Os);
    paper.input(4, Input::Release(RELEASE));
    assert_eq!(leases(&paper), 1, "it comes until its answer is held, and is obeyed once");
    let mut paper = Paper::restarted(&paper.ledger.clone(), at(5));
    paper.input(5, Input::Plan(Arc::new(plan())));
    paper.input(6, Input::Release(RELEASE));
    assert_eq!(leases(&paper), 1, "also after a restart");
    assert_eq!(told(&paper), (vec![LeaseEnd::Operator], vec![None]));
    paper.input(7, Input::Release(LeaseRelease { id: ReleaseId([8; 16]), ..RELEASE }));
    assert_eq!(leases(&paper), 0, "another wish is another");
}

#[test]
fn the_record_that_the_lease_is_no_more_comes_before_the_answer() {
    let mut paper = Paper::new(plan());
    paper.dora(1, Voice::Os);
    paper.input(2, Input::Release(RELEASE));
    let position = |wanted: &dyn Fn(&Record) -> bool| paper.ledger.iter().position(wanted).expect("recorded");
    let removed = position(&|record| matches!(record, Record::LeaseRemoved(_)));
    let answered = position(&|record| {
        matches!(record, Record::Event(NumberedEvent { event, .. })
            if matches!(event.kind, EventKind::LeaseReleaseAnswered { .. }))
    });
    assert!(removed < answered);
}

#[test]
fn an_address_under_an_installation_is_not_freed() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    let token = paper.token();
    assert_eq!(paper.callback(2, &token, Callback::Started), ReportAnswer::Recorded);
    paper.input(3, Input::Release(RELEASE));
    assert_eq!(leases(&paper), 1);
    assert_eq!(told(&paper), (vec![], vec![Some("an installation runs under it".into())]));
    assert_eq!(paper.callback(4, &token, Callback::Installed), ReportAnswer::Recorded);
    paper.input(5, Input::Release(LeaseRelease { id: ReleaseId([8; 16]), ..RELEASE }));
    assert_eq!(leases(&paper), 0, "at its end it may be");
}

#[test]
fn only_the_machine_that_was_meant_loses_the_address() {
    let mut paper = Paper::new(plan());
    paper.dora(1, Voice::Os);
    paper.input(2, Input::Release(LeaseRelease { mac: Mac([2; 6]), ..RELEASE }));
    assert_eq!(leases(&paper), 1);
    assert_eq!(told(&paper), (vec![], vec![Some(format!("it is leased to {MAC} meanwhile"))]));
}

/// What the machine did while the wish waited for its agent.
fn given_back_and_taken_anew() -> Paper {
    let mut paper = Paper::new(plan());
    paper.dora(1, Voice::Os);
    let mut release = message(MessageType::Release, Voice::Os, MAC, 1);
    release.set_ciaddr(ADDRESS);
    release.opts_mut().insert(DhcpOption::ServerIdentifier(SERVER));
    paper.say(10, &release);
    assert_eq!(leases(&paper), 0);
    paper.dora(20, Voice::Os);
    paper
}

#[test]
fn a_lease_that_began_after_the_wish_stays() {
    let wanted = |second: u64| LeaseRelease { at: Some(at(second).wall), ..RELEASE };
    let refused = vec![Some("its machine gave it back and took it anew meanwhile".to_owned())];
    let mut paper = given_back_and_taken_anew();
    paper.input(30, Input::Release(wanted(5)));
    assert_eq!((leases(&paper), told(&paper).1), (1, refused.clone()));

    // The journal tells it after a restart.
    let before = given_back_and_taken_anew();
    let mut paper = Paper::restarted(&before.ledger, at(25));
    paper.input(25, Input::Plan(Arc::new(plan())));
    paper.input(30, Input::Release(wanted(5)));
    assert_eq!((leases(&paper), told(&paper).1), (1, refused));

    let mut paper = given_back_and_taken_anew();
    paper.input(30, Input::Release(wanted(25)));
    assert_eq!((leases(&paper), told(&paper).1), (0, vec![None]), "it is the one that was meant");
    let mut paper = given_back_and_taken_anew();
    paper.input(30, Input::Release(RELEASE));
    assert_eq!((leases(&paper), told(&paper).1), (0, vec![None]), "an older controller does not say when");
}

#[test]
fn an_address_that_nobody_has_is_free() {
    let mut paper = Paper::new(plan());
    paper.input(1, Input::Release(RELEASE));
    assert_eq!(told(&paper), (vec![], vec![None]));
}
