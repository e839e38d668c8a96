//! The part of a reply that a boot program obeys: `siaddr`, `file` and options 43, 60, 66, 67 and 175.
//!
//! An answer that does not fit the program that speaks, such as a script for a ROM, becomes the local disk.

use std::net::Ipv4Addr;

use proto::{Platform, Program, event::Client, plan::ReplyForm};

use super::{BootAnswer, Context, MAX_FILE, Options, Port, Request, option};

/// Option 43.6: use the file of this offer, ask no boot server (QUIRKS 17, 19).
const USE_OFFERED_FILE: u8 = 8;

/// Option 175.176: wait for no proxyDHCP offer (QUIRKS 27).
const NO_PXEDHCP: [u8; 3] = [0xb0, 1, 1];

/// What a reply says about booting.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Boot {
    pub(super) siaddr: Option<Ipv4Addr>,
    pub(super) file: Vec<u8>,
    /// The most important first.
    pub(super) options: Options,
    /// For the event: a name without folder, host or tokens.
    pub(super) label: String,
}

impl Boot {
    /// The machine has chosen a menu entry, and is told that this is it (PXE 2.1 §2.2.4).
    pub(super) fn choose(&mut self, item: [u8; 4]) {
        if let Some(mut value) = self.options.get(option::VENDOR_SPECIFIC).map(<[u8]>::to_vec) {
            value.pop_if(|last| *last == option::END);
            option::write(&mut value, option::BOOT_ITEM, &item);
            value.push(option::END);
            self.options.set(option::VENDOR_SPECIFIC, value);
        }
    }
}

/// What the machine is told.
pub(super) fn boot(request: &Request, context: &Context<'_>) -> Boot {
    match (request.client, context.answer) {
        (Client::Os, _) | (_, BootAnswer::AddressOnly) => Boot::default(),
        (Client::Bootp, BootAnswer::Loader { name }) => bootp(name, context),
        (Client::Bootp, BootAnswer::LocalDisk | BootAnswer::Script { .. }) => Boot::default(),
        (Client::PxeRom, BootAnswer::Loader { name }) if request.platform == Some(Platform::RaspberryPi) => {
            raspberry_pi(name, context)
        }
        (Client::PxeRom, BootAnswer::Loader { name }) => rom_loader(name, request.port, context),
        (Client::HttpRom, BootAnswer::Loader { name }) => http_loader(name, context),
        (Client::Ipxe | Client::Gpxe, BootAnswer::Script { url }) => script(url, context),
        // A URL without a file ends the attempt at once (LAB: HEAD, GET, 404).
        (Client::HttpRom, BootAnswer::LocalDisk | BootAnswer::Script { .. }) => {
            Boot { label: String::new(), ..http_loader("none", context) }
        }
        (Client::PxeRom, BootAnswer::LocalDisk | BootAnswer::Script { .. }) => local_disk(context.server),
        // Another loader in its place; that it is given once alone is the decision's to see to (QUIRKS 25).
        (Client::Ipxe | Client::Gpxe, BootAnswer::Loader { name }) => {
            let mut loader = pxe_loader(name, context);
            if !context.network.is_proxy() {
                loader.options.set(option::IPXE, NO_PXEDHCP);
            }
            loader
        }
        (Client::Ipxe | Client::Gpxe, BootAnswer::LocalDisk) => {
            let mut menu = local_disk(context.server);
            if !context.network.is_proxy() {
                menu.options.set(option::IPXE, NO_PXEDHCP);
            }
            menu
        }
    }
}

/// QUIRKS 62: `file` and `siaddr` are all that such a client reads.
fn bootp(name: &str, context: &Context<'_>) -> Boot {
    let options = Options::default();
    Boot { siaddr: Some(context.server), file: file(name), options, label: last_segment(name) }
}

/// In the form that was found for the machine (QUIRKS 19, 20, 22).
fn rom_loader(name: &str, port: Port, context: &Context<'_>) -> Boot {
    match (context.form, port) {
        (ReplyForm::Discovery, Port::Dhcp | Port::BootService(_)) => pxe_loader(name, context),
        // QUIRKS 20: the class alone, and no file, sends the machine to port 4011 for it.
        (ReplyForm::BootService, Port::Dhcp) => Boot {
            siaddr: Some(context.server),
            options: options(&[(option::VENDOR_CLASS, b"PXEClient")]),
            label: last_segment(name),
            ..Boot::default()
        },
        (ReplyForm::BootService | ReplyForm::File, Port::BootService(_)) => {
            let mut loader = pxe_loader(name, context);
            loader.options.retain(|code| code != option::VENDOR_SPECIFIC);
            loader
        }
        (ReplyForm::File, Port::Dhcp) => {
            let mut loader = pxe_loader(name, context);
            // The class makes it an offer beside another server (QUIRKS 13); that the program reads 210 is the set's word.
            let stays = |code| match code {
                option::BOOT_FILE | option::TFTP_SERVER | option::PATH_PREFIX => true,
                option::VENDOR_CLASS => context.network.is_proxy(),
                _ => false,
            };
            loader.options.retain(stays);
            loader
        }
    }
}

