//! The views. Each reads what it shows, and then renders it: reading is async and may fail, rendering is pure.

pub(super) mod boot;
mod boots;
mod fleet;
mod host;
mod parts;
mod site;

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use maud::Markup;

use super::frame::Frame;
use super::guard::Visitor;
use super::state::Page;

/// Their routes.
pub(super) fn routes() -> Router<Page> {
    Router::new()
        .route("/", get(fleet::show))
        .route("/sites/{site}", get(site::show))
        .route("/hosts/{host}", get(host::show))
        .route("/boots", get(boots::show))
        .route("/boots/{attempt}", get(boot::show))
}

/// A view in its frame.
fn framed(page: &Page, visitor: &Visitor, title: &str, live: &str, view: &Markup) -> Html<String> {
    let fleet = page.app.fleet.to_string();
    Frame { title, fleet: &fleet, visitor, live: Some(live) }.around(view)
}
