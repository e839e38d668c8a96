//! Asks the controller: documents now and then, boots when something has happened, and neither for more than a tenth of the time.

use std::time::Duration;

use proto::catalog::Kind;
use proto::v1::{BootEvent, ListBootsRequest, WatchBootsRequest};
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::Streaming;

use super::fleet::{Answers, Fleet};
use crate::client::{Client, Connection, Selection, next};
use crate::command::Context;
use crate::failure::Failure;
use crate::output::words;

/// Boots that are looked at: the most recent.
const BOOTS: u32 = 500;
/// The least time between two looks at boots, and at documents.
const LEAST: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(5));
/// A look that takes a second is not repeated within so many.
const SHARE: u32 = 10;
/// Until a controller that has gone is tried again.
const PAUSE: Duration = Duration::from_secs(3);

/// What is known.
#[derive(Debug, Default)]
pub(super) struct News {
    /// The fleet's name.
    pub(super) name: String,
    pub(super) answers: Answers,
    /// Why it is not of now.
    pub(super) trouble: Option<String>,
}

/// A connection, and what came of it so far.
pub(super) struct Feed {
    connection: Connection,
    client: Client,
    events: Option<Streaming<BootEvent>>,
    name: String,
    selection: Selection,
    answers: Answers,
    /// Something has happened since boots were looked at.
    news: bool,
    boots_due: Instant,
    documents_due: Instant,
}

impl Feed {
    pub(super) async fn connect(context: &Context, site: Option<String>) -> Result<Self, Failure> {
        let mut client = context.connect().await?;
        let name = client.who_am_i().await?.fleet;
        Ok(Self {
            connection: context.connection.clone(),
            client,
            events: None,
            name,
            selection: Selection { site, ..Selection::default() },
            answers: Answers::default(),
            news: true,
            boots_due: Instant::now(),
            documents_due: Instant::now(),
        })
    }

    /// Everything, at once.
    pub(super) async fn read(&mut self) -> Result<Fleet, Failure> {
        self.read_documents().await?;
        self.read_boots().await?;
        Ok(self.fleet())
    }

    /// As of now, by what was answered last.
    pub(super) fn fleet(&self) -> Fleet {
        Fleet::of(&self.name, &self.answers, words::now())
    }

    /// Tells of whatever was read, until nobody listens any more.
    pub(super) async fn run(mut self, out: watch::Sender<News>) {
        while !out.is_closed() {
            match self.changed().await {
                Ok(true) => self.tell(&out, None),
                // An event shows nothing before boots are read again.
                Ok(false) => {}
                Err(failure) => {
                    self.tell(&out, Some(failure.message));
                    self.again().await;
                }
            }
        }
    }

    fn tell(&self, out: &watch::Sender<News>, trouble: Option<String>) {
        out.send_replace(News { name: self.name.clone(), answers: self.answers.clone(), trouble });
    }

    /// Waits until something has happened, or is due to be read; was anything read?
    async fn changed(&mut self) -> Result<bool, Failure> {
        self.watch().await?;
        let boots = if self.news { self.boots_due } else { self.documents_due };
        let due = boots.min(self.documents_due);
        tokio::select! {
            () = tokio::time::sleep_until(due) => self.look().await,
            event = heard(&mut self.events) => {
                self.news |= event?.is_some();
                Ok(false)
            }
        }
    }

    /// Another connection, after a while.
    async fn again(&mut self) {
        tokio::time::sleep(PAUSE).await;
        if let Ok(client) = Client::connect(&self.connection).await {
            (self.client, self.events, self.news) = (client, None, true);
        }
    }

    async fn watch(&mut self) -> Result<(), Failure> {
        if self.events.is_none() {
            let site = self.selection.site.clone().unwrap_or_default();
            let request = WatchBootsRequest { site, silences: true, ..WatchBootsRequest::default() };
            self.events = Some(self.client.watch_boots(request).await?);
        }
        Ok(())
    }

    /// Reads what is due; was anything?
    async fn look(&mut self) -> Result<bool, Failure> {
        let documents = self.documents_due <= Instant::now();
        if documents {
            self.read_documents().await?;
        }
        let boots = self.news && self.boots_due <= Instant::now();
        if boots {
            self.read_boots().await?;
        }
        Ok(documents || boots)
    }

    async fn read_documents(&mut self) -> Result<(), Failure> {
        let began = Instant::now();
        let mut sites = self.client.list(Kind::Site, &Selection::default()).await?;
        if let Some(site) = &self.selection.site {
            sites.retain(|stored| stored.name == *site);
        }
        self.answers.sites = sites.into();
        self.answers.agents = self.client.list(Kind::Agent, &self.selection).await?.into();
        self.answers.orders = self.client.list(Kind::Order, &self.selection).await?.into();
        self.documents_due = Instant::now() + LEAST.1.max(began.elapsed() * SHARE);
        Ok(())
    }

    async fn read_boots(&mut self) -> Result<(), Failure> {
        let began = Instant::now();
        let site = self.selection.site.clone().unwrap_or_default();
        let request = ListBootsRequest { site, limit: BOOTS, explain: true, ..ListBootsRequest::default() };
        self.news = false;
        self.answers.boots = self.client.list_boots(request).await?.into();
        self.boots_due = Instant::now() + LEAST.0.max(began.elapsed() * SHARE);
        Ok(())
    }
}

/// The next event; a stream that has ended begins anew.
async fn heard(events: &mut Option<Streaming<BootEvent>>) -> Result<Option<BootEvent>, Failure> {
    let Some(stream) = events else { return std::future::pending().await };
    let event = next("watch boots", stream).await;
    if !matches!(event, Ok(Some(_))) {
        *events = None;
    }
    event
}
