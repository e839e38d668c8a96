//! Asking an upstream: one request, redirections within what the catalog declares, and the kinds of answers.
//!
//! Nothing that a machine sent is passed on but the path: no cookies, no credentials, no fields. The agent's own addresses
//! and link-local ones are refused, whether a name leads to them or a URL names them (S8).

use std::{sync::Arc, time::Duration};

use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{
        ACCEPT_ENCODING, CONTENT_RANGE, ETAG, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
        LOCATION, RANGE,
    },
};
use netboot::mirror::{NotFollowed, ObjectPath, redirect};
use proto::{mirror::Upstream, plan::MirrorPlan};
use reqwest::{Client, Response, Url, redirect::Policy};
use tokio::sync::OnceCell;

use super::{Limits, Proxy, given::Given, guard::Guard, store::Known};
use crate::outage::chain;

/// As many redirections are followed.
const REDIRECTIONS: usize = 5;
/// A server's own errors that say nothing of its other files: any machine could have it left alone by asking for one.
const FAILS_AT_ONE_FILE: [StatusCode; 2] = [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::NOT_IMPLEMENTED];
/// Idle connections that are kept to one upstream.
const IDLE_CONNECTIONS: usize = 8;

/// Why an upstream gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// No client.
    #[error("failed to make an HTTP client: {0}")]
    Client(String),
    /// The proxy that the agent's file names.
    #[error("the proxy cannot be used: {0}")]
    Proxy(String),
    /// The path does not fit below the upstream.
    #[error("the path cannot be asked for there")]
    Path,
    /// No connection, or it broke.
    #[error("{0}")]
    Transfer(String),
    /// No head in time.
    #[error("no answer came for {} s", .0.as_secs())]
    Slow(Duration),
    /// A redirection.
    #[error(transparent)]
    Redirect(#[from] NotFollowed),
    /// A chain of them.
    #[error("redirected more than {REDIRECTIONS} times")]
    Redirections,
    /// To an address that no upstream may have.
    #[error("{0} is an address of this machine or its link, where no mirror is")]
    Local(String),
    /// What is no answer to the question.
    #[error("the upstream answered {0}")]
    Status(StatusCode),
    /// It does not give this file: it knows who asks too little, or who stands between does not let it pass.
    #[error("the upstream refuses: {0}")]
    Refused(StatusCode),
    /// It gives too little to wait for.
    #[error("fewer than {least} bytes came in {} s", .within.as_secs())]
    Drips {
        /// So many.
        least: u64,
        /// In so long.
        within: Duration,
    },
    /// The rest of another version, or not the rest.
    #[error("the file has changed while it was fetched")]
    Changed,
}

impl AskError {
    /// It concerns this file alone: the upstream answers, and may give others.
    pub(super) fn is_refusal(&self) -> bool {
        match self {
            Self::Path | Self::Redirect(_) | Self::Redirections | Self::Local(_) | Self::Refused(_) => true,
            Self::Client(_)
            | Self::Proxy(_)
            | Self::Transfer(_)
            | Self::Slow(_)
            | Self::Status(_)
            | Self::Drips { .. }
            | Self::Changed => false,
        }
    }
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) mirror: &'a MirrorPlan,
    pub(super) upstream: &'a Upstream,
    pub(super) object: &'a ObjectPath,
    /// The version that is held: only another one is wanted.
    pub(super) held: Option<&'a Known>,
}

/// What an upstream says.
#[derive(Debug)]
pub(super) enum Answer {
    /// The file's bytes follow.
    Bytes(Response),
    /// What is held is the version it has.
    Unchanged,
    /// It has no such file.
    Absent,
}

/// Where a transfer that broke off is to go on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rest<'a> {
    pub(super) offset: u64,
    pub(super) size: Option<u64>,
    pub(super) given: &'a Given,
}

/// The way to upstreams.
#[derive(Debug)]
pub(super) struct Way {
    client: OnceCell<Client>,
    proxy: Proxy,
    guard: Guard,
    limits: Limits,
}

impl Way {
    pub(super) fn new(proxy: Proxy, limits: Limits) -> Self {
        Self { client: OnceCell::new(), proxy, guard: Guard::of_this_machine(), limits }
    }

    /// Asks for a file.
    pub(super) async fn ask(&self, question: Question<'_>) -> Result<Answer, AskError> {
        let fields = question.held.map(|held| conditions(held, question.upstream)).unwrap_or_default();
        let conditional = !fields.is_empty();
        let response = self.send(question, fields).await?;
        match response.status() {
            StatusCode::OK => Ok(Answer::Bytes(response)),
            StatusCode::NOT_MODIFIED if conditional => Ok(Answer::Unchanged),
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(Answer::Absent),
            status @ (StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS) => {
                Err(AskError::Status(status))
            }
            status if status.is_client_error() || FAILS_AT_ONE_FILE.contains(&status) => {
                Err(AskError::Refused(status))
            }
            status => Err(AskError::Status(status)),
        }
    }

