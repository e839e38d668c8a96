//! In and out: the only routes that change anything, and what they change is who may look.
//!
//! A code comes in a URL. Opening it uses nothing up, so that no preview of a chat or a terminal can; the form that it shows does.

use std::net::SocketAddr;

use axum::Form;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::header::{HOST, ORIGIN, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::frame;
use super::guard::{COOKIE_NAME, session_of};
use super::problem::Problem;
use super::state::Page;
use crate::catalog::ChangeError;
use crate::catalog::roles::{AccessError, Actor};
use crate::logins::{CodeError, Holder, KeyError, SESSION_LIFE, Secret};

/// What `/login` is asked with.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    /// The code, of a URL that `bootlane page` has printed.
    code: Option<String>,
    /// Where somebody wanted to go who was sent here.
    next: Option<String>,
}

/// What the form sends.
#[derive(Deserialize)]
pub(super) struct Sent {
    code: String,
}

/// Why nobody is logged in.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// The code.
    #[error(transparent)]
    Code(#[from] CodeError),
    /// Another site's form, or no browser at all.
    #[error("this login was not sent by this page")]
    Elsewhere,
    /// The operator.
    #[error("{0}")]
    Operator(String),
    /// No room for a session.
    #[error(transparent)]
    Session(#[from] KeyError),
    /// A login that cannot be recorded is none.
    #[error("the login cannot be recorded now: the controller's log says why")]
    NoRecord,
}

/// `GET /login`: the form, or how to get a code.
pub(super) async fn show(
    State(page): State<Page>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    Query(asked): Query<Asked>,
) -> Response {
    let Some(code) = asked.code else {
        let next = asked.next.filter(|next| is_local(next));
        return frame::bare("Log in", &how(&page, next.as_deref())).into_response();
    };
    match page.logins.look(from.ip(), &code) {
        Ok(holder) => frame::bare("Log in", &form(&page, &holder, &code)).into_response(),
        Err(error) => Refusal::from(error).into_response(),
    }
}

/// `POST /login`.
pub(super) async fn log_in(
    State(page): State<Page>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    uri: Uri,
    headers: HeaderMap,
    Form(sent): Form<Sent>,
) -> Result<Response, Refusal> {
    if !is_own(&uri, &headers) {
        return Err(Refusal::Elsewhere);
    }
    let holder = page.logins.take(from.ip(), &sent.code)?;
    let actor = operator(&page, &holder).await?;
    let detail = format!("to the page, from {}", from.ip());
    let noted = page.app.catalog.note_login(&actor, &detail, page.app.clock.wall()).await;
    noted.map_err(|error| no_record(&error))?;
    let session = page.logins.open(holder)?;
    tracing::info!(operator = actor.name, from = %from.ip(), "logged in to the page");
    Ok((AppendHeaders([(SET_COOKIE, cookie(&session))]), Redirect::to("/")).into_response())
}

/// `POST /logout`.
pub(super) async fn log_out(
    State(page): State<Page>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    if !is_own(&uri, &headers) {
        return Err(Refusal::Elsewhere);
    }
    if let Some(session) = session_of(&headers) {
        page.logins.close(&session);
    }
    let gone = format!("{COOKIE_NAME}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict");
    Ok((AppendHeaders([(SET_COOKIE, gone)]), Redirect::to("/login")).into_response())
}

/// The operator as the catalog has it now.
async fn operator(page: &Page, holder: &Holder) -> Result<Actor, Refusal> {
    match page.app.catalog.operator(&holder.name).await {
        Ok((id, actor)) if id == holder.id => Ok(actor),
        Ok(_) => Err(Refusal::Operator(format!("operator {} is another one now", holder.name))),
        Err(AccessError::Denied(denied)) => Err(Refusal::Operator(denied.to_string())),
        Err(AccessError::Read(error)) => Err(Refusal::Operator(Problem::from(error).to_string())),
    }
}

fn no_record(error: &ChangeError) -> Refusal {
    tracing::error!(%error, "a login to the page cannot be recorded, and is refused");
    Refusal::NoRecord
}

fn cookie(session: &Secret) -> HeaderValue {
    let (value, life) = (session.reveal(), SESSION_LIFE.as_secs());
    let text = format!("{COOKIE_NAME}={}; Path=/; Max-Age={life}; Secure; HttpOnly; SameSite=Strict", *value);
    let mut header = HeaderValue::from_str(&text).expect("letters, digits and punctuation");
    header.set_sensitive(true);
    header
}

/// Does this come from a form of this page? Browsers name the origin of every POST (Fetch, "append a request `Origin` header").
fn is_own(uri: &Uri, headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let host = uri.authority().map(|authority| authority.as_str()).or_else(|| text(HOST));
    let origin = text(ORIGIN).and_then(|origin| origin.strip_prefix("https://"));
    origin.is_some() && origin == host
}

/// A path of this page, and nothing that a browser takes for another site.
fn is_local(next: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._?=&%".contains(&byte);
    next.starts_with('/') && !next.starts_with("//") && next.len() <= 200 && next.bytes().all(plain)
}

fn how(page: &Page, next: Option<&str>) -> Markup {
    html! {
        h1 { "Bootlane" }
        p { "Fleet " strong { (page.app.fleet) } }
        p { "Log in with " code { "bootlane page" } ": it prints an address that opens this page, once, within a minute." }
        @if let Some(next) = next {
            p { "If you are logged in and came by a link of another site, " a href=(next) { "go on" } "." }
        }
    }
}

fn form(page: &Page, holder: &Holder, code: &str) -> Markup {
    html! {
        h1 { "Bootlane" }
        p { "Fleet " strong { (page.app.fleet) } }
        form method="post" action="/login" {
            input type="hidden" name="code" value=(code);
            button type="submit" autofocus { "Log in as " (holder.name) }
        }
        p { "For 12 hours, or until you log out. The page only shows: nothing can be changed here." }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Code(CodeError::TooManyTries) => StatusCode::TOO_MANY_REQUESTS,
            Self::Code(CodeError::NotGood) | Self::Elsewhere | Self::Operator(_) => StatusCode::FORBIDDEN,
            Self::Session(_) | Self::NoRecord => StatusCode::SERVICE_UNAVAILABLE,
        };
        let body = html! {
            h1 { "Not logged in" }
            p { (self) }
            p { "Run " code { "bootlane page" } " for another address." }
        };
        (status, frame::bare("Not logged in", &body)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_the_page_are_gone_on_to() {
        for local in ["/", "/sites/lyon", "/boots?site=lyon&cause=no-loader"] {
            assert!(is_local(local), "{local}");
        }
        for other in
            ["", "x", "//evil.example", "/\\evil.example", "https://evil.example", "/a b", "/<script>"]
        {
            assert!(!is_local(other), "{other}");
        }
    }

    #[test]
    fn a_form_of_another_site_is_told_by_its_origin() {
        let own = |origin: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("boot.example:7445"));
            headers.extend(origin.map(|origin| (ORIGIN, HeaderValue::from_static(origin))));
            is_own(&Uri::from_static("/login"), &headers)
        };
        assert!(own(Some("https://boot.example:7445")));
        for other in
            [None, Some("null"), Some("https://boot.example"), Some("http://boot.example:7445"), Some("")]
        {
            assert!(!own(other), "{other:?}");
        }
        let mut http2 = HeaderMap::new();
        http2.insert(ORIGIN, HeaderValue::from_static("https://boot.example"));
        assert!(is_own(&Uri::from_static("https://boot.example/login"), &http2));
    }
}