/// QUIRKS 31: the ROM obeys whoever has these words in its option 43, trailing spaces and all, and asks the server of 66
/// for names of its own: `SERIAL/start4.elf` and a dozen others that need not be there. The file is for the event alone.
fn raspberry_pi(name: &str, context: &Context<'_>) -> Boot {
    const NAME: &[u8] = b"Raspberry Pi Boot   ";
    let menu = [&[0, 0, NAME.len() as u8], NAME].concat();
    let mut vendor = Vec::new();
    for (code, value) in [(6, &[USE_OFFERED_FILE][..]), (9, &menu), (10, b"\0PXE")] {
        option::write(&mut vendor, code, value);
    }
    vendor.push(option::END);
    let mut loader = pxe_loader(name, context);
    loader.options.set(option::VENDOR_SPECIFIC, vendor);
    loader
}

/// QUIRKS 23: some read `siaddr` and `file`, some 66 and 67, shim takes its folder from `file` alone.
fn pxe_loader(name: &str, context: &Context<'_>) -> Boot {
    let control = [6, 1, USE_OFFERED_FILE, 10, 4, 0, b'P', b'X', b'E', option::END];
    let mut options = options(&[
        (option::VENDOR_CLASS, b"PXEClient"),
        (option::VENDOR_SPECIFIC, &control),
        (option::BOOT_FILE, &nul_terminated(name)),
        (option::TFTP_SERVER, context.server.to_string().as_bytes()),
    ]);
    if let Some(prefix) = path_prefix(name, context) {
        options.set(option::PATH_PREFIX, prefix);
    }
    Boot { options, ..bootp(name, context) }
}

/// QUIRKS 29: LPXELINUX puts it before every name that it asks for, and so fetches its modules and its configuration by HTTP.
/// RFC 5071 §5.1: it ends in a slash, and no NUL follows.
fn path_prefix(name: &str, context: &Context<'_>) -> Option<String> {
    let (set, _) = name.split_once('/')?;
    let set = context.plan.loaders.get(set).filter(|set| set.program == Program::Lpxelinux)?;
    let (folder, _) = name.rsplit_once('/').filter(|_| !set.name.is_empty())?;
    Some(format!("{}/l/{folder}/", context.base_url))
}

/// QUIRKS 33: the URL in 67, and in `file` for firmware that looks there.
fn http_loader(name: &str, context: &Context<'_>) -> Boot {
    let url = format!("{}/l/{name}", context.base_url);
    Boot {
        siaddr: Some(context.server),
        file: file(&url),
        options: options(&[
            (option::VENDOR_CLASS, b"HTTPClient"),
            (option::BOOT_FILE, &nul_terminated(&url)),
        ]),
        label: last_segment(name),
    }
}

/// LAB: iPXE takes a name only beside a `siaddr`, even when the name is a URL.
fn script(url: &str, context: &Context<'_>) -> Boot {
    let url_bytes = url.as_bytes();
    let options = if context.network.is_proxy() {
        // iPXE knows a proxy's offer by its class alone; and here it has to wait for one.
        options(&[(option::VENDOR_CLASS, b"PXEClient"), (option::BOOT_FILE, url_bytes)])
    } else {
        options(&[(option::BOOT_FILE, url_bytes), (option::IPXE, &NO_PXEDHCP)])
    };
    Boot { siaddr: Some(context.server), file: file(url), options, label: last_segment(url) }
}

/// A PXE menu with one entry, of type 0 (the local disk), chosen at once: "PXE-E21: Remote boot cancelled" and
/// the next boot device, without the firmware's minute of waiting (LAB; QUIRKS 63).
fn local_disk(server: Ipv4Addr) -> Boot {
    const NAME: [u8; 5] = *b"Local";
    const TYPE: [u8; 2] = [0, 0];
    let [a, b, c, d] = server.octets();
    let [l, o, k, i, n] = NAME;
    let server_list = [TYPE[0], TYPE[1], 1, a, b, c, d];
    let menu = [TYPE[0], TYPE[1], 5, l, o, k, i, n];
    let prompt = [0, l, o, k, i, n];
    let mut menu_options = Vec::with_capacity(64);
    for (code, value) in [(6, &[USE_OFFERED_FILE][..]), (8, &server_list), (9, &menu), (10, &prompt)] {
        option::write(&mut menu_options, code, value);
    }
    menu_options.push(option::END);
    let options = options(&[(option::VENDOR_CLASS, b"PXEClient"), (option::VENDOR_SPECIFIC, &menu_options)]);
    Boot { siaddr: Some(server), options, ..Boot::default() }
}

fn options(list: &[(u8, &[u8])]) -> Options {
    let mut options = Options::with_room();
    list.iter().for_each(|(code, value)| options.set(*code, value));
    options
}

/// QUIRKS 23: what does not fit goes into option 67 alone.
fn file(name: &str) -> Vec<u8> {
    if name.len() <= MAX_FILE { name.into() } else { Vec::new() }
}

/// QUIRKS 24: ROMs run on into the next option where no NUL stands.
fn nul_terminated(name: &str) -> Vec<u8> {
    [name.as_bytes(), &[0]].concat()
}

fn last_segment(name: &str) -> String {
    name.rsplit('/').next().unwrap_or_default().into()
}
