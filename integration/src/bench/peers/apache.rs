//! Apache with its event module, and no more modules than serving a folder takes.

use std::fs;
use std::path::Path;

use super::super::ground::SERVER;
use super::Peer;
use super::http::PORT;

/// Where Debian keeps its modules.
const MODULES: &str = "/usr/lib/apache2/modules";
/// Those that serving a folder takes.
const LOADED: [&str; 2] = ["mpm_event", "authz_core"];

/// Apache. Who has its threads may not be root, so the lab's folder must be one that everybody may enter.
#[must_use]
pub fn apache() -> Peer {
    Peer::packaged("apache", "apache2-bin", PORT, |ground, folder| {
        let configuration = folder.join("apache.conf");
        fs::write(&configuration, text(folder, &ground.files()))?;
        let launch = ground.command("apache", "/usr/sbin/apache2").args(["-D", "FOREGROUND", "-f"]);
        Ok(launch.arg(configuration))
    })
}

fn text(folder: &Path, root: &Path) -> String {
    let modules: String =
        LOADED.iter().map(|name| format!("LoadModule {name}_module {MODULES}/mod_{name}.so\n")).collect();
    let (folder, root) = (folder.display(), root.display());
    format!(
        "{modules}ServerRoot {folder}\nDefaultRuntimeDir {folder}\nPidFile {folder}/pid\nServerName bench\n\
         Listen {SERVER}:80\nListenBacklog 4096\nUser www-data\nGroup www-data\nErrorLog /dev/stderr\nLogLevel error\n\
         EnableSendfile On\nKeepAlive On\nMaxKeepAliveRequests 0\nKeepAliveTimeout 65\nThreadLimit 256\n\
         StartServers 2\nServerLimit 16\nThreadsPerChild 128\nMaxRequestWorkers 2048\nMinSpareThreads 128\n\
         MaxSpareThreads 2048\nDocumentRoot {root}\n<Directory {root}>\n  Options None\n  AllowOverride None\n  \
         Require all granted\n</Directory>\n"
    )
}
