//! What stands around every view.

use axum::response::Html;
use maud::{DOCTYPE, Markup, html};
use proto::words::plain;

use super::guard::Visitor;

/// A page without navigation: for who is not logged in.
pub(super) fn bare(title: &str, body: &Markup) -> Html<String> {
    document(title, &html! { main id="main" class="bare" { (body) } })
}

/// What stands around one view.
pub(super) struct Frame<'a> {
    /// Of the window.
    pub(super) title: &'a str,
    /// The fleet's name.
    pub(super) fleet: &'a str,
    /// Who looks.
    pub(super) visitor: &'a Visitor,
    /// Where the view's stream of changes is.
    pub(super) live: Option<&'a str>,
}

impl Frame<'_> {
    /// The page with this view in it.
    pub(super) fn around(&self, view: &Markup) -> Html<String> {
        let actor = &self.visitor.actor;
        document(
            &plain(self.title),
            &html! {
                a class="skip" href="#main" { "Skip to the content" }
                header {
                    nav aria-label="Views" {
                        a href="/" { "Fleet " strong { (self.fleet) } }
                        a href="/boots" { "Boots" }
                    }
                    // Filled in by the script: without it the page shows what was when it was loaded.
                    p id="live" role="status" {}
                    form method="post" action="/logout" {
                        span { (actor.name) ", " (actor.role.word()) }
                        button type="submit" { "Log out" }
                    }
                }
                main id="main" data-live=[self.live] { (view) }
                footer { "Bootlane " (proto::VERSION) ". Nothing can be changed here: see " code { "bootlane --help" } "." }
            },
        )
    }
}

fn document(title: &str, body: &Markup) -> Html<String> {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Bootlane" }
                link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/assets/page.css";
                script type="module" src="/assets/page.js" {}
            }
            body { (body) }
        }
    };
    Html(page.into_string())
}
