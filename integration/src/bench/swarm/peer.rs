//! The peers' side, as a good administrator sets it up: dnsmasq for DHCP and TFTP, nginx for the rest.
//!
//! Every machine is declared with its address, which is the best that can be done for dnsmasq: it neither asks by ping whether an
//! address is free nor offers one address to two machines.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context as _;

use super::super::contender::{Contender, Ready, Role, Server};
use super::super::ground::{Ground, NETWORK, SERVED, SERVER};
use super::super::peers::nginx_launch;
use super::machine::{BIOS_LOADER, INITRD, KERNEL, UEFI_LOADER};
use super::{Member, PEERS};
use crate::lab::packages;

/// Both programs.
pub(super) struct Chain {
    members: Vec<Member>,
    starts: u32,
}

impl Chain {
    pub(super) fn new(members: Vec<Member>) -> Self {
        Self { members, starts: 0 }
    }
}

impl Contender<u32> for Chain {
    fn name(&self) -> &str {
        PEERS
    }

    fn role(&self) -> Role {
        Role::Peer
    }

    fn version(&self) -> String {
        let version = |package| packages::version(package).unwrap_or_else(|| "unknown".into());
        format!("{} + {}", version("dnsmasq-base"), version("nginx"))
    }

    fn start(&mut self, ground: &Ground, _piece: &u32) -> anyhow::Result<Server> {
        let folder = ground.fresh_folder("chain").context("failed to make the peers' folder")?;
        fs::write(ground.files().join("boot.ipxe"), script())?;
        let configuration = folder.join("dnsmasq.conf");
        fs::write(&configuration, dnsmasq(&folder, &ground.files(), &self.members))?;
        self.starts += 1;
        let dnsmasq = ground
            .command("dnsmasq", "dnsmasq")
            .numbered(self.starts)
            .args(["--keep-in-foreground", &format!("--conf-file={}", configuration.display())])
            .spawn(ground.run())?;
        let nginx = nginx_launch(ground, &folder)?.numbered(self.starts).spawn(ground.run())?;
        Server::wait(vec![(dnsmasq, Ready::Udp(67)), (nginx, Ready::Tcp(80))])
    }
}

fn script() -> String {
    format!(
        "#!ipxe\nkernel http://{SERVER}/{KERNEL} initrd={INITRD} console=ttyS0\n\
         initrd --name {INITRD} http://{SERVER}/{INITRD}\nboot\n"
    )
}

/// After dnsmasq's own example (`dnsmasq.conf.example`, "Boot for iPXE"). Its 1,000 leases and 50 transfers are raised.
fn dnsmasq(folder: &Path, root: &Path, members: &[Member]) -> String {
    let (folder, root, mask) = (folder.display(), root.display(), NETWORK.netmask());
    let mut text = format!(
        "port=0\ninterface={SERVED}\nbind-interfaces\nuser=root\ndhcp-authoritative\nquiet-dhcp\nquiet-tftp\n\
         dhcp-leasefile={folder}/leases\ndhcp-lease-max=10000\npid-file={folder}/pid\n\
         dhcp-range=10.64.0.0,static,{mask},1h\ndhcp-option=option:router,{SERVER}\n\
         dhcp-option=option:dns-server,{SERVER}\nenable-tftp\ntftp-root={root}\ntftp-max=1000\n\
         dhcp-match=set:ipxe,175\ndhcp-match=set:bios,option:client-arch,0\ndhcp-match=set:efi,option:client-arch,7\n\
         dhcp-boot=tag:netboot,tag:!ipxe,tag:bios,{BIOS_LOADER},,{SERVER}\n\
         dhcp-boot=tag:netboot,tag:!ipxe,tag:efi,{UEFI_LOADER},,{SERVER}\n\
         dhcp-boot=tag:netboot,tag:ipxe,http://{SERVER}/boot.ipxe,,{SERVER}\n"
    );
    for Member { identity, address, .. } in members {
        let _ = writeln!(text, "dhcp-host={},{address},set:netboot", identity.mac);
    }
    text
}
