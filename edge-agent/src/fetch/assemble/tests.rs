//! New versions of blobs over real sockets: what crosses the link, and what happens when something is not as it was said.

use std::{
    collections::BTreeMap,
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use netboot::cache::need::Need;
use proto::{
    Digest,
    chunks::Cutter,
    plan::{BlobRef, ChunkListRef, ChunkLists},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

use super::super::{
    FetchError,
    source::Place,
    supply::{Patience, Supply},
    transfer::{Purpose, fetch},
};
use crate::{controllers::Link, disk::cache::Cache};

const PATIENCE: Patience = Patience { stalled: Duration::from_millis(500), cut: Duration::from_secs(20) };
const SIZE: usize = 3 << 20;

/// Bytes that do not repeat, the same for one seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// The version before, and one with three places that differ.
fn versions() -> (Vec<u8>, Vec<u8>) {
    let old = noise(1, SIZE);
    let mut new = old.clone();
    new[5_000..6_000].copy_from_slice(&noise(2, 1_000));
    new.splice(1_500_000..1_500_100, noise(3, 5_000));
    new.extend_from_slice(&noise(4, 30_000));
    (old, new)
}

fn blob(content: &[u8]) -> BlobRef {
    BlobRef { digest: Digest::of(content), size: content.len() as u64 }
}

fn list_of(content: &[u8]) -> Vec<u8> {
    let mut cutter = Cutter::for_size(content.len() as u64).expect("large enough");
    cutter.push(content);
    cutter.finish().expect("all of it came").encode()
}

/// How a server is.
#[derive(Debug, Clone, Copy, Default)]
struct Manner {
    /// It gives one range of a question alone.
    single: bool,
    /// Its first answer with ranges is cut off after so many bytes.
    cut: Option<usize>,
    /// It gives several ranges in another order.
    reversed: bool,
    /// It gives other bytes where several ranges are asked for.
    wrong: bool,
}

/// Serves blobs by their digests.
struct Server {
    url: String,
    blobs: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    sent: Arc<AtomicU64>,
    asked: Arc<AtomicU64>,
    _task: JoinHandle<()>,
}

impl Server {
    async fn new(blobs: &[&[u8]], manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        // In short, since a plan takes no source that is plainly the agent itself.
        let url = format!("http://127.1:{}", listener.local_addr().expect("bound").port());
        let named = blobs.iter().map(|blob| (Digest::of(blob).to_string(), blob.to_vec())).collect();
        let blobs = Arc::new(Mutex::new(named));
        let (sent, asked, cut): (Arc<AtomicU64>, Arc<AtomicU64>, _) =
            (Arc::default(), Arc::default(), Arc::new(Mutex::new(manner.cut)));
        let shared = (blobs.clone(), sent.clone(), asked.clone(), cut);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, shared.clone(), manner));
            }
        });
        Self { url, blobs, sent, asked, _task: task }
    }

    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

type Shared =
    (Arc<Mutex<BTreeMap<String, Vec<u8>>>>, Arc<AtomicU64>, Arc<AtomicU64>, Arc<Mutex<Option<usize>>>);

async fn serve(mut stream: TcpStream, shared: Shared, manner: Manner) -> std::io::Result<()> {
    let (blobs, sent, asked, cut) = shared;
    while let Some(head) = read_head(&mut stream).await? {
        asked.fetch_add(1, Ordering::Relaxed);
        let digest = head.split([' ', '/']).find(|word| word.len() == 64).expect("a digest").to_owned();
        let found = blobs.lock().expect("no panic").get(&digest).cloned();
        let Some(content) = found else {
            stream.write_all(b"HTTP/1.1 404 N\r\ncontent-length: 0\r\n\r\n").await?;
            continue;
        };
        let ranges = head.lines().find_map(|line| line.strip_prefix("range: bytes="));
        let mut answer = answer(&content, ranges, manner);
        let bytes = cut.lock().expect("no panic").take_if(|_| ranges.is_some());
        answer.truncate(bytes.unwrap_or(usize::MAX));
        sent.fetch_add(answer.len() as u64, Ordering::Relaxed);
        stream.write_all(&answer).await?;
        if bytes.is_some() {
            return Ok(());
        }
    }
    Ok(())
}

async fn read_head(stream: &mut TcpStream) -> std::io::Result<Option<String>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(String::from_utf8_lossy(&head).to_ascii_lowercase()))
}

