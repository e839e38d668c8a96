//! Media from a URL: fetched to a temporary file first, within a limit. A transfer that breaks is taken up where it broke.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use reqwest::header::{CONTENT_RANGE, ETAG, HeaderValue, IF_RANGE, LAST_MODIFIED, RANGE};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};
use tempfile::NamedTempFile;

use super::Progress;
use crate::failure::chain;

/// The largest media that are fetched, in bytes: 64 GiB.
pub(crate) const LARGEST: u64 = 64 << 30;
/// Until a server answers.
const CONNECT: Duration = Duration::from_secs(15);
/// The longest silence within an answer.
const SILENCE: Duration = Duration::from_secs(60);
/// As many redirections are followed.
const REDIRECTIONS: usize = 5;
/// As often is a transfer that broke taken up again, or tried to be.
const BREAKS: u32 = 5;
/// Before the first time; before each further one by as much longer.
const PAUSE: Duration = Duration::from_millis(500);

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
    Answer(StatusCode),
    /// Larger than we fetch.
    #[error("it has more than {0} bytes")]
    TooLarge(u64),
    /// The transfer broke, and there is another file now, or the server gives no rest.
    #[error("it broke off, and the server does not give the rest of the same file")]
    Changed,
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
    /// Fetches a URL in full, of at most so many bytes.
    ///
    /// # Errors
    /// [`DownloadError`].
    pub(crate) async fn fetch(text: &str, live: bool, most: u64) -> Result<Self, DownloadError> {
        let url = Url::parse(text).map_err(|_| DownloadError::Url)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(DownloadError::Url);
        }
        let name = url.path_segments().and_then(|mut names| names.next_back()).unwrap_or_default();
        let name = if name.is_empty() { "download".to_owned() } else { name.to_owned() };
        let client = client()?;
        let mut response = answered(client.get(url.clone()).send().await)?;
        let mut file = NamedTempFile::with_prefix("bootlane-")?;
        let total = response.content_length().unwrap_or_default();
        let progress = Progress::new(live, &format!("fetching {name}"), total);
        let validator = validator(&response);
        let mut size = 0;
        let mut breaks = 0;
        while let Err(error) = receive(&mut response, &mut file, &mut size, most, &progress).await {
            let DownloadError::Transfer(_) = error else { return Err(error) };
            response = loop {
                breaks += 1;
                let Some(validator) = validator.as_ref().filter(|_| breaks <= BREAKS) else {
                    return Err(error);
                };
                tokio::time::sleep(PAUSE * breaks).await;
                match rest(&client, &url, validator, size).await {
                    Err(DownloadError::Transfer(_)) => {}
                    answer => break answer?,
                }
            };
        }
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

fn answered(sent: reqwest::Result<Response>) -> Result<Response, DownloadError> {
    let response = sent.map_err(transfer)?;
    match response.status().is_success() {
        true => Ok(response),
        false => Err(DownloadError::Answer(response.status())),
    }
}

/// RFC 9110 §13.1.5: what says that the rest is of the same bytes; a weak one does not.
fn validator(response: &Response) -> Option<HeaderValue> {
    let headers = response.headers();
    let strong = headers.get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/"));
    strong.or_else(|| headers.get(LAST_MODIFIED)).cloned()
}

/// What follows the bytes that are there, of the same file or not at all.
async fn rest(
    client: &Client,
    url: &Url,
    validator: &HeaderValue,
    from: u64,
) -> Result<Response, DownloadError> {
    let request = client.get(url.clone()).header(RANGE, format!("bytes={from}-")).header(IF_RANGE, validator);
    let response = answered(request.send().await)?;
    let begins = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
    let begins = begins.is_some_and(|range| range.starts_with(&format!("bytes {from}-")));
    match response.status() == StatusCode::PARTIAL_CONTENT && begins {
        true => Ok(response),
        false => Err(DownloadError::Changed),
    }
}

/// Appends what comes; `size` bytes are there then, also when it breaks.
async fn receive(
    response: &mut Response,
    file: &mut NamedTempFile,
    size: &mut u64,
    most: u64,
    progress: &Progress,
) -> Result<(), DownloadError> {
    let announced = response.content_length().unwrap_or_default();
    if size.saturating_add(announced) > most {
        return Err(DownloadError::TooLarge(most));
    }
    while let Some(chunk) = response.chunk().await.map_err(transfer)? {
        if *size + chunk.len() as u64 > most {
            return Err(DownloadError::TooLarge(most));
        }
        file.write_all(&chunk)?;
        *size += chunk.len() as u64;
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
            assert!(matches!(Download::fetch(text, false, LARGEST).await, Err(DownloadError::Url)), "{text}");
        }
    }
}
