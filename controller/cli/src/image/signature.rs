//! Detached signatures of OpenPGP, judged by gpgv: a child process with a bound on its time and its output, which trusts
//! the keys of the given keyring and no others.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

/// What judges.
const GPGV: &str = "gpgv";
/// The longest that it may take: it reads the whole of what is signed.
const TIME: Duration = Duration::from_secs(15 * 60);
/// As much of its output is looked at, in bytes.
const OUTPUT: u64 = 64 * 1_024;

/// Why a signature is not known to be good.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignatureError {
    /// There is no gpgv.
    #[error("there is no gpgv: install the Debian package gpgv")]
    NotInstalled,
    /// A file that was given.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The child process.
    #[error("cannot run gpgv")]
    Run(#[source] io::Error),
    /// It did not end.
    #[error("gpgv did not end within {} seconds", TIME.as_secs())]
    Time,
    /// The signature is not good, or by a key that the keyring has not.
    #[error("the signature is not good: {0}")]
    Bad(String),
}

/// Is `signature` one of `signed` by a key of `keyring`? The fingerprint of that key.
///
/// # Errors
/// [`SignatureError`].
pub(crate) async fn check(signature: &Path, signed: &Path, keyring: &Path) -> Result<String, SignatureError> {
    judged(GPGV, signature, signed, keyring).await
}

async fn judged(
    program: &str,
    signature: &Path,
    signed: &Path,
    keyring: &Path,
) -> Result<String, SignatureError> {
    let home = tempfile::tempdir().map_err(SignatureError::Run)?;
    let mut child = Command::new(program)
        .args(["--status-fd", "1", "--keyring"])
        // gpgv looks for a name without a slash in its home.
        .arg(absolute(keyring)?)
        .args([absolute(signature)?, absolute(signed)?])
        .env("LC_ALL", "C")
        .env("GNUPGHOME", home.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(not_started)?;
    let (status, words) = (child.stdout.take(), child.stderr.take());
    let ended = async { tokio::join!(child.wait(), output(status), output(words)) };
    let (exit, status, words) = tokio::time::timeout(TIME, ended).await.map_err(|_| SignatureError::Time)?;
    let exit = exit.map_err(SignatureError::Run)?;
    let signer = if exit.success() { signer(&status) } else { None };
    signer.ok_or_else(|| SignatureError::Bad(last_words(&words)))
}

fn not_started(error: io::Error) -> SignatureError {
    if error.kind() == io::ErrorKind::NotFound {
        return SignatureError::NotInstalled;
    }
    SignatureError::Run(error)
}

fn absolute(path: &Path) -> Result<PathBuf, SignatureError> {
    path.canonicalize().map_err(|source| SignatureError::Read { path: path.to_owned(), source })
}

/// The beginning of what comes; the rest is read and forgotten, so that nobody waits to write it.
async fn output(from: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut from) = from else { return String::new() };
    let mut bytes = Vec::new();
    // What cannot be read is no proof, which is how it is judged.
    let _ = (&mut from).take(OUTPUT).read_to_end(&mut bytes).await;
    let _ = tokio::io::copy(&mut from, &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// GnuPG's doc/DETAILS: a good signature has a line GOODSIG and one VALIDSIG, with the fingerprint; one whose key or self has
/// expired or was revoked has another word than GOODSIG.
fn signer(status: &str) -> Option<String> {
    let words = |line: &'_ str| line.strip_prefix("[GNUPG:] ").map(str::to_owned);
    let lines: Vec<_> = status.lines().filter_map(words).collect();
    let with = |word: &str| lines.iter().find_map(|line| line.strip_prefix(word).map(str::trim));
    const NOT_GOOD: [&str; 5] = ["BADSIG ", "ERRSIG ", "EXPSIG ", "EXPKEYSIG ", "REVKEYSIG "];
    if NOT_GOOD.into_iter().any(|word| with(word).is_some()) || with("GOODSIG ").is_none() {
        return None;
    }
    let fingerprint = with("VALIDSIG ")?.split(' ').next()?;
    fingerprint.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| fingerprint.to_owned())
}

/// For people: its last line, without what a terminal would obey.
fn last_words(words: &str) -> String {
    let line =
        words.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("gpgv does not say why");
    line.chars().filter(|character| !character.is_control()).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_good_signature_has_a_signer() {
        let good = "[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG 12AB Me\n[GNUPG:] VALIDSIG ABCD12 2026-11-22 1\n";
        assert_eq!(signer(good).as_deref(), Some("ABCD12"));
        let expired = good.replace("GOODSIG", "EXPKEYSIG");
        let two = format!("{good}[GNUPG:] ERRSIG 99 1 8 00 1 9 -\n");
        for status in [&expired, &two, "", "[GNUPG:] GOODSIG 12AB Me\n", "GOODSIG 1\nVALIDSIG 2\n"] {
            assert_eq!(signer(status), None, "{status}");
        }
    }

    #[test]
    fn what_it_says_is_cleaned() {
        assert_eq!(last_words("gpgv: a\ngpgv: \x1b[31mBAD\n\n"), "gpgv: [31mBAD");
        assert_eq!(last_words(""), "gpgv does not say why");
    }

    #[tokio::test]
    async fn without_gpgv_nothing_is_good() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let path = file.path();
        let error = judged("there-is-no-such-gpgv", path, path, path).await.expect_err("absent");
        assert!(matches!(error, SignatureError::NotInstalled), "{error}");
        let none = Path::new("/nonexistent/keyring");
        assert!(matches!(judged("true", path, path, none).await, Err(SignatureError::Read { .. })));
        assert!(matches!(judged("true", path, path, path).await, Err(SignatureError::Bad(_))));
    }
}
