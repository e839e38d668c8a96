//! What a machine asks, as facts that need no second look.

use std::net::{Ipv4Addr, SocketAddrV4};

use proto::{FirmwareModel, Mac, Platform, event::Client};

use super::{
    Malformed, Message, Operation, client,
    option::{self, Options},
};

/// The longest value that is echoed; options 61, 82 and 97 are never longer on the wire of honest clients.
const MAX_ECHO: usize = 255;

/// RFC 2131 §2: every client takes an IP datagram of 576 bytes.
const MIN_DATAGRAM: u16 = 576;

/// RFC 2131 §3.1, and BOOTP without any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageType {
    /// Who is there?
    Discover,
    /// I take it, or I go on using it.
    Request,
    /// Somebody else uses it.
    Decline,
    /// I need it no longer.
    Release,
    /// I have an address; tell me the rest.
    Inform,
    /// RFC 951: no option 53.
    Bootp,
}

/// The port that a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// 67.
    Dhcp,
    /// 4011, the boot service of PXE 2.1, and who asked: the answer goes back to the very port (QUIRKS 21).
    BootService(SocketAddrV4),
}

/// A request that is legal in itself. Whether it is for us is for the server to say.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// Where it came to.
    pub port: Port,
    /// Option 53.
    pub kind: MessageType,
    /// Tells the exchanges of one machine apart; not kept from one program of the chain to the next.
    pub xid: u32,
    /// Seconds since the program began to ask.
    pub secs: u16,
    /// The machine wants its answer by broadcast.
    pub broadcast: bool,
    /// The address that the machine already uses.
    pub ciaddr: Option<Ipv4Addr>,
    /// The relay agent.
    pub giaddr: Option<Ipv4Addr>,
    /// The machine.
    pub mac: Mac,
    /// Option 50.
    pub requested: Option<Ipv4Addr>,
    /// Option 54.
    pub server_id: Option<Ipv4Addr>,
    /// The program that speaks.
    pub client: Client,
    /// None: no architecture, or none that we have a loader for.
    pub platform: Option<Platform>,
    /// Option 93 as it came.
    pub architectures: Vec<u16>,
    /// An iPXE that cannot fetch by HTTP.
    pub lacks_http: bool,
    /// Option 94 as it came: which network interface the firmware offers; untrusted bytes.
    pub interface: Vec<u8>,
    /// Option 60; untrusted bytes, see [`proto::event::clean`].
    pub vendor_class: Vec<u8>,
    /// Option 77; untrusted bytes.
    pub user_class: Vec<u8>,
    /// Option 97 in the order that a UUID is written.
    pub uuid: Option<[u8; 16]>,
    /// Option 12; untrusted bytes, never used as a name.
    pub host_name: Vec<u8>,
    /// Options 55, in the client's order.
    pub parameters: Option<Vec<u8>>,
    /// Option 57: the longest IP datagram that the client takes, at least 576.
    pub max_datagram: u16,
    /// Option 43.71: type and layer of the PXE menu entry that was chosen.
    pub boot_item: Option<u16>,
    /// Option 118 (RFC 3011).
    pub(super) subnet_selection: Option<Ipv4Addr>,
    /// Option 43.71 as it came.
    pub(super) boot_item_echo: Option<[u8; 4]>,
    /// Option 97 as it came.
    pub(super) machine_id: Option<Vec<u8>>,
    /// Option 61 as it came.
    pub(super) client_id: Option<Vec<u8>>,
    /// Option 82 as it came.
    pub(super) relay_agent: Option<Vec<u8>>,
    /// Does the message carry options at all?
    pub(super) has_cookie: bool,
    boot_options: bool,
}

impl Request {
    /// Reads a datagram that came to port 67.
    ///
    /// # Errors
    /// Says why nobody is to be answered.
    pub fn parse(datagram: &[u8]) -> Result<Self, Malformed> {
        Self::try_from(Message::parse(datagram)?)
    }

    /// Reads a datagram that came to port 4011.
    ///
    /// # Errors
    /// Says why nobody is to be answered.
    pub fn parse_boot_service(datagram: &[u8], from: SocketAddrV4) -> Result<Self, Malformed> {
        Ok(Self { port: Port::BootService(from), ..Self::parse(datagram)? })
    }

    /// Does the network boot speak, and not an installed system (DESIGN §7)?
    #[must_use]
    pub fn is_boot_class(&self) -> bool {
        self.boot_options || self.kind == MessageType::Bootp
    }

    /// What the ROM says of itself, as far as all machines of its model say it.
    #[must_use]
    pub fn model(&self) -> FirmwareModel {
        let parameters = self.parameters.as_deref().unwrap_or_default();
        FirmwareModel::of(&self.vendor_class, &self.architectures, &self.interface, parameters, self.mac)
    }

