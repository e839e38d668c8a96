//! What a good administrator sets up without us: dnsmasq for DHCP and TFTP, nginx for the rest, each by its own manual. Hosts
//! that are to boot over the network have a tag; all others get an address and nothing to boot, which is their disk.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use super::Bench;
use crate::fleet::Stock;
use crate::lab::netns::BRIDGE;
use crate::lab::{MachineSpec, Process, Site, packages};

const ADDRESS: &str = "192.168.77.1";
const BOUND: Duration = Duration::from_secs(7_200);
/// The folders that nginx makes for itself, which else were the system's.
const TEMPORARY: [&str; 5] = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];

/// dnsmasq and nginx on a segment of their own.
pub(super) struct Peer {
    // Ended before their namespace goes.
    _dnsmasq: Process,
    _nginx: Process,
    site: Site,
}

impl Peer {
    /// Starts both. `booted` are the machines that are to boot over the network.
    pub(super) fn start(bench: &Bench<'_>, stock: &Stock, booted: &[MachineSpec]) -> anyhow::Result<Self> {
        let site = Site::create(&bench.run, "peer", format!("{ADDRESS}/24").parse()?)?;
        let folder = bench.run.folder().join("peer");
        let root = folder.join("root");
        fs::create_dir_all(&root).context("failed to make the servers' folder")?;
        for (from, name) in files(stock) {
            fs::copy(&from, root.join(name)).with_context(|| format!("failed to copy {}", from.display()))?;
        }
        let write =
            |path: &Path, text: String| fs::write(path, text).context("failed to write a configuration");
        write(&root.join("boot.ipxe"), script())?;
        write(&folder.join("dnsmasq.conf"), dnsmasq(&folder, booted))?;
        write(&folder.join("nginx.conf"), nginx(&folder))?;
        let program =
            packages::unpack(bench.lab, "nginx", &mut |line| (bench.say)(line))?.join("usr/sbin/nginx");
        let dnsmasq = site
            .namespace()
            .command("dnsmasq", "dnsmasq")
            .arg("--keep-in-foreground")
            .arg(format!("--conf-file={}", folder.join("dnsmasq.conf").display()))
            .bound(BOUND)
            .spawn(&bench.run)?;
        let nginx = site
            .namespace()
            .command("nginx", program)
            .arg("-e")
            .arg("stderr")
            .arg("-p")
            .arg(&folder)
            .arg("-c")
            .arg(folder.join("nginx.conf"))
            .bound(BOUND)
            .spawn(&bench.run)?;
        Ok(Self { _dnsmasq: dnsmasq, _nginx: nginx, site })
    }

    pub(super) fn site(&self) -> &Site {
        &self.site
    }
}

/// The same files as ours.
fn files(stock: &Stock) -> [(PathBuf, &'static str); 4] {
    let loader = |name: &'static str| (stock.loaders.join(name), name);
    let system = |name: &'static str| (stock.installer.join(name), name);
    [loader("undionly.kpxe"), loader("snponly.efi"), system("linux"), system("initrd.img")]
}

fn script() -> String {
    format!(
        "#!ipxe\nkernel http://{ADDRESS}/linux initrd=initrd.img console=ttyS0 quiet\n\
         initrd --name initrd.img http://{ADDRESS}/initrd.img\nboot\n"
    )
}

/// After dnsmasq's own example (`dnsmasq.conf.example`, "Boot for iPXE").
fn dnsmasq(folder: &Path, booted: &[MachineSpec]) -> String {
    let folder = folder.display();
    let mut text = format!(
        "port=0\ninterface={BRIDGE}\nbind-interfaces\nuser=root\ndhcp-authoritative\n\
         dhcp-leasefile={folder}/leases\ndhcp-range=192.168.77.100,192.168.77.199,255.255.255.0,1h\n\
         dhcp-option=option:router,{ADDRESS}\ndhcp-option=option:dns-server,{ADDRESS}\n\
         enable-tftp\ntftp-root={folder}/root\n\
         dhcp-match=set:ipxe,175\ndhcp-match=set:bios,option:client-arch,0\n\
         dhcp-match=set:efi,option:client-arch,7\ndhcp-match=set:efi,option:client-arch,9\n\
         dhcp-boot=tag:netboot,tag:!ipxe,tag:bios,undionly.kpxe\n\
         dhcp-boot=tag:netboot,tag:!ipxe,tag:efi,snponly.efi\n\
         dhcp-boot=tag:netboot,tag:ipxe,http://{ADDRESS}/boot.ipxe\n"
    );
    for machine in booted {
        let _ = writeln!(text, "dhcp-host={},set:netboot", machine.mac);
    }
    text
}

fn nginx(folder: &Path) -> String {
    let folder = folder.display();
    let temporary: String =
        TEMPORARY.iter().map(|name| format!("  {name}_temp_path {folder}/{name};\n")).collect();
    format!(
        "daemon off;\nuser root;\npid {folder}/nginx.pid;\nevents {{}}\nhttp {{\n{temporary}  access_log off;\n  \
         sendfile on;\n  tcp_nopush on;\n  keepalive_timeout 65;\n  default_type application/octet-stream;\n  \
         server {{ listen {ADDRESS}:80; root {folder}/root; }}\n}}\n"
    )
}
