//! How machines fetch: the least TFTP and HTTP that a boot needs, from an address of their own.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::time::timeout;

use super::tftp::{self, Patience};
use rom::Source;

/// HTTP: how long a transfer may stand still. A kill closes the connection, so this is for what hangs.
const HTTP_STILL: Duration = Duration::from_secs(20);
/// The largest file, in bytes.
const LARGEST: usize = 16 << 20;

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// All of it.
    Whole(Vec<u8>),
    /// The server says that there is no such thing (404, TFTP error 1), or not now (409).
    Refused,
    /// It broke off; this many bytes had come.
    Broken(usize),
}

/// Fetches a file.
pub async fn fetch(from: Ipv4Addr, source: &Source) -> Fetched {
    let done = match source {
        Source::Tftp { server, name, options } => {
            tftp::get(from, *server, name, options, Patience::SHORT).await
        }
        Source::Http { url } => return http("GET", from, url).await,
    };
    done.unwrap_or(Fetched::Broken(0))
}

/// One request over HTTP/1.1, one connection. A body is never sent.
pub async fn http(method: &str, from: Ipv4Addr, url: &str) -> Fetched {
    let mut reply = Vec::new();
    let exchange = exchange(method, from, url, &mut reply);
    let ended = exchange.await.is_ok();
    read_reply(&reply, ended)
}

async fn exchange(method: &str, from: Ipv4Addr, url: &str, reply: &mut Vec<u8>) -> io::Result<()> {
    let bad = || io::Error::from(io::ErrorKind::InvalidInput);
    let (authority, path) =
        url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).ok_or_else(bad)?;
    let host = authority.split(':').next().and_then(|host| host.parse::<Ipv4Addr>().ok()).ok_or_else(bad)?;
    let port = authority.split_once(':').map_or(Ok(80), |(_, port)| port.parse()).map_err(|_| bad())?;
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((from, 0)))?;
    let mut stream = timeout(HTTP_STILL, socket.connect(SocketAddr::from((host, port)))).await??;
    let request = format!("{method} /{path} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    while reply.len() < LARGEST && timeout(HTTP_STILL, stream.read_buf(reply)).await?? > 0 {}
    Ok(())
}

/// What has come so far, as RFC 9112 §6 reads it.
fn read_reply(reply: &[u8], ended: bool) -> Fetched {
    let Some(end) = reply.windows(4).position(|four| four == b"\r\n\r\n") else { return Fetched::Broken(0) };
    let head = String::from_utf8_lossy(&reply[..end]).to_ascii_lowercase();
    let body = &reply[end + 4..];
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    match head.split_ascii_whitespace().nth(1) {
        Some("200") if length.map_or(ended, |length: usize| body.len() == length) => {
            Fetched::Whole(body.into())
        }
        Some("404" | "409") => Fetched::Refused,
        _ => Fetched::Broken(body.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_read_as_far_as_they_have_come() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(read_reply(whole, true), Fetched::Whole(b"abc".to_vec()));
        assert_eq!(read_reply(&whole[..whole.len() - 1], true), Fetched::Broken(2));
        assert_eq!(read_reply(b"HTTP/1.1 200 OK\r\nconte", true), Fetched::Broken(0));
        assert_eq!(read_reply(b"HTTP/1.1 404 Not Found\r\n\r\n", true), Fetched::Refused);
        assert_eq!(read_reply(b"HTTP/1.1 503 Busy\r\n\r\n", true), Fetched::Broken(0));
        assert_eq!(read_reply(b"HTTP/1.1 200 OK\r\n\r\nab", false), Fetched::Broken(2));
    }
}
