//! Answers that stand: given again on the same connection without a question, and told in sum.

use super::*;

/// A site whose desk lets its answers stand, and the end of them.
fn standing_site(files: &[(&str, &[u8])], blobs: &[(&str, &[u8])]) -> (Site, Epoch) {
    let dir = tempfile::tempdir().expect("tempdir");
    let (cache, _) = Cache::open(dir.path(), SystemTime::now(), SOON).expect("opens");
    let cache = Arc::new(cache);
    let mut table = BTreeMap::new();
    for (name, content) in files {
        table.insert((*name).to_owned(), Source::Bytes(content.to_vec().into()));
    }
    for (name, content) in blobs {
        table.insert((*name).to_owned(), Source::Blob(publish(&cache, content)));
    }
    let epoch = Epoch::default();
    let site = begin_with(table, Some(epoch.clone()), cache, dir, limits());
    (site, epoch)
}

fn publish(cache: &Arc<Cache>, content: &[u8]) -> BlobRef {
    let blob = blob(content);
    let mut fill = cache.fill(blob.digest, blob.size).expect("begins");
    fill.write(content).expect("writes");
    fill.finish().expect("publishes");
    blob
}

impl Site {
    fn asked(&self) -> usize {
        self.desk.asked.load(Ordering::Relaxed)
    }

    /// Fetches `path` on a connection that is kept, `bytes` long.
    async fn fetch(&self, mut socket: TcpStream, path: &'static str, bytes: usize) -> TcpStream {
        self.beside(move |_| {
            write!(socket, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").expect("sends");
            let mut socket = until_body(socket);
            socket.read_exact(&mut vec![0; bytes]).expect("all of it comes");
            socket
        })
        .await
    }

    /// Files of its folder that this process has open.
    fn files_open(&self) -> usize {
        let open = std::fs::read_dir("/proc/self/fd").expect("Linux says").flatten();
        let ours = |path: std::path::PathBuf| path.starts_with(self.dir.path());
        open.filter(|link| std::fs::read_link(link.path()).is_ok_and(ours)).count()
    }

    async fn has_let_go(&self) {
        let closed = async {
            while self.files_open() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(SOON, closed).await.expect("an idle connection holds no file");
    }

    async fn told_of(&mut self) -> Sent {
        let told = tokio::time::timeout(SOON, self.told.recv()).await;
        told.expect("it is told soon").expect("the desk is there").1
    }
}

#[tokio::test]
async fn the_desk_is_asked_once_and_told_of_repeats_in_sum() {
    let (mut site, _epoch) = standing_site(&[], &[("linux", b"kernel"), ("initrd", &[1; 2 << 20])]);
    let mut socket = connect(site.serving.address());
    for _ in 0..5 {
        socket = site.fetch(socket, "/linux", 6).await;
    }
    let first = site.told_of().await;
    assert_eq!((first.bytes, first.repeats, first.end), (6, 0, FileEnd::Whole));
    assert!(site.told_nothing(), "the others are told in sum");
    socket = site.fetch(socket, "/initrd", 2 << 20).await;
    let repeats = site.told_of().await;
    assert_eq!((repeats.bytes, repeats.repeats, repeats.end), (4 * 6, 3, FileEnd::Whole));
    assert_eq!(site.told_of().await.bytes, 2 << 20);
    socket = site.fetch(socket, "/initrd", 2 << 20).await;
    assert_eq!(site.asked(), 2);
    drop(socket);
    let last = site.told_of().await;
    assert_eq!((last.bytes, last.repeats), (2 << 20, 0), "also when the connection ends");
}

#[tokio::test]
async fn an_idle_connection_lets_go_of_what_stands_no_more() {
    let (mut site, _epoch) = standing_site(&[], &[("initrd", &[1; 2 << 20])]);
    let socket = site.fetch(connect(site.serving.address()), "/initrd", 2 << 20).await;
    assert_eq!(site.told_of().await.bytes, 2 << 20);
    site.has_let_go().await;
    drop(site.fetch(socket, "/initrd", 2 << 20).await);
    assert_eq!(site.asked(), 2);
}

#[tokio::test]
async fn an_answer_that_does_not_stand_is_let_go_at_its_end() {
    let site = site(&[], &[("initrd", &[1; 2 << 20])], limits());
    let socket = site.fetch(connect(site.serving.address()), "/initrd", 2 << 20).await;
    site.has_let_go().await;
    drop(socket);
}

#[tokio::test]
async fn what_was_revoked_between_two_fetches_is_asked_for_again() {
    let (site, epoch) = standing_site(&[("menu", b"#!ipxe\n")], &[]);
    let mut socket = connect(site.serving.address());
    socket = site.fetch(socket, "/menu", 7).await;
    socket = site.fetch(socket, "/menu", 7).await;
    assert_eq!(site.asked(), 1);
    epoch.raise();
    drop(site.fetch(socket, "/menu", 7).await);
    assert_eq!(site.asked(), 2);
}

#[tokio::test]
async fn each_connection_asks_for_itself_and_each_name() {
    let (site, _epoch) = standing_site(&[("menu", b"#!ipxe\n"), ("more", b"#!ipxe\n")], &[]);
    let (one, other) = (connect(site.serving.address()), connect(site.serving.address()));
    let one = site.fetch(one, "/menu", 7).await;
    drop(site.fetch(other, "/menu", 7).await);
    drop(site.fetch(one, "/more", 7).await);
    assert_eq!(site.asked(), 3);
}

#[tokio::test]
async fn a_blob_that_leaves_the_cache_is_not_served_from_memory() {
    let (site, _epoch) = standing_site(&[], &[("linux", b"kernel")]);
    let socket = connect(site.serving.address());
    let socket = site.fetch(socket, "/linux", 6).await;
    site.cache.evict_to(0, |_| Some(())).expect("evicts");
    let status = site.beside(move |_| {
        let mut socket = socket;
        socket.write_all(b"GET /linux HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("sends");
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).expect("reads");
        text(answer)
    });
    assert!(status.await.starts_with("HTTP/1.1 503"));
}
