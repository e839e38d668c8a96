//! `bootlane top`: the fleet in a terminal, live.
//!
//! [`fleet`] folds what the controller answers into rows, [`view`] draws rows: both are pure. [`feed`] asks, no more often than something
//! has changed and the last answer took; [`screen`] holds the terminal and gives it back, however the program ends; [`keys`] is what keys do.

mod feed;
mod fleet;
mod keys;
mod screen;
#[cfg(test)]
mod tests;
mod view;

use clap::Args;
use ratatui::layout::Rect;

use crate::command::Context;
use crate::failure::Failure;

/// `bootlane top`.
#[derive(Debug, Args)]
pub(crate) struct Top {
    /// Only this site
    #[arg(long)]
    site: Option<String>,
    /// Print one picture as text, and end
    #[arg(long)]
    once: bool,
}

/// How wide a picture for scripts is.
const WIDTH: u16 = 120;

/// Until a key or a signal ends it.
pub(crate) async fn run(context: &mut Context, top: Top) -> Result<(), Failure> {
    let mut feed = feed::Feed::connect(context, top.site).await?;
    if top.once {
        let fleet = feed.read().await?;
        let area = Rect::new(0, 0, WIDTH, view::height(&fleet));
        return context.output.text(&view::text(&fleet, &keys::Looking::default(), area));
    }
    screen::show(feed).await
}
