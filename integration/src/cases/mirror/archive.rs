//! The upstream of the lab's mirror: it stands where the controller stands, passes each request on to the archive that
//! this machine's own apt uses (or serves a copy of one from a folder), and counts.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use proto::Digest;

use crate::kills::inside;
use crate::lab::Namespace;

/// A folder with a copy of an archive (`dists`, `pool`), for machines that reach none.
const COPY_VARIABLE: &str = "BOOTLANE_LAB_ARCHIVE";
/// How long the archive may take to connect, and to say anything.
const PATIENCE: Duration = Duration::from_secs(30);
/// A request's head and an answer's, in bytes.
const LONGEST_HEAD: u64 = 64 << 10;
/// The largest index, in bytes.
const LARGEST_INDEX: u64 = 256 << 20;

/// An archive of the machine's own release.
#[derive(Debug, Clone)]
pub(super) struct Archive {
    /// Its release: `bookworm`.
    pub(super) codename: String,
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    /// At `http://HOST:PORT/BASE`; the base ends with a slash.
    Remote {
        host: String,
        port: u16,
        base: String,
    },
    Folder(PathBuf),
}

impl Archive {
    /// The copy that the environment names, or else the archive of this machine's apt, if it can be reached over HTTP.
    pub(super) fn find() -> anyhow::Result<Self> {
        let codename = codename()?;
        if let Some(folder) = std::env::var_os(COPY_VARIABLE) {
            return Ok(Self { codename, place: Place::Folder(folder.into()) });
        }
        let listed = Command::new("apt-get")
            .args(["indextargets", "--format", "$(REPO_URI) $(CODENAME) $(COMPONENT) $(CREATED_BY)"])
            .output()
            .context("failed to ask apt for its archive")?;
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        let of_release = |line: &&str| line.ends_with(&format!(" {codename} main Packages"));
        let places = listed.lines().filter(of_release).filter_map(|line| remote(line.split(' ').next()?));
        for place in places {
            let archive = Self { codename: codename.clone(), place };
            if archive.is_there() {
                return Ok(archive);
            }
        }
        bail!(
            "no archive of {codename} that apt uses is reached over HTTP; name a folder with a copy of one in {COPY_VARIABLE}"
        )
    }

    fn is_there(&self) -> bool {
        let request = Request {
            path: format!("dists/{}/InRelease", self.codename),
            conditions: BTreeMap::new(),
            head: true,
        };
        self.answer(&request, &mut io::sink()).is_ok_and(|answered| answered.status == 200)
    }

    fn answer(&self, request: &Request, out: &mut impl Write) -> io::Result<Answered> {
        match &self.place {
            Place::Remote { host, port, base } => pass_on(host, *port, base, request, out),
            Place::Folder(folder) => from_folder(folder, request, out),
        }
    }
}

/// From `/etc/os-release`.
fn codename() -> anyhow::Result<String> {
    let text = fs::read_to_string("/etc/os-release").context("failed to read /etc/os-release")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    Ok(line.context("/etc/os-release names no release")?.trim_matches('"').to_owned())
}

fn remote(uri: &str) -> Option<Place> {
    let (server, path) = uri.strip_prefix("http://")?.split_once('/')?;
    let (host, port) =
        server.split_once(':').map_or(Some((server, 80)), |(host, port)| Some((host, port.parse().ok()?)))?;
    let base = format!("/{}/", path.trim_matches('/'));
    Some(Place::Remote { host: host.to_owned(), port, base })
}

/// What an agent asks for.
struct Request {
    /// Below the archive, without a slash in front.
    path: String,
    /// The fields that ask for another version or a part, as they were sent, by lower-case name.
    conditions: BTreeMap<String, String>,
    head: bool,
}

/// What was answered.
#[derive(Debug, Clone, Copy)]
struct Answered {
    status: u16,
    /// Of the body.
    bytes: u64,
}

/// A request that came over the WAN, and what went back.
#[derive(Debug, Clone)]
pub(super) struct Exchange {
    pub(super) path: String,
    /// Only another version than the one that is held was asked for.
    pub(super) conditional: bool,
    pub(super) status: u16,
    /// Of the body.
    pub(super) bytes: u64,
}

/// The upstream at work, until it is dropped; its thread ends with the lab.
pub(super) struct Upstream {
    exchanges: Arc<Mutex<Vec<Exchange>>>,
}

impl Upstream {
    /// Listens in the namespace.
    pub(super) fn start(
        namespace: &Namespace,
        address: Ipv4Addr,
        port: u16,
        archive: Archive,
    ) -> anyhow::Result<Self> {
        let place = SocketAddr::from((address, port));
        let bound = inside::spawn(namespace, async move || TcpListener::bind(place))?;
        let listener = bound.join().map_err(|_| io::Error::other("the thread panicked"))??;
        let exchanges = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&exchanges);
        std::thread::Builder::new().name("upstream".into()).spawn(move || {
            for socket in listener.incoming().flatten() {
                let (archive, told) = (archive.clone(), Arc::clone(&told));
                // One that cannot be served is one that the agent asks for again.
                let _ = std::thread::Builder::new().spawn(move || converse(&socket, &archive, &told));
            }
        })?;
        Ok(Self { exchanges })
    }

    /// What has come and gone since the last call.
    pub(super) fn taken(&self) -> Vec<Exchange> {
        std::mem::take(&mut *lock(&self.exchanges))
    }
}

