//! DHCP servers: one subnet, one pool, leases of an hour, kept in the file that they keep by default.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::super::contender::Ready;
use super::super::ground::{NETWORK, SERVED, SERVER};
use super::Peer;

/// What Kea says once it takes what comes; what came before that it throws away.
const STARTED: Ready = Ready::Says("DHCP4_STARTED");
/// How long a lease lasts, in seconds.
const LEASE: u32 = 3_600;

/// What is leased.
pub type Pool = proto::Range;

/// Kea with its memfile, which it does not sync; `threads` None: on one thread, as it comes.
#[must_use]
pub fn kea(pool: Pool, threads: Option<u8>) -> Peer {
    let name = if threads.is_some() { "kea-mt" } else { "kea" };
    Peer::packaged(name, "kea-dhcp4-server", STARTED, move |ground, folder| {
        let configuration = folder.join("kea.json");
        fs::write(&configuration, kea_text(folder, pool, threads))?;
        let launch = ground.command(name, "kea-dhcp4").arg("-c").arg(configuration);
        Ok(launch.env("KEA_LOCKFILE_DIR", folder).env("KEA_PIDFILE_DIR", folder))
    })
}

fn kea_text(folder: &Path, pool: Pool, threads: Option<u8>) -> String {
    let threading = json!({
        "enable-multi-threading": threads.is_some(),
        "thread-pool-size": threads.unwrap_or(1),
        // Room for a burst, as its manual's section on performance says.
        "packet-queue-size": 1_024,
    });
    let subnet = json!({
        "subnet": NETWORK.to_string(),
        "pools": [{ "pool": format!("{} - {}", pool.first(), pool.last()) }],
        "option-data": [
            { "name": "routers", "data": SERVER.to_string() },
            { "name": "domain-name-servers", "data": SERVER.to_string() },
        ],
        "next-server": SERVER.to_string(),
        "boot-file-name": "loader",
    });
    let logger = |name: &str, severity: &str| json!({ "name": name, "severity": severity, "output_options": [{ "output": "stderr", "flush": true }] });
    let dhcp = json!({
        "interfaces-config": { "interfaces": [SERVED] },
        "lease-database": { "type": "memfile", "persist": true, "name": folder.join("leases.csv") },
        "multi-threading": threading,
        "valid-lifetime": LEASE,
        "subnet4": [subnet],
        // The second says when it has started; leases and packets have loggers of their own.
        "loggers": [logger("kea-dhcp4", "ERROR"), logger("kea-dhcp4.dhcp4", "INFO")],
    });
    json!({ "Dhcp4": dhcp }).to_string()
}

/// dnsmasq with DHCP alone. Its 1,000 leases are raised, and it does not ping before it offers, which takes seconds.
#[must_use]
pub fn dnsmasq_dhcp(pool: Pool) -> Peer {
    Peer::packaged("dnsmasq", "dnsmasq-base", Ready::Udp(67), move |ground, folder| {
        let configuration = folder.join("dnsmasq.conf");
        let (first, last, mask) = (pool.first(), pool.last(), NETWORK.netmask());
        let folder = folder.display();
        fs::write(
            &configuration,
            format!(
                "port=0\nuser=root\ninterface={SERVED}\nbind-interfaces\ndhcp-authoritative\nno-ping\nquiet-dhcp\n\
                 dhcp-range={first},{last},{mask},{LEASE}\ndhcp-lease-max=1000000\ndhcp-leasefile={folder}/leases\n\
                 dhcp-option=option:router,{SERVER}\ndhcp-option=option:dns-server,{SERVER}\ndhcp-boot=loader,,{SERVER}\n\
                 pid-file={folder}/pid\n"
            ),
        )?;
        let file = format!("--conf-file={}", configuration.display());
        Ok(ground.command("dnsmasq", "dnsmasq").args(["--keep-in-foreground", &file]))
    })
}
