//! TLS with a certificate of somebody else: files that an operator gives, such as those of a public authority, for browsers.
//!
//! Whoever renews the files replaces them; [`FileServer::reload`] takes over what they hold then.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::server::{Shown, page};
use super::{TimeProvider, TlsError, provider};

/// Why files hold no certificate and key that can be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read, or holds nothing of that kind in PEM form.
    #[error("{} holds no {what} in PEM form: {cause}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// "certificate" or "private key".
        what: &'static str,
        /// What is wrong.
        cause: String,
    },
    /// They do not belong together, or the key is of a kind that is not known here.
    #[error("the key in {} is not that of the certificate in {}", key.display(), certificate.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What rustls said.
        source: rustls::Error,
    },
    /// rustls.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// TLS for browsers with a certificate and a key from files.
#[derive(Debug)]
pub struct FileServer {
    certificate: PathBuf,
    key: PathBuf,
    shown: Arc<Shown>,
    config: Arc<ServerConfig>,
}

impl FileServer {
    /// Reads both files: the certificate with those above it but for the root, and its key. Blocks.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn open(certificate: PathBuf, key: PathBuf, time: Arc<dyn TimeProvider>) -> Result<Self, FileError> {
        let shown = Arc::new(Shown(ArcSwap::new(read(&certificate, &key)?)));
        let config = page(time, &shown).map_err(TlsError::from)?;
        Ok(Self { certificate, key, shown, config })
    }

    /// The configuration of its listener.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// Reads both files again, and shows what they hold from the next handshake on; true: that is another certificate. Blocks.
    ///
    /// # Errors
    /// [`FileError`]; what was shown is shown on then.
    pub fn reload(&self) -> Result<bool, FileError> {
        let read = read(&self.certificate, &self.key)?;
        let same = self.shown.0.load().cert == read.cert;
        if !same {
            self.shown.0.store(read);
        }
        Ok(!same)
    }
}

fn read(certificate: &Path, key: &Path) -> Result<Arc<CertifiedKey>, FileError> {
    let unread = |path: &Path, what, cause: String| FileError::Read { path: path.to_owned(), what, cause };
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|error| unread(certificate, "certificate", error.to_string()))?;
    if chain.is_empty() {
        return Err(unread(certificate, "certificate", "it has no such section".into()));
    }
    let private =
        PrivateKeyDer::from_pem_file(key).map_err(|error| unread(key, "private key", error.to_string()))?;
    let certified = CertifiedKey::from_der(chain, private, &provider()).map_err(|source| {
        FileError::Mismatch { certificate: certificate.to_owned(), key: key.to_owned(), source }
    })?;
    Ok(Arc::new(certified))
}

#[cfg(test)]
mod tests {
    use super::super::DefaultTimeProvider;
    use super::*;

    /// A certificate and its key, both in PEM form.
    fn made(name: &str) -> (String, String) {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).expect("made");
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn files_that_were_replaced_are_taken_over_and_spoilt_ones_are_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let [certificate, key] = ["page.crt", "page.key"].map(|name| folder.path().join(name));
        let put = |(cert, private): &(String, String)| {
            std::fs::write(&certificate, cert).expect("written");
            std::fs::write(&key, private).expect("written");
        };
        let (first, second) = (made("a.example"), made("b.example"));
        put(&first);
        let server =
            FileServer::open(certificate.clone(), key.clone(), Arc::new(DefaultTimeProvider)).expect("good");
        assert!(!server.reload().expect("good"), "nothing new");
        put(&(second.0.clone(), first.1));
        assert!(matches!(server.reload(), Err(FileError::Mismatch { .. })));
        put(&(String::new(), second.1.clone()));
        assert!(matches!(server.reload(), Err(FileError::Read { what: "certificate", .. })));
        put(&(second.0.clone(), String::new()));
        assert!(matches!(server.reload(), Err(FileError::Read { what: "private key", .. })));
        put(&second);
        assert!(server.reload().expect("good"), "another one");
        std::fs::remove_file(&key).expect("removed");
        assert!(server.reload().is_err());
    }
}