fn answer(content: &[u8], ranges: Option<&str>, manner: Manner) -> Vec<u8> {
    let size = content.len();
    let range = |text: &str| {
        let (first, last) = text.split_once('-').expect("a range");
        let last = if last.is_empty() { size - 1 } else { last.parse().expect("a number") };
        (first.parse::<usize>().expect("a number"), last)
    };
    let (head, body) = match ranges {
        None => ("200 OK".to_owned(), content.to_vec()),
        Some(ranges) if ranges.contains(',') && manner.single => ("200 OK".to_owned(), content.to_vec()),
        Some(ranges) if ranges.contains(',') => {
            let mut body = Vec::new();
            let mut ranges: Vec<_> = ranges.split(',').map(range).collect();
            if manner.reversed {
                ranges.reverse();
            }
            for (first, last) in ranges {
                let head = format!("\r\n--b\r\nContent-Range: bytes {first}-{last}/{size}\r\n\r\n");
                body.extend_from_slice(head.as_bytes());
                body.extend(content[first..=last].iter().map(|byte| byte ^ u8::from(manner.wrong)));
            }
            body.extend_from_slice(b"\r\n--b--\r\n");
            ("206 P\r\ncontent-type: multipart/byteranges; boundary=b".to_owned(), body)
        }
        Some(one) => {
            let (first, last) = range(one);
            let head = format!("206 P\r\ncontent-range: bytes {first}-{last}/{size}");
            (head, content[first..=last].to_vec())
        }
    };
    let head = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.into_bytes(), body].concat()
}

struct Scene {
    dir: tempfile::TempDir,
    supply: Arc<Supply>,
    _link: watch::Sender<Link>,
}

impl Scene {
    /// The cache holds these, and the server is the only source.
    fn new(server: &Server, held: &[&[u8]]) -> Self {
        let dir = tempfile::tempdir().expect("tempdir");
        let cache = Cache::open(dir.path(), SystemTime::now(), Duration::from_secs(60)).expect("opens").0;
        let cache = Arc::new(cache);
        for content in held {
            let mut fill = cache.fill(Digest::of(content), content.len() as u64).expect("begins");
            fill.write(content).expect("writes");
            fill.finish().expect("publishes");
        }
        let (link, seen) = watch::channel(Link::default());
        let supply = Supply::new(cache, Vec::new(), "us".into(), seen, PATIENCE, Arc::default());
        let place = Place::Url(server.url.parse().expect("a URL"));
        supply.set_places(vec![(server.url.as_str().into(), place)]);
        Self { dir, supply: Arc::new(supply), _link: link }
    }

    /// The plan names a list for this blob.
    fn list(&self, content: &[u8], list: &[u8]) {
        let distinct = proto::chunks::ChunkList::parse(list).map_or(0, |list| list.distinct_bytes());
        let of = ChunkListRef { list: blob(list), distinct_bytes: distinct };
        self.supply.know_lists(ChunkLists::from([(Digest::of(content), of)]));
    }

    async fn fetch(&self, content: &[u8]) -> Result<(), FetchError> {
        fetch(&self.supply, blob(content), &Purpose::new(Need::Waiting, "a file")).await.map(drop)
    }

    fn holds(&self, content: &[u8]) -> bool {
        let held = self.supply.cache.get(&Digest::of(content)).expect("readable");
        held.is_some_and(|blob| {
            let mut found = vec![0; content.len()];
            blob.size == content.len() as u64
                && blob.file.read_exact_at(&mut found, 0).is_ok()
                && found == content
        })
    }

    fn path(&self, content: &[u8]) -> PathBuf {
        let digest = Digest::of(content).to_string();
        self.dir.path().join("blobs/sha256").join(&digest[..2]).join(digest)
    }
}

/// All that differs, with the chunks around it and their list.
const ABOUT_WHAT_CHANGED: u64 = 150_000;

#[tokio::test]
async fn a_new_version_costs_the_link_about_what_changed() {
    let (old, new) = versions();
    let list = list_of(&new);
    let server = Server::new(&[&new, &list], Manner::default()).await;
    let scene = Scene::new(&server, &[&noise(9, SIZE), &old]);
    scene.list(&new, &list);
    scene.fetch(&new).await.expect("it comes");
    assert!(scene.holds(&new));
    assert!(server.sent() < ABOUT_WHAT_CHANGED, "{} bytes", server.sent());
    let fetched = scene.supply.received() - list.len() as u64;
    assert_eq!(scene.supply.copied() + fetched, new.len() as u64);
    assert_eq!(server.asked.load(Ordering::Relaxed), 2, "for the list, and for all that differs");
    // The new version has a list of its own, for the next.
    assert!(scene.supply.cache.listed().expect("listed").contains(&Digest::of(&new)));
}

#[tokio::test]
async fn where_nothing_is_held_no_list_is_fetched() {
    let (_, new) = versions();
    let list = list_of(&new);
    let server = Server::new(&[&new, &list], Manner::default()).await;
    let scene = Scene::new(&server, &[]);
    scene.list(&new, &list);
    scene.fetch(&new).await.expect("it comes");
    assert!(scene.holds(&new));
    assert_eq!(scene.supply.received(), new.len() as u64);
}

#[tokio::test]
async fn what_a_blob_repeats_comes_once_even_if_nothing_is_held() {
    let mut disk = noise(1, SIZE);
    disk[100_000..2_900_000].fill(0);
    let list = list_of(&disk);
    let server = Server::new(&[&disk, &list], Manner::default()).await;
    let scene = Scene::new(&server, &[]);
    scene.list(&disk, &list);
    scene.fetch(&disk).await.expect("it comes");
    assert!(scene.holds(&disk));
    assert!(scene.supply.received() < 500_000, "{}", scene.supply.received());
}

