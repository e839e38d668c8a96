//! Fetches from sources that misbehave, over real sockets: what is named, what is resumed, and what followers see.

mod fetcher;
mod log;
mod neighbours;

use std::{
    collections::VecDeque,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use netboot::cache::{need::Need, sources::Choice};
use proto::{Digest, plan::BlobRef};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

use super::{
    FetchError, SourceError,
    source::Place,
    supply::{Patience, Supply},
    transfer::{Fetched, Purpose, fetch},
};
use crate::{
    controllers::Link,
    disk::cache::{Cache, FillState},
    holding::Arrivals,
};

const PATIENCE: Patience = Patience { stalled: Duration::from_millis(300), cut: Duration::from_secs(20) };
const SIZE: usize = 1_000_000;

/// What a source does with one request.
#[derive(Debug, Clone, Copy)]
enum Trick {
    Honest,
    /// Closes the connection after so many bytes of this answer.
    Cut(usize),
    /// Says nothing more after so many bytes.
    Stall(usize),
    /// Gives single bytes, slowly, after so many.
    Drip(usize),
    /// Gives other bytes, of the right number.
    Wrong,
    /// The same, and closes the connection after so many.
    WrongAndCut(usize),
    /// Announces so many bytes more.
    Longer,
    /// Announces nothing, and gives so many fewer, or more.
    Fewer,
    More,
    OtherRange,
    Absent,
    Failing,
}

/// A source that plays its tricks, one for each request, then the last one for ever.
struct Imp {
    url: String,
    sent: Arc<AtomicU64>,
    asked: Arc<AtomicU64>,
    _task: JoinHandle<()>,
}

impl Imp {
    async fn new(content: &[u8], tricks: &[Trick]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        // In short, since a plan takes no source that is plainly the agent itself.
        let url = format!("http://127.1:{}", listener.local_addr().expect("bound").port());
        let (sent, asked): (Arc<AtomicU64>, Arc<AtomicU64>) = Default::default();
        let tricks = Arc::new(Mutex::new(VecDeque::from(tricks.to_vec())));
        let (content, counts) = (Arc::new(content.to_vec()), (sent.clone(), asked.clone()));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, content.clone(), tricks.clone(), counts.clone()));
            }
        });
        Self { url, sent, asked, _task: task }
    }

    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

async fn serve(
    mut stream: TcpStream,
    content: Arc<Vec<u8>>,
    tricks: Arc<Mutex<VecDeque<Trick>>>,
    (sent, asked): (Arc<AtomicU64>, Arc<AtomicU64>),
) -> std::io::Result<()> {
    loop {
        let Some(from) = read_request(&mut stream).await? else { return Ok(()) };
        asked.fetch_add(1, Ordering::Relaxed);
        let trick = {
            let mut tricks = tricks.lock().expect("no panic");
            if tricks.len() > 1 { tricks.pop_front() } else { tricks.front().copied() }
        };
        let trick = trick.unwrap_or(Trick::Honest);
        let mut rest = content[from.unwrap_or(0)..].to_vec();
        if matches!(trick, Trick::Wrong | Trick::WrongAndCut(_)) {
            rest.iter_mut().for_each(|byte| *byte ^= 1);
        }
        let (start, end) = (from.unwrap_or(0), content.len());
        let first = if matches!(trick, Trick::OtherRange) { 0 } else { start };
        let range = format!("content-range: bytes {first}-{}/{end}\r\n", end - 1);
        let status = if from.is_some() { format!("206 P\r\n{range}") } else { "200 OK\r\n".to_owned() };
        let length = |length: usize| format!("HTTP/1.1 {status}content-length: {length}\r\n\r\n");
        let chunked = format!("HTTP/1.1 {status}transfer-encoding: chunked\r\n\r\n");
        let (head, send, then) = match trick {
            Trick::Absent => ("HTTP/1.1 404 N\r\ncontent-length: 0\r\n\r\n".to_owned(), 0, Then::GoOn),
            Trick::Failing => ("HTTP/1.1 503 N\r\ncontent-length: 0\r\n\r\n".to_owned(), 0, Then::GoOn),
            Trick::Cut(bytes) | Trick::WrongAndCut(bytes) => (length(rest.len()), bytes, Then::Close),
            Trick::Stall(bytes) => (length(rest.len()), bytes, Then::Hang),
            Trick::Drip(bytes) => (length(rest.len()), bytes, Then::Drip),
            Trick::Longer => (length(rest.len() + 1), rest.len(), Then::Close),
            Trick::Fewer => (chunked, rest.len() - 1, Then::GoOn),
            Trick::More => {
                rest.push(0);
                (chunked, rest.len(), Then::GoOn)
            }
            Trick::Honest | Trick::Wrong | Trick::OtherRange => (length(rest.len()), rest.len(), Then::GoOn),
        };
        let body = &rest[..send.min(rest.len())];
        stream.write_all(head.as_bytes()).await?;
        if matches!(trick, Trick::Fewer | Trick::More) {
            stream.write_all(format!("{:x}\r\n", body.len()).as_bytes()).await?;
            stream.write_all(body).await?;
            stream.write_all(b"\r\n0\r\n\r\n").await?;
        } else {
            stream.write_all(body).await?;
        }
        sent.fetch_add(body.len() as u64, Ordering::Relaxed);
        match then {
            Then::GoOn => {}
            Then::Close => return Ok(()),
            Then::Hang => std::future::pending().await,
            Then::Drip => {
                for byte in &rest[body.len()..] {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    stream.write_all(&[*byte]).await?;
                }
            }
        }
    }
}

