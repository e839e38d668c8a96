//! Other DHCP servers on the wire (S1): who is there, and when that is worth an alarm.
//!
//! Their offers are overheard where they are broadcast, and asked for by a DISCOVER of our own about once a minute, which no
//! REQUEST ever follows. Where we are the authority, any server that the site does not name is one too many. Beside
//! another server one that gives addresses is expected, or those that the site names; alarming is whoever else
//! gives addresses, and whoever else says what to boot.

use std::{collections::BTreeMap, net::Ipv4Addr, time::Duration};

use proto::{
    Mac,
    plan::{DhcpMode, Network},
};

use super::{Message, Operation, ServerMessage, option};
use crate::time::Mono;

/// A server that was not heard for so long has gone; ten questions went unanswered.
const FORGET: Duration = Duration::from_secs(600);

/// How often a server that stays is told of.
const REPEAT: Duration = Duration::from_secs(3_600);

/// Servers that are told apart; who makes up more is not told of before one is forgotten.
const MAX_SERVERS: usize = 32;

/// The first question comes within so long after a plan asks for it, further ones about every minute (S1).
const FIRST_WITHIN: Duration = Duration::from_secs(5);
const SHORTEST_PAUSE: Duration = Duration::from_secs(54);
const JITTER: Duration = Duration::from_secs(12);

/// A server by its identifier and the link address that it is heard from.
type Key = (Ipv4Addr, Mac);

/// The servers that were heard of late, and when they are asked for next.
#[derive(Debug, Default)]
pub(crate) struct ForeignServers {
    heard: BTreeMap<Key, Heard>,
    next_question: Option<Mono>,
}

#[derive(Debug, Clone)]
struct Heard {
    since: Mono,
    last: Mono,
    gives_addresses: bool,
    boots: bool,
    /// When it was told of, and whether it then spoke of booting.
    told: Option<(Mono, bool)>,
    /// What it said last of booting, in words.
    hints: String,
}

impl Heard {
    fn since(now: Mono) -> Self {
        let hints = String::new();
        Self { since: now, last: now, gives_addresses: false, boots: false, told: None, hints }
    }

    fn take(&mut self, now: Mono, message: &ServerMessage) {
        self.last = now;
        self.gives_addresses |= message.address.is_some();
        self.boots |= message.boot.tells_of_booting();
        self.hints = hints(message);
    }

    fn is_due(&self, now: Mono) -> bool {
        self.told.is_none_or(|(at, booted)| now.since(at) >= REPEAT || (self.boots && !booted))
    }
}

impl ForeignServers {
    /// Takes in what a server said that is not ours; what there is to tell of it, if anything.
    pub(crate) fn hear(&mut self, now: Mono, network: &Network, message: &ServerMessage) -> Option<String> {
        self.heard.retain(|_, heard| now.since(heard.last) < FORGET);
        if !watches(network) || is_known(network, message) {
            return None;
        }
        let key = (message.server, message.mac);
        if !self.heard.contains_key(&key) && self.heard.len() >= MAX_SERVERS {
            return None;
        }
        let heard = self.heard.entry(key).or_insert_with(|| Heard::since(now));
        heard.take(now, message);
        let heard = heard.clone();
        let fault = self.fault(network, key, &heard).filter(|_| heard.is_due(now))?;
        let text = format!("{} at {} {fault}{}", message.server, message.mac, heard.hints);
        self.heard.insert(key, Heard { told: Some((now, heard.boots)), ..heard });
        Some(text)
    }

    /// What was heard of a server, in words; "" for nothing.
    pub(crate) fn known_of(&self, server: Ipv4Addr) -> String {
        let found = self.heard.iter().find(|((known, _), _)| *known == server);
        found.map(|((_, mac), heard)| format!("at {mac}{}", heard.hints)).unwrap_or_default()
    }

    /// What is wrong with there being this server.
    fn fault(&self, network: &Network, key: Key, heard: &Heard) -> Option<String> {
        match network.dhcp {
            DhcpMode::Off => None,
            DhcpMode::Authoritative if heard.gives_addresses => Some("gives addresses".into()),
            DhcpMode::Authoritative => Some("answers machines".into()),
            DhcpMode::Proxy if heard.boots => Some("says what to boot".into()),
            DhcpMode::Proxy if !heard.gives_addresses => None,
            DhcpMode::Proxy => match self.expected(network) {
                Some(expected) if expected == key.0 => None,
                Some(expected) => Some(format!("gives addresses beside {expected}")),
                None => Some("gives addresses".into()),
            },
        }
    }

