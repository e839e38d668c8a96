//! Many clients, slow ones and silent ones among them.

use super::*;

const CLIENTS: usize = 199;
const IMAGE: usize = 4 << 20;

/// Fetches `path` whole; the bytes of its body.
fn fetched(address: SocketAddr, path: &str) -> usize {
    let mut socket = connect(address);
    write!(socket, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("sends");
    let mut socket = until_body(socket);
    let mut body = Vec::new();
    socket.read_to_end(&mut body).expect("reads")
}

#[tokio::test]
async fn a_thousand_half_open_clients_keep_nobody_from_being_served() {
    let many = Limits { connections_per_address: 2_000, ..limits() };
    let site = site(&[("menu", b"#!ipxe\n")], &[("disk.img", &content(IMAGE))], many);
    let done = site.beside(|address| {
        let halves: [&[u8]; 4] =
            [b"", b"G", b"GET /menu HTTP/1.1\r\nHos", b"GET /menu HTTP/1.1\r\nHost: x\r\n"];
        let held: Vec<TcpStream> = (0..1_000)
            .map(|at| {
                let mut socket = connect(address);
                socket.write_all(halves[at % halves.len()]).expect("sends");
                socket
            })
            .collect();
        let done = (fetched(address, "/menu"), fetched(address, "/disk.img"));
        drop(held);
        done
    });
    assert_eq!(done.await, (7, IMAGE));
}

/// One who takes a byte now and then, and reads no more until all others have theirs: if anything of theirs waited for it,
/// they would wait for ever.
#[tokio::test]
async fn one_slow_client_holds_up_none_of_199_others() {
    let many = Limits { connections_per_address: 2_000, ..limits() };
    let site = site(&[], &[("disk.img", &content(MUCH)), ("initrd", &content(IMAGE))], many);
    let address = site.serving.address();
    let mut slow = connect(address);
    slow.write_all(b"GET /disk.img HTTP/1.1\r\nHost: x\r\n\r\n").expect("sends");
    let mut slow = site.beside(|_| until_body(slow)).await;
    let mut others = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        others.spawn_blocking(move || fetched(address, "/initrd"));
    }
    let mut done = 0;
    while let Some(fetched) = others.join_next().await {
        assert_eq!(fetched.expect("no panic"), IMAGE);
        done += 1;
        if done % 50 == 0 {
            slow.read_exact(&mut [0]).expect("its bytes are there");
        }
    }
    assert_eq!(done, CLIENTS);
    let rest = site.beside(move |_| std::io::copy(&mut slow.take(MUCH as u64 - 3), &mut std::io::sink()));
    assert_eq!(rest.await.expect("it goes on"), MUCH as u64 - 3);
}
