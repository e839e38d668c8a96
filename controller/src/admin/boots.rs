//! Boot attempts: lists, and the events of one or of all as they come.
//!
//! `until_end` ends the stream of one attempt when that attempt has ended: installed, failed, up, or sent to its disk
//! with a lease taken after it ([`BootSummary::has_ended`]). With a host in place of an attempt it follows the host,
//! from the boot under way or its next one, across attempts until its system is up or an attempt has failed.

mod host;

use std::pin::Pin;

use futures::Stream;
use proto::{AttemptId, HostId, v1};
use tokio::sync::{broadcast::error::RecvError, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{explain::unexplained, fleet::host_id, known, refusal};
use crate::{
    app::App,
    diagnosis::{Diagnosis, Finding},
    events::{BootFilter, BootSummary, Continued, StoredEvent},
    explain::Inquiry,
    news::{Ears, News, Silence},
};

/// What WatchBoots answers with.
pub(super) type BootStream = Pin<Box<dyn Stream<Item = Result<v1::BootEvent, Status>> + Send>>;

/// Events that wait for a slow caller; the watch itself waits then.
const WAITING: usize = 64;
/// As many attempts of a list are explained: each costs the reading of its events.
const EXPLAINED: usize = 500;

pub(super) async fn list(app: &App, request: v1::ListBootsRequest) -> Result<v1::ListBootsResponse, Status> {
    let filter = filter(app, &request.host, request.site, request.limit).await?;
    let mut found = app.events.boots(filter).await.map_err(unread)?;
    let explained = if request.explain { EXPLAINED.min(found.len()) } else { 0 };
    let rest = found.split_off(explained);
    let mut boots = Vec::with_capacity(explained + rest.len());
    for (boot, diagnosis) in Inquiry::new(app).diagnoses(found).await.map_err(unexplained)? {
        boots.push(summary(app, boot, Some(&diagnosis)).await?);
    }
    for boot in rest {
        boots.push(summary(app, boot, None).await?);
    }
    Ok(v1::ListBootsResponse { boots })
}

pub(super) async fn watch(app: &App, request: v1::WatchBootsRequest) -> Result<BootStream, Status> {
    let attempt = AttemptId::from_wire_optional("attempt", &request.attempt)
        .map_err(|error| refusal::field(&error.field, error.problem))?;
    let filter = filter(app, &request.host, request.site.clone(), 0).await?;
    let (out, events) = mpsc::channel(WAITING);
    // Listening first, so that nothing falls between what is stored and what comes.
    let news = Ears::new(&app.events, request.silences.then_some(&app.silences));
    let watch = Watch { app: app.clone(), news, out };
    match attempt {
        Some(attempt) => {
            if app.events.boot(attempt).await.map_err(unread)?.is_none() {
                return Err(Status::not_found(format!("there is no boot {attempt}")));
            }
            tokio::spawn(async move { watch.one(attempt, &request).await });
        }
        None if request.until_end && filter.host.is_none() => {
            return Err(refusal::field("until_end", "needs an attempt or a host: whose end?"));
        }
        None if request.stored_only => {
            tokio::spawn(async move { watch.stored(filter).await });
        }
        None if request.until_end => {
            tokio::spawn(async move { watch.host_until_end(filter).await });
        }
        None => {
            tokio::spawn(async move { watch.all(filter).await });
        }
    }
    Ok(Box::pin(ReceiverStream::new(events)))
}

/// The caller has gone.
struct Gone;

struct Watch {
    app: App,
    news: Ears,
    out: mpsc::Sender<Result<v1::BootEvent, Status>>,
}

impl Watch {
    /// One boot: what is stored, then what comes, until it ends.
    async fn one(mut self, attempt: AttemptId, request: &v1::WatchBootsRequest) {
        let mut place = 0;
        loop {
            let Ok(boot) = self.send_on(attempt, &mut place).await else { return };
            let ended = boot.is_none_or(|boot| boot.has_ended());
            if request.stored_only || (request.until_end && ended) {
                return;
            }
            loop {
                tokio::select! {
                    () = self.out.closed() => return,
                    next = self.news.next() => match next {
                        Ok(News::Silence(silence)) if silence.boot.attempt == attempt => {
                            if self.tell(&silence).await.is_err() {
                                return;
                            }
                        }
                        Ok(news @ News::Event(_)) if news.attempt() == Some(attempt) => break,
                        Ok(_) => {}
                        // What was missed is read from what is stored.
                        Err(RecvError::Lagged(_)) => break,
                        Err(RecvError::Closed) => return,
                    },
                }
            }
        }
    }

    /// Sends a boot's events that are stored from this place on, which is moved behind them; the boot as it was just before, so that
    /// what ended it was sent. None: it is not kept any more.
    async fn send_on(&self, attempt: AttemptId, place: &mut u64) -> Result<Option<BootSummary>, Gone> {
        let Continued { boot, events, next } = match self.app.events.boot_from(attempt, *place).await {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(None),
            Err(error) => {
                self.fail(unread(error)).await;
                return Err(Gone);
            }
        };
        for event in &events {
            self.send(event).await?;
        }
        *place = next;
        Ok(Some(boot))
    }

    /// The boots that match, as far as they are stored, the oldest first.
    async fn stored(self, filter: BootFilter) {
        let boots = match self.app.events.boots(filter).await {
            Ok(boots) => boots,
            Err(error) => return self.fail(unread(error)).await,
        };
        for boot in boots.iter().rev() {
            if self.send_on(boot.attempt, &mut 0).await.is_err() {
                return;
            }
        }
    }

    /// Every new event that matches.
    async fn all(mut self, filter: BootFilter) {
        loop {
            let next = tokio::select! {
                () = self.out.closed() => return,
                next = self.news.next() => next,
            };
            match next {
                Ok(news) if matches(&filter, &news) => {
                    let sent = match news {
                        News::Event(event) => self.send(&event).await,
                        News::Silence(silence) => self.tell(&silence).await,
                    };
                    if sent.is_err() {
                        return;
                    }
                }
                Ok(_) => {}
                Err(RecvError::Lagged(lost)) => {
                    let text = format!("{lost} events came faster than they were read: watch again");
                    return self.fail(Status::data_loss(text)).await;
                }
                Err(RecvError::Closed) => return,
            }
        }
    }

    async fn tell(&self, silence: &Silence) -> Result<(), Gone> {
        let message = silent(&self.app, silence).await;
        self.out.send(message).await.map_err(|_| Gone)
    }

    async fn send(&self, event: &StoredEvent) -> Result<(), Gone> {
        let message = message(&self.app, event).await;
        self.out.send(message).await.map_err(|_| Gone)
    }

    async fn fail(&self, status: Status) {
        // Nobody is left to be told if this fails.
        let _ = self.out.send(Err(status)).await;
    }
}

fn matches(filter: &BootFilter, news: &News) -> bool {
    let host = filter.host.is_none_or(|host| news.host() == Some(host));
    host && filter.site.as_ref().is_none_or(|site| *site == news.site())
}

async fn filter(app: &App, host: &str, site: String, limit: u32) -> Result<BootFilter, Status> {
    let host = match host {
        "" => None,
        name => Some(host_id(app, name).await?),
    };
    let site = known::site(app, site).await?;
    Ok(BootFilter { host, stranger: None, site, limit: limit as usize })
}

/// An event as callers see it.
pub(super) async fn message(app: &App, event: &StoredEvent) -> Result<v1::BootEvent, Status> {
    let host = match event.numbered.event.host {
        Some(host) => host_name(app, host).await?,
        None => String::new(),
    };
    Ok(v1::BootEvent {
        site: event.source.site.clone(),
        agent: event.source.agent.clone(),
        incarnation: event.incarnation.to_wire(),
        event: Some(event.numbered.clone().into()),
        host,
        silence: None,
    })
}

/// A silence as callers see it.
async fn silent(app: &App, silence: &Silence) -> Result<v1::BootEvent, Status> {
    let Silence { boot, diagnosis } = silence;
    let boot = summary(app, boot.clone(), Some(diagnosis)).await?;
    let sentence = diagnosis.findings.first().map(Finding::sentence).unwrap_or_default();
    Ok(v1::BootEvent {
        site: boot.site.clone(),
        agent: boot.agent.clone(),
        host: boot.host.clone(),
        silence: Some(v1::BootSilence { boot: Some(boot), sentence }),
        ..v1::BootEvent::default()
    })
}

/// An attempt as callers see it, with what was found of it, if anybody looked.
pub(super) async fn summary(
    app: &App,
    boot: BootSummary,
    diagnosis: Option<&Diagnosis>,
) -> Result<v1::BootSummary, Status> {
    let host = match boot.host {
        Some(host) => host_name(app, host).await?,
        None => String::new(),
    };
    Ok(v1::BootSummary {
        attempt: boot.attempt.to_wire(),
        host,
        site: boot.site,
        agent: boot.agent,
        mac: boot.mac.map(|mac| mac.0.to_vec().into()).unwrap_or_default(),
        began_ms: boot.began_ms.0,
        last_ms: boot.last_ms.0,
        outcome: boot.outcome.word().into(),
        stage: boot.stage,
        events: boot.events,
        cause: diagnosis.and_then(Diagnosis::cause).map(|cause| cause.word().into()).unwrap_or_default(),
        standing: diagnosis.map(|diagnosis| diagnosis.standing.word().into()).unwrap_or_default(),
        step: diagnosis.and_then(Diagnosis::step).map(|step| step.word().into()).unwrap_or_default(),
    })
}

/// A host's name, or its id where it is no more.
pub(super) async fn host_name(app: &App, host: HostId) -> Result<String, Status> {
    let name = app.catalog.host_name(host).await.map_err(refusal::read)?;
    Ok(name.unwrap_or_else(|| host.to_string()))
}

pub(super) fn unread(error: crate::events::ReadError) -> Status {
    tracing::error!(%error, "the events cannot be read");
    Status::unavailable(format!("the events cannot be read: {error}"))
}
