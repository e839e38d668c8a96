//! How machines fetch: the least TFTP and HTTP that a boot needs, from an address of their own.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, UdpSocket};
use tokio::time::timeout;

use crate::rom::Source;

/// TFTP: how long a server may say nothing before a packet is sent again: one that is killed says nothing more.
const STILL: Duration = Duration::from_millis(700);
/// HTTP: how long a transfer may stand still. A kill closes the connection, so this is for what hangs.
const HTTP_STILL: Duration = Duration::from_secs(20);
/// TFTP: how often a packet is sent before the server is taken for dead.
const TRIES: u32 = 3;
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
        Source::Tftp { server, name } => tftp(from, *server, name).await,
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

/// RFC 1350 without options: 512 bytes a block, in step.
async fn tftp(from: Ipv4Addr, server: Ipv4Addr, name: &str) -> io::Result<Fetched> {
    let socket = UdpSocket::bind((from, 0)).await?;
    let mut send = [&[0, 1], name.as_bytes(), b"\0octet\0"].concat();
    let mut to = SocketAddr::from((server, 69));
    let (mut file, mut block, mut buffer) = (Vec::new(), 1_u16, vec![0; 600]);
    loop {
        let Some((length, peer)) = ask(&socket, &send, to, &mut buffer).await? else {
            return Ok(Fetched::Broken(file.len()));
        };
        match &buffer[..length] {
            [0, 3, high, low, data @ ..] if u16::from_be_bytes([*high, *low]) == block => {
                file.extend_from_slice(data);
                (send, to) = (vec![0, 4, *high, *low], peer);
                if data.len() < 512 {
                    socket.send_to(&send, to).await?;
                    return Ok(Fetched::Whole(file));
                }
                block = block.wrapping_add(1);
            }
            [0, 5, 0, 1, ..] => return Ok(Fetched::Refused),
            [0, 5, ..] => return Ok(Fetched::Broken(file.len())),
            _ => {}
        }
    }
}

/// Sends, and sends again, until something comes; None: nothing does.
async fn ask(
    socket: &UdpSocket,
    packet: &[u8],
    to: SocketAddr,
    buffer: &mut [u8],
) -> io::Result<Option<(usize, SocketAddr)>> {
    for _ in 0..TRIES {
        socket.send_to(packet, to).await?;
        if let Ok(received) = timeout(STILL, socket.recv_from(buffer)).await {
            return received.map(Some);
        }
    }
    Ok(None)
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