fn lock(exchanges: &Mutex<Vec<Exchange>>) -> MutexGuard<'_, Vec<Exchange>> {
    exchanges.lock().unwrap_or_else(PoisonError::into_inner)
}

fn converse(socket: &TcpStream, archive: &Archive, told: &Mutex<Vec<Exchange>>) -> io::Result<()> {
    let Some(request) = read_request(socket)? else { return Ok(()) };
    let mut out = socket;
    let answered = archive.answer(&request, &mut out)?;
    let conditional =
        request.conditions.keys().any(|name| name == "if-none-match" || name == "if-modified-since");
    let Answered { status, bytes } = answered;
    lock(told).push(Exchange { path: request.path, conditional, status, bytes });
    socket.shutdown(std::net::Shutdown::Both)
}

/// None: the agent has closed a connection that it did not need.
fn read_request(socket: &TcpStream) -> io::Result<Option<Request>> {
    let mut lines = BufReader::new(socket.take(LONGEST_HEAD)).lines();
    let Some(first) = lines.next().transpose()? else { return Ok(None) };
    let path = first.split(' ').nth(1).unwrap_or("/").trim_start_matches('/').to_owned();
    let mut conditions = BTreeMap::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(':') else { break };
        let name = name.to_ascii_lowercase();
        if name.starts_with("if-") || name == "range" {
            conditions.insert(name, value.trim().to_owned());
        }
    }
    Ok(Some(Request { path, conditions, head: first.starts_with("HEAD ") }))
}

fn pass_on(
    host: &str,
    port: u16,
    base: &str,
    request: &Request,
    out: &mut impl Write,
) -> io::Result<Answered> {
    let address = (host, port).to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?;
    let mut archive = TcpStream::connect_timeout(&address, PATIENCE)?;
    archive.set_read_timeout(Some(PATIENCE))?;
    let method = if request.head { "HEAD" } else { "GET" };
    let mut head = format!(
        "{method} {base}{} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: bootlane-lab\r\nConnection: close\r\n",
        request.path
    );
    for (name, value) in &request.conditions {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    archive.write_all(format!("{head}\r\n").as_bytes())?;
    let mut archive = BufReader::new(archive);
    let head = read_head(&mut archive)?;
    if head.status == 200 && head.is_without_version && request.path.starts_with("dists/") && !request.head {
        return with_a_version(&mut archive, request, out);
    }
    out.write_all(&head.bytes)?;
    let bytes = io::copy(&mut archive, out)?;
    Ok(Answered { status: head.status, bytes })
}

/// The head of the archive's answer.
struct Head {
    bytes: Vec<u8>,
    status: u16,
    /// It tells no version: nobody could ask for another one.
    is_without_version: bool,
}

fn read_head(archive: &mut impl io::BufRead) -> io::Result<Head> {
    let mut limited = archive.take(LONGEST_HEAD);
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        if limited.read_until(b'\n', &mut bytes)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
    let status = text.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(502);
    // In chunks it is passed on as it is.
    let known = ["\netag:", "\nlast-modified:", "\ntransfer-encoding:"];
    let is_without_version = !known.iter().any(|name| text.contains(name));
    Ok(Head { bytes, status, is_without_version })
}

/// An archive that tells no versions of its indices costs the WAN each index anew. Archives do tell them, so one is added
/// here: what stands between this and the agent is what the case judges.
fn with_a_version(archive: &mut impl Read, request: &Request, out: &mut impl Write) -> io::Result<Answered> {
    let mut body = Vec::new();
    archive.take(LARGEST_INDEX).read_to_end(&mut body)?;
    let etag = format!("\"{}\"", Digest::of(&body));
    if request.conditions.get("if-none-match") == Some(&etag) {
        write!(out, "HTTP/1.1 304 Not Modified\r\nConnection: close\r\nETag: {etag}\r\n\r\n")?;
        return Ok(Answered { status: 304, bytes: 0 });
    }
    let size = body.len();
    write!(out, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {size}\r\nETag: {etag}\r\n\r\n")?;
    out.write_all(&body)?;
    Ok(Answered { status: 200, bytes: size as u64 })
}

/// A file of the copy; its size and time of change stand for its version.
fn from_folder(folder: &Path, request: &Request, out: &mut impl Write) -> io::Result<Answered> {
    let name = request.path.replace("%2B", "+").replace("%7E", "~");
    let found =
        (!name.split('/').any(|part| part == "..")).then(|| File::open(folder.join(&name))).transpose();
    let Ok(Some(mut file)) = found else {
        out.write_all(b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")?;
        return Ok(Answered { status: 404, bytes: 0 });
    };
    let size = file.metadata()?.len();
    let changed = file.metadata()?.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let etag = format!("\"{size:x}-{:x}\"", changed.as_secs());
    if request.conditions.get("if-none-match") == Some(&etag) {
        write!(out, "HTTP/1.1 304 Not Modified\r\nConnection: close\r\nETag: {etag}\r\n\r\n")?;
        return Ok(Answered { status: 304, bytes: 0 });
    }
    write!(out, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {size}\r\nETag: {etag}\r\n\r\n")?;
    let bytes = if request.head { 0 } else { io::copy(&mut file, out)? };
    Ok(Answered { status: 200, bytes })
}