enum Then {
    GoOn,
    Close,
    Hang,
    Drip,
}

/// The first byte asked for, if a range is; None: the connection has ended.
async fn read_request(stream: &mut TcpStream) -> std::io::Result<Option<Option<usize>>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(None);
        }
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let range = head.lines().find_map(|line| line.strip_prefix("range: bytes="));
    Ok(Some(range.map(|range| range.split('-').next().expect("a start").parse().expect("a number"))))
}

struct Scene {
    dir: tempfile::TempDir,
    supply: Arc<Supply>,
    content: Vec<u8>,
    blob: BlobRef,
    link: watch::Sender<Link>,
}

fn cache(root: &Path) -> Arc<Cache> {
    Arc::new(Cache::open(root, SystemTime::now(), Duration::from_secs(60)).expect("opens").0)
}

fn content() -> Vec<u8> {
    (0..SIZE).map(|n| (n % 251) as u8).collect()
}

impl Scene {
    /// The cache is empty, and these are the sources in their order.
    fn new(sources: &[&Imp]) -> Self {
        let dir = tempfile::tempdir().expect("tempdir");
        let (link, seen) = watch::channel(Link::default());
        let supply = Supply::new(cache(dir.path()), Vec::new(), "us".into(), seen, PATIENCE, Arc::default());
        let place = |imp: &&Imp| (imp.url.as_str().into(), Place::Url(imp.url.parse().expect("a URL")));
        supply.set_places(sources.iter().map(place).collect());
        let content = content();
        let blob = BlobRef { digest: Digest::of(&content), size: SIZE as u64 };
        Self { dir, supply: Arc::new(supply), content, blob, link }
    }

    fn link(&self) -> watch::Receiver<Link> {
        self.link.subscribe()
    }

    async fn fetch(&self) -> Result<Fetched, FetchError> {
        fetch(&self.supply, self.blob, &Purpose::new(Need::Waiting, "a file")).await
    }

    fn is_whole(&self) -> bool {
        use std::io::Read;
        let Some(mut blob) = self.supply.cache.get(&self.blob.digest).expect("readable") else {
            return false;
        };
        let mut found = Vec::new();
        blob.file.read_to_end(&mut found).expect("readable");
        found == self.content
    }

    /// May this source be asked now?
    fn trusts(&self, imp: &Imp) -> bool {
        let name = imp.url.as_str().into();
        self.supply.may_ask(&name).is_some_and(|at| at <= self.supply.now().mono)
    }
}

#[tokio::test]
async fn a_link_that_is_cut_at_every_tenth_carries_each_byte_once() {
    let tricks: Vec<_> = (0..9).map(|_| Trick::Cut(SIZE / 10)).chain([Trick::Honest]).collect();
    let imp = Imp::new(&content(), &tricks).await;
    let scene = Scene::new(&[&imp]);
    scene.fetch().await.expect("it is resumed");
    assert!(scene.is_whole());
    assert_eq!((imp.sent(), scene.supply.received(), imp.asked()), (SIZE as u64, SIZE as u64, 10));
}

#[tokio::test]
async fn a_source_goes_on_at_the_byte_where_another_broke_off() {
    for trick in [Trick::Cut(SIZE / 3), Trick::Stall(SIZE / 3)] {
        let (first, second) =
            (Imp::new(&content(), &[trick]).await, Imp::new(&content(), &[Trick::Honest]).await);
        let scene = Scene::new(&[&first, &second]);
        scene.fetch().await.expect("the other goes on");
        assert!(scene.is_whole());
        assert_eq!((first.sent(), second.sent()), (SIZE as u64 / 3, (SIZE - SIZE / 3) as u64), "{trick:?}");
    }
}

