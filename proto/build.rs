//! Compiles the contract with protox (no system protoc) and keeps its descriptors for gRPC reflection.

use std::{env, error::Error, fs, path::PathBuf};

/// Messages that hold secrets: their generated `Debug` would print them.
const SECRETIVE: [&str; 7] = [
    "bootlane.v1.Entry",
    "bootlane.v1.Secret",
    "bootlane.v1.EnrolRequest",
    "bootlane.v1.CreateTokenResponse",
    "bootlane.v1.BackupRequest",
    "bootlane.v1.OrderState",
    "bootlane.v1.Document",
];

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from("proto");
    let names = ["enrolment", "agents", "admin", "plan", "event", "ledger"];
    let files: Vec<_> = names.iter().map(|name| root.join(format!("bootlane/v1/{name}.proto"))).collect();
    println!("cargo:rerun-if-changed=proto");

    let descriptors = protox::compile(&files, [&root])?;
    let out = PathBuf::from(env::var("OUT_DIR")?).join("bootlane.v1.bin");
    fs::write(out, prost::Message::encode_to_vec(&descriptors))?;

    tonic_prost_build::configure().bytes(".").skip_debug(SECRETIVE).compile_fds(descriptors)?;
    Ok(())
}
