//! dnsmasq: its files become a site and its hosts.
//!
//! Read as dnsmasq itself reads them (its manual, and `option.c`). Tags are resolved where they stand for a subnet, a host
//! or a kind of firmware; what hangs on other tags is left behind and said.

mod boot;
mod host;
mod line;
mod option;
mod range;
mod read;
mod site;
mod value;

use proto::catalog::AnyResource;

use super::hosts::Hosts;
use super::{Fate, Files, Migrated};
use boot::{Firmware, Program};
use host::DhcpHost;
use read::{Reader, Said};
use site::Network;

/// Reads these files and what they name, for a site of this name.
pub(crate) fn migrate(files: &dyn Files, paths: &[String], site: &str) -> Migrated {
    let mut migrated = Migrated::default();
    let mut reader = Reader::new(files);
    paths.iter().for_each(|path| reader.file(path, &mut migrated));
    let Reader { read, said, .. } = reader;
    let mut move_in = MoveIn {
        site: site.to_owned(),
        network: Network::default(),
        firmware: Firmware::default(),
        hosts: Hosts::default(),
        found: Vec::new(),
        migrated,
    };
    move_in.all(&said);
    let mut migrated = move_in.migrated;
    migrated.sort(&read);
    migrated
}

struct MoveIn {
    site: String,
    network: Network,
    firmware: Firmware,
    hosts: Hosts,
    /// Hosts, with the tags that options may name.
    found: Vec<site::Tagged>,
    migrated: Migrated,
}

/// What takes a directive.
type Take = fn(&mut MoveIn, &Said);

/// The directives that set DHCP options.
const OPTIONS: [&str; 2] = ["dhcp-option", "dhcp-option-force"];

/// What the agent does by itself.
const BUILT_IN: [(&str, &str); 5] = [
    ("enable-tftp", "the agent serves TFTP by itself"),
    ("dhcp-authoritative", "an agent that is a segment's DHCP server is authoritative"),
    ("log-dhcp", "every message of a boot is in its timeline (`bootlane boot show`)"),
    ("dhcp-sequential-ip", "the agent chooses addresses by itself"),
    ("dhcp-rapid-commit", "the agent answers as fast as DHCP allows"),
];

/// What has no counterpart, why, and what to do.
const WITHOUT: [(&str, &str, &str); 12] = [
    ("interface", "interfaces are the agent's own configuration", "name it in the agent's file"),
    (
        "except-interface",
        "interfaces are the agent's own configuration",
        "name the others in the agent's file",
    ),
    (
        "no-dhcp-interface",
        "interfaces are the agent's own configuration",
        "name the others in the agent's file",
    ),
    (
        "listen-address",
        "interfaces are the agent's own configuration",
        "name the interface in the agent's file",
    ),
    ("bind-interfaces", "the agent binds to its interfaces alone", ""),
    (
        "dhcp-leasefile",
        "leases are no configuration",
        "machines renew theirs at the agent, which looks first whether an address is in use",
    ),
    ("dhcp-script", "the agent runs no programs", "events of boots are in `bootlane boot watch`"),
    ("pxe-prompt", "menus are made of profiles of mode `run`", "declare `menu` in the site's document"),
    ("dhcp-lease-max", "the pool's size is the limit", ""),
    ("read-ethers", "/etc/ethers is not read", "give it to `bootlane host import`"),
    ("dhcp-userclass", "what machines say of themselves chooses nothing here", ""),
    ("dhcp-relay", "relay agents are no part of this", "keep dnsmasq, or a router, as the relay agent"),
];

impl MoveIn {
    /// Tags may be named before they are set, so what sets them comes first, and ranges before what stands in them.
    fn all(&mut self, said: &[Said]) {
        let passes: [(&[&str], Take); 6] = [
            (&["dhcp-match", "dhcp-vendorclass"], Self::firmware),
            (&["dhcp-range"], Self::range),
            (&["dhcp-host"], Self::host),
            (&OPTIONS, |this, said| this.option(said, false)),
            // What is said for a tag wins, wherever it stands.
            (&OPTIONS, |this, said| this.option(said, true)),
            (&[], Self::rest),
        ];
        let earlier: Vec<_> = passes.iter().flat_map(|(names, _)| names.iter().copied()).collect();
        for (names, take) in passes {
            for said in said {
                let name = said.directive.name.as_str();
                if names.contains(&name) || names.is_empty() && !earlier.contains(&name) {
                    take(self, said);
                }
            }
        }
        self.finish();
    }