#[tokio::test]
async fn a_list_that_cannot_be_had_or_is_none_costs_the_whole_and_nothing_more() {
    let (old, new) = versions();
    let short = list_of(&noise(5, SIZE / 2));
    for (list, there) in [(list_of(&new), false), (b"no list at all".to_vec(), true), (short, true)] {
        let blobs: &[&[u8]] = if there { &[&new, &list] } else { &[&new] };
        let server = Server::new(blobs, Manner::default()).await;
        let scene = Scene::new(&server, &[&old]);
        scene.list(&new, &list);
        scene.fetch(&new).await.expect("it comes whole");
        assert!(scene.holds(&new));
        assert_eq!(scene.supply.copied(), 0);
    }
}

#[tokio::test]
async fn a_list_that_lies_costs_the_whole() {
    let (old, new) = versions();
    let mut other = new.clone();
    other[2_000_000..2_100_000].copy_from_slice(&old[..100_000]);
    let list = list_of(&other);
    let server = Server::new(&[&new, &list], Manner::default()).await;
    let scene = Scene::new(&server, &[&old]);
    scene.list(&new, &list);
    scene.fetch(&new).await.expect("it is fetched whole");
    assert!(scene.holds(&new));
    assert!(scene.supply.received() > new.len() as u64);
}

#[tokio::test]
async fn a_source_that_lies_beside_copies_is_found_out() {
    let (old, new) = versions();
    let list = list_of(&new);
    let server = Server::new(&[&new, &list], Manner { wrong: true, ..Manner::default() }).await;
    let scene = Scene::new(&server, &[&old]);
    scene.list(&new, &list);
    scene.fetch(&new).await.expect("as a whole it is right");
    assert!(scene.holds(&new));
}

#[tokio::test]
async fn chunks_that_do_not_hold_are_fetched() {
    let (old, new) = versions();
    let list = list_of(&new);
    let server = Server::new(&[&new, &list], Manner::default()).await;
    let scene = Scene::new(&server, &[&old]);
    scene.list(&new, &list);
    let file = std::fs::OpenOptions::new().write(true).open(scene.path(&old)).expect("there");
    file.write_all_at(b"rot", 2_000_000).expect("written");
    scene.fetch(&new).await.expect("it comes");
    assert!(scene.holds(&new));
    assert!(scene.supply.copied() > 1_400_000, "what came before the damage was copied");
    let listed = scene.supply.cache.listed().expect("listed");
    assert!(!listed.contains(&Digest::of(&old)), "nothing more is copied by that list");
}

#[tokio::test]
async fn a_blob_that_is_gone_is_not_missed() {
    let (old, new) = versions();
    let list = list_of(&new);
    let server = Server::new(&[&new, &list], Manner::default()).await;
    let scene = Scene::new(&server, &[&old]);
    scene.list(&new, &list);
    std::fs::remove_file(scene.path(&old)).expect("it was there");
    scene.fetch(&new).await.expect("it comes");
    assert!(scene.holds(&new));
    assert_eq!(scene.supply.copied(), 0);
}

#[tokio::test]
async fn it_goes_on_where_it_was_cut() {
    let (old, new) = versions();
    let list = list_of(&new);
    for cut in [0, 100, 400, 1_500, 12_000, 20_000, 24_000] {
        let server = Server::new(&[&new, &list], Manner { cut: Some(cut), ..Manner::default() }).await;
        let scene = Scene::new(&server, &[&old]);
        scene.list(&new, &list);
        // What an earlier end left, in the middle of a chunk.
        let mut fill = scene.supply.cache.fill(Digest::of(&new), new.len() as u64).expect("begins");
        fill.write(&new[..5_500]).expect("writes");
        drop(fill);
        scene.fetch(&new).await.unwrap_or_else(|error| panic!("{cut}: {error}"));
        assert!(scene.holds(&new), "{cut}");
        assert!(server.sent() < ABOUT_WHAT_CHANGED, "{cut}: {} bytes", server.sent());
    }
}

#[tokio::test]
async fn a_source_that_gives_one_range_or_another_order_is_asked_for_each() {
    let (old, new) = versions();
    let list = list_of(&new);
    let single = Manner { single: true, ..Manner::default() };
    let reversed = Manner { reversed: true, ..Manner::default() };
    for manner in [single, reversed] {
        let server = Server::new(&[&new, &list], manner).await;
        let scene = Scene::new(&server, &[&old]);
        scene.list(&new, &list);
        let bound = Duration::from_secs(10);
        let fetched = tokio::time::timeout(bound, scene.fetch(&new)).await;
        fetched.expect("nobody is put aside").expect("it comes");
        assert!(scene.holds(&new));
        assert!(scene.supply.received() < ABOUT_WHAT_CHANGED, "{manner:?}: {}", scene.supply.received());
        assert!(server.blobs.lock().expect("no panic").contains_key(&Digest::of(&new).to_string()));
    }
}
