//! Boots real firmware against dnsmasq and a few lines of HTTP: the proof that the lab's machinery works
//! without any part of Bootlane, and a peer to measure against.
//!
//! `cargo run -p integration --example lab-machines -- CASE…` as root, with `dnsmasq-base` installed.
//! Cases: `bios-install`, `bios-e1000`, `uefi-pxe`, `uefi-install`, `uefi-http`, `digest`, `refusals`, `power-cut`, `debian-preseed`,
//! `fleet`, `hold` (a machine and a capture, until killed) and `sweep` (what a killed run left).

#![expect(clippy::print_stdout, reason = "the times are what this program is for")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use integration::lab::capture::Capture;
use integration::lab::media::{self, DiskImage, DiskImageSpec, Flavour, Kernel};
use integration::lab::qemu::{BootOrder, Card, Firmware};
use integration::lab::site::SitePlan;
use integration::lab::{FleetNetwork, LabFolder, Machine, MachineSpec, Process, Run, Site, packages, sweep};

const ADDRESS: &str = "10.77.1.1/24";
const SERVER: &str = "10.77.1.1";
const HTTP: &str = "http://10.77.1.1:8080";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [command, root] = arguments.as_slice()
        && command == "serve"
    {
        return serve(Path::new(root));
    }
    let lab = LabFolder::from_environment();
    let swept = sweep(&lab)?;
    println!("swept: {swept:?}");
    for case in &arguments {
        let begun = Instant::now();
        run_case(&lab, case).with_context(|| format!("case {case}"))?;
        println!("{case}: passed in {:.1?}", begun.elapsed());
    }
    Ok(())
}

fn run_case(lab: &LabFolder, case: &str) -> anyhow::Result<()> {
    match case {
        "sweep" => Ok(()),
        "bios-install" => Bench::new(lab, Flavour::Cloud)?.bios_install(),
        "bios-e1000" => Bench::new(lab, Flavour::Generic)?.bios_e1000(),
        "uefi-pxe" => Bench::new(lab, Flavour::Cloud)?.uefi_probe(Firmware::UefiPxe),
        "uefi-http" => Bench::new(lab, Flavour::Cloud)?.uefi_probe(Firmware::UefiHttp),
        "uefi-install" => Bench::new(lab, Flavour::Cloud)?.uefi_install(),
        "refusals" => Bench::new(lab, Flavour::Cloud)?.refusals(),
        "power-cut" => Bench::new(lab, Flavour::Cloud)?.power_cut(),
        "digest" => Bench::new(lab, Flavour::Cloud)?.wrong_digest(),
        "debian-preseed" => Bench::new(lab, Flavour::Cloud)?.debian_preseed(),
        "fleet" => fleet(lab),
        "hold" => Bench::new(lab, Flavour::Cloud)?.hold(),
        unknown => bail!("no case {unknown}"),
    }
}

/// A site with a peer's servers on it.
struct Bench {
    // Dropped in this order: first the servers, then the network under them.
    _dnsmasq: Process,
    _http: Process,
    site: Site,
    image: DiskImage,
    root: PathBuf,
}

impl Bench {
    fn new(lab: &LabFolder, flavour: Flavour) -> anyhow::Result<Self> {
        let mut say = |text: &str| println!("{text}");
        packages::ensure_installed(packages::NEEDED, &mut say)?;
        let kernel = Kernel::obtain(lab, flavour, &mut say)?;
        let installer = media::installer(lab, &kernel)?;
        let begun = Instant::now();
        let image = DiskImage::obtain(lab, &kernel, &DiskImageSpec::new("lab-disk"), &mut say)?;
        println!(
            "image: {} bytes, {} compressed, {:.1?}",
            image.size,
            image.compressed_size,
            begun.elapsed()
        );
        let loaders = media::loaders(lab)?;

        let run = Run::begin(lab)?;
        println!("run folder {}", run.folder().display());
        let site = Site::create(&run, "site", ADDRESS.parse()?)?;
        site.namespace().shell("ip -6 address add fd77::1/64 dev br0")?;
        let root = run.folder().join("www");
        fs::create_dir_all(root.join("report"))?;
        for (name, target) in [
            ("linux", &installer.kernel),
            ("initrd.img", &installer.initrd),
            ("disk.img", &image.path),
            ("disk.img.gz", &image.compressed),
            ("snponly.efi", &loaders.join("snponly.efi")),
        ] {
            std::os::unix::fs::symlink(target, root.join(name))?;
        }
        let http =
            site.namespace().command("http", std::env::current_exe()?).arg("serve").arg(&root).spawn(&run)?;
        let dnsmasq = start_dnsmasq(&site, &loaders)?;
        Ok(Self { _dnsmasq: dnsmasq, _http: http, site, image, root })
    }