    fn note(&mut self, said: &Said, fate: Fate) {
        self.migrated.note(&said.place, &said.directive.text, fate);
    }

    fn firmware(&mut self, said: &Said) {
        let fate = match self.firmware.learn(&said.directive.fields) {
            Some(platform) => {
                Fate::carried(format!("the tag stands for firmware {platform}, which agents tell apart"))
            }
            None => Fate::left(
                "tags by what machines say of themselves have no counterpart, other than by architecture",
                "what names the tag is said at its own line",
            ),
        };
        self.note(said, fate);
    }

    fn range(&mut self, said: &Said) {
        match range::read(&said.directive.fields) {
            Err(wrong) => self.migrated.mistake(&said.place, wrong),
            Ok(None) => self.note(said, Fate::left("the agent does not serve IPv6", "")),
            Ok(Some(range)) => {
                let fate = self.network.add(&said.place, range);
                self.note(said, fate);
            }
        }
    }

    fn host(&mut self, said: &Said) {
        match host::read(&said.directive.fields) {
            Err(wrong) => self.migrated.mistake(&said.place, wrong),
            Ok(host) => {
                let fate = self.add_host(said, &host);
                self.note(said, fate);
            }
        }
    }

    fn add_host(&mut self, said: &Said, host: &DhcpHost) -> Fate {
        if host.is_ignored {
            return Fate::left(
                "a machine that is to get no answer is no host of the catalog",
                "with `unknown: ignore` in the site's document agents answer hosts alone",
            );
        }
        if host.macs.is_empty() {
            let who = "it names no whole MAC address, by which hosts are known";
            return Fate::left(who, "`bootlane host add` with the machine's MAC address");
        }
        let made = self.hosts.host(&said.place, &self.site, host.name.as_deref(), &host.macs);
        let mut made = match made {
            Ok(made) => made,
            Err(why) => return Fate::left(why, ""),
        };
        let mut said_too = vec![format!("Host {}", made.name)];
        match host.address.map(|address| self.fixed(said, address)) {
            Some(Ok(address)) => made.spec.address = Some(address),
            Some(Err(why)) => said_too.push(format!("without its address: {why}")),
            None => {}
        }
        said_too.extend(host.lease.map(|_| "without its lease time, which is its subnet's".into()));
        said_too.extend((!host.others.is_empty()).then(|| format!("without {}", host.others.join(", "))));
        said_too.extend((!host.asked.is_empty()).then(|| "for whatever tags it has".into()));
        said_too.extend(host.ipv6.then(|| "without its IPv6 address".into()));
        for tag in &host.set {
            if let Some(tag) = super::names::nearest(tag) {
                made.labels.insert(format!("tag-{tag}"), "yes".into());
            }
        }
        said_too.extend((!host.set.is_empty()).then(|| "its tags became labels".into()));
        self.found.push(site::Tagged { place: said.place.clone(), host: made, tags: host.set.clone() });
        Fate::carried(said_too.join("; "))
    }

    fn fixed(&mut self, said: &Said, address: std::net::Ipv4Addr) -> Result<std::net::Ipv4Addr, String> {
        self.network.can_hold(address)?;
        self.hosts.take(&said.place, address)?;
        Ok(address)
    }

    fn option(&mut self, said: &Said, is_tagged: bool) {
        if value::tags(&said.directive.fields).0.is_empty() == is_tagged {
            return;
        }
        let fate = match option::read(&said.directive.fields) {
            Err(wrong) => return self.migrated.mistake(&said.place, wrong),
            Ok(Err(why)) => Fate::left(why, "declare it in `options` of the site or the host"),
            Ok(Ok(option)) => self.network.option(&option, &mut self.found),
        };
        self.note(said, fate);
    }