    /// The server that we stand beside: of those that give addresses the one that has been here longest. Where the site names
    /// servers, none but these is expected.
    fn expected(&self, network: &Network) -> Option<Ipv4Addr> {
        let givers = self.heard.iter().filter(|(_, heard)| heard.gives_addresses);
        let first = givers.min_by_key(|(key, heard)| (heard.since, **key));
        first.filter(|_| network.known_dhcp_servers.is_empty()).map(|((server, _), _)| *server)
    }

    /// When servers are asked for next; None before [`Self::follow`] was told to.
    pub(crate) fn next_question(&self) -> Option<Mono> {
        self.next_question
    }

    /// Obeys the network of a plan. `random` spreads the agents' questions.
    pub(crate) fn follow(&mut self, now: Mono, network: &Network, random: u32) {
        let at = self.next_question.unwrap_or_else(|| now.plus(share(FIRST_WITHIN, random)));
        self.next_question = watches(network).then_some(at);
    }

    /// They have just been asked.
    pub(crate) fn asked(&mut self, now: Mono, random: u32) {
        self.next_question = Some(now.plus(SHORTEST_PAUSE + share(JITTER, random)));
    }
}

/// The DISCOVER that asks for servers, those too that only speak to network boots. Whoever answers holds an address for us for
/// a moment, the same one each time.
pub(crate) fn question(mac: Mac, xid: u32) -> Vec<u8> {
    let mut discover = Message::new(Operation::Request, mac, xid);
    discover.broadcast = true;
    let options = discover.options.get_or_insert_default();
    options.set(option::MESSAGE_TYPE, [1]);
    options.set(option::PARAMETER_LIST, [1, 3, 6, 43, 54, 60, 66, 67]);
    options.set(option::VENDOR_CLASS, *b"PXEClient:Arch:00000:UNDI:002001");
    options.set(option::ARCHITECTURE, [0, 0]);
    discover.emit()
}

fn watches(network: &Network) -> bool {
    network.watch_dhcp && network.dhcp != DhcpMode::Off
}

fn is_known(network: &Network, message: &ServerMessage) -> bool {
    network.known_dhcp_servers.iter().any(|known| [message.server, message.from].contains(known))
}

/// A part of a span, evenly spread.
fn share(span: Duration, random: u32) -> Duration {
    span * (random % 1_000) / 1_000
}