    fn folder(&self) -> &Path {
        self.site.namespace().run().folder()
    }

    fn script(&self, command_line: &str) -> anyhow::Result<()> {
        let script = format!(
            "#!ipxe\nkernel {HTTP}/linux initrd=initrd.img console=ttyS0 quiet BOOTIF=01-${{mac:hexhyp}} {command_line}\n\
             initrd --name initrd.img {HTTP}/initrd.img\nboot\n"
        );
        Ok(fs::write(self.root.join("boot.ipxe"), script)?)
    }

    fn install_script(&self, name: &str, size: u64, sha256: &str, more: &str) -> anyhow::Result<()> {
        self.script(&format!(
            "bootlane.image={HTTP}/{name} bootlane.size={size} bootlane.sha256={sha256} bootlane.report={HTTP}/report {more}"
        ))
    }

    fn disk(&self, name: &str) -> anyhow::Result<PathBuf> {
        let disk = self.folder().join(name);
        media::make_empty_disk(&disk, 256)?;
        Ok(disk)
    }

    /// Empty disk → installer → reboot → the script says `exit` → the disk.
    fn bios_install(&self) -> anyhow::Result<()> {
        self.install_script("disk.img", self.image.size, &self.image.sha256, "")?;
        let capture = Capture::start(self.site.namespace(), "install", Duration::from_secs(300))?;
        let spec = MachineSpec::new("bios", Firmware::BiosIpxe).with_raw_disk(self.disk("bios.img")?);
        let mut machine = Machine::power_on(&self.site, &spec)?;
        for marker in [
            "SeaBIOS",
            "iPXE",
            "boot.ipxe... ok",
            "linux... ok",
            "initrd.img... ok",
            "BOOTLANE-MARK userspace",
            "BOOTLANE-MARK installed",
        ] {
            show(&mut machine, marker)?;
        }
        ensure!(self.root.join("report/installed").exists(), "the installed report did not arrive");
        for marker in [
            "SeaBIOS",
            "boot.ipxe... ok",
            "BOOTLANE-MARK disk-booted lab-disk",
            "BOOTLANE-MARK disk-network lab-disk",
        ] {
            show(&mut machine, marker)?;
        }
        machine.power_off();
        let pcap = capture.finish();
        println!(
            "capture of {} bytes; reports:\n{}",
            fs::metadata(pcap)?.len(),
            fs::read_to_string(self.root.join("reports.log"))?
        );
        Ok(())
    }

    fn bios_e1000(&self) -> anyhow::Result<()> {
        self.script(&format!("bootlane.url={HTTP}/boot.ipxe"))?;
        let mut spec = MachineSpec::new("e1000", Firmware::BiosIpxe);
        spec.card = Card::E1000;
        let mut machine = Machine::power_on(&self.site, &spec)?;
        show(&mut machine, "BOOTLANE-MARK userspace")?;
        show(&mut machine, "BOOTLANE-MARK fetched")?;
        ensure!(machine.wait_off(Duration::from_secs(20))?, "still on");
        Ok(())
    }

    fn uefi_probe(&self, firmware: Firmware) -> anyhow::Result<()> {
        self.script(&format!("bootlane.url={HTTP}/boot.ipxe"))?;
        let mut machine = Machine::power_on(&self.site, &MachineSpec::new("uefi", firmware))?;
        let first = if firmware == Firmware::UefiPxe { "PXE over IPv4" } else { "HTTP Boot over IPv4" };
        for marker in [
            first,
            "iPXE",
            "boot.ipxe... ok",
            "linux... ok",
            "initrd.img... ok",
            "BOOTLANE-MARK userspace",
            "BOOTLANE-MARK fetched",
        ] {
            show(&mut machine, marker)?;
        }
        ensure!(machine.wait_off(Duration::from_secs(20))?, "still on");
        Ok(())
    }

