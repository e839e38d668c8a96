//! A file that the desk has given to a connection: its bytes, and the answers to requests for them.

use std::{error::Error, ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use netboot::site::Source;
use proto::{event::Breakage, plan::BlobRef};
use tokio::time::Instant;

use super::{
    Shared,
    body::{self, Broken},
    memory::{self, Held},
    reply::{File, Manner, Selected, not_now},
    request::Request,
    sending::{Repeats, Sending, Teller},
    wire::{Over, Wire},
};
use crate::{
    core::Standing,
    desk::{Desk, Found},
    images::{Opened, Unavailable},
};

/// The file.
pub(super) struct Given<D: Desk> {
    /// As it was asked for.
    target: String,
    file: File,
    source: Source,
    content: Option<Content>,
    standing: Option<Standing>,
    teller: Teller<D>,
    /// A sending of it was told by itself.
    told: bool,
    repeats: Repeats,
}

/// Its bytes.
#[derive(Debug)]
enum Content {
    Made(Bytes),
    /// Read while so many blobs had left the cache.
    Memory(Arc<Held>, u64),
    File(Opened, u64),
}

/// Why it cannot be sent.
#[derive(Debug, thiserror::Error)]
enum Unopened {
    #[error("the connection is over")]
    Over(Over),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error(transparent)]
    Broken(#[from] Broken),
}

impl From<Over> for Unopened {
    fn from(over: Over) -> Self {
        Self::Over(over)
    }
}

/// Where an answer goes.
pub(super) struct Out<'a> {
    pub(super) wire: &'a mut Wire,
    pub(super) head: &'a mut Vec<u8>,
    pub(super) manner: Manner,
}

impl Out<'_> {
    async fn head(self) -> Result<(), Over> {
        body::head(self.wire, self.head).await
    }
}

impl<D: Desk> Given<D> {
    /// What was found under `name`, asked for as `target`.
    pub(super) fn new(
        target: String,
        name: &str,
        found: Found<D::Ticket>,
        teller: impl FnOnce(D::Ticket) -> Teller<D>,
    ) -> Self {
        let Found { source, ticket, standing } = found;
        let digest = match &source {
            Source::Blob(blob) => Some(blob.digest),
            Source::Bytes(_) => None,
        };
        let file = File::new(name, source.bytes(), digest);
        let (content, told, repeats) = (None, false, Repeats::default());
        Self { target, file, source, content, standing, teller: teller(ticket), told, repeats }
    }

    /// May `target` be answered with it at `now`, without a question to the desk?
    pub(super) fn stands(&self, target: &str, now: Instant, removals: u64) -> bool {
        let here = match &self.content {
            None | Some(Content::Made(_)) => true,
            Some(Content::Memory(_, of) | Content::File(_, of)) => *of == removals,
        };
        here && self.target == target
            && self.standing.as_ref().is_some_and(|standing| standing.holds(now.into_std()))
    }

    /// From when on it answers nothing more. None: it has answered for the last time.
    pub(super) fn until(&self) -> Option<Instant> {
        self.standing.as_ref().map(|standing| standing.until().into())
    }

    /// Answers `request`, which came at `since`.
    pub(super) async fn answer(
        &mut self,
        request: &Request,
        since: Instant,
        shared: &Shared<D>,
        out: Out<'_>,
    ) -> Result<(), Over> {
        let selected = self.file.select(&request.conditions);
        let Selected::Bytes { range, .. } = &selected else {
            self.file.head(&selected, out.manner, out.head);
            return out.head().await;
        };
        let sending = Sending::new(&self.teller, since);
        let content = match &mut self.content {
            Some(content) => content,
            none => match open(&self.source, shared, out.wire).await {
                Ok(content) => none.insert(content),
                Err(unopened) => return refuse(unopened, sending, request, out).await,
            },
        };
        self.file.head(&selected, out.manner, out.head);
        if request.head_only {
            sending.nothing();
            return out.head().await;
        }
        let done = send(content, range.clone(), sending, shared, out).await?;
        if self.told {
            self.repeats.count(done);
        } else {
            self.told = true;
            self.teller.whole(done);
        }
        Ok(())
    }
}

impl<D: Desk> Drop for Given<D> {
    fn drop(&mut self) {
        self.teller.repeats(&self.repeats);
    }
}

/// Also for HEAD: firmware that asks first for the size ends here (QUIRKS 34), and its boot explains itself.
async fn refuse<D: Desk>(
    unopened: Unopened,
    sending: Sending<'_, D>,
    request: &Request,
    out: Out<'_>,
) -> Result<(), Over> {
    if let Unopened::Over(over) = unopened {
        sending.cut(over);
        return Err(over);
    }
    sending.fail(Breakage::NotHere, in_words(&unopened));
    not_now().write(request.head_only, out.manner, out.head);
    out.head().await
}

async fn open<D: Desk>(source: &Source, shared: &Shared<D>, wire: &mut Wire) -> Result<Content, Unopened> {
    let blob = match source {
        Source::Bytes(bytes) => return Ok(Content::Made(bytes.clone())),
        Source::Blob(blob) => blob,
    };
    let removals = shared.images.removals();
    if let Some(bytes) = shared.memory.get(&blob.digest, removals) {
        return Ok(Content::Memory(bytes, removals));
    }
    let patience = shared.limits.blob_patience;
    let opened = wire.unless_gone(shared.images.open(blob, patience)).await??;
    match read_small(blob, &opened, shared, removals).await? {
        Some(bytes) => Ok(Content::Memory(bytes, removals)),
        None => Ok(Content::File(opened, removals)),
    }
}

/// None: it is too large, or still arriving, or there is no room for it.
async fn read_small<D: Desk>(
    blob: &BlobRef,
    opened: &Opened,
    shared: &Shared<D>,
    removals: u64,
) -> Result<Option<Arc<Held>>, Broken> {
    if opened.size > memory::LARGEST || opened.progress.is_some() {
        return Ok(None);
    }
    // Somebody else may have read it while it was opened.
    if let Some(bytes) = shared.memory.get(&blob.digest, removals) {
        return Ok(Some(bytes));
    }
    let Some(room) = shared.memory.room(opened.size) else { return Ok(None) };
    let content = shared.reads.read(&opened.file, 0..opened.size).await?;
    Ok(Some(shared.memory.keep(blob.digest, content, room, removals)))
}

/// Sends all of `range`, or tells why not.
async fn send<D: Desk>(
    content: &Content,
    range: Range<u64>,
    mut sending: Sending<'_, D>,
    shared: &Shared<D>,
    Out { wire, head, .. }: Out<'_>,
) -> Result<(u64, Duration), Over> {
    let sent = match content {
        Content::Made(bytes) => {
            body::memory(wire, head, slice(bytes, range), &mut sending).await.map_err(Broken::Over)
        }
        Content::Memory(held, _) => {
            body::memory(wire, head, slice(held, range), &mut sending).await.map_err(Broken::Over)
        }
        Content::File(opened, _) => {
            let reads = (&shared.reads, shared.limits.arrival_stall);
            body::file(wire, head, opened, range, &mut sending, reads).await
        }
    };
    match sent {
        Ok(()) => Ok(sending.whole()),
        Err(Broken::Over(over)) => {
            sending.cut(over);
            Err(over)
        }
        // The client learns it by the connection's end.
        Err(broken) => {
            sending.fail(Breakage::NotHere, in_words(&broken));
            Err(Over::Gone)
        }
    }
}

fn in_words(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

/// The range is one of these bytes'.
fn slice(bytes: &[u8], range: Range<u64>) -> &[u8] {
    let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    &bytes[at(range.start)..at(range.end)]
}