fn hints(message: &ServerMessage) -> String {
    let boot = &message.boot;
    let mut text = String::new();
    for (what, value) in
        [("boot file", &boot.file), ("TFTP server", &boot.tftp_server), ("class", &boot.class)]
    {
        if !value.is_empty() {
            text += &format!(", {what} {value}");
        }
    }
    text + &boot.next_server.map(|server| format!(", next server {server}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dhcp::BootHints;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 9]);

    fn at(seconds: u64) -> Mono {
        Mono(Duration::from_secs(seconds))
    }

    fn network(dhcp: DhcpMode) -> Network {
        Network { dhcp, watch_dhcp: true, ..Network::default() }
    }

    fn server(last: u8, boot: BootHints) -> ServerMessage {
        let server = Ipv4Addr::new(10, 1, 0, last);
        ServerMessage {
            mac: MAC,
            from: server,
            server,
            machine: MAC,
            address: Some([10, 1, 0, 50].into()),
            boot,
        }
    }

    fn plain(last: u8) -> ServerMessage {
        server(last, BootHints::default())
    }

    fn booting(last: u8) -> ServerMessage {
        let next_server = Some([10, 1, 0, last].into());
        server(last, BootHints { file: "pxelinux.0".into(), next_server, ..BootHints::default() })
    }

    #[test]
    fn the_authority_tells_of_any_server_with_what_it_offers() {
        let (mut servers, network) = (ForeignServers::default(), network(DhcpMode::Authoritative));
        let told = servers.hear(at(1), &network, &booting(9)).expect("a stranger");
        let expected =
            "10.1.0.9 at 02:00:00:00:00:09 gives addresses, boot file pxelinux.0, next server 10.1.0.9";
        assert_eq!(told, expected);
        assert!(servers.hear(at(2), &network, &plain(8)).is_some(), "another one");
    }

    #[test]
    fn it_is_told_of_once_an_hour_and_at_its_return() {
        let (mut servers, network) = (ForeignServers::default(), network(DhcpMode::Authoritative));
        let mut told: Vec<u64> = Vec::new();
        // Every minute for three hours, but for a break of ten minutes in the second.
        for minute in (0..70).chain(80..180) {
            told.extend(servers.hear(at(minute * 60), &network, &plain(9)).map(|_| minute));
        }
        assert_eq!(told, [0, 60, 80, 140]);
    }

    #[test]
    fn beside_another_server_one_is_expected_as_long_as_it_says_nothing_of_booting() {
        let (mut servers, network) = (ForeignServers::default(), network(DhcpMode::Proxy));
        assert_eq!(servers.hear(at(1), &network, &plain(9)), None);
        let second = servers.hear(at(2), &network, &plain(8)).expect("one too many");
        assert!(second.contains("gives addresses beside 10.1.0.9"), "{second}");
        assert_eq!(servers.hear(at(3), &network, &plain(9)), None, "the first one stays the expected one");
        let booting = servers.hear(at(4), &network, &booting(9)).expect("it spoils boots");
        assert!(booting.contains("says what to boot, boot file pxelinux.0"), "{booting}");
        let proxy = ServerMessage { address: None, ..server(7, BootHints::default()) };
        assert_eq!(servers.hear(at(5), &network, &proxy), None);
        let class = BootHints { class: "HTTPClient".into(), ..BootHints::default() };
        assert!(servers.hear(at(6), &network, &ServerMessage { boot: class, ..proxy }).is_some());
    }

    #[test]
    fn servers_that_the_site_names_are_expected_and_no_others() {
        for dhcp in [DhcpMode::Authoritative, DhcpMode::Proxy] {
            let known_dhcp_servers = vec![Ipv4Addr::new(10, 1, 0, 9)];
            let network = Network { known_dhcp_servers, ..network(dhcp) };
            let mut servers = ForeignServers::default();
            assert_eq!(servers.hear(at(1), &network, &booting(9)), None);
            // Through a relay agent the server's own address shows in option 54 alone, or in the sender's.
            let elsewhere = ServerMessage { server: [10, 9, 9, 9].into(), ..plain(9) };
            assert_eq!(servers.hear(at(2), &network, &elsewhere), None);
            assert!(servers.hear(at(3), &network, &plain(8)).is_some());
        }
    }

    #[test]
    fn the_watch_is_switched_off_by_the_site_and_where_dhcp_is_off() {
        let off = Network { watch_dhcp: false, ..network(DhcpMode::Authoritative) };
        for network in [off, network(DhcpMode::Off)] {
            let mut servers = ForeignServers::default();
            servers.follow(at(0), &network, 7);
            assert_eq!((servers.next_question(), servers.hear(at(1), &network, &booting(9))), (None, None));
        }
    }

    #[test]
    fn memory_is_bounded() {
        let (mut servers, network) = (ForeignServers::default(), network(DhcpMode::Authoritative));
        let told = (0..=255).filter(|n| servers.hear(at(1), &network, &plain(*n)).is_some()).count();
        assert_eq!((told, servers.heard.len()), (MAX_SERVERS, MAX_SERVERS));
        assert!(servers.hear(at(601), &network, &plain(255)).is_some(), "the others are forgotten");
    }

    #[test]
    fn questions_come_about_once_a_minute() {
        let (mut servers, network) = (ForeignServers::default(), network(DhcpMode::Proxy));
        servers.follow(at(0), &network, 999);
        assert!(servers.next_question().is_some_and(|first| at(4) < first && first < at(5)));
        servers.asked(at(5), 0);
        assert_eq!(servers.next_question(), Some(at(59)));
        servers.asked(at(59), 500);
        assert_eq!(servers.next_question(), Some(at(119)));
        servers.follow(at(60), &network, 3);
        assert_eq!(servers.next_question(), Some(at(119)), "another plan changes nothing");
        let question = crate::dhcp::Request::parse(&question(MAC, 7)).expect("a legal DISCOVER");
        assert!(question.broadcast && question.is_boot_class());
    }
}