    fn rest(&mut self, said: &Said) {
        let fields = &said.directive.fields;
        let fate = match said.directive.name.as_str() {
            "domain" => self.network.domain(fields),
            "dhcp-ignore" => self.network.ignore(fields),
            "dhcp-boot" => match boot::dhcp_boot(fields, &self.firmware) {
                Some(program) => self.program(&program),
                None => return self.migrated.mistake(&said.place, "expected a file, found nothing"),
            },
            "pxe-service" => match boot::pxe_service(fields) {
                Err(wrong) => return self.migrated.mistake(&said.place, wrong),
                Ok(Some(program)) => self.program(&program),
                Ok(None) => {
                    Fate::carried("the local disk is what boots without an order or a profile of mode run")
                }
            },
            "tftp-root" => self.tftp_root(fields),
            name => other(name),
        };
        self.note(said, fate);
    }

    /// Programs are images, which have to be imported: the site's document names none that is not there yet.
    fn program(&mut self, program: &Program) -> Fate {
        let server = program.server.as_ref().map(|_| "; the agent itself is the server").unwrap_or_default();
        let Some((source, name)) = boot::import(&program.file) else {
            return Fate::left(
                format!("what it starts is to be a profile{server}"),
                "import its image and declare a profile; without an order it must be of mode `run`",
            );
        };
        let site = &self.site;
        self.migrated.first(format!(
            "`bootlane image import {source} --family loaders --name {name}`, once the documents are applied \
             `bootlane site set {site} --loaders {name}`, or `bootlane host set` for some: agents give each kind of \
             firmware its own program of it"
        ));
        let platform = program.platform.map(|p| format!(", this one for {p}")).unwrap_or_default();
        Fate::left(
            format!("network bootstrap programs are images{platform}{server}"),
            format!("import it and name it: `bootlane site set {site} --loaders {name}`"),
        )
    }

    fn tftp_root(&self, fields: &[String]) -> Fate {
        let root = fields.first().map_or("DIR", String::as_str).trim_end_matches('/');
        Fate::left(
            "files that machines fetch come from images and templates",
            format!(
                "import what is used with `bootlane image import`, and look for menus in {root}/pxelinux.cfg"
            ),
        )
    }

    fn finish(&mut self) {
        let found = std::mem::take(&mut self.found);
        let first = self.network.first();
        for field in self.network.unnamed() {
            self.migrated.first(field);
        }
        let routers = self.network.routers();
        match self.network.site(&self.site) {
            Some(site) => self.migrated.add(&first, AnyResource::Site(site)),
            None => self.migrated.first(format!(
                "no `dhcp-range` for IPv4 tells a subnet: declare Site {} with its subnets, or give the files that have it",
                self.site
            )),
        }
        for site::Tagged { place, mut host, .. } in found {
            if let Some(address) = host.spec.address.take_if(|address| routers.contains(address)) {
                let what = format!("Host {}", host.name);
                self.migrated.note(
                    &place,
                    &what,
                    Fate::left(format!("{address} is a router's address, and no host's"), ""),
                );
            }
            self.migrated.add(&place, AnyResource::Host(host));
        }
        let stop = "two DHCP servers on one segment harm each other: stop dnsmasq's DHCP (leave its `dhcp-range` out) \
                    when the site's agent is started";
        self.migrated.first(stop);
    }
}

fn other(name: &str) -> Fate {
    if let Some((_, to)) = BUILT_IN.iter().find(|(known, _)| *known == name) {
        return Fate::carried(*to);
    }
    if let Some((_, why, to_do)) = WITHOUT.iter().find(|(known, _, _)| *known == name) {
        return Fate::left(*why, *to_do);
    }
    let is_boot = ["dhcp-", "tftp-", "pxe-", "bootp-"].iter().any(|start| name.starts_with(start));
    match is_boot {
        true => Fate::left("it has no counterpart", "see whether a machine needs it"),
        false => Fate::left("it is no part of booting: the agent is no DNS server", "keep dnsmasq for it"),
    }
}

#[cfg(test)]
mod tests;