#[tokio::test]
async fn a_source_that_drips_is_left_for_another_if_there_is_one() {
    let dripping = Imp::new(&content(), &[Trick::Drip(SIZE / 3)]).await;
    let good = Imp::new(&content(), &[Trick::Honest]).await;
    let scene = Scene::new(&[&dripping, &good]);
    let bound = Duration::from_secs(10);
    let fetching = tokio::time::timeout(bound, scene.fetch()).await;
    fetching.expect("nobody waits for drops").expect("the other goes on");
    assert!(scene.is_whole());
    assert!(good.sent() < (SIZE - SIZE / 3) as u64, "what came in drops counts: {}", good.sent());

    // A second of drops, which is three times as long as silence would be borne.
    let dripping = Imp::new(&content(), &[Trick::Drip(SIZE - 50)]).await;
    let scene = Scene::new(&[&dripping]);
    scene.fetch().await.expect("slow is better than nothing");
    assert!(scene.is_whole());
    assert_eq!(dripping.asked(), 1);
}

#[tokio::test]
async fn who_gives_what_is_not_the_blob_is_put_aside_and_the_next_is_asked() {
    for trick in [Trick::Wrong, Trick::Longer, Trick::Fewer, Trick::More] {
        let (evil, good) =
            (Imp::new(&content(), &[trick]).await, Imp::new(&content(), &[Trick::Honest]).await);
        let scene = Scene::new(&[&evil, &good]);
        scene.fetch().await.unwrap_or_else(|error| panic!("{trick:?}: {error}"));
        assert!(scene.is_whole(), "{trick:?}");
        assert!(!scene.trusts(&evil) && scene.trusts(&good), "{trick:?}");
        assert_eq!((evil.asked(), good.sent()), (1, SIZE as u64), "{trick:?}: it is fetched anew");
    }
}

#[tokio::test]
async fn who_fails_or_lacks_it_is_passed_over() {
    for (trick, trusted) in [(Trick::Absent, true), (Trick::Failing, false)] {
        let (first, good) =
            (Imp::new(&content(), &[trick]).await, Imp::new(&content(), &[Trick::Honest]).await);
        let scene = Scene::new(&[&first, &good]);
        scene.fetch().await.expect("the other has it");
        assert!(scene.is_whole());
        assert_eq!(scene.trusts(&first), trusted, "{trick:?}");
    }
}

#[tokio::test]
async fn another_part_than_was_asked_for_is_not_taken() {
    let first = Imp::new(&content(), &[Trick::Cut(SIZE / 2), Trick::OtherRange]).await;
    let scene = Scene::new(&[&first]);
    let fetching = tokio::time::timeout(Duration::from_secs(3), scene.fetch()).await;
    assert!(fetching.is_err(), "it waits until the source may be asked again: {fetching:?}");
    assert!(!scene.trusts(&first) && !scene.is_whole());
    assert_eq!(scene.supply.received(), SIZE as u64 / 2);
}

#[tokio::test]
async fn when_several_gave_what_is_wrong_one_alone_gives_all_of_it() {
    let evil = Imp::new(&content(), &[Trick::WrongAndCut(SIZE / 2)]).await;
    let good = Imp::new(&content(), &[Trick::Honest]).await;
    let scene = Scene::new(&[&evil, &good]);
    scene.fetch().await.expect("the other gives all of it");
    assert!(scene.is_whole());
    assert!(good.sent() >= (SIZE + SIZE / 2) as u64, "{}", good.sent());
}

#[tokio::test]
async fn followers_of_wrong_bytes_never_see_the_end() {
    let evil = Imp::new(&content(), &[Trick::Stall(SIZE / 2), Trick::Wrong]).await;
    let scene = Scene::new(&[&evil]);
    let begun = scene.supply.cache.begun();
    let fetching = tokio::spawn({
        let (supply, blob) = (scene.supply.clone(), scene.blob);
        async move { fetch(&supply, blob, &Purpose::new(Need::Waiting, "a file")).await }
    });
    begun.await;
    let (_, progress) = scene.supply.cache.follow(&scene.blob.digest).expect("no error").expect("under way");
    let mut seen = (0, FillState::Arriving);
    while seen.1 == FillState::Arriving {
        assert!(seen.0 < SIZE as u64, "the end is withheld");
        seen = progress.beyond(seen.0).await;
    }
    assert_eq!(seen, (0, FillState::Refused));
    fetching.abort();
    assert!(!scene.is_whole());
}

