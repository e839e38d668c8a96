//! HTTP servers that serve a folder.

use std::fs;
use std::path::Path;

use super::super::contender::Ready;
use super::super::ground::{Ground, SERVER};
pub use super::apache::apache;
use super::{CLIENTS, Peer};
use crate::lab::Launch;

/// Where HTTP servers listen.
pub(super) const PORT: Ready = Ready::Tcp(80);
/// Requests on one connection: as good as no limit.
const REQUESTS: u32 = 100_000_000;
/// The folders that nginx makes for itself, which else were the system's.
const TEMPORARY: [&str; 5] = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];

/// nginx with sendfile and tcp_nopush, one worker on the server's core, descriptors of open files kept.
#[must_use]
pub fn nginx() -> Peer {
    Peer::packaged("nginx", "nginx", PORT, nginx_launch)
}

/// The same, for a bench that runs it beside others.
pub(in crate::bench) fn nginx_launch(ground: &Ground, folder: &Path) -> anyhow::Result<Launch> {
    let configuration = folder.join("nginx.conf");
    fs::write(&configuration, nginx_text(folder, &ground.files()))?;
    let launch = ground.command("nginx", "/usr/sbin/nginx").args(["-e", "stderr", "-p"]);
    Ok(launch.arg(folder).arg("-c").arg(configuration))
}

fn nginx_text(folder: &Path, root: &Path) -> String {
    let (folder, root) = (folder.display(), root.display());
    let temporary: String =
        TEMPORARY.iter().map(|name| format!("  {name}_temp_path {folder}/{name};\n")).collect();
    format!(
        "daemon off;\nuser root;\npid {folder}/nginx.pid;\nerror_log stderr warn;\nworker_processes 1;\n\
         worker_rlimit_nofile 65536;\nevents {{ worker_connections {}; multi_accept on; }}\nhttp {{\n{temporary}  \
         access_log off;\n  sendfile on;\n  tcp_nopush on;\n  tcp_nodelay on;\n  keepalive_timeout 65;\n  \
         keepalive_requests {REQUESTS};\n  open_file_cache max=4096 inactive=60s;\n  default_type application/octet-stream;\n  \
         server {{ listen {SERVER}:80 backlog=4096; root {root}; }}\n}}\n",
        2 * CLIENTS
    )
}

/// lighttpd, which sends by sendfile unless it is told otherwise.
#[must_use]
pub fn lighttpd() -> Peer {
    Peer::packaged("lighttpd", "lighttpd", PORT, |ground: &Ground, folder| {
        let configuration = folder.join("lighttpd.conf");
        fs::write(&configuration, lighttpd_text(&ground.files()))?;
        Ok(ground.command("lighttpd", "/usr/sbin/lighttpd").arg("-D").arg("-f").arg(configuration))
    })
}

/// Requests on one connection are counted in 16 bits.
fn lighttpd_text(root: &Path) -> String {
    format!(
        "server.document-root = \"{}\"\nserver.bind = \"{SERVER}\"\nserver.port = 80\nserver.max-fds = 65536\n\
         server.max-connections = {}\nserver.listen-backlog = 4096\nserver.max-keep-alive-requests = {}\n\
         server.max-keep-alive-idle = 65\nserver.network-backend = \"sendfile\"\n\
         mimetype.assign = ( \"\" => \"application/octet-stream\" )\n",
        root.display(),
        2 * CLIENTS,
        u16::MAX
    )
}
