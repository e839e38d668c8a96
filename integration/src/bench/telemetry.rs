//! What telemetry costs: a bench's pieces of work, done by the agent that tells everything and by one that tells nothing but events.
//!
//! *Everything*: packets are captured, as in the shipped configuration; metrics are served, and scraped once a second as a
//! Prometheus would, but more often; traces are on, for a collector that is away. *Nothing*: none of these. Events are what the
//! controller lives by, and no telemetry: both tell them.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::ours::{SILENT, Telling};
use super::{
    Cell, Contenders, Goal, Ground, Load, Offer, Ours, Place, Report, Server, Setting, Work, rounds,
};

/// Where the agent that tells everything serves its metrics.
pub(super) const METRICS: u16 = 9_465;
/// Of what the agent does without telemetry.
const KEPT: f64 = 0.97;
/// Between two scrapes.
const PAUSE: Duration = Duration::from_secs(1);
/// How often is looked whether the load is over.
const LOOK: Duration = Duration::from_millis(10);
/// A scrape takes no longer.
const SCRAPE: Duration = Duration::from_secs(2);
/// Scrapes that brought metrics.
const SCRAPES: &str = "scrapes";

/// Measures `work`, whose offer is `offer`, under another name.
///
/// # Errors
/// When it cannot be set up.
pub(super) fn run<W: Work>(
    (name, work): (&'static str, &W),
    ground: &Ground,
    setting: &Setting<'_>,
    offer: &Offer,
) -> anyhow::Result<Report> {
    let lay_down = |telling| Ours::telling(ground, setting.binaries.agent.clone(), offer.clone(), telling);
    let mut contenders: Contenders<W::Piece> =
        vec![Box::new(lay_down(Telling::Everything)?), Box::new(lay_down(Telling::Nothing)?)];
    rounds::run(&Cost { name, work }, &mut contenders, ground, setting.options, setting.say)
}

/// The work, of which other things are asked.
struct Cost<'a, W> {
    name: &'static str,
    work: &'a W,
}

impl<W: Work> Work for Cost<'_, W> {
    type Piece = W::Piece;

    fn name(&self) -> &'static str {
        self.name
    }

    fn title(&self) -> String {
        format!("What telemetry costs: {}", self.work.title())
    }

    fn cells(&self) -> Vec<Cell<W::Piece>> {
        let rate = Goal::rate(KEPT).in_rounds(SILENT);
        let goals = || vec![rate, Goal::none_failed(), Goal::memory()];
        self.work.cells().into_iter().map(|cell| Cell { goals: goals(), ..cell }).collect()
    }

    fn place(&self, piece: &W::Piece) -> Place {
        self.work.place(piece)
    }

    fn warm_up(&self, ground: &Ground, server: &Server, piece: &W::Piece) -> anyhow::Result<()> {
        self.work.warm_up(ground, server, piece)
    }

    fn load(&self, ground: &Ground, server: &Server, piece: &W::Piece) -> anyhow::Result<Load> {
        let over = AtomicBool::new(false);
        let address = ground.address(METRICS);
        let (load, scrapes) = std::thread::scope(|scope| {
            let scraping = scope.spawn(|| scrape_until(&over, address));
            let load = self.work.load(ground, server, piece);
            over.store(true, Ordering::Relaxed);
            (load, scraping.join().unwrap_or_default())
        });
        let mut load = load?;
        load.extras.insert(SCRAPES, f64::from(scrapes));
        Ok(load)
    }
}

/// How many scrapes brought metrics. Who serves none refuses them, which costs next to nothing.
fn scrape_until(over: &AtomicBool, address: SocketAddr) -> u32 {
    let (mut scrapes, mut next) = (0, Instant::now());
    while !over.load(Ordering::Relaxed) {
        if Instant::now() >= next {
            scrapes += u32::from(scrape(address).is_ok_and(|text| text.contains("bootlane_")));
            next = Instant::now() + PAUSE;
        }
        std::thread::sleep(LOOK);
    }
    scrapes
}

fn scrape(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, SCRAPE)?;
    stream.set_read_timeout(Some(SCRAPE))?;
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn only_what_brought_metrics_is_a_scrape() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let address = listener.local_addr().expect("it is bound");
        let over = AtomicBool::new(false);
        let scrapes = std::thread::scope(|scope| {
            let scraping = scope.spawn(|| scrape_until(&over, address));
            for text in ["HTTP/1.1 200 OK\r\n\r\nbootlane_up 1\n", "HTTP/1.1 404 Not Found\r\n\r\n"] {
                let (mut stream, _) = listener.accept().expect("it comes");
                let mut request = [0; 256];
                let _length = stream.read(&mut request).expect("a request");
                stream.write_all(text.as_bytes()).expect("answered");
            }
            over.store(true, Ordering::Relaxed);
            scraping.join().expect("no panic")
        });
        assert_eq!(scrapes, 1);
    }
}
