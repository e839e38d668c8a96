//! Events become stages.

use std::time::Duration;

use proto::event::{Answer, Breakage, Client, EventKind, OrderPhase, Transport};
use proto::plan::Stage;

use super::super::{Context, Diagnosis, End, Standing, Step};
use super::diagnosed;
use super::golden::{BEGAN, Story};

fn steps(diagnosis: &Diagnosis) -> Vec<(Step, u64, u64, &End)> {
    let since = |at: proto::Wall| at.since(BEGAN).as_millis() as u64;
    diagnosis.stages.iter().map(|span| (span.step, since(span.began), since(span.last), &span.end)).collect()
}

#[test]
fn an_installation_has_all_of_them() {
    let story = Story::pxe().installing().progress(40).moved(OrderPhase::Installed, "the installer says so");
    let diagnosis = diagnosed(&story, 0, Context::default());
    let expected = [
        (Step::RomAddress, 0, 3_000, &End::Done),
        (Step::Loader, 4_000, 4_500, &End::Done),
        (Step::LoaderAddress, 6_500, 7_500, &End::Done),
        (Step::Script, 8_500, 8_502, &End::Done),
        (Step::Kernel, 9_502, 12_902, &End::Done),
        (Step::System, 12_902, 32_902, &End::Done),
        (Step::AnswerFile, 34_902, 34_903, &End::Done),
        (Step::Installation, 34_903, 36_903, &End::Done),
    ];
    assert_eq!(steps(&diagnosis), expected);
    assert_eq!((diagnosis.standing, diagnosis.findings), (Standing::Ended, vec![]));
    let kernel = &diagnosis.stages[4];
    assert_eq!((kernel.bytes, kernel.transfer), (48_000_000, Duration::from_millis(2_400)));
    assert_eq!((kernel.rate(), kernel.detail.as_str()), (Some(20_000_000), "initrd.gz"));
    assert_eq!(diagnosis.stages[7].detail, "40 %");
}

#[test]
fn a_machine_that_goes_to_its_disk_and_comes_up() {
    let told = Story::pxe().decided(Answer::LocalDisk, "no order stands").leased_to(Client::PxeRom);
    let open = diagnosed(&told, 0, Context::default());
    assert_eq!(
        steps(&open)[1],
        (Step::System, 2_000, 2_000, &End::Done),
        "it is over: nothing more is expected"
    );
    let up = told.after(
        30_000,
        EventKind::Leased {
            address: super::golden::ADDRESS,
            until: proto::Wall(u64::MAX),
            client: Client::Os,
        },
    );
    let up = up.after(0, EventKind::OsUp { address: None });
    let expected = [(Step::RomAddress, 0, 2_000, &End::Done), (Step::System, 2_000, 32_000, &End::Done)];
    let diagnosis = diagnosed(&up, 0, Context::default());
    assert_eq!(steps(&diagnosis), expected);
}

#[test]
fn a_stage_that_broke_is_whole_again_when_the_file_came() {
    let broken = EventKind::FileBroken {
        transport: Transport::Tftp,
        stage: Stage::Loader,
        name: "ipxe.efi".into(),
        bytes: 1_456,
        why: "machine fell silent".into(),
        breakage: Some(Breakage::Silent),
        block_size: 1_428,
        retransmissions: 3,
        took_ms: 900,
    };
    let story = Story::pxe().leased().then(broken);
    let end =
        |story: &Story| diagnosed(story, 0, Context::default()).stages.last().map(|span| span.end.clone());
    assert_eq!(end(&story), Some(End::Broken("machine fell silent".into())));
    assert_eq!(end(&story.served(Stage::Loader, "ipxe.efi", 1_000, 10)), Some(End::Done));
}

#[test]
fn what_asks_without_end_makes_no_more_stages_than_there_may_be() {
    let mut story = Story::pxe().leased();
    for _ in 0..200 {
        story = story.served(Stage::Loader, "a.mod", 1, 1).served(Stage::Script, "grub.cfg", 1, 1);
    }
    assert_eq!(diagnosed(&story, 0, Context::default()).stages.len(), 64);
}

#[test]
fn an_open_stage_that_fell_silent_says_so() {
    let story = Story::pxe().installing().progress(40);
    let at = |seconds| diagnosed(&story, seconds, Context::default()).stages.pop().map(|span| span.end);
    assert_eq!(at(1_799), Some(End::Open));
    assert_eq!(at(1_800), Some(End::Silent));
}
