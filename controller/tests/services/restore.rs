//! A fleet whose controller is lost with its disk and restored from a backup: everybody reconnects as who they are.

use std::fs;
use std::path::Path;
use std::process::Command;

use controller::backup::restore;
use proto::plan::PlanDocument;
use proto::v1::{self, update::Change};
use tonic::Code;

use super::harness::{Controller, configuration, host, next, now, operator};
use super::plans::snapshot;
use super::reports::{ATTEMPT, Stream, decided, event};

const PASSPHRASE: &str = "correct horse battery staple";

/// By which way the state comes back.
enum Way {
    /// The function behind the command.
    Function,
    /// The command, as an operator types it.
    Command,
}

#[tokio::test]
async fn a_restored_fleet_reconnects() {
    lose_and_restore(Way::Function, "127.77.0.1:0").await;
}

#[tokio::test]
async fn a_fleet_restored_by_the_command_reconnects() {
    lose_and_restore(Way::Command, "127.77.0.2:0").await;
}

/// An address of its own for each test: nobody else gets the port between the two lives of the controller.
async fn lose_and_restore(way: Way, address: &str) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let controller = Controller::start_at(folder, [address; 2]).await;
    controller.furnish().await;
    controller.apply(&[host("web-2", 2, "run")]).await;
    let (fleet, enrol) = (controller.running.fleet, controller.running.enrol);
    let agent = controller.agent("lyon", "lyon-1").await;
    let (updates, plan) = snapshot(&agent).await;
    let mut reports = Stream::open(&agent).await;
    assert_eq!(reports.batch(vec![event(1, decided()), event(2, decided())]).await.expect("stored"), 2);
    let mut number = controller.order("web-1", "install").await.spec.number;

    let credential = controller.folder.path().join("admin.credential");
    fs::copy(controller.folder.path().join("state/admin.credential"), &credential).expect("copied");
    let archive = backup(&credential, fleet).await;

    // What the backup will not know: an order, an agent, an event.
    let lost = controller.order("web-2", "install").await;
    number = number.max(lost.spec.number);
    let late = controller.agent("lyon", "lyon-2").await;
    assert_eq!(reports.batch(vec![event(3, decided())]).await.expect("stored"), 3);
    drop((updates, reports));
    let folder = controller.stop().await;
    fs::remove_dir_all(folder.path().join("state")).expect("the disk is lost");

    let addresses = [fleet, enrol].map(|address| address.to_string());
    let addresses = addresses.each_ref().map(String::as_str);
    restore_by(&way, folder.path(), &archive, addresses).await;
    let controller = Controller::start_at(folder, addresses).await;
    assert_eq!((controller.running.fleet, controller.running.enrol), (fleet, enrol));

    // The same agent with the same certificate, which obeys a plan of the old epoch.
    let mut updates = agent.follow(Some(plan.id().into())).await;
    let update = next(&mut updates).await.expect("open").expect("an update");
    let Some(Change::Snapshot(new)) = update.change else { panic!("expected a snapshot: {update:?}") };
    let new = PlanDocument::try_from(new).expect("a legal plan");
    let (before, after) = (plan.id().generation, new.id().generation);
    assert!(after > before && after.epoch > before.epoch, "{before:?} {after:?}");
    let mut updates = agent.follow(Some(new.id().into())).await;
    let update = next(&mut updates).await.expect("open").expect("an update");
    assert_eq!(update.change, Some(Change::Current(new.id().into())));

    // Its journal goes on after what the lost controller has acknowledged; what comes twice is stored once.
    let mut reports = Stream::open(&agent).await;
    let batch = vec![event(4, decided()), event(5, decided())];
    assert_eq!(reports.batch(batch.clone()).await.expect("stored"), 5);
    assert_eq!(reports.batch(batch).await.expect("again"), 5);
    let events = controller.running.app.events.boot_events(ATTEMPT).await.expect("readable");
    assert_eq!(events.iter().map(|event| event.numbered.number).collect::<Vec<_>>(), [4, 5]);

    // The operator's credential is as good as before, and orders go on above all that were ever given.
    let mut operator = operator(&credential, fleet).await;
    let who = operator.who_am_i(v1::WhoAmIRequest {}).await.expect("known").into_inner();
    assert_eq!((who.operator.as_str(), who.role.as_str()), ("admin", "admin"));
    assert!(controller.running.app.catalog.get_order(&lost.name).await.expect("readable").is_none());
    let order = controller.order("web-2", "install").await.spec.number;
    assert!(order > number, "{order} {number}");

    // Who came after the backup is not known, and is told what to do.
    let request = v1::FollowRequest { applied: None, level: 1, version: String::new() };
    let refused = late.client().await.follow(request).await.expect_err("unknown");
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("enrol it again"), "{refused:?}");
    controller.stop().await;
}

async fn backup(credential: &Path, address: std::net::SocketAddr) -> Vec<u8> {
    let request = v1::BackupRequest { passphrase: PASSPHRASE.into() };
    let mut stream = operator(credential, address).await.backup(request).await.expect("allowed").into_inner();
    let mut archive = Vec::new();
    while let Some(chunk) = next(&mut stream).await.expect("whole") {
        archive.extend(chunk.chunk);
    }
    archive
}

async fn restore_by(way: &Way, folder: &Path, archive: &[u8], addresses: [&str; 2]) {
    match way {
        Way::Function => {
            let state = folder.join("state");
            let restored = restore(archive, PASSPHRASE.into(), &state, now()).await.expect("whole");
            assert_eq!(restored.blobs[0].images, ["live"]);
        }
        Way::Command => command(folder, archive, addresses),
    }
}

fn command(folder: &Path, archive: &[u8], addresses: [&str; 2]) {
    let file = |name: &str, content: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, content).expect("written");
        path
    };
    let config = file("controller.toml", configuration(folder, addresses).as_bytes());
    let (archive, passphrase) =
        (file("fleet.backup", archive), file("passphrase", format!("{PASSPHRASE}\n").as_bytes()));
    let run = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bootlane-controller"));
        command.args(["restore", "--config"]).arg(&config).arg("--passphrase-file").arg(&passphrase);
        command.arg(&archive).output().expect("it starts")
    };
    let output = run();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    assert!(said.starts_with("restored fleet acme as of revision "), "{said}");
    let kernel = proto::Digest::of(b"kernel");
    assert!(said.contains("1 of the 1 files of its images are missing"), "{said}");
    assert!(said.contains(&format!("  sha256 {kernel}, 6 bytes, of live\n")), "{said}");
    let again = run();
    assert_eq!(again.status.code(), Some(1));
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(said.contains("is not empty") && said.contains("move this one away"), "{said}");
}
