//! A package mirror at work: debootstrap builds a Debian through the agent, and again, and once more with the WAN cut.

mod archive;

use std::fs;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use self::archive::{Archive, Exchange, Upstream};
use super::Bench;
use super::guest::{CARD, Guest};
use super::setting::Setting;

/// Where the upstream listens, beside the controller.
const PORT: u16 = 8_008;
/// How long a debootstrap may take.
const BUILD: Duration = Duration::from_secs(900);
/// The mirror as the catalog has it: asked after each second, so that a second build asks again.
const MIRROR: &str = "mirror.yaml";
/// The machine's address: of the site's segment, and of none of its pools.
const ADDRESS: &str = "192.168.77.50/24";
/// A small package to be installed by apt.
const PACKAGE: &str = "hello";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

pub(super) fn debootstrap(bench: &Bench<'_>) -> anyhow::Result<()> {
    let archive = Archive::find()?;
    let codename = archive.codename.clone();
    let mut setting = Setting::new(bench, false)?;
    let upstream = declare(bench, &mut setting, archive)?;
    let guest = Guest::plug_in(bench, &setting, "builder")?;
    guest.namespace.ip(["address", "add", ADDRESS, "dev", CARD])?;
    guest.namespace.set_link(CARD, true)?;
    let url = format!("http://{}/mirror/debian", setting.fleet.site(0).address().addr());
    let build = Build { bench, guest: &guest, codename: &codename, url: &url };

    build.run("first", &["--variant=minbase"])?;
    let first = upstream.taken();
    let root = guest.folder.join("first");
    ensure!(root.join("usr/bin/dpkg").exists(), "there is no Debian in {}", root.display());
    setting.say(&format!("the WAN carried {}", told(&first)));

    build.run("second", &["--variant=minbase", "--download-only"])?;
    let second = upstream.taken();
    setting.say(&format!("the WAN carried {}", told(&second)));
    must_only_have_asked(&second)?;
    must_have_the_same_packages(&root, &guest.folder.join("second"))?;

    build.apt()?;
    setting.say(&format!("for apt the WAN carried {}", told(&upstream.taken())));

    setting.fleet.cut_wan(0)?;
    build.run("third", &["--variant=minbase", "--download-only"])?;
    build.must_be_stale()?;
    let third = upstream.taken();
    ensure!(third.is_empty(), "the WAN was cut, and it carried {}", told(&third));
    setting.fleet.restore_wan(0)?;
    Ok(())
}

/// Starts the upstream where the controller is, lets the router pass it, and declares it.
fn declare(bench: &Bench<'_>, setting: &mut Setting<'_>, archive: Archive) -> anyhow::Result<Upstream> {
    let network = setting.fleet.network();
    let address = network.controller_address();
    let upstream = Upstream::start(&network.controller, address, PORT, archive)?;
    network
        .router
        .shell(&format!("nft insert rule inet lab forwarded ip daddr {address} tcp dport {PORT} accept"))?;
    let file = bench.run.folder().join(MIRROR);
    let document = format!(
        "kind: Mirror\nname: debian\nspec:\n  family: debian\n  upstreams: ['http://{address}:{PORT}/']\n  fresh: 1s\n"
    );
    fs::write(&file, document).context("failed to write the mirror")?;
    setting.apply(&file)?;
    setting.fleet.wait_applied(0)?;
    Ok(upstream)
}

/// One machine that builds.
struct Build<'a> {
    bench: &'a Bench<'a>,
    guest: &'a Guest,
    codename: &'a str,
    url: &'a str,
}

