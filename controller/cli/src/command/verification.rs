//! `image import --sha256`, `--checksums`, `--signature`: is a file the one that its publisher means?

use std::path::{Path, PathBuf};

use clap::Args;
use proto::Digest;

use super::Context;
use crate::failure::{Exit, Failure};
use crate::image::{Download, Progress, check_signature, digest, expected, is_url, without_secrets};

/// The largest list of checksums that is read, in bytes.
const LIST: u64 = 4 << 20;
/// The largest signature, in bytes.
const SIGNATURE: u64 = 1 << 20;

/// What the media are checked against.
#[derive(Debug, Clone, Args)]
pub(crate) struct Verification {
    /// The SHA-256 that the file must have
    #[arg(long, value_name = "HEX")]
    sha256: Option<Digest>,
    /// A list of SHA-256 (SHA256SUMS) that names the file and has its checksum
    #[arg(long, value_name = "FILE|URL")]
    checksums: Option<String>,
    /// A detached OpenPGP signature: of the list of --checksums, without that of the media themselves; judged by gpgv
    #[arg(long, value_name = "FILE|URL", requires = "keyring")]
    signature: Option<String>,
    /// The public keys of which one must have signed, as gpgv reads them (gpg --dearmor makes them of an armoured file)
    #[arg(long, value_name = "FILE", requires = "signature")]
    keyring: Option<PathBuf>,
}

/// What is known before the media are fetched.
#[derive(Debug)]
pub(crate) struct Expected {
    /// What they must have, and who says so.
    digests: Vec<(Digest, String)>,
    /// A signature of themselves, and the keys.
    signature: Option<(Local, PathBuf)>,
}

/// A file of the caller's, or one that was fetched.
#[derive(Debug)]
struct Local {
    path: PathBuf,
    /// Dropped, the fetched file is gone.
    _download: Option<Download>,
}

impl Local {
    async fn get(source: &str, most: u64) -> Result<Self, Failure> {
        if !is_url(source) {
            return Ok(Self { path: PathBuf::from(source), _download: None });
        }
        let fetched = Download::fetch(source, false, most).await;
        let action = format!("fetch {}", without_secrets(source));
        let download = fetched.map_err(|error| Failure::because(Exit::Failed, &action, &error))?;
        Ok(Self { path: download.path().to_owned(), _download: Some(download) })
    }
}

impl Verification {
    /// Is anything to be checked?
    pub(crate) fn is_wanted(&self) -> bool {
        self.sha256.is_some() || self.checksums.is_some() || self.signature.is_some()
    }

    /// Reads what is said of `source`, and checks who says it, before a long download.
    ///
    /// # Errors
    /// A list that does not name it, a signature that is not good.
    pub(crate) async fn expected(&self, context: &mut Context, source: &str) -> Result<Expected, Failure> {
        let mut digests: Vec<_> = self.sha256.iter().map(|digest| (*digest, "--sha256".to_owned())).collect();
        let mut signature = match (&self.signature, &self.keyring) {
            (Some(signature), Some(keyring)) => {
                Some((Local::get(signature, SIGNATURE).await?, keyring.clone()))
            }
            (Some(_) | None, None) | (None, Some(_)) => None,
        };
        if let Some(list) = &self.checksums {
            let named = if is_url(list) { without_secrets(list) } else { list.clone() };
            let file = Local::get(list, LIST).await?;
            if let Some((signature, keyring)) = signature.take() {
                judge(context, &signature.path, &file.path, &keyring, &named).await?;
            }
            let text = read_list(&file.path, &named)?;
            let source = if is_url(source) { without_secrets(source) } else { source.to_owned() };
            let digest = expected(&text, &source)
                .map_err(|error| Failure::because(Exit::BadInput, &format!("use {named}"), &error))?;
            digests.push((digest, named));
        }
        Ok(Expected { digests, signature })
    }
}

fn read_list(path: &Path, named: &str) -> Result<String, Failure> {
    let failed = |error: &std::io::Error| Failure::because(Exit::BadInput, &format!("read {named}"), error);
    let size = path.metadata().map_err(|error| failed(&error))?.len();
    if size > LIST {
        return Err(Failure::bad_input(format!(
            "{named} has {size} bytes, a list of checksums has at most {LIST}"
        )));
    }
    let bytes = std::fs::read(path).map_err(|error| failed(&error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

async fn judge(
    context: &mut Context,
    signature: &Path,
    signed: &Path,
    keyring: &Path,
    named: &str,
) -> Result<(), Failure> {
    let signer = check_signature(signature, signed, keyring).await;
    let action = format!("verify the signature of {named}");
    let signer = signer.map_err(|error| Failure::because(Exit::BadInput, &action, &error))?;
    context.output.remark(&format!("verified: {named} is signed by {signer}"));
    Ok(())
}

impl Expected {
    /// Checks the media, which are one file.
    ///
    /// # Errors
    /// They are another file, or not signed by whom they should be.
    pub(crate) async fn check(&self, context: &mut Context, path: &Path, named: &str) -> Result<(), Failure> {
        if let Some((signature, keyring)) = &self.signature {
            judge(context, &signature.path, path, keyring, named).await?;
        }
        if self.digests.is_empty() {
            return Ok(());
        }
        let size = path.metadata().map_or(0, |about| about.len());
        let progress = Progress::new(context.output.live(), "verifying", size);
        let file = path.to_owned();
        let hashed = tokio::task::spawn_blocking(move || digest(&file, &progress)).await;
        let action = format!("verify {named}");
        let hashed = hashed.map_err(|error| Failure::because(Exit::Failed, &action, &error))?;
        let actual = hashed.map_err(|error| Failure::because(Exit::BadInput, &action, &error))?;
        for (expected, who) in &self.digests {
            if *expected != actual {
                let message = format!("failed to {action}: {who} says {expected}, it has {actual}");
                return Err(
                    Failure::bad_input(message).remedy("fetch it again, or find out why it is another file")
                );
            }
            context.output.remark(&format!("verified: {named} has the SHA-256 that {who} says"));
        }
        Ok(())
    }
}
