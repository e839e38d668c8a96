//! What comes after a kernel, what comes again, and what nobody can explain.

use std::net::Ipv4Addr;
use std::time::Duration;

use controller::diagnosis::{Cause, Context};
use netboot::dhcp::{Message, Operation};
use proto::event::Transport;
use rom::Firmware;

use super::boot::{Fault, Scene, boot, token};
use super::plan::{ADDRESS, MAC, Plan, SERVER};
use super::{attempts, cause, diagnosed};

/// An installer's program asks for the address that its loader had.
const INSTALLER: &[u8] = b"d-i";
const ROM: &[u8] = b"PXEClient:Arch:00007:UNDI:003000";

/// The machine asks the agent for this address, as a program of this class (RFC 2131 §4.3.2).
fn request(class: &[u8], address: Ipv4Addr) -> Message {
    let mut request = Message::new(Operation::Request, MAC, 7);
    let options = request.options.get_or_insert_default();
    options.set(53, [3]);
    options.set(50, address.octets());
    options.set(54, SERVER.octets());
    options.set(60, class);
    request
}

#[test]
fn a_system_that_asks_for_nothing_is_found() {
    let (mut scene, arguments) = boot(&Plan::good(), Fault::None);
    assert!(arguments.is_some(), "it came to its kernel");
    scene.say(&request(INSTALLER, ADDRESS).emit());
    assert_eq!(cause(scene.events()), Some(Cause::NoAnswerAsked));
}

#[test]
fn an_answer_file_of_an_order_that_is_over_is_found() {
    let (mut scene, arguments) = boot(&Plan::good(), Fault::None);
    let name = format!("o/{}/preseed.cfg", token(&arguments.expect("it came to its kernel")));
    scene.pass(Duration::from_secs(7_300));
    assert_eq!(scene.ask(ADDRESS, Transport::Http, &name), None, "the order has expired");
    assert_eq!(cause(scene.events()), Some(Cause::AnswerRefused));
}

#[test]
fn a_machine_that_begins_again_and_again_is_found() {
    let (mut scene, _) = boot(&Plan { attempts: 9, ..Plan::good() }, Fault::None);
    for _ in 0..3 {
        scene.reset();
        scene.run();
    }
    let mut attempts = attempts(scene.events());
    assert_eq!(attempts.len(), 4);
    let last = attempts.pop().expect("four");
    let former = attempts.into_iter().rev().map(|(boot, _)| boot).collect();
    let found = diagnosed(&last, Context { former, ..Context::default() }).findings;
    let found: Vec<_> = found.into_iter().map(|finding| finding.cause).collect();
    assert_eq!(found, [Cause::KernelSilent, Cause::Loops]);
}

#[test]
fn what_no_rule_knows_is_said_to_be_so() {
    let mut scene = Scene::new(&Plan::good(), Firmware::UEFI, Fault::None);
    // Another's address, which it is not given: a ROM is left to ask anew (QUIRKS 7), and this one does not.
    let mut request = request(ROM, Ipv4Addr::new(10, 1, 0, 77));
    request.options.get_or_insert_default().set(93, [0, 7]);
    scene.say(&request.emit());
    assert_eq!(cause(scene.events()), Some(Cause::Unexplained));
}