    /// RFC 3011: is the option believed? A machine that is no relay agent's could choose any subnet of the site.
    pub(super) fn selects_subnet(&self) -> bool {
        self.giaddr.is_some() && self.relay_suboption(5).is_none()
    }

    /// The link that is named beside the relay agent's own address; the relay agent's word (RFC 3527 §3) before the
    /// machine's (RFC 3011). RFC 5010's flags say how the machine's message came to the relay agent, and change nothing
    /// in ours: a renewal and a rebinding are answered alike.
    pub(super) fn selected_link(&self) -> Option<Ipv4Addr> {
        self.link_selection().or_else(|| self.subnet_selection.filter(|_| self.selects_subnet()))
    }

    /// RFC 3527: the link that a relay agent names beside its own address. Believed from relay agents only.
    fn link_selection(&self) -> Option<Ipv4Addr> {
        self.giaddr?;
        self.relay_suboption(5)
    }

    /// RFC 5107: the address that a relay agent wants to stand in option 54, so that renewals come through it.
    pub(super) fn server_id_override(&self) -> Option<Ipv4Addr> {
        self.giaddr?;
        self.relay_suboption(11)
    }

    fn relay_suboption(&self, code: u8) -> Option<Ipv4Addr> {
        let value = option::encapsulated(self.relay_agent.as_deref()?, code)?;
        Some(Ipv4Addr::from(<[u8; 4]>::try_from(value).ok()?))
    }
}

impl TryFrom<Message> for Request {
    type Error = Malformed;

    fn try_from(message: Message) -> Result<Self, Malformed> {
        if message.operation == Operation::Reply {
            return Err(Malformed::Operation(2));
        }
        let has_cookie = message.options.is_some();
        let options = message.options.unwrap_or_default();
        let kind = message_type(&options)?;
        let bytes = |code| options.get(code).unwrap_or_default().to_vec();
        let architectures = client::architectures(&options);
        let machine_id = echo(&options, option::MACHINE_ID);
        Ok(Self {
            port: Port::Dhcp,
            kind,
            xid: message.xid,
            secs: message.secs,
            broadcast: message.broadcast,
            ciaddr: given(message.ciaddr),
            giaddr: given(message.giaddr),
            mac: message.mac,
            requested: options.address(option::REQUESTED_ADDRESS).and_then(given),
            server_id: options.address(option::SERVER_ID).and_then(given),
            client: if kind == MessageType::Bootp { Client::Bootp } else { client::program(&options) },
            platform: client::platform(message.mac, machine_id.as_deref(), &architectures),
            architectures,
            lacks_http: client::lacks_http(&options),
            interface: bytes(option::INTERFACE),
            vendor_class: bytes(option::VENDOR_CLASS),
            user_class: bytes(option::USER_CLASS),
            uuid: machine_id.as_deref().and_then(client::uuid),
            host_name: bytes(option::HOST_NAME),
            parameters: options.get(option::PARAMETER_LIST).map(<[u8]>::to_vec),
            max_datagram: max_datagram(&options),
            boot_item: boot_item(&options).map(|item| u16::from_be_bytes([item[0], item[1]])),
            subnet_selection: options.address(option::SUBNET_SELECTION).and_then(given),
            boot_item_echo: boot_item(&options),
            machine_id,
            client_id: echo(&options, option::CLIENT_ID),
            relay_agent: echo(&options, option::RELAY_AGENT),
            has_cookie,
            boot_options: client::program(&options) != Client::Os,
        })
    }
}

/// Option 53; a message without it is BOOTP (RFC 1534 §2).
fn message_type(options: &Options) -> Result<MessageType, Malformed> {
    Ok(match options.get(option::MESSAGE_TYPE) {
        None => MessageType::Bootp,
        Some([1]) => MessageType::Discover,
        Some([3]) => MessageType::Request,
        Some([4]) => MessageType::Decline,
        Some([7]) => MessageType::Release,
        Some([8]) => MessageType::Inform,
        Some(other) => return Err(Malformed::MessageType(other.first().copied().unwrap_or(0))),
    })
}

fn given(address: Ipv4Addr) -> Option<Ipv4Addr> {
    (!address.is_unspecified()).then_some(address)
}

fn echo(options: &Options, code: u8) -> Option<Vec<u8>> {
    options.get(code).filter(|value| value.len() <= MAX_ECHO).map(<[u8]>::to_vec)
}

fn max_datagram(options: &Options) -> u16 {
    let asked = options.get(option::MAX_MESSAGE_SIZE).and_then(|value| value.try_into().ok());
    asked.map_or(MIN_DATAGRAM, u16::from_be_bytes).max(MIN_DATAGRAM)
}

/// QUIRKS 21: type (2 bytes) and layer (2 bytes); the type is what was chosen.
fn boot_item(options: &Options) -> Option<[u8; 4]> {
    let item = option::encapsulated(options.get(option::VENDOR_SPECIFIC)?, option::BOOT_ITEM)?;
    item.try_into().ok()
}