    /// Asks for the rest of a file.
    pub(super) async fn go_on(&self, question: Question<'_>, rest: Rest<'_>) -> Result<Response, AskError> {
        let version = rest.given.strong().and_then(|version| HeaderValue::from_str(version).ok());
        let version = version.ok_or(AskError::Changed)?;
        let range =
            HeaderValue::try_from(format!("bytes={}-", rest.offset)).map_err(|_| AskError::Changed)?;
        let response =
            self.send(question, HeaderMap::from_iter([(RANGE, range), (IF_RANGE, version)])).await?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT if begins_at(response.headers(), rest) => Ok(response),
            StatusCode::PARTIAL_CONTENT | StatusCode::OK | StatusCode::RANGE_NOT_SATISFIABLE => {
                Err(AskError::Changed)
            }
            status => Err(AskError::Status(status)),
        }
    }

    async fn send(&self, question: Question<'_>, fields: HeaderMap) -> Result<Response, AskError> {
        let client = self.client.get_or_try_init(|| async { self.client() }).await?;
        let mut url = question.upstream.file(&question.object.encoded()).ok_or(AskError::Path)?;
        for _ in 0..=REDIRECTIONS {
            if self.guard.refuses_host_of(&url) {
                return Err(AskError::Local(url.host_str().unwrap_or_default().to_owned()));
            }
            let request = client.get(url.clone()).headers(fields.clone()).send();
            let response = tokio::time::timeout(self.limits.head, request).await;
            let response = response.map_err(|_| AskError::Slow(self.limits.head))?.map_err(transfer)?;
            match led_to(question.mirror, &url, &response)? {
                Some(to) => url = to,
                None => return Ok(response),
            }
        }
        Err(AskError::Redirections)
    }

    fn client(&self) -> Result<Client, AskError> {
        let builder = Client::builder()
            .redirect(Policy::none())
            .referer(false)
            .http1_only()
            .connect_timeout(self.limits.connect)
            .read_timeout(self.limits.silence)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .pool_idle_timeout(self.limits.silence)
            .user_agent(concat!("bootlane-agent/", env!("CARGO_PKG_VERSION")))
            .default_headers(HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]))
            .dns_resolver(Arc::new(self.guard));
        let builder = match &self.proxy {
            Proxy::At(url) => {
                let proxy = reqwest::Proxy::all(url).map_err(|error| AskError::Proxy(without_url(error)))?;
                builder.proxy(proxy)
            }
            Proxy::None => builder.no_proxy(),
            Proxy::AsEnvironment => builder,
        };
        builder.build().map_err(|error| AskError::Client(without_url(error)))
    }
}

/// Where a redirection leads; None: it is none.
fn led_to(mirror: &MirrorPlan, from: &Url, response: &Response) -> Result<Option<Url>, AskError> {
    match response.status().as_u16() {
        301 | 302 | 303 | 307 | 308 => {}
        _ => return Ok(None),
    }
    let location = response.headers().get(LOCATION).and_then(|field| field.to_str().ok());
    Ok(Some(redirect(mirror, from, location.ok_or(NotFollowed::NoUrl)?)?))
}

/// An entity tag means something to the server alone that gave it; times of change are the archive's.
fn conditions(held: &Known, upstream: &Upstream) -> HeaderMap {
    let etag = held.given.etag.as_deref().filter(|_| held.upstream == upstream.to_string());
    let fields = [(IF_NONE_MATCH, etag), (IF_MODIFIED_SINCE, held.given.last_modified.as_deref())];
    let field = |(name, value): (HeaderName, Option<&str>)| Some((name, HeaderValue::from_str(value?).ok()?));
    fields.into_iter().filter_map(field).collect()
}

/// Is it the rest of the same file (RFC 9110 §14.4)?
fn begins_at(fields: &HeaderMap, rest: Rest<'_>) -> bool {
    let same_tag = match (fields.get(ETAG).and_then(|field| field.to_str().ok()), &rest.given.etag) {
        (Some(now), Some(then)) => now == then,
        (Some(_) | None, _) => true,
    };
    let range = fields.get(CONTENT_RANGE).and_then(|field| field.to_str().ok());
    let parsed = range.and_then(|range| {
        let (bounds, size) = range.strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = bounds.split_once('-')?;
        Some((first.parse::<u64>().ok()?, last.parse::<u64>().ok()?, size.parse::<u64>().ok()?))
    });
    let fits = |(first, last, size): (u64, u64, u64)| {
        first == rest.offset
            && last.checked_add(1) == Some(size)
            && rest.size.is_none_or(|whole| whole == size)
    };
    same_tag && parsed.is_some_and(fits)
}

/// Without the URL, whose query may hold a signature.
pub(super) fn transfer(error: reqwest::Error) -> AskError {
    AskError::Transfer(without_url(error))
}

fn without_url(error: reqwest::Error) -> String {
    chain(&error.without_url())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_rest(range: &'static str, size: Option<u64>) -> bool {
        let fields = HeaderMap::from_iter([(CONTENT_RANGE, HeaderValue::from_static(range))]);
        begins_at(&fields, Rest { offset: 4, size, given: &Given::default() })
    }

    #[test]
    fn only_the_rest_of_the_same_file_goes_on() {
        assert!(is_rest("bytes 4-9/10", Some(10)));
        assert!(is_rest("bytes 4-9/10", None));
        for range in
            ["bytes 3-9/10", "bytes 4-8/10", "bytes 4-9/*", "bytes 4-10/11", "4-9/10", "bytes */10", ""]
        {
            assert!(!is_rest(range, Some(10)), "{range}");
        }
    }
}
