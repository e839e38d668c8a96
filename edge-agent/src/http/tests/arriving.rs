//! Files that come while they are sent, or end before they are whole.

use super::*;

#[tokio::test]
async fn an_arriving_blob_is_sent_as_it_arrives() {
    let content = content(3 * usize::try_from(WITHHELD_BYTES).expect("small"));
    let mut site = site_without("linux", &content, Limits { blob_patience: SOON, ..Limits::default() });
    let mut socket = connect(site.serving.address());
    socket.write_all(b"GET /linux HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("sends");
    let wanted = site.fetcher.recv().await.expect("it is asked for");
    let mut fill = site.cache.fill(wanted.digest, wanted.size).expect("begins");
    fill.write(&content[..1000]).expect("writes");
    let (mut socket, mut answer) = site
        .beside(move |_| {
            let mut answer = Vec::new();
            while !answer.windows(4).any(|window| window == b"\r\n\r\n") || answer.len() < 1200 {
                let mut piece = [0; 4096];
                let read = socket.read(&mut piece).expect("the first bytes come before the last are there");
                assert!(read > 0, "closed early");
                answer.extend_from_slice(&piece[..read]);
            }
            (socket, answer)
        })
        .await;
    fill.write(&content[1000..]).expect("writes");
    fill.finish().expect("publishes");
    site.beside(move |_| {
        socket.read_to_end(&mut answer).expect("reads");
        assert!(answer.ends_with(&content));
    })
    .await;
    assert_eq!(site.told().await, told("linux", 3 * WITHHELD_BYTES));
}

/// Asks for an arriving blob of three times the withheld size, lets `end` act on its fill once the answer has begun, and
/// gives how many bytes of the body came until the connection was closed, and what was told.
async fn cut_short(limits: Limits, end: impl FnOnce(Fill, &[u8])) -> (usize, u64, Option<String>) {
    let content = content(3 * usize::try_from(WITHHELD_BYTES).expect("small"));
    let mut site = site_without("linux", &content, Limits { blob_patience: SOON, ..limits });
    let mut socket = connect(site.serving.address());
    socket.write_all(b"GET /linux HTTP/1.1\r\nHost: x\r\n\r\n").expect("sends");
    let wanted = site.fetcher.recv().await.expect("it is asked for");
    let fill = site.cache.fill(wanted.digest, wanted.size).expect("begins");
    let mut socket = site.beside(|_| until_body(socket)).await;
    end(fill, &content);
    let came = site.beside(move |_| {
        let mut body = Vec::new();
        // A reset is a close too.
        let _ = socket.read_to_end(&mut body);
        body
    });
    let came = came.await;
    assert!(came.len() < content.len());
    let (_, bytes, broken) = site.told().await;
    (came.len(), bytes, broken)
}

#[tokio::test]
async fn a_wrong_digest_ends_the_body_short() {
    let (came, bytes, broken) = cut_short(limits(), |mut fill, content| {
        fill.write(&content[1..]).expect("writes");
        fill.write(b"x").expect("writes");
        fill.finish().expect_err("wrong digest");
    })
    .await;
    assert!(came as u64 <= 2 * WITHHELD_BYTES, "the end is withheld: {came}");
    assert!(bytes <= 2 * WITHHELD_BYTES, "{bytes}");
    assert_eq!(broken.as_deref(), Some("the blob that arrived is not the one that the plan names"));
}

#[tokio::test]
async fn a_fill_that_is_given_up_ends_the_body_short() {
    let (came, bytes, broken) = cut_short(limits(), |mut fill, content| {
        fill.write(&content[..1000]).expect("writes");
    })
    .await;
    assert!(came <= 1000 && bytes <= 1000);
    assert_eq!(broken.as_deref(), Some("the blob stopped arriving"));
}

#[tokio::test]
async fn a_fill_that_stands_still_ends_the_body_short() {
    let mut held = None;
    let limits = Limits { arrival_stall: Duration::from_millis(200), ..limits() };
    let (came, _, broken) = cut_short(limits, |fill, _| held = Some(fill)).await;
    assert_eq!(came, 0);
    assert!(broken.expect("it failed").starts_with("the blob stood still"));
}

#[tokio::test]
async fn a_file_that_shrinks_ends_its_connection_alone() {
    let content = content(MUCH);
    let mut site = site(&[("menu", b"x")], &[("disk.img", &content)], limits());
    let digest = Digest::of(&content).to_string();
    let path = site.dir.path().join("blobs/sha256").join(&digest[..2]).join(&digest);
    let mut socket = connect(site.serving.address());
    socket.write_all(b"GET /disk.img HTTP/1.1\r\nHost: x\r\n\r\n").expect("sends");
    let read = site.beside(move |_| {
        socket.read_exact(&mut [0; 1000]).expect("it begins");
        std::fs::OpenOptions::new()
            .write(true)
            .open(path)
            .and_then(|file| file.set_len(10))
            .expect("shrinks");
        let mut rest = Vec::new();
        socket.read_to_end(&mut rest).map(|read| read + 1000)
    });
    assert!(read.await.is_ok_and(|read| read < MUCH));
    let (name, bytes, broken) = site.told().await;
    assert!(name == "disk.img" && bytes < MUCH as u64);
    assert!(broken.expect("it failed").starts_with("failed to read the file"));
    assert_eq!(site.status("/menu", &[]).await, "200");
}
