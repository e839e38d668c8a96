//! What goes wrong between here and the controller.

use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use predicates::prelude::*;
use predicates::str::contains;
use tonic::Status;

use crate::fleet::{Fleet, bootlane};

#[test]
fn without_a_credential_it_is_said_how_to_get_one() {
    let none = std::path::Path::new("/nonexistent/credential.toml");
    let expected = contains("there is no credential file /nonexistent/credential.toml")
        .and(contains("bootlane operator add"));
    bootlane(none).arg("whoami").assert().code(5).stderr(expected).stdout("");
}

#[test]
fn the_wrong_one_of_the_two_ports_is_called_by_its_name() {
    let fleet = Fleet::start();
    let expected = contains(format!("{} is not where operators call", fleet.enrol))
        .and(contains("enrol listener: the fleet listener has another port"))
        .and(contains("name the other port with --controller"));
    fleet.bootlane(["whoami", "--controller", &fleet.enrol]).assert().code(6).stderr(expected);
}

#[test]
fn an_exposed_credential_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let fleet = Fleet::start();
    let file = fleet.credential_file();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("changed");
    bootlane(&file).arg("whoami").assert().code(5).stderr(contains("chmod 600"));
}

#[test]
fn an_expired_credential_is_named_before_anybody_is_asked() {
    let fleet = Fleet::start();
    let past = SystemTime::now() - Duration::from_secs(7_200);
    let old = fleet.credential_at("eve", Duration::from_secs(3_600), past);
    old.save(&fleet.path("old.toml")).expect("written");
    let expected =
        contains("the certificate of operator eve expired at").and(contains("bootlane operator add eve"));
    bootlane(&fleet.path("old.toml")).arg("whoami").assert().code(5).stderr(expected);
}

#[test]
fn nobody_at_the_address() {
    let fleet = Fleet::start();
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let free = socket.local_addr().expect("bound").to_string();
    drop(socket);
    let expected = contains(format!("cannot connect to {free}")).and(contains("is the controller running"));
    fleet.bootlane(["whoami", "--controller", &free]).assert().code(6).stderr(expected);
    fleet.bootlane(["whoami", "--controller", "nowhere"]).assert().code(2);
}

#[test]
fn a_controller_of_another_fleet_is_told_nothing() {
    let (ours, theirs) = (Fleet::start(), Fleet::named("beta"));
    let expected = contains("is not a controller of this fleet")
        .and(contains("fleet `beta`").or(contains("fleet `acme`")));
    ours.bootlane(["whoami", "--controller", &theirs.address]).assert().code(6).stderr(expected);
}

#[test]
fn refusals_of_the_controller_have_their_exit_codes() {
    let fleet = Fleet::start();
    let cases = [
        (Status::permission_denied("operator eve is revoked"), 5, "operator eve is revoked"),
        (Status::unavailable("the catalog cannot be read"), 6, "try again"),
        (Status::aborted("somebody else wrote"), 4, "somebody else wrote"),
        (Status::internal("\x1b[2Jbroken"), 1, "broken"),
    ];
    for (status, code, words) in cases {
        fleet.catalog.refuse(status);
        fleet
            .bootlane(["host", "list"])
            .assert()
            .code(code)
            .stderr(contains(words).and(contains('\x1b').not()));
    }
    fleet.bootlane(["host", "get", "none"]).assert().code(3).stderr(contains("there is no Host none"));
    fleet.bootlane(["host", "fly"]).assert().code(2);
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let fleet = Fleet::start();
    let mut child = Command::new(env!("CARGO_BIN_EXE_bootlane"))
        .args(["completions", "bash"])
        .env("BOOTLANE_CREDENTIAL", fleet.credential_file())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    drop(child.stdout.take());
    let ended = child.wait_with_output().expect("ended");
    assert_eq!((ended.status.code(), String::from_utf8_lossy(&ended.stderr).as_ref()), (Some(0), ""));
}
