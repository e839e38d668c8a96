//! The terminal: taken, drawn on, and given back, whatever ends the program: a key, a signal, a panic.

use std::io::IsTerminal as _;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tracing::Instrument as _;

use super::feed::{Feed, News};
use super::fleet::Fleet;
use super::keys::{Looking, Outcome};
use super::view;
use crate::failure::Failure;
use crate::output::words;

/// Keys that wait.
const KEYS: usize = 64;
/// How long the reader of keys waits before it looks whether anybody still listens.
const LOOK: Duration = Duration::from_millis(200);
/// Times in the picture grow at least so often.
const TICK: Duration = Duration::from_secs(1);

/// Shows the fleet until a key or a signal ends it.
///
/// # Errors
/// Standard output is no terminal, or the terminal cannot be had.
pub(super) async fn show(feed: Feed) -> Result<(), Failure> {
    if !std::io::stdout().is_terminal() {
        return Err(
            Failure::usage("standard output is no terminal").remedy("--once prints one picture as text")
        );
    }
    let mut signals = Signals::new()?;
    let (out, mut news) = watch::channel(News::default());
    tokio::spawn(feed.run(out).in_current_span());
    let mut screen = Screen::take()?;
    let mut keys = read_keys();
    let mut looking = Looking::default();
    loop {
        screen.draw(&news.borrow_and_update(), &looking)?;
        tokio::select! {
            changed = news.changed() => if changed.is_err() { return Ok(()) },
            key = keys.recv() => match key {
                Some(Event::Key(key)) if looking.press(key) == Outcome::Ends => return Ok(()),
                // Resized, among others: it is drawn again.
                Some(_) => {}
                None => return Ok(()),
            },
            () = signals.any() => return Ok(()),
            () = tokio::time::sleep(TICK) => {}
        }
    }
}

/// The terminal in raw mode, on its other screen; given back when this is dropped. A panic gives it back before it is told.
struct Screen(DefaultTerminal);

impl Screen {
    fn take() -> Result<Self, Failure> {
        Ok(Self(ratatui::try_init()?))
    }

    fn draw(&mut self, news: &News, looking: &Looking) -> Result<(), Failure> {
        let fleet = Fleet::of(&news.name, &news.answers, words::now());
        let trouble = news.trouble.as_deref();
        self.0.draw(|frame| view::draw(&fleet, looking, trouble, frame.area(), frame.buffer_mut()))?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Keys come from a thread of their own, which ends when nobody listens any more.
fn read_keys() -> mpsc::Receiver<Event> {
    let (out, keys) = mpsc::channel(KEYS);
    std::thread::spawn(move || {
        while !out.is_closed() {
            match event::poll(LOOK).and_then(|there| if there { event::read().map(Some) } else { Ok(None) }) {
                Ok(Some(event)) => {
                    if out.blocking_send(event).is_err() {
                        return;
                    }
                }
                Ok(None) => {}
                // The terminal is gone.
                Err(_) => return,
            }
        }
    });
    keys
}

/// The signals that end a program, so that the terminal is given back before.
struct Signals([tokio::signal::unix::Signal; 3]);

impl Signals {
    fn new() -> Result<Self, Failure> {
        let [terminate, hang_up, interrupt] =
            [SignalKind::terminate(), SignalKind::hangup(), SignalKind::interrupt()];
        Ok(Self([signal(terminate)?, signal(hang_up)?, signal(interrupt)?]))
    }

    async fn any(&mut self) {
        let [first, second, third] = &mut self.0;
        tokio::select! {
            _ = first.recv() => {}
            _ = second.recv() => {}
            _ = third.recv() => {}
        }
    }
}