#[tokio::test]
async fn the_first_bytes_are_shown_as_they_come() {
    let imp = Imp::new(&content(), &[Trick::Stall(10)]).await;
    let scene = Scene::new(&[&imp]);
    let begun = scene.supply.cache.begun();
    let fetching = tokio::spawn({
        let (supply, blob) = (scene.supply.clone(), scene.blob);
        async move { fetch(&supply, blob, &Purpose::new(Need::Waiting, "a file")).await }
    });
    begun.await;
    let (_, progress) = scene.supply.cache.follow(&scene.blob.digest).expect("no error").expect("under way");
    let (shown, _) = progress.beyond(0).await;
    assert_eq!(shown, 10, "ten bytes wait for no others");
    fetching.abort();
}

#[tokio::test]
async fn nobody_to_ask_is_said_at_once() {
    let absent = Imp::new(&content(), &[Trick::Absent]).await;
    let scene = Scene::new(&[&absent]);
    let error = scene.fetch().await.expect_err("nobody has it");
    assert!(matches!(&error, FetchError::Absent(names) if names.len() == 1), "{error}");
    assert!(!scene.supply.reaches(&error.lacking()));
    let nobody = Scene::new(&[]);
    assert!(matches!(nobody.fetch().await, Err(FetchError::Nobody)));
    assert_eq!(nobody.supply.choose(&Default::default()), Choice::Nobody);
}

#[tokio::test]
async fn how_a_blob_came_is_known_by_source() {
    let (first, second) =
        (Imp::new(&content(), &[Trick::Cut(SIZE / 4)]).await, Imp::new(&content(), &[Trick::Honest]).await);
    let scene = Scene::new(&[&first, &second]);
    let mut fill = scene.supply.cache.fill(scene.blob.digest, scene.blob.size).expect("begins");
    fill.write(&scene.content[..SIZE / 2]).expect("writes");
    drop(fill);
    let fetched = scene.fetch().await.expect("both together have it");
    let bytes = |imp: &Imp| fetched.from.get(imp.url.as_str()).copied();
    assert_eq!((bytes(&first), bytes(&second)), (Some(SIZE as u64 / 4), Some(SIZE as u64 / 4)));
    assert_eq!((fetched.found, fetched.copied), (SIZE as u64 / 2, 0));
}

#[tokio::test]
async fn what_was_wrong_and_who_gives_it_again_is_told_meanwhile() {
    let evil = Imp::new(&content(), &[Trick::Wrong]).await;
    let good = Imp::new(&content(), &[Trick::Stall(SIZE / 2)]).await;
    let scene = Scene::new(&[&evil, &good]);
    let arrivals = Arrivals::default();
    let told = tokio::time::timeout(Duration::from_secs(10), async {
        let supply = Supply::new(
            scene.supply.cache.clone(),
            Vec::new(),
            "us".into(),
            scene.link(),
            PATIENCE,
            Arc::default(),
        );
        let place = |imp: &Imp| (imp.url.as_str().into(), Place::Url(imp.url.parse().expect("a URL")));
        supply.set_places(vec![place(&evil), place(&good)]);
        let supply = Arc::new(supply.telling(arrivals.clone()));
        let purpose = Purpose::new(Need::Waiting, "a file");
        tokio::select! {
            ended = fetch(&supply, scene.blob, &purpose) => panic!("it stalls: {ended:?}"),
            () = async {
                while good.sent() == 0 || scene.supply.cache.partials().is_empty() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            } => arrivals.why_anew(&scene.blob.digest),
        }
    });
    let wrong: Vec<u8> = content().iter().map(|byte| byte ^ 1).collect();
    let expected = format!(
        "{} gave bytes with digest {}; fetched again from {}",
        evil.url,
        Digest::of(&wrong),
        good.url
    );
    assert_eq!(told.await.expect("soon"), Some(expected));
}

#[tokio::test]
async fn a_source_that_is_wrong_alone_is_named() {
    let evil = Imp::new(&content(), &[Trick::Wrong]).await;
    let scene = Scene::new(&[&evil]);
    let fetching = tokio::time::timeout(Duration::from_secs(3), scene.fetch()).await;
    assert!(fetching.is_err(), "it is put aside for minutes: {fetching:?}");
    assert_eq!(evil.asked(), 1);
    assert_eq!(std::fs::read_dir(scene.dir.path().join("partial")).expect("list").count(), 1);
    let error = SourceError::OtherDigest(Digest::of(b"x"));
    assert!(error.to_string().starts_with("its bytes have digest"));
}
