//! What stands where a view cannot.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::html;

use super::frame;
use crate::catalog::ReadError;
use crate::events;
use crate::explain::Unreadable;

/// Why there is no view.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    /// Of what was asked for.
    #[error("There is no {0}.")]
    NotFound(String),
    /// The catalog or the events.
    #[error("The controller cannot read its own records now; its log says why.")]
    Unreadable,
    /// Too many streams.
    #[error("Too many follow the page now; it is still there to be read.")]
    Crowded,
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Name(_) => Self::NotFound("such name".into()),
            ReadError::Store(_) | ReadError::Damaged { .. } => {
                tracing::error!(%error, "the page cannot read the catalog");
                Self::Unreadable
            }
        }
    }
}

impl From<events::ReadError> for Problem {
    fn from(error: events::ReadError) -> Self {
        tracing::error!(%error, "the page cannot read the events");
        Self::Unreadable
    }
}

impl From<Unreadable> for Problem {
    fn from(error: Unreadable) -> Self {
        match error {
            Unreadable::Catalog(error) => error.into(),
            Unreadable::Events(error) => error.into(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, title) = match self {
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "Not found"),
            Self::Unreadable => (StatusCode::SERVICE_UNAVAILABLE, "Not now"),
            Self::Crowded => (StatusCode::TOO_MANY_REQUESTS, "Too many"),
        };
        let body = html! { h1 { (title) } p { (self) } p { a href="/" { "Fleet" } } };
        (status, frame::bare(title, &body)).into_response()
    }
}
