//! TFTP servers. All of them take as many clients as come, and none keeps a log of transfers.

use std::fs;

use super::super::contender::Ready;
use super::super::ground::SERVER;
use super::{CLIENTS, Peer, install};
use crate::lab::LabFolder;

/// Where TFTP servers listen.
const PORT: Ready = Ready::Udp(69);

/// dnsmasq with TFTP alone. Its 50 transfers at one time (`tftp-max`) are raised.
#[must_use]
pub fn dnsmasq_tftp() -> Peer {
    Peer::packaged("dnsmasq", "dnsmasq-base", PORT, |ground, folder| {
        let configuration = folder.join("dnsmasq.conf");
        let root = ground.files();
        fs::write(
            &configuration,
            format!(
                "port=0\nuser=root\nlisten-address={SERVER}\nbind-interfaces\nenable-tftp\ntftp-root={}\ntftp-max={CLIENTS}\n\
                 quiet-tftp\npid-file={}\n",
                root.display(),
                folder.join("pid").display()
            ),
        )?;
        let file = format!("--conf-file={}", configuration.display());
        Ok(ground.command("dnsmasq", "dnsmasq").args(["--keep-in-foreground", &file]))
    })
}

/// tftpd-hpa, in its root directory as its package starts it.
#[must_use]
pub fn hpa(lab: &LabFolder, say: &dyn Fn(&str)) -> Peer {
    let unpacked = install::unpacked(lab, "tftpd-hpa", "usr/sbin/in.tftpd", "-V", say);
    Peer::found("tftpd-hpa", unpacked, PORT, |ground, program| {
        let launch =
            ground.command("tftpd-hpa", program).args(["--foreground", "--secure", "--user", "root"]);
        launch.arg("--address").arg(format!("{SERVER}:69")).arg(ground.files())
    })
}

/// atftpd. Its 100 threads are raised; it does not end when nobody asks for five minutes.
#[must_use]
pub fn atftpd(lab: &LabFolder, say: &dyn Fn(&str)) -> Peer {
    let unpacked = install::unpacked(lab, "atftpd", "usr/sbin/atftpd", "--version", say);
    Peer::found("atftpd", unpacked, PORT, |ground, program| {
        let launch = ground.command("atftpd", program).args(["--daemon", "--no-fork", "--user", "root.root"]);
        let launch =
            launch.args(["--maxthread", &CLIENTS.to_string(), "--tftpd-timeout", "0", "--verbose=0"]);
        let launch = launch.args(["--logfile", "/dev/stderr", "--port", "69", "--bind-address"]);
        launch.arg(SERVER.to_string()).arg(ground.files())
    })
}

/// rs-tftpd (the crate `tftpd`), built by cargo; absent where its registry cannot be reached.
#[must_use]
pub fn rs_tftpd(lab: &LabFolder, say: &dyn Fn(&str)) -> Peer {
    let built = install::rs_tftpd(lab, say).map(|program| (program, install::RS_TFTPD.1.to_owned()));
    Peer::found("rs-tftpd", built, PORT, |ground, program| {
        let launch =
            ground.command("rs-tftpd", program).args(["--read-only", "--port", "69", "--ip-address"]);
        launch.arg(SERVER.to_string()).arg("--directory").arg(ground.files())
    })
}
