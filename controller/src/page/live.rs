//! What makes a view live: Server-Sent Events (HTML Living Standard, §9.2). A boot's stream sends lines of its timeline and parts
//! of its view as HTML; any other view's only says that something has changed, and the script reads the view again.
//!
//! Streams are bounded for each session and in all, and one whose session has ended is closed within [`LOOK`].

mod room;

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Extension, Path, Query, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use proto::AttemptId;
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

pub(super) use self::room::Room;
use self::room::Seat;
use super::guard::Visitor;
use super::problem::Problem;
use super::state::Page;
use super::views::boot::{self, BootView};
use crate::news::{Ears, News};

/// Messages that wait for a slow reader; the stream itself waits then.
const WAITING: usize = 16;
/// How often a stream looks whether its session goes on, and at what changes without an event: a bar that grows.
const LOOK: Duration = Duration::from_secs(2);
/// How often a view is read again that no event speaks of: whether agents are there, what caches hold.
const REREAD: Duration = Duration::from_secs(15);
/// The least time between two messages that something has changed.
const PAUSE: Duration = Duration::from_secs(1);

/// Which changes a view wants to hear of.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Wanted {
    /// Of this site alone.
    site: Option<String>,
}

/// From where a timeline goes on.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Resumed {
    /// As many events are on the page.
    #[serde(default)]
    after: usize,
}

/// `GET /live`: that something has changed.
pub(super) async fn changes(
    State(page): State<Page>,
    Extension(visitor): Extension<Visitor>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Problem> {
    let (follower, stream) = Follower::new(page, visitor)?;
    tokio::spawn(follower.tell_changes(wanted));
    Ok(stream)
}

/// `GET /boots/ATTEMPT/live`: what is added to a timeline.
pub(super) async fn timeline(
    State(page): State<Page>,
    Extension(visitor): Extension<Visitor>,
    Path(attempt): Path<String>,
    Query(resumed): Query<Resumed>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let attempt = boot::attempt(&attempt)?;
    boot::known(&page.app, attempt).await?;
    let sent = last_event(&headers).unwrap_or(resumed.after);
    let (follower, stream) = Follower::new(page, visitor)?;
    tokio::spawn(follower.tell_boot(attempt, sent));
    Ok(stream)
}

/// What a browser says that it has, when it comes again.
fn last_event(headers: &HeaderMap) -> Option<usize> {
    headers.get("last-event-id")?.to_str().ok()?.parse().ok()
}

/// Why a stream goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Woken {
    /// Something was stored, or a boot fell silent, that matters to it.
    News,
    /// Time has passed.
    Time,
}

/// One open stream.
struct Follower {
    page: Page,
    visitor: Visitor,
    out: mpsc::Sender<Event>,
    news: Ears,
    _seat: Seat,
}

/// The reader has gone, may not read any more, or the controller stops.
struct Over;

impl Follower {
    fn new(page: Page, visitor: Visitor) -> Result<(Self, Response), Problem> {
        let seat = page.room.seat(visitor.session).ok_or(Problem::Crowded)?;
        let (out, events) = mpsc::channel(WAITING);
        let stream = ReceiverStream::new(events).map(Ok::<_, Infallible>);
        let response = Sse::new(stream).keep_alive(KeepAlive::default()).into_response();
        // Subscribed before anything is read, so that nothing falls between what is stored and what comes.
        let news = Ears::new(&page.app.events, Some(&page.app.silences));
        Ok((Self { page, visitor, out, news, _seat: seat }, response))
    }

    async fn tell_changes(mut self, wanted: Wanted) {
        let mut reread = Instant::now() + REREAD;
        loop {
            let matters = |news: &News| wanted.site.as_ref().is_none_or(|site| *site == news.site());
            let Ok(woken) = self.wake(matters).await else { return };
            if woken == Woken::Time && Instant::now() < reread {
                continue;
            }
            if self.send(Event::default().event("changed").data("")).await.is_err() {
                return;
            }
            reread = Instant::now() + REREAD;
            // What comes meanwhile is told in one.
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn tell_boot(mut self, attempt: AttemptId, mut sent: usize) {
        let mut shown = Vec::new();
        loop {
            let Ok(view) = BootView::read(&self.page.app, attempt).await else { return };
            if self.send_lines(&view, &mut sent).await.is_err()
                || self.send_parts(&view, &mut shown).await.is_err()
            {
                return;
            }
            let matters = |news: &News| news.attempt() == Some(attempt);
            loop {
                match self.wake(matters).await {
                    Ok(Woken::News) => break,
                    Ok(Woken::Time) if view.is_under_way() => break,
                    Ok(Woken::Time) => {}
                    Err(Over) => return,
                }
            }
        }
    }

    /// The events that were not sent, each with its number, from which a browser goes on that comes again.
    async fn send_lines(&self, view: &BootView, sent: &mut usize) -> Result<(), Over> {
        for (index, line) in view.lines().into_iter().enumerate().skip(*sent) {
            let id = (index + 1).to_string();
            self.send(Event::default().id(id).event("line").data(one_line(&line.into_string()))).await?;
            *sent = index + 1;
        }
        Ok(())
    }

    /// The parts that are not as they were.
    async fn send_parts(&self, view: &BootView, shown: &mut Vec<String>) -> Result<(), Over> {
        let parts: Vec<_> = view.parts().into_iter().map(|part| one_line(&part.into_string())).collect();
        for (index, part) in parts.iter().enumerate() {
            if shown.get(index) != Some(part) {
                self.send(Event::default().event("part").data(part)).await?;
            }
        }
        *shown = parts;
        Ok(())
    }

    /// Waits for news that matter, or for [`LOOK`].
    async fn wake(&mut self, matters: impl Fn(&News) -> bool) -> Result<Woken, Over> {
        let deadline = Instant::now() + LOOK;
        loop {
            let woken = tokio::select! {
                () = self.out.closed() => return Err(Over),
                () = self.page.stop.cancelled() => return Err(Over),
                () = sleep_until(deadline) => Woken::Time,
                next = self.news.next() => match next {
                    Ok(news) if matters(&news) => Woken::News,
                    Ok(_) => continue,
                    // What was missed is read from what is stored.
                    Err(RecvError::Lagged(_)) => Woken::News,
                    Err(RecvError::Closed) => return Err(Over),
                },
            };
            return if self.may_look().await { Ok(woken) } else { Err(Over) };
        }
    }

    /// Asked anew each time, as on every request.
    async fn may_look(&self) -> bool {
        // A catalog that cannot be read ends nobody's session, and shows nothing either.
        self.page.visitor(self.visitor.session).await.is_ok_and(|visitor| visitor.is_some())
    }

    async fn send(&self, event: Event) -> Result<(), Over> {
        self.out.send(event).await.map_err(|_| Over)
    }
}

/// Lines are what separates messages.
fn one_line(html: &str) -> String {
    html.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
