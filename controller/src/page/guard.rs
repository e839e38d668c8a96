//! No view without a session: who has none is sent to the login, and what an operator may do is asked anew on every request.

use axum::extract::{Request, State};
use axum::http::header::COOKIE;
use axum::http::{HeaderMap, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};
use form_urlencoded::byte_serialize;
use proto::Digest;

use super::problem::Problem;
use super::state::Page;
use crate::catalog::ReadError;
use crate::catalog::roles::{AccessError, Actor};
use crate::logins::Secret;

/// The name of the cookie. Browsers take a cookie of this prefix only over TLS, for this host alone and for all of its paths.
pub(super) const COOKIE_NAME: &str = "__Host-bootlane";

/// Who looks.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    /// As whom.
    pub(super) actor: Actor,
    /// The hash of the session.
    pub(super) session: Digest,
}

/// Lets those through who have a session.
pub(super) async fn guard(State(page): State<Page>, mut request: Request, next: Next) -> Response {
    let Some(session) = session_of(request.headers()) else { return to_login(request.uri()) };
    match page.visitor(session).await {
        Ok(Some(visitor)) => {
            request.extensions_mut().insert(visitor);
            next.run(request).await
        }
        Ok(None) => to_login(request.uri()),
        Err(error) => Problem::from(error).into_response(),
    }
}

impl Page {
    /// Who has this session; None: nobody, or nobody who may look any more, and then it is ended.
    pub(super) async fn visitor(&self, session: Digest) -> Result<Option<Visitor>, ReadError> {
        let Some(holder) = self.logins.holder(&session) else { return Ok(None) };
        match self.app.catalog.operator(&holder.name).await {
            Ok((id, actor)) if id == holder.id => Ok(Some(Visitor { actor, session })),
            Ok(_) | Err(AccessError::Denied(_)) => {
                self.logins.forget(holder.id);
                Ok(None)
            }
            Err(AccessError::Read(error)) => Err(error),
        }
    }
}

/// The hash of the session in a request's cookies (RFC 6265 §5.4; HTTP/2 may send them in several fields).
pub(super) fn session_of(headers: &HeaderMap) -> Option<Digest> {
    let fields = headers.get_all(COOKIE).into_iter().filter_map(|field| field.to_str().ok());
    let mut pairs = fields.flat_map(|field| field.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(name, _)| *name == COOKIE_NAME)?;
    Secret::parse(value).map(|secret| secret.hash())
}

fn to_login(wanted: &Uri) -> Response {
    let path = wanted.path_and_query().map_or("/", |path| path.as_str());
    let next: String = byte_serialize(path.as_bytes()).collect();
    let to = if path == "/" { "/login".to_owned() } else { format!("/login?next={next}") };
    Redirect::to(&to).into_response()
}
