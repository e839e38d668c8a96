//! A load's HTTP client: one file, one connection, as iPXE asks for it. The beginning is kept and the rest is counted.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// What is kept of a body: scripts are shorter.
const KEPT: usize = 64 << 10;
/// A head is shorter.
const HEAD: usize = 16 << 10;
/// What is read at one time.
const CHUNK: usize = 256 << 10;

/// Fetches `url`, from an address of this namespace. Returns the first 64 KiB of the body.
///
/// # Errors
/// When the server cannot be reached, does not answer with 200 and a length, or sends another number of bytes.
pub(super) async fn get(from: Ipv4Addr, url: &str) -> io::Result<Vec<u8>> {
    Ok(fetch(from, url).await?.0)
}

/// The same, with the length of the whole body.
pub(super) async fn fetch(from: Ipv4Addr, url: &str) -> io::Result<(Vec<u8>, u64)> {
    let (host, path) = target(url).ok_or_else(|| wrong("no URL of the swarm"))?;
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((from, 0)))?;
    let mut stream = socket.connect(host).await?;
    let request = format!("GET {path} HTTP/1.1\r\nConnection: close\r\nHost: {}\r\n\r\n", host.ip());
    stream.write_all(request.as_bytes()).await?;
    let (length, mut kept) = head(&mut stream).await?;
    let mut received = kept.len() as u64;
    let mut chunk = vec![0; CHUNK];
    loop {
        match stream.read(&mut chunk).await? {
            0 if received == length => return Ok((kept, length)),
            0 => return Err(wrong("the body is short")),
            read => {
                received += read as u64;
                let room = KEPT.saturating_sub(kept.len()).min(read);
                kept.extend_from_slice(&chunk[..room]);
            }
        }
    }
}

/// Reads to the end of the head: the body's length, and what has come of the body with it.
async fn head(stream: &mut TcpStream) -> io::Result<(u64, Vec<u8>)> {
    let mut received = Vec::with_capacity(HEAD);
    loop {
        if let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
            let length = length(&received[..end]).ok_or_else(|| wrong("no 200 with a length"))?;
            return Ok((length, received.split_off(end + 4)));
        }
        if received.len() > HEAD || stream.read_buf(&mut received).await? == 0 {
            return Err(wrong("no head"));
        }
    }
}

/// The body's, of a 200.
fn length(head: &[u8]) -> Option<u64> {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let good = head.split_ascii_whitespace().nth(1) == Some("200");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    length.filter(|_| good)
}

/// Where to connect, and the path.
fn target(url: &str) -> Option<(SocketAddr, &str)> {
    let rest = url.strip_prefix("http://")?;
    let (authority, path) = rest.split_at(rest.find('/')?);
    let with_port = authority.parse().ok();
    let host = with_port.or_else(|| Some(SocketAddr::from((authority.parse::<Ipv4Addr>().ok()?, 80))));
    Some((host?, path))
}

fn wrong(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_heads() {
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
        assert_eq!(target("http://10.64.0.1/a/b"), Some((address("10.64.0.1:80"), "/a/b")));
        assert_eq!(target("http://10.64.0.1:8080/"), Some((address("10.64.0.1:8080"), "/")));
        assert_eq!((target("http://10.64.0.1"), target("ftp://10.64.0.1/")), (None, None));
        assert_eq!(length(b"HTTP/1.1 200 OK\r\nContent-Length: 12"), Some(12));
        assert_eq!(length(b"HTTP/1.1 404 Not Found\r\nContent-Length: 12"), None);
        assert_eq!(length(b"HTTP/1.1 200 OK"), None);
    }

    #[tokio::test]
    async fn the_beginning_is_kept_and_the_rest_is_counted() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let port = listener.local_addr().expect("known").port();
        let server = tokio::spawn(async move {
            for sent in [100_000, 99_999] {
                let (mut stream, _) = listener.accept().await.expect("a client");
                let mut request = [0; 1_024];
                assert!(stream.read(&mut request).await.expect("a request") > 0);
                let head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n".as_slice();
                stream.write_all(&[head, &vec![7; sent]].concat()).await.expect("sent");
            }
        });
        let url = format!("http://127.0.0.1:{port}/file");
        let file = get(Ipv4Addr::LOCALHOST, &url).await.expect("whole");
        assert_eq!(file, vec![7; KEPT]);
        assert!(get(Ipv4Addr::LOCALHOST, &url).await.is_err(), "a byte is missing");
        server.await.expect("no panic");
    }
}