    fn uefi_install(&self) -> anyhow::Result<()> {
        self.install_script(
            "disk.img.gz",
            self.image.compressed_size,
            &self.image.compressed_sha256,
            "bootlane.format=gz bootlane.then=poweroff",
        )?;
        let mut spec = MachineSpec::new("uefi", Firmware::UefiPxe).with_raw_disk(self.disk("uefi.img")?);
        let mut machine = Machine::power_on(&self.site, &spec)?;
        for marker in [
            "iPXE",
            "boot.ipxe... ok",
            "initrd.img... ok",
            "BOOTLANE-MARK userspace",
            "BOOTLANE-MARK installed",
        ] {
            show(&mut machine, marker)?;
        }
        ensure!(machine.wait_off(Duration::from_secs(20))?, "still on");
        spec.order = BootOrder::DiskFirst;
        let mut machine = Machine::power_on(&self.site, &spec)?;
        show(&mut machine, "BOOTLANE-MARK disk-booted lab-disk")?;
        show(&mut machine, "BOOTLANE-MARK disk-network lab-disk")?;
        Ok(())
    }

    /// The image's bytes are not those of the digest: reported, powered off, and no boot sector left.
    fn wrong_digest(&self) -> anyhow::Result<()> {
        self.install_script("disk.img", self.image.size, &"0".repeat(64), "")?;
        let disk = self.disk("bad.img")?;
        let spec = MachineSpec::new("bad", Firmware::BiosIpxe).with_raw_disk(&disk);
        let mut machine = Machine::power_on(&self.site, &spec)?;
        show(&mut machine, "BOOTLANE-MARK failed digest")?;
        ensure!(machine.wait_off(Duration::from_secs(20))?, "still on");
        let mut head = vec![1; 1 << 20];
        fs::File::open(disk)?.read_exact(&mut head)?;
        ensure!(head.iter().all(|byte| *byte == 0), "the first MiB was not wiped");
        let reports = fs::read_to_string(self.root.join("reports.log"))?;
        ensure!(reports.contains("/report/failed?reason=digest"), "no report: {reports}");
        ensure!(!reports.contains("/report/installed"), "reported as installed");
        Ok(())
    }

    /// The plug is pulled at the first bytes on the disk: it holds the whole image, or nothing that a
    /// firmware would start.
    fn power_cut(&self) -> anyhow::Result<()> {
        self.install_script("disk.img", self.image.size, &self.image.sha256, "")?;
        let path = self.disk("cut.img")?;
        let disk = fs::File::open(&path)?;
        let spec = MachineSpec::new("cut", Firmware::BiosIpxe).with_raw_disk(&path);
        let mut machine = Machine::power_on(&self.site, &spec)?;
        show(&mut machine, "BOOTLANE-MARK userspace")?;
        let mut written = vec![0; 1 << 20];
        while written.iter().all(|byte| *byte == 0) {
            ensure!(machine.uptime() < Duration::from_secs(100), "nothing was written");
            disk.read_exact_at(&mut written, 1 << 20)?;
        }
        machine.pull_plug();
        let content = fs::read(&path)?;
        let image = fs::read(&self.image.path)?;
        let unbootable = content[..1 << 20].iter().all(|byte| *byte == 0);
        println!("  unbootable: {unbootable}");
        ensure!(unbootable || content.starts_with(&image), "a part of the image would be started");
        Ok(())
    }

