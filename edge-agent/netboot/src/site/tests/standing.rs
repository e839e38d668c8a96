//! Answers that may be given again without a question, and what ends them.

use super::*;

/// Whether an answer to `name` stands.
fn stands(paper: &mut Paper, second: u64, name: &str) -> bool {
    matches!(paper.ask(second, ADDRESS, name), FileAnswer::Send { served, .. } if served.stands())
}

fn probe(paper: &mut Paper, second: u64, name: &str) -> bool {
    let (transport, arrival, name) = (Transport::Http, arrival(), name.to_owned());
    let request = FileRequest { ask: 1, transport, arrival, from: ADDRESS, name, probe: true };
    paper.input(second, Input::File(request));
    let answer = paper.answers.last().map(|(_, answer)| answer);
    matches!(answer, Some(FileAnswer::Send { served, .. }) if served.stands())
}

#[test]
fn what_an_order_opens_never_stands() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    let (attempt, token) = (paper.attempt(), paper.token());
    let kernel = format!("a/{attempt}/linux");
    assert!(stands(&mut paper, 2, &kernel));
    assert!(!probe(&mut paper, 2, &kernel), "a fetch does more than a question for the size");
    for _ in 0..2 {
        assert!(!stands(&mut paper, 3, &format!("o/{token}/preseed.cfg")));
    }
    assert_eq!(paper.ask(3, ADDRESS, "nothing"), FileAnswer::NotFound);
}

#[test]
fn what_proves_something_of_a_rom_never_stands() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::UefiRom);
    assert!(!stands(&mut paper, 2, "snponly.efi"), "its arrival shows that the ROM has obeyed");
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    assert!(stands(&mut paper, 2, "snponly.efi"));
}

#[test]
fn the_same_question_again_ends_nothing() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    let kernel = format!("a/{}/linux", paper.attempt());
    paper.fetch(2, ADDRESS, &kernel);
    let changes = paper.site.changes();
    paper.fetch(3, ADDRESS, &kernel);
    paper.input(3, Input::Acknowledged(Incarnation([9; 16]), 1));
    assert_eq!(paper.site.changes(), changes);
}

/// What may make a name stand for something else, or for nothing.
#[test]
fn whatever_may_change_an_answer_is_counted() {
    type Change = fn(&mut Paper, &str);
    let changes: [(&str, Change); 8] = [
        ("the order leaves the plan", |paper, _| paper.input(3, Input::Plan(Arc::new(plan())))),
        ("the host is locked", |paper, _| {
            paper.input(3, Input::Plan(plan_with(|host, _| host.locked = true)));
        }),
        ("the machine is reset", |paper, _| paper.dora(3, Voice::UefiRom)),
        ("another machine speaks", |paper, _| {
            paper.say(3, &message(MessageType::Discover, Voice::Os, Mac([2, 0, 0, 0, 0, 9]), 8));
        }),
        ("the installation begins", |paper, token| {
            paper.fetch(3, ADDRESS, &format!("o/{token}/preseed.cfg"));
        }),
        ("the installation ends", |paper, token| {
            paper.callback(3, token, Callback::Installed);
        }),
        ("the order expires", |paper, _| paper.wait(NOT_AFTER.0 / 1_000 + 10)),
        ("the lease ends", |paper, _| paper.wait(3_700)),
    ];
    for (what, change) in changes {
        let mut paper = Paper::new(plan_with_order());
        paper.dora(1, Voice::Ipxe);
        let (attempt, token) = (paper.attempt(), paper.token());
        assert!(stands(&mut paper, 2, &format!("a/{attempt}/linux")));
        let before = paper.site.changes();
        change(&mut paper, &token);
        assert!(paper.site.changes() > before, "{what}");
    }
}

#[test]
fn an_attempt_that_is_resumed_is_counted() {
    let mut plan = plan();
    plan.hosts.values_mut().for_each(|host| host.boot = Some(boot()));
    let mut paper = Paper::new(plan);
    let before = paper.site.changes();
    assert!(stands(&mut paper, 1, &format!("a/{}/linux", "7".repeat(32))));
    assert!(paper.site.changes() > before, "another attempt of the machine is over by that");
}
