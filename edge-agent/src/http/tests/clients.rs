//! Clients that leave, take nothing, say nothing, or are too many.

use super::*;

/// More than the sockets between us and a client that does not read hold.
#[tokio::test]
async fn a_client_that_goes_away_is_told() {
    let content = content(MUCH);
    let mut site = site(&[], &[("disk.img", &content)], limits());
    site.beside(|address| {
        let mut socket = connect(address);
        socket.write_all(b"GET /disk.img HTTP/1.1\r\nHost: x\r\n\r\n").expect("sends");
        socket.read_exact(&mut [0; 100_000]).expect("reads");
    })
    .await;
    let (name, bytes, broken) = site.told().await;
    assert_eq!((name.as_str(), broken.as_deref()), ("disk.img", Some("the client went away")));
    assert!(bytes < content.len() as u64, "{bytes}");
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off() {
    let content = content(MUCH);
    let stall = Duration::from_millis(300);
    let mut site = site(&[], &[("disk.img", &content)], Limits { stall, ..limits() });
    let mut socket = connect(site.serving.address());
    socket.write_all(b"GET /disk.img HTTP/1.1\r\nHost: x\r\n\r\n").expect("sends");
    let (name, bytes, broken) = site.told().await;
    assert_eq!((name.as_str(), broken.as_deref()), ("disk.img", Some("the client took nothing more")));
    assert!(bytes < content.len() as u64, "{bytes}");
}

#[tokio::test]
async fn a_slow_client_that_takes_something_is_not_cut_off() {
    let content = content(MUCH);
    // Its pauses are far below the limit and together far beyond it, on a busy machine too.
    let stall = Duration::from_secs(2);
    let mut site =
        site(&[], &[("disk.img", &content)], Limits { stall, idle: stall, head: stall, ..limits() });
    let began = Instant::now();
    site.beside(move |address| {
        let mut socket = connect(address);
        socket.write_all(b"GET /disk.img HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("sends");
        let mut answer = Vec::new();
        while (&mut socket).take(MUCH as u64 / 10).read_to_end(&mut answer).expect("reads") > 0 {
            std::thread::sleep(Duration::from_millis(450));
        }
        assert!(answer.len() > MUCH, "{}", answer.len());
    })
    .await;
    assert!(began.elapsed() > stall * 2);
    assert_eq!(site.told().await, told("disk.img", MUCH as u64));
}

/// Reads until the server closes; how long that took.
fn closed_after(mut socket: TcpStream) -> Duration {
    let began = Instant::now();
    let mut rest = Vec::new();
    // A reset is a close too.
    let _ = socket.read_to_end(&mut rest);
    began.elapsed()
}

#[tokio::test]
async fn clients_that_do_not_speak_are_cut_off() {
    let short = Duration::from_millis(300);
    let site_of = |head, idle| site(&[("menu", b"x")], &[], Limits { head, idle, ..limits() });
    // That it comes at all tells which limit it was: the other one never ends.
    let near = |took: Duration| took >= short / 2 && took < SOON;
    let site = site_of(short, NEVER);
    let silent = site.beside(|address| closed_after(connect(address))).await;
    assert!(near(silent), "{silent:?}");
    let halfway = site.beside(|address| {
        let mut socket = connect(address);
        socket.write_all(b"GET /menu HTT").expect("sends");
        closed_after(socket)
    });
    let halfway = halfway.await;
    assert!(near(halfway), "{halfway:?}");
    let (ample, idle) = (Duration::from_secs(2), Duration::from_secs(4));
    let site = site_of(ample, idle);
    let idling = site.beside(|address| {
        let mut socket = connect(address);
        socket.write_all(b"GET /menu HTTP/1.1\r\nHost: x\r\n\r\n").expect("sends");
        closed_after(socket)
    });
    let idling = idling.await;
    assert!(idling > (ample + idle) / 2 && idling < SOON, "{idling:?}");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let site = site(&[("menu", b"x")], &[], limits());
    let fields: Vec<String> = (0..80).flat_map(|at| ["-H".to_owned(), format!("X-{at}: x")]).collect();
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    assert_eq!(site.status("/menu", &fields).await, "431");
    let long = format!("X-Long: {}", "x".repeat(20_000));
    assert_eq!(site.status("/menu", &["-H", &long]).await, "431");
    assert_eq!(site.status("/menu", &[]).await, "200");
}

#[tokio::test]
async fn an_address_has_so_many_connections() {
    let site = site(&[("menu", b"x")], &[], Limits { connections_per_address: 2, head: NEVER, ..limits() });
    let address = site.serving.address();
    let held = [connect(address), connect(address)];
    let refused = site.beside(|address| closed_after(connect(address))).await;
    assert!(refused < SOON, "{refused:?}");
    drop(held);
    let mut status = String::new();
    let until = Instant::now() + SOON;
    while status != "200" && Instant::now() < until {
        status = site.status("/menu", &[]).await;
    }
    assert_eq!(status, "200");
}

#[tokio::test]
async fn a_stop_lets_short_answers_end_and_cuts_long_ones() {
    let content = content(MUCH);
    let drain = Duration::from_millis(200);
    let mut site = site(&[], &[("disk.img", &content)], Limits { drain, ..limits() });
    let mut socket = connect(site.serving.address());
    socket.write_all(b"GET /disk.img HTTP/1.1\r\nHost: x\r\n\r\n").expect("sends");
    let socket = site
        .beside(move |_| {
            socket.read_exact(&mut [0; 1000]).expect("it begins");
            socket
        })
        .await;
    site.shutdown.cancel();
    tokio::time::timeout(SOON, site.serving.stopped()).await.expect("it stops soon").expect("no panic");
    let (_, bytes, broken) = site.told().await;
    assert!(bytes < content.len() as u64);
    assert_eq!(broken.as_deref(), Some("the agent stops"));
    drop(socket);
}
