//! The page's own files, which are in the program: a style sheet, a script and an icon.

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

struct Asset {
    content: &'static str,
    text: &'static str,
}

const STYLE: Asset = Asset { content: "text/css; charset=utf-8", text: include_str!("assets/page.css") };
const SCRIPT: Asset =
    Asset { content: "text/javascript; charset=utf-8", text: include_str!("assets/page.js") };
const ICON: Asset = Asset { content: "image/svg+xml", text: include_str!("assets/icon.svg") };

/// Their routes.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let asset =
        |asset: &'static Asset| get(move |headers: HeaderMap| std::future::ready(answer(asset, &headers)));
    Router::new()
        .route("/assets/page.css", asset(&STYLE))
        .route("/assets/page.js", asset(&SCRIPT))
        .route("/assets/icon.svg", asset(&ICON))
}

/// Browsers keep them, and ask each time whether they are still the same: another version of the controller has others.
fn answer(asset: &Asset, headers: &HeaderMap) -> Response {
    let tag = format!("\"{}\"", proto::Digest::of(asset.text.as_bytes()));
    let kept = [(CACHE_CONTROL, "no-cache".to_owned()), (ETAG, tag.clone())];
    if headers.get(IF_NONE_MATCH).is_some_and(|had| had.as_bytes() == tag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, kept).into_response();
    }
    (kept, [(CONTENT_TYPE, asset.content)], asset.text).into_response()
}
