//! What is said in the log, line by line.

use std::{
    fmt::{Debug, Write},
    sync::PoisonError,
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
    subscriber::DefaultGuard,
};

use super::*;

/// The lines at INFO and above of this thread, for as long as it lives.
pub(super) struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    _guard: DefaultGuard,
}

impl Log {
    pub(super) fn new() -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let guard = tracing::subscriber::set_default(Writer(lines.clone()));
        Self { lines, _guard: guard }
    }

    /// The lines with this text.
    pub(super) fn with(&self, text: &str) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().filter(|line| line.contains(text)).cloned().collect()
    }
}

struct Writer(Arc<Mutex<Vec<String>>>);

impl Subscriber for Writer {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::INFO
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).expect("text takes everything");
    }
}

#[tokio::test]
async fn a_source_that_gives_nothing_is_told_once_and_when_it_gives_again() {
    for trick in [Trick::Absent, Trick::Failing] {
        let log = Log::new();
        let (broken, good) = (
            Imp::new(&content(), &[trick, trick, Trick::Honest]).await,
            Imp::new(&content(), &[Trick::Honest]).await,
        );
        let scene = Scene::new(&[&broken, &good]);
        scene.fetch().await.expect("the other gives it");
        let told = log.with("does not give");
        assert_eq!(told.len(), 1, "{trick:?}: {told:?}");
        assert!(told[0].starts_with("WARN") && told[0].contains(&broken.url), "{told:?}");
        for round in 0..2 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            scene.supply.cache.evict_to(0, |_| Some(())).expect("evicts");
            scene.fetch().await.unwrap_or_else(|error| panic!("{round}: {error}"));
        }
        assert_eq!(log.with("does not give").len(), 1, "{trick:?}: it is said once");
        let over = log.with("gives again");
        assert!(over.len() == 1 && over[0].starts_with("INFO"), "{trick:?}: {over:?}");
    }
}

#[tokio::test]
async fn a_source_that_cannot_be_reached_is_told_although_another_has_the_blob() {
    let log = Log::new();
    let good = Imp::new(&content(), &[Trick::Honest]).await;
    let scene = Scene::new(&[]);
    let places = ["http://127.1:9", good.url.as_str()];
    let place = |url: &str| (url.into(), Place::Url(url.parse().expect("a URL")));
    scene.supply.set_places(places.map(place).into());
    scene.fetch().await.expect("the other gives it");
    let told = log.with("does not give");
    assert!(told.len() == 1 && told[0].contains(places[0]), "{told:?}");
}

#[tokio::test]
async fn a_source_that_lacks_one_blob_of_many_is_in_no_trouble() {
    let log = Log::new();
    let first = Imp::new(&content(), &[Trick::Honest, Trick::Absent]).await;
    let good = Imp::new(&content(), &[Trick::Honest]).await;
    let scene = Scene::new(&[&first, &good]);
    for _ in 0..2 {
        scene.fetch().await.expect("one gives it");
        scene.supply.cache.evict_to(0, |_| Some(())).expect("evicts");
    }
    assert_eq!((first.asked(), log.with("does not give").len()), (2, 0));
}