    /// What cannot end well is refused with its reason, and the machine does not start from its disk.
    fn refusals(&self) -> anyhow::Result<()> {
        let huge = self.image.size * 100;
        let sha256 = self.image.sha256.as_str();
        for (name, size, sha256, reason) in [
            ("none.img", self.image.size, sha256, "download"),
            ("disk.img", huge, sha256, "disk-too-small"),
            ("disk.img", self.image.size, "not-a-digest", "sha256"),
        ] {
            self.install_script(name, size, sha256, "")?;
            let spec =
                MachineSpec::new("refused", Firmware::BiosIpxe).with_raw_disk(self.disk("refused.img")?);
            let mut machine = Machine::power_on(&self.site, &spec)?;
            show(&mut machine, &format!("BOOTLANE-MARK failed {reason}"))?;
            ensure!(machine.wait_off(Duration::from_secs(20))?, "still on");
            let reports = fs::read_to_string(self.root.join("reports.log"))?;
            ensure!(reports.contains(&format!("/report/failed?reason={reason}")), "no report: {reports}");
            ensure!(!reports.contains("/report/installed"), "reported as installed");
        }
        Ok(())
    }

    fn debian_preseed(&self) -> anyhow::Result<()> {
        let installer = media::debian_netboot()?;
        for (name, target) in [("d-i", &installer.kernel), ("d-i.gz", &installer.initrd)] {
            std::os::unix::fs::symlink(target, self.root.join(name))?;
        }
        fs::write(
            self.root.join("preseed.cfg"),
            format!(
                "d-i debian-installer/locale string en_US\nd-i preseed/early_command string wget -q -O /dev/null {HTTP}/report/started\n"
            ),
        )?;
        let script = format!(
            "#!ipxe\nkernel {HTTP}/d-i initrd=d-i.gz console=ttyS0 quiet auto=true priority=critical url={HTTP}/preseed.cfg BOOTIF=01-${{mac:hexhyp}} interface=auto\n\
             initrd --name d-i.gz {HTTP}/d-i.gz\nboot\n"
        );
        fs::write(self.root.join("boot.ipxe"), script)?;
        let mut machine = Machine::power_on(&self.site, &MachineSpec::new("debian", Firmware::BiosIpxe))?;
        show(&mut machine, "d-i.gz... ok")?;
        for wanted in ["/preseed.cfg", "/report/started"] {
            self.wait_for_request(wanted, &machine)?;
        }
        println!("{}", machine.tail(3));
        Ok(())
    }

