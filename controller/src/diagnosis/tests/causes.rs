//! Every cause is found where it is wrong, and nowhere else.

use netboot::decide::ORDERS_WAIT;
use netboot::dhcp::POOLS_WAIT;
use proto::event::{AlarmKind, Answer, Breakage, Client, EventKind, OrderPhase, Refusal, Transport};
use proto::plan::{DhcpMode, Stage, UnknownMachines};

use super::super::{AgentFacts, Cause, Certainty, Context, expect, given};
use super::golden::Story;
use super::{diagnosed, examples};

#[test]
fn each_cause_is_found_by_its_example() {
    for cause in Cause::ALL {
        let found: Vec<_> = examples::of(*cause).into_iter().map(|finding| finding.cause).collect();
        assert_eq!(found.get(examples::place(*cause)), Some(cause), "{found:?}");
    }
}

#[test]
fn each_sentence_is_one_and_names_what_it_found() {
    for cause in Cause::ALL {
        let finding = examples::of(*cause).swap_remove(examples::place(*cause));
        let sentence = finding.sentence();
        assert!(sentence.starts_with(char::is_uppercase) && sentence.ends_with('.'), "{sentence}");
        assert!(!sentence.contains("..") && !sentence.contains(": ."), "{sentence}");
        let meaning = cause.meaning().to_owned();
        let parts = [
            ("stopped_at", &finding.stopped_at),
            ("expected", &finding.expected),
            ("likely", &finding.likely),
            ("remedy", &finding.remedy),
            ("meaning", &meaning),
        ];
        for (part, text) in parts.into_iter().chain(finding.evidence.iter().map(|text| ("evidence", text))) {
            assert!(
                !text.is_empty() && !text.ends_with('.') && !text.contains("  "),
                "{cause:?} {part}: {text:?}"
            );
        }
    }
}

/// Nothing is wrong with these.
#[test]
fn a_boot_that_goes_well_has_no_finding_at_any_time() {
    let installed =
        Story::pxe().installing().progress(90).moved(OrderPhase::Installed, "the installer says so");
    let local = Story::pxe().decided(Answer::LocalDisk, "no order stands").leased_to(Client::PxeRom);
    let up = Story::pxe().handed_over().leased_to(Client::Os).then(EventKind::OsUp { address: None });
    for (name, story) in [("installed", installed), ("local", local), ("up", up)] {
        for seconds in [0, 60, 100_000] {
            assert_eq!(
                diagnosed(&story, seconds, Context::default()).findings,
                vec![],
                "{name} after {seconds} s"
            );
        }
    }
}

/// Every beginning of a good boot is under way until its patience ends, and then has one answer.
#[test]
fn a_boot_that_stops_anywhere_is_explained() {
    let whole = Story::pxe().installing().progress(40);
    let mut causes = Vec::new();
    for length in 1..=whole.events.len() {
        let story = whole.until(length);
        assert_eq!(diagnosed(&story, 1, Context::default()).findings, vec![], "it is under way");
        let late = diagnosed(&story, 100_000, Context::default());
        causes.push(late.cause().unwrap_or_else(|| panic!("{:?}", late.stages)));
    }
    causes.dedup();
    let expected = [
        Cause::Unexplained,
        Cause::OfferNotTaken,
        Cause::NothingAsked,
        Cause::LoaderSilent,
        Cause::OfferNotTaken,
        Cause::NothingAsked,
        Cause::NoKernelAsked,
        Cause::KernelSilent,
        Cause::NoAnswerAsked,
        Cause::InstallerSilent,
    ];
    assert_eq!(causes, expected);
}

#[test]
fn another_servers_offer_is_a_cause_whatever_the_agent_had_to_say() {
    let taken = || EventKind::ForeignOfferTaken {
        server: [10, 1, 0, 3].into(),
        known: "it offers pxelinux.0".into(),
    };
    let to_disk = || Story::pxe().decided(Answer::LocalDisk, "no order stands").offered(Client::PxeRom, "");
    let cause = |story: &Story, seconds| diagnosed(story, seconds, Context::default()).cause();
    let gone = to_disk().then(taken());
    assert_eq!((cause(&gone, 1), cause(&gone, 90)), (None, Some(Cause::ForeignOfferTaken)));
    let sentence = diagnosed(&gone, 90, Context::default()).findings[0].sentence();
    assert!(
        sentence.starts_with("It was told to boot its disk and accepted the offer of another"),
        "{sentence}"
    );
    let after_ours = to_disk().leased_to(Client::PxeRom).then(taken());
    assert_eq!(cause(&after_ours, 90), Some(Cause::ForeignOfferTaken), "its next boot option went there");
    let came_back = to_disk().then(taken()).leased_to(Client::HttpRom);
    assert_eq!(cause(&came_back, 90), None);
    let up = to_disk().then(taken()).leased_to(Client::Os).then(EventKind::OsUp { address: None });
    assert_eq!(cause(&up, 90), None);
}

