//! What who watches boots is told: the events, as they are stored, and silences, as the follower finds them.

use std::future::pending;
use std::sync::Arc;

use proto::AttemptId;
use tokio::sync::broadcast::{self, error::RecvError};

use crate::diagnosis::Diagnosis;
use crate::events::{BootSummary, EventStore, StoredEvent};

/// Silences that a slow listener may be behind before it loses the oldest.
const BEHIND: usize = 1_024;

/// A boot has fallen silent.
#[derive(Debug, Clone)]
pub(crate) struct Silence {
    /// As far as it had come.
    pub(crate) boot: BootSummary,
    /// What there is to say of it.
    pub(crate) diagnosis: Diagnosis,
}

/// Tells of silences. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Silences(broadcast::Sender<Arc<Silence>>);

impl Default for Silences {
    fn default() -> Self {
        Self(broadcast::channel(BEHIND).0)
    }
}

impl Silences {
    /// Tells of one.
    pub(crate) fn tell(&self, boot: &BootSummary, diagnosis: &Diagnosis) {
        if self.0.receiver_count() == 0 {
            return;
        }
        let (boot, diagnosis) = (boot.clone(), diagnosis.clone());
        // The last listener may have gone meanwhile.
        let _ = self.0.send(Arc::new(Silence { boot, diagnosis }));
    }
}

/// Something that concerns boots.
#[derive(Debug, Clone)]
pub(crate) enum News {
    /// An event was stored.
    Event(Arc<StoredEvent>),
    /// A boot has fallen silent.
    Silence(Arc<Silence>),
}

impl News {
    /// Where.
    pub(crate) fn site(&self) -> &str {
        match self {
            Self::Event(event) => &event.source.site,
            Self::Silence(silence) => &silence.boot.site,
        }
    }

    /// Of which boot; None: of none.
    pub(crate) fn attempt(&self) -> Option<AttemptId> {
        match self {
            Self::Event(event) => event.numbered.event.attempt,
            Self::Silence(silence) => Some(silence.boot.attempt),
        }
    }

    /// Of which host; None: of none.
    pub(crate) fn host(&self) -> Option<proto::HostId> {
        match self {
            Self::Event(event) => event.numbered.event.host,
            Self::Silence(silence) => silence.boot.host,
        }
    }
}

/// Hears what comes from now on.
#[derive(Debug)]
pub(crate) struct Ears {
    events: broadcast::Receiver<Arc<StoredEvent>>,
    silences: Option<broadcast::Receiver<Arc<Silence>>>,
}

impl Ears {
    /// Events, and silences if they are wanted.
    pub(crate) fn new(events: &EventStore, silences: Option<&Silences>) -> Self {
        let silences = silences.map(|silences| silences.0.subscribe());
        Self { events: events.subscribe(), silences }
    }

    /// The next. May be dropped while it waits.
    ///
    /// # Errors
    /// Some came faster than they were heard, or nothing will come any more.
    pub(crate) async fn next(&mut self) -> Result<News, RecvError> {
        let silence = async {
            match &mut self.silences {
                Some(silences) => silences.recv().await,
                None => pending().await,
            }
        };
        tokio::select! {
            event = self.events.recv() => event.map(News::Event),
            silence = silence => silence.map(News::Silence),
        }
    }
}