    fn wait_for_request(&self, wanted: &str, machine: &Machine) -> anyhow::Result<()> {
        let log = self.root.join("reports.log");
        while machine.uptime() < Duration::from_secs(200) {
            if fs::read_to_string(&log).unwrap_or_default().contains(wanted) {
                println!("  {:>6.1} s  GET {wanted}", machine.uptime().as_secs_f32());
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        bail!("{wanted} was not fetched")
    }

    fn hold(&self) -> anyhow::Result<()> {
        fs::write(self.root.join("boot.ipxe"), "#!ipxe\nsleep 120\n")?;
        let _capture = Capture::start(self.site.namespace(), "hold", Duration::from_secs(300))?;
        let mut machine = Machine::power_on(&self.site, &MachineSpec::new("hold", Firmware::BiosIpxe))?;
        println!("holding; kill me");
        machine.wait_off(Duration::from_secs(100))?;
        Ok(())
    }
}

fn show(machine: &mut Machine, marker: &str) -> anyhow::Result<()> {
    let seen = machine.wait_for(marker, Duration::from_secs(120))?;
    println!("  {:>6.1} s  {marker} {}", seen.after.as_secs_f32(), seen.rest);
    Ok(())
}

fn start_dnsmasq(site: &Site, loaders: &Path) -> anyhow::Result<Process> {
    let run = site.namespace().run();
    let root = format!("--tftp-root={}", loaders.display());
    let leases = format!("--dhcp-leasefile={}", run.folder().join("leases").display());
    Ok(site
        .namespace()
        .command("dnsmasq", "dnsmasq")
        .args([
            "--keep-in-foreground",
            "--log-facility=-",
            "--conf-file=/dev/null",
            "--user=root",
            "--port=0",
        ])
        .args([
            "--interface=br0",
            "--bind-interfaces",
            "--no-ping",
            "--log-dhcp",
            "--enable-tftp",
            "--pid-file=",
        ])
        .args([root, leases])
        .arg("--dhcp-range=10.77.1.100,10.77.1.150,1h")
        .args([format!("--dhcp-option=3,{SERVER}"), format!("--dhcp-option=6,{SERVER}")])
        .args([
            "--dhcp-match=set:ipxe,175",
            "--dhcp-match=set:uefi,option:client-arch,7",
            "--dhcp-match=set:http,option:client-arch,16",
        ])
        .arg(format!("--dhcp-boot=tag:ipxe,{HTTP}/boot.ipxe"))
        .arg("--dhcp-boot=tag:uefi,tag:!ipxe,snponly.efi")
        .args([
            format!("--dhcp-boot=tag:http,tag:!ipxe,{HTTP}/snponly.efi"),
            "--dhcp-option-force=tag:http,60,HTTPClient".to_owned(),
        ])
        // No waiting for a proxyDHCP server, and for router advertisements (iPXE).
        .args(["--dhcp-option-force=tag:ipxe,encap:175,176,1b", "--enable-ra", "--dhcp-range=fd77::,ra-only"])
        .spawn(run)?)
}

/// The router lets TCP to the controller's ports through and nothing else.
fn fleet(lab: &LabFolder) -> anyhow::Result<()> {
    let run = Run::begin(lab)?;
    let plans = [("paris", "192.168.10.1/24"), ("lyon", "192.168.20.1/24")]
        .map(|(label, address)| address.parse().map(|address| SitePlan { label: label.to_owned(), address }));
    let plans = plans.into_iter().collect::<Result<Vec<_>, _>>()?;
    let network = FleetNetwork::create(&run, [7443, 7444], &plans)?;
    let server = "busybox nc -l -p PORT -e echo hello";
    let mut servers = Vec::new();
    for port in ["7443", "7445"] {
        let line = format!("while :; do {}; done", server.replace("PORT", port));
        servers.push(network.controller.command(&format!("nc{port}"), "sh").args(["-c", &line]).spawn(&run)?);
    }
    std::thread::sleep(Duration::from_millis(300));
    let ask = |site: &Site, port: u16| {
        let line = format!("timeout 2 busybox nc {} {port} < /dev/null", network.controller_address());
        site.namespace().shell(&line)
    };
    for site in &network.sites {
        ensure!(ask(site, 7443)?.trim() == "hello", "the controller's port is closed");
        ensure!(ask(site, 7445).is_err(), "another port is open");
        ensure!(
            site.namespace().shell("ping -c1 -W1 10.99.0.2 || busybox ping -c1 -W1 10.99.0.2").is_err(),
            "ICMP passes"
        );
    }
    ensure!(network.refused_packets()? > 0, "nothing was counted");
    network.sites[0].set_upstream(false)?;
    ensure!(ask(&network.sites[0], 7443).is_err(), "the link is not cut");
    ensure!(ask(&network.sites[1], 7443).is_ok(), "the other link is cut too");
    network.sites[0].set_upstream(true)?;
    ensure!(ask(&network.sites[0], 7443)?.trim() == "hello", "the link did not come back");
    Ok(())
}

/// Files below `root`; every request is logged; after the `installed` report `boot.ipxe` says `exit`.
fn serve(root: &Path) -> anyhow::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:8080")?;
    for stream in listener.incoming() {
        let (stream, root) = (stream?, root.to_owned());
        std::thread::spawn(move || answer(&stream, &root));
    }
    Ok(())
}

fn answer(mut stream: &TcpStream, root: &Path) -> anyhow::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().context("no request")??;
    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    let mut log = fs::File::options().create(true).append(true).open(root.join("reports.log"))?;
    writeln!(log, "{request}")?;
    let mut words = request.split(' ');
    let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let path = target.split('?').next().unwrap_or("").trim_start_matches('/');
    let body = if path == "boot.ipxe" && root.join("report/installed").exists() {
        b"#!ipxe\nexit\n".to_vec()
    } else if let Some(report) = path.strip_prefix("report/") {
        fs::write(root.join("report").join(report.replace('/', "_")), "")?;
        Vec::new()
    } else if let Ok(content) = fs::read(root.join(path.replace("..", ""))) {
        content
    } else {
        stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
        return Ok(());
    };
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    if method != "HEAD" {
        stream.write_all(&body)?;
    }
    Ok(())
}