impl Build<'_> {
    fn run(&self, name: &str, options: &[&str]) -> anyhow::Result<()> {
        let began = Instant::now();
        let keyring = format!("--keyring={KEYRING}");
        let root = self.guest.folder.join(name);
        let launch = self.guest.namespace.command(&format!("debootstrap-{name}"), "debootstrap");
        let launch =
            launch.args(options).arg(keyring).arg(self.codename).arg(root).arg(self.url).bound(BUILD);
        let mut process = launch.spawn(&self.bench.run)?;
        let ended = process.wait(BUILD)?;
        if !ended.is_some_and(|status: ExitStatus| status.success()) {
            bail!("debootstrap ended with {ended:?}:\n{}", last_lines(process.log()));
        }
        (self.bench.say)(&format!("the {name} debootstrap took {:.0} s", began.elapsed().as_secs_f32()));
        Ok(())
    }

    /// apt with folders of its own.
    fn apt(&self) -> anyhow::Result<()> {
        let folder = self.guest.folder.join("apt");
        let list = format!("deb [signed-by={KEYRING}] {} {} main\n", self.url, self.codename);
        for made in ["etc/apt.conf.d", "etc/preferences.d", "state/lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(made)).context("failed to make apt's folders")?;
        }
        fs::write(folder.join("etc/sources.list"), list).context("failed to write apt's sources")?;
        let folder = folder.display();
        let apt = format!(
            "apt-get -q -o Dir::Etc={folder}/etc -o Dir::State={folder}/state -o Dir::Cache={folder}/cache \
             -o APT::Sandbox::User=root -o Acquire::Check-Valid-Until=false"
        );
        let script =
            format!("cd {folder} && {apt} update && {apt} download {PACKAGE} && dpkg-deb -I {PACKAGE}_*.deb");
        let said = self.guest.namespace.shell(&script)?;
        ensure!(said.contains(&format!("Package: {PACKAGE}")), "apt fetched no {PACKAGE}: {said}");
        (self.bench.say)("apt updates and fetches a package through the mirror");
        Ok(())
    }

    fn must_be_stale(&self) -> anyhow::Result<()> {
        let file = format!("{}/dists/{}/InRelease", self.url, self.codename);
        let said = self.guest.namespace.shell(&format!("curl -sS -D - -o /dev/null {file}"))?;
        ensure!(
            said.contains("Bootlane-Mirror: stale") && said.contains("Warning: 110"),
            "not stale: {said}"
        );
        (self.bench.say)(
            "with the WAN cut a third one has the same, and its indices say that they are stale",
        );
        Ok(())
    }
}

/// A second build costs the WAN questions, and no file: that nothing has changed, or that there is no such file.
fn must_only_have_asked(exchanges: &[Exchange]) -> anyhow::Result<()> {
    let unchanged =
        |exchange: &Exchange| exchange.conditional && exchange.status == 304 && exchange.bytes == 0;
    let good = |exchange: &&Exchange| unchanged(exchange) || exchange.status == 404;
    let bad: Vec<_> = exchanges.iter().filter(|exchange| !good(exchange)).collect();
    let words =
        |exchange: &&Exchange| format!("{} ({}, {} bytes)", exchange.path, exchange.status, exchange.bytes);
    ensure!(
        bad.is_empty(),
        "the second build fetched: {}",
        bad.iter().map(words).collect::<Vec<_>>().join(", ")
    );
    ensure!(exchanges.iter().any(unchanged), "the second build did not ask after its release");
    Ok(())
}

fn must_have_the_same_packages(first: &Path, second: &Path) -> anyhow::Result<()> {
    let packages = second.join("var/cache/apt/archives");
    let count =
        fs::read_dir(&packages).with_context(|| format!("failed to list {}", packages.display()))?.count();
    let installed =
        fs::read_dir(first.join("var/lib/dpkg/info")).context("failed to list what is installed")?;
    let installed =
        installed.flatten().filter(|file| file.path().extension().is_some_and(|kind| kind == "list"));
    let installed = installed.count();
    ensure!(count >= installed, "{count} packages were fetched again of {installed} that are installed");
    Ok(())
}

fn last_lines(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

fn told(exchanges: &[Exchange]) -> String {
    let unchanged = exchanges.iter().filter(|exchange| exchange.status == 304).count();
    let bytes: u64 = exchanges.iter().map(|exchange| exchange.bytes).sum();
    let mib = bytes >> 20;
    format!(
        "{} requests, {unchanged} of them to be told that nothing has changed, and {mib} MiB",
        exchanges.len()
    )
}
