//! An upstream on loopback that answers as it is told, byte by byte, and notes what it was asked.

use std::{
    collections::{HashMap, VecDeque},
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
};

/// A piece of an answer.
#[derive(Clone)]
pub(in crate::mirror) enum Part {
    Bytes(Vec<u8>),
    /// Goes on when it is told to.
    Wait(Arc<Notify>),
    /// Goes on after so long.
    Pause(Duration),
    /// Says nothing any more.
    Hang,
}

/// An answer; after it the connection is closed.
pub(in crate::mirror) type Reply = Vec<Part>;

/// 200 with a length, and further fields.
pub(in crate::mirror) fn ok(fields: &str, body: &[u8]) -> Reply {
    announced(fields, body.len(), body)
}

/// 200 that says `length` bytes follow.
pub(in crate::mirror) fn announced(fields: &str, length: usize, body: &[u8]) -> Reply {
    let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n{fields}\r\n");
    vec![Part::Bytes([head.as_bytes(), body].concat())]
}

/// 200 in chunks, without a length.
pub(in crate::mirror) fn chunked(chunks: &[&[u8]]) -> Reply {
    let mut bytes = b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in chunks {
        bytes.extend(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend(*chunk);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"0\r\n\r\n");
    vec![Part::Bytes(bytes)]
}

/// 200 without a length: the end of the connection is the file's, or a cut.
pub(in crate::mirror) fn unbounded(fields: &str, body: &[u8]) -> Reply {
    let head = format!("HTTP/1.0 200 OK\r\n{fields}\r\n");
    vec![Part::Bytes([head.as_bytes(), body].concat())]
}

/// One whose body comes by a few bytes at a time.
pub(in crate::mirror) fn dripping(fields: &str, body: &[u8], few: usize, pause: Duration) -> Reply {
    let mut reply = announced(fields, body.len(), &[]);
    reply.extend(body.chunks(few).flat_map(|few| [Part::Bytes(few.to_vec()), Part::Pause(pause)]));
    reply
}

/// A status without a body, and further fields.
pub(in crate::mirror) fn status(line: &str, fields: &str) -> Reply {
    let head = format!("HTTP/1.1 {line}\r\nConnection: close\r\nContent-Length: 0\r\n{fields}\r\n");
    vec![Part::Bytes(head.into_bytes())]
}

/// The bytes from `from` on of a file of `whole`.
pub(in crate::mirror) fn rest(fields: &str, whole: &[u8], from: usize) -> Reply {
    let (length, last, size) = (whole.len() - from, whole.len() - 1, whole.len());
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\nConnection: close\r\nContent-Length: {length}\r\n\
         Content-Range: bytes {from}-{last}/{size}\r\n{fields}\r\n"
    );
    vec![Part::Bytes([head.as_bytes(), &whole[from..]].concat())]
}

/// One with a wait after its first `at` bytes of body.
pub(in crate::mirror) fn held_up(fields: &str, body: &[u8], at: usize, gate: &Arc<Notify>) -> Reply {
    let mut reply = announced(fields, body.len(), &body[..at]);
    reply.extend([Part::Wait(Arc::clone(gate)), Part::Bytes(body[at..].to_vec())]);
    reply
}

#[derive(Default)]
struct Script {
    replies: HashMap<String, VecDeque<Reply>>,
    asked: Vec<String>,
}

/// The upstream.
pub(in crate::mirror) struct Upstream {
    pub(in crate::mirror) base: String,
    script: Arc<Mutex<Script>>,
    task: JoinHandle<()>,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Upstream {
    pub(in crate::mirror) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
        let base = format!("http://{}/base/", listener.local_addr().expect("bound"));
        let script = Arc::new(Mutex::new(Script::default()));
        let shared = Arc::clone(&script);
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(converse(socket, Arc::clone(&shared)));
            }
        });
        Self { base, script, task }
    }

    /// The next answers to questions after `path`; the last one goes on for ever.
    pub(in crate::mirror) fn say(&self, path: &str, replies: impl IntoIterator<Item = Reply>) {
        let mut script = self.script.lock().expect("no panic");
        script.replies.insert(format!("/base/{path}"), replies.into_iter().collect());
    }

    /// The heads of all requests so far.
    pub(in crate::mirror) fn asked(&self) -> Vec<String> {
        self.script.lock().expect("no panic").asked.clone()
    }

    /// Nobody listens there any more.
    pub(in crate::mirror) async fn stop(&mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

async fn converse(mut socket: TcpStream, script: Arc<Mutex<Script>>) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if socket.read(&mut byte).await? == 0 {
            return Ok(());
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let reply = {
        let mut script = script.lock().expect("no panic");
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        script.asked.push(head);
        match script.replies.get_mut(&path) {
            Some(replies) if replies.len() > 1 => replies.pop_front(),
            Some(replies) => replies.front().cloned(),
            None => None,
        }
    };
    for part in reply.unwrap_or_else(|| status("404 Not Found", "")) {
        match part {
            Part::Bytes(bytes) => socket.write_all(&bytes).await?,
            Part::Wait(gate) => gate.notified().await,
            Part::Pause(pause) => tokio::time::sleep(pause).await,
            Part::Hang => std::future::pending().await,
        }
    }
    socket.shutdown().await
}
