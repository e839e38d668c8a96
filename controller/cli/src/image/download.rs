//! Media from a URL: fetched to a temporary file first, within a limit.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};
use tempfile::NamedTempFile;

use super::Progress;
use crate::failure::chain;

/// The largest file that is fetched, in bytes: 64 GiB.
const LARGEST: u64 = 64 << 30;
/// Until a server answers.
const CONNECT: Duration = Duration::from_secs(15);
/// The longest silence within an answer.
const SILENCE: Duration = Duration::from_secs(60);
/// As many redirections are followed.
const REDIRECTIONS: usize = 5;

/// Why a URL gave no file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DownloadError {
    /// Not a URL that we fetch.
    #[error("expected http://… or https://…")]
    Url,
    /// The transfer.
    #[error("{0}")]
    Transfer(String),
    /// The server's answer.
    #[error("the server answered {0}")]
    Answer(reqwest::StatusCode),
    /// Larger than we fetch.
    #[error("it has more than {LARGEST} bytes")]
    TooLarge,
    /// The temporary file.
    #[error("cannot write a temporary file (TMPDIR says where)")]
    Disk(#[from] std::io::Error),
}

/// Is this a URL and no path?
#[must_use]
pub(crate) fn is_url(text: &str) -> bool {
    text.contains("://")
}

/// A URL for people and records: no user, password, query or fragment.
#[must_use]
pub(crate) fn without_secrets(text: &str) -> String {
    let Ok(mut url) = Url::parse(text) else { return String::new() };
    url.set_query(None);
    url.set_fragment(None);
    // Only URLs without a host refuse this, and they have no user either.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    url.into()
}

/// A fetched file; it is gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Download {
    file: NamedTempFile,
    name: String,
}

impl Download {
    /// Fetches a URL in full.
    ///
    /// # Errors
    /// [`DownloadError`].
    pub(crate) async fn fetch(text: &str, live: bool) -> Result<Self, DownloadError> {
        let url = Url::parse(text).map_err(|_| DownloadError::Url)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(DownloadError::Url);
        }
        let name = url.path_segments().and_then(|mut names| names.next_back()).unwrap_or_default();
        let name = if name.is_empty() { "download".to_owned() } else { name.to_owned() };
        let mut response = client()?.get(url).send().await.map_err(transfer)?;
        if !response.status().is_success() {
            return Err(DownloadError::Answer(response.status()));
        }
        let mut file = NamedTempFile::with_prefix("bootlane-")?;
        let total = response.content_length().unwrap_or_default();
        let progress = Progress::new(live, &format!("fetching {name}"), total);
        receive(&mut response, &mut file, total, &progress).await?;
        progress.finish();
        Ok(Self { file, name })
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    /// As the URL names it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

fn client() -> Result<Client, DownloadError> {
    Client::builder()
        .connect_timeout(CONNECT)
        .read_timeout(SILENCE)
        .redirect(Policy::limited(REDIRECTIONS))
        .user_agent(concat!("bootlane/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(transfer)
}

async fn receive(
    response: &mut Response,
    file: &mut NamedTempFile,
    total: u64,
    progress: &Progress,
) -> Result<(), DownloadError> {
    if total > LARGEST {
        return Err(DownloadError::TooLarge);
    }
    let mut size = 0_u64;
    while let Some(chunk) = response.chunk().await.map_err(transfer)? {
        size += chunk.len() as u64;
        if size > LARGEST {
            return Err(DownloadError::TooLarge);
        }
        file.write_all(&chunk)?;
        progress.advance(chunk.len());
    }
    Ok(file.flush()?)
}

/// Without the URL, which may hold a password.
fn transfer(error: reqwest::Error) -> DownloadError {
    DownloadError::Transfer(chain(&error.without_url()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_holds_no_secrets() {
        assert_eq!(without_secrets("https://me:pw@example.org/a.iso?key=1#x"), "https://example.org/a.iso");
        assert!(is_url("ftp://x") && !is_url("/a/b"));
    }

    #[tokio::test]
    async fn only_http_is_fetched() {
        for text in ["ftp://example.org/a.iso", "file:///etc/passwd", "http//x"] {
            assert!(matches!(Download::fetch(text, false).await, Err(DownloadError::Url)), "{text}");
        }
    }
}
