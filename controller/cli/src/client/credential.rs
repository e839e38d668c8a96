//! Which credential file speaks for the caller, and what to do when it does not.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use certs::OperatorCredential;
use proto::Wall;

use crate::failure::{Exit, Failure, chain};
use crate::output::words;

/// Below the user's configuration folder.
const DEFAULT: &str = "bootlane/credential.toml";

const HOW_TO_GET_ONE: &str = "the controller's first start leaves one beside its state, and an admin makes more with \
    `bootlane operator add NAME --role ROLE --out FILE`; name it with --credential or BOOTLANE_CREDENTIAL";

/// Reads the credential: the file that was named, else the user's own.
///
/// # Errors
/// Says which file, what is wrong with it, and how to get one.
pub(crate) fn load(named: Option<&Path>) -> Result<OperatorCredential, Failure> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => default_path().ok_or_else(no_home)?,
    };
    let credential = OperatorCredential::load(&path).map_err(|error| {
        if error.is_not_found() {
            let message = format!("there is no credential file {}", path.display());
            return Failure::new(Exit::Denied, message).remedy(HOW_TO_GET_ONE);
        }
        Failure::new(Exit::Denied, format!("failed to read the credential: {}", chain(&error)))
    })?;
    check_dates(&credential, SystemTime::now())?;
    Ok(credential)
}

fn no_home() -> Failure {
    Failure::new(Exit::Denied, "no credential file is named, and neither XDG_CONFIG_HOME nor HOME is set")
        .remedy(HOW_TO_GET_ONE)
}

/// `$XDG_CONFIG_HOME/bootlane/credential.toml`, else below `~/.config`.
fn default_path() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let config = folder("XDG_CONFIG_HOME").or_else(|| folder("HOME").map(|home| home.join(".config")));
    config.map(|config| config.join(DEFAULT))
}

/// A controller would only close the connection; here it can be said why.
fn check_dates(credential: &OperatorCredential, now: SystemTime) -> Result<(), Failure> {
    let not_after = credential.credential().leaf().not_after;
    if now <= not_after {
        return Ok(());
    }
    let operator = credential.operator();
    let message =
        format!("the certificate of operator {operator} expired at {}", words::moment(Wall::from(not_after)));
    let remedy =
        format!("ask an admin to make a new one: `bootlane operator add {operator} --role ROLE --out FILE`");
    Err(Failure::new(Exit::Denied, message).remedy(remedy))
}
