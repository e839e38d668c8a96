//! What keeps a controller from starting, and that nothing is changed by it.

use std::error::Error as _;
use std::fs;
use std::path::Path;

use controller::config::Config;
use controller::{StartError, run};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::harness::{Controller, configuration};

async fn start(folder: &Path, addresses: [&str; 2]) -> StartError {
    certs::tls::install_provider();
    let text = configuration(folder, addresses);
    let config = Config::parse(Path::new("test.toml"), &text).expect("a legal configuration");
    run(config, CancellationToken::new()).await.err().expect("it must not start")
}

const ANY: [&str; 2] = ["127.0.0.1:0"; 2];

#[tokio::test]
async fn a_taken_port_is_named_and_no_fleet_is_made() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let error = start(folder.path(), ["127.0.0.1:0", &address]).await;
    let text = error.to_string();
    assert!(text.contains(&address) && text.contains("`listen.enrol`"), "{text}");
    assert!(text.contains("another program has that port"), "{text}");
    assert!(error.source().is_some());
    assert!(!folder.path().join("state").exists());
}

#[tokio::test]
async fn a_second_controller_on_the_same_state_is_refused() {
    let controller = Controller::start().await;
    let error = start(controller.folder.path(), ANY).await;
    let cause = error.source().expect("a cause").to_string();
    assert!(cause.contains("in use by another controller"), "{cause}");
}

#[tokio::test]
async fn a_state_folder_that_is_a_file_is_named() {
    let folder = tempfile::tempdir().expect("temporary folder");
    fs::write(folder.path().join("state"), "").expect("written");
    let error = start(folder.path(), ANY).await.to_string();
    assert!(error.contains("folder of state") && error.contains("/state"), "{error}");
}

#[tokio::test]
async fn lost_keys_are_not_made_anew() {
    for name in ["authority", "secrets.key"] {
        let folder = Controller::start().await.stop().await;
        let (there, away) = (folder.path().join("state").join(name), folder.path().join("away"));
        fs::rename(&there, &away).expect("moved");
        let error = start(folder.path(), ANY).await.to_string();
        assert!(error.contains(name) && error.contains("restore the last backup"), "{error}");
        assert!(!there.exists(), "nothing was made");
        fs::rename(&away, &there).expect("put back");
        Controller::start_at(folder, ANY).await.stop().await;
    }
}
