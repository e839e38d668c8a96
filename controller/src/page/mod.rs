//! A page for browsers, for people without Grafana: what the fleet does, and what became of a boot, live. It only shows.
//!
//! The controller renders it as HTML ([`views`]) from what the Admin service answers with as well; a small script makes it live
//! ([`live`]), and without it the page shows what was when it was loaded. Nothing is loaded from elsewhere. Whoever looks has
//! logged in with a code from the CLI ([`login`]), and is asked for on every request ([`guard`]); what changes nothing but that
//! are all the routes there are. Texts of machines and agents are cleaned ([`proto::words::plain`]) and escaped (maud).

mod assets;
mod frame;
mod guard;
mod headers;
mod listening;
mod live;
mod login;
mod problem;
mod state;
mod views;

#[cfg(test)]
mod tests;

use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::{from_fn_with_state, map_response};
use axum::routing::{get, post};
use tokio_util::sync::CancellationToken;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower_http::timeout::TimeoutLayer;

pub(crate) use listening::{Listening, keep_certificate};

use self::problem::Problem;
use self::state::Page;
use crate::app::App;
use crate::logins::Logins;

/// The largest form, in bytes: it has one field.
const FORM: usize = 4 * 1024;
/// How long a view may take.
const WITHIN: Duration = Duration::from_secs(30);
/// Views that are made at a time; further ones wait their turn.
const AT_A_TIME: usize = 8;

/// All routes of the page. Streams end with `stop`.
pub(crate) fn routes(app: &App, logins: Logins, stop: CancellationToken) -> Router {
    let page = Page { app: app.clone(), logins, room: live::Room::default(), stop };
    let within = || TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, WITHIN);
    let streams =
        Router::new().route("/live", get(live::changes)).route("/boots/{attempt}/live", get(live::timeline));
    let shown = views::routes()
        .fallback(|| async { Problem::NotFound("such page".into()) })
        .layer(GlobalConcurrencyLimitLayer::new(AT_A_TIME))
        .layer(within());
    let guarded = streams.merge(shown).layer(from_fn_with_state(page.clone(), guard::guard));
    let open = Router::new()
        .route("/login", get(login::show).post(login::log_in))
        .route("/logout", post(login::log_out))
        .layer(DefaultBodyLimit::max(FORM))
        .layer(within());
    open.merge(assets::routes()).merge(guarded).layer(map_response(headers::add)).with_state(page)
}