#[test]
fn an_agent_without_room_says_why_it_gives_no_lease() {
    let told = EventKind::Alarm { kind: AlarmKind::DiskLow, detail: POOLS_WAIT.into() };
    let asked = Story::pxe().decided(Answer::LocalDisk, "no host has this address").then(told);
    let finding = diagnosed(&asked, 90, Context::default()).findings.swap_remove(0);
    assert_eq!((finding.cause, finding.likely.as_str()), (Cause::PoolEmpty, POOLS_WAIT));
    let offered = asked.offered(Client::PxeRom, "");
    assert_eq!(diagnosed(&offered, 90, Context::default()).cause(), None, "there was room again");
}

#[test]
fn an_order_of_an_agent_without_room_waits() {
    let agent = AgentFacts { disk_low: true, ..examples::agent() };
    let full = Context { agent: Some(agent), ..examples::waiting() };
    let finding = expect(&full).swap_remove(0);
    assert_eq!((finding.cause, finding.likely.as_str()), (Cause::OrderNotObeyed, ORDERS_WAIT));
    assert_eq!(given(&full).why, ORDERS_WAIT);
    let stranger = Context {
        host: None,
        order: None,
        site: Some((DhcpMode::Authoritative, UnknownMachines::Lease)),
        ..full
    };
    assert_eq!(given(&stranger).why, POOLS_WAIT);
}

#[test]
fn a_transfer_that_was_begun_anew_and_came_is_no_fault() {
    let broken = |breakage| EventKind::FileBroken {
        transport: Transport::Tftp,
        stage: Stage::Loader,
        name: "ipxe.efi".into(),
        bytes: 0,
        why: String::new(),
        breakage: Some(breakage),
        block_size: 1_428,
        retransmissions: 3,
        took_ms: 30_000,
    };
    let again =
        Story::pxe().leased().then(broken(Breakage::Silent)).served(Stage::Loader, "ipxe.efi", 1_000, 9);
    assert_eq!(diagnosed(&again, 7_200, Context::default()).cause(), Some(Cause::LoaderSilent));
    let small = Story::pxe().leased().then(broken(Breakage::NeverAcknowledged));
    assert_eq!(diagnosed(&small, 7_200, Context::default()).cause(), Some(Cause::TransferBroken));
}

#[test]
fn names_that_loaders_try_in_vain_are_no_fault_when_one_is_there() {
    let refused = |name: &str| EventKind::FileRefused {
        transport: Transport::Tftp,
        name: name.into(),
        why: "no file has this name".into(),
        refusal: Some(Refusal::NoSuchFile),
        by_token: false,
    };
    let tried = Story::pxe().loaded().then(refused("grub/x86_64-efi/command.lst"));
    let stopped = diagnosed(&tried, 7_200, Context::default());
    assert_eq!(stopped.cause(), Some(Cause::FileMissing));
    let went_on = tried.served(Stage::Script, "grub.cfg", 300, 1);
    assert_eq!(diagnosed(&went_on, 7_200, Context::default()).cause(), Some(Cause::NoKernelAsked));
}

#[test]
fn an_agent_that_does_not_tell_its_reasons_is_understood_as_far_as_it_goes() {
    let refused = EventKind::FileRefused {
        transport: Transport::Tftp,
        name: "x".into(),
        why: "no file has this name".into(),
        refusal: None,
        by_token: false,
    };
    let story = Story::pxe().loaded().then(refused);
    assert_eq!(diagnosed(&story, 7_200, Context::default()).cause(), Some(Cause::FileMissing));
    let told = Story::pxe().then(EventKind::Decided {
        answer: Answer::LocalDisk,
        reason: "it shows another UUID".into(),
        order: None,
        because: None,
    });
    assert_eq!(diagnosed(&told, 7_200, Context::default()).findings, vec![]);
}

#[test]
fn what_is_only_likely_says_so() {
    let certainty = |cause| examples::of(cause).first().map(|finding| finding.certainty);
    assert_eq!(certainty(Cause::InstallerFailed), Some(Certainty::Seen));
    assert_eq!(certainty(Cause::NothingAsked), Some(Certainty::Likely));
    assert_eq!(certainty(Cause::NotHeard), Some(Certainty::Possible));
}
