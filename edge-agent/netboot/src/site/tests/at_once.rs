//! What leaves before the disk has been waited for.

use super::*;

/// Does the reply to a DISCOVER leave at once, and was nothing recorded of it?
fn offered(paper: &mut Paper, machine: u8) -> (bool, bool) {
    let records = paper.ledger.len();
    let sent = paper.sent.len();
    paper.say(1, &message(MessageType::Discover, Voice::UefiRom, Mac([2, 0, 0, 0, 1, machine]), 7));
    assert_eq!(paper.sent.len(), sent + 1);
    (paper.at_once, paper.ledger.len() == records)
}

#[test]
fn an_offer_to_a_stranger_waits_only_for_what_is_recorded_of_it() {
    let mut paper = Paper::new(plan_that_leases());
    assert_eq!(offered(&mut paper, 1), (false, false), "its attempt is told of");
    for _ in 0..400 {
        paper.ask(1, [10, 1, 0, 77].into(), "no-such-file");
    }
    assert_eq!(offered(&mut paper, 2), (true, true), "strangers have said enough");
}

#[test]
fn an_ack_and_what_a_host_is_told_wait() {
    let mut paper = Paper::new(plan_that_leases());
    for _ in 0..400 {
        paper.ask(1, [10, 1, 0, 77].into(), "no-such-file");
    }
    assert_eq!(offered(&mut paper, 1), (true, true));
    let mut request = message(MessageType::Request, Voice::UefiRom, Mac([2, 0, 0, 0, 1, 1]), 7);
    request.opts_mut().insert(DhcpOption::RequestedIpAddress([10, 1, 0, 100].into()));
    request.opts_mut().insert(DhcpOption::ServerIdentifier(SERVER));
    paper.say(1, &request);
    assert_eq!((paper.sent.len(), paper.at_once), (2, false), "a lease");
    for _ in 0..3 {
        paper.say(1, &message(MessageType::Discover, Voice::UefiRom, MAC, 7));
        assert!(!paper.at_once, "a host's boot may have an order");
    }
}
