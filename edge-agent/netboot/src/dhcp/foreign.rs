//! Other DHCP servers on the wire (S1): who is there, and when that is worth an alarm.
//!
//! Their offers are overheard where they are broadcast, and asked for by a DISCOVER of our own about once a minute, which no
//! REQUEST ever follows. Where we are the authority, any server that the site does not name is one too many. Beside
//! another server one that gives addresses is expected, or those that the site names; alarming is whoever else
//! gives addresses, and whoever else says what to boot. Nobody hides behind a name: a server that the site names is alarming where
//! two machines speak for it, and whoever speaks for us without being one of ours.

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

/// Servers that are told apart. A further one takes the place of one that was told of, or that has nothing to be told of,
/// if none did so just before: who makes up servers is not to fill the journal.
const MAX_SERVERS: usize = 32;
const GIVES_WAY: Duration = Duration::from_secs(10);

/// Relay agents that are told from servers; the one that was answered longest ago gives way.
const MAX_RELAYS: usize = 64;

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
    /// When a server gave way to another.
    gave_way: Option<Mono>,
    /// The relay agents that were answered, and when.
    relays: BTreeMap<Ipv4Addr, Mono>,
    next_question: Option<Mono>,
}

/// For whom a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    /// For us, without being one of ours.
    Ours,
    /// For a server that the site names.
    Known,
    /// For itself.
    Other,
}

#[derive(Debug, Clone)]
struct Heard {
    name: Name,
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
    fn since(now: Mono, name: Name) -> Self {
        let hints = String::new();
        Self { name, since: now, last: now, gives_addresses: false, boots: false, told: None, hints }
    }

    fn take(&mut self, now: Mono, name: Name, message: &ServerMessage) {
        (self.last, self.name) = (now, name);
        self.gives_addresses |= message.address.is_some();
        self.boots |= message.boot.tells_of_booting();
        self.hints = hints(message);
    }

    fn is_due(&self, now: Mono) -> bool {
        self.told.is_none_or(|(at, booted)| now.since(at) >= REPEAT || (self.boots && !booted))
    }

    /// Is nothing lost that is to be told of, or that others are measured by?
    fn may_give_way(&self) -> bool {
        self.told.is_some() || self.name == Name::Known || !(self.gives_addresses || self.boots)
    }
}

impl ForeignServers {
    /// Takes in what a server said that is none of our interfaces; what there is to tell of it, if anything. `ours` are our
    /// addresses.
    pub(crate) fn hear(
        &mut self,
        now: Mono,
        network: &Network,
        message: &ServerMessage,
        ours: &[Ipv4Addr],
    ) -> Option<String> {
        self.heard.retain(|_, heard| now.since(heard.last) < FORGET);
        if !watches(network) || self.is_relayed(now, message, ours) {
            return None;
        }
        let (name, server) = name_of(network, message, ours);
        let key = (server, message.mac);
        if !self.heard.contains_key(&key) && !self.make_room(now) {
            return None;
        }
        let heard = self.heard.entry(key).or_insert_with(|| Heard::since(now, name));
        heard.take(now, name, message);
        let heard = heard.clone();
        let fault = self.fault(network, key, &heard).filter(|_| heard.is_due(now))?;
        let text = format!("{server} at {} {fault}{}", message.mac, heard.hints);
        self.heard.insert(key, Heard { told: Some((now, heard.boots)), ..heard });
        Some(text)
    }

    /// Is there a place for another server?
    fn make_room(&mut self, now: Mono) -> bool {
        if self.heard.len() < MAX_SERVERS {
            return true;
        }
        let may = self.gave_way.is_none_or(|at| now.since(at) >= GIVES_WAY);
        let least = self.heard.iter().filter(|(_, heard)| may && heard.may_give_way());
        let least = least.min_by_key(|(_, heard)| (heard.told.is_none(), heard.since));
        let Some(key) = least.map(|(key, _)| *key) else { return false };
        self.gave_way = Some(now);
        self.heard.remove(&key).is_some()
    }

    /// We answer machines behind this relay agent.
    pub(crate) fn note_relay(&mut self, now: Mono, relay: Ipv4Addr) {
        if self.relays.len() >= MAX_RELAYS
            && !self.relays.contains_key(&relay)
            && let Some((oldest, _)) = self.relays.iter().min_by_key(|(_, answered)| **answered)
        {
            let oldest = *oldest;
            self.relays.remove(&oldest);
        }
        self.relays.insert(relay, now);
    }

    /// Is it our own word, on its way through a relay agent? It may name the relay agent as the server (RFC 5107).
    fn is_relayed(&self, now: Mono, message: &ServerMessage, ours: &[Ipv4Addr]) -> bool {
        let relays = |address| self.relays.get(&address).is_some_and(|at| now.since(*at) < FORGET);
        relays(message.from) && (ours.contains(&message.server) || message.server == message.from)
    }

    /// What was heard of a server, in words; "" for nothing.
    pub(crate) fn known_of(&self, server: Ipv4Addr) -> String {
        let found = self.heard.iter().find(|((known, _), _)| *known == server);
        found.map(|((_, mac), heard)| format!("at {mac}{}", heard.hints)).unwrap_or_default()
    }

    /// What is wrong with there being this server.
    fn fault(&self, network: &Network, key: Key, heard: &Heard) -> Option<String> {
        match heard.name {
            Name::Ours => return Some("speaks for this agent".into()),
            Name::Known => {
                return self.twin(key).map(|mac| format!("speaks for a known server, as {mac} does"));
            }
            Name::Other => {}
        }
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

    /// How many that were heard of late an operator should look at.
    pub(crate) fn at_fault(&self, now: Mono, network: &Network) -> usize {
        let of_late = self.heard.iter().filter(|(_, heard)| now.since(heard.last) < FORGET);
        of_late.filter(|(key, heard)| self.fault(network, **key, heard).is_some()).count()
    }

    /// Another machine that speaks for the same server.
    fn twin(&self, (server, mac): Key) -> Option<Mac> {
        let mut same = self.heard.range((server, Mac([0; 6]))..=(server, Mac([0xff; 6])));
        same.find(|((_, other), _)| *other != mac).map(|((_, other), _)| *other)
    }

    /// The server that we stand beside: of those that give addresses the one that has been here longest. Where the site names
    /// servers, none but these is expected.
    fn expected(&self, network: &Network) -> Option<Ipv4Addr> {
        let givers =
            self.heard.iter().filter(|(_, heard)| heard.name == Name::Other && heard.gives_addresses);
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

/// For whom a server speaks, and by which address: its identifier, or the address that it sends from.
fn name_of(network: &Network, message: &ServerMessage, ours: &[Ipv4Addr]) -> (Name, Ipv4Addr) {
    // Through a relay agent a known server shows in option 54 alone, unless the site names the relay agent too.
    let named =
        |names: &[Ipv4Addr]| [message.from, message.server].into_iter().find(|name| names.contains(name));
    match (named(ours), named(&network.known_dhcp_servers)) {
        (Some(our), _) => (Name::Ours, our),
        (None, Some(known)) => (Name::Known, known),
        (None, None) => (Name::Other, message.server),
    }
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
    const ROGUE: Mac = Mac([2, 0, 0, 0, 6, 6]);
    const OURS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 1, 0, 2), Ipv4Addr::new(10, 1, 7, 2)];

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
        let told = servers.hear(at(1), &network, &booting(9), &OURS).expect("a stranger");
        let expected =
            "10.1.0.9 at 02:00:00:00:00:09 gives addresses, boot file pxelinux.0, next server 10.1.0.9";
        assert_eq!(told, expected);
        assert!(servers.hear(at(2), &network, &plain(8), &OURS).is_some(), "another one");
    }

    #[test]
    fn it_is_told_of_once_an_hour_and_at_its_return() {
        let (mut servers, network) = (ForeignServers::default(), network(DhcpMode::Authoritative));
        let mut told: Vec<u64> = Vec::new();
        // Every minute for three hours, but for a break of ten minutes in the second.
        for minute in (0..70).chain(80..180) {
            told.extend(servers.hear(at(minute * 60), &network, &plain(9), &OURS).map(|_| minute));
        }
        assert_eq!(told, [0, 60, 80, 140]);
    }

    #[test]
    fn beside_another_server_one_is_expected_as_long_as_it_says_nothing_of_booting() {
        let (mut servers, network) = (ForeignServers::default(), network(DhcpMode::Proxy));
        assert_eq!(servers.hear(at(1), &network, &plain(9), &OURS), None);
        let second = servers.hear(at(2), &network, &plain(8), &OURS).expect("one too many");
        assert!(second.contains("gives addresses beside 10.1.0.9"), "{second}");
        assert_eq!(
            servers.hear(at(3), &network, &plain(9), &OURS),
            None,
            "the first one stays the expected one"
        );
        let booting = servers.hear(at(4), &network, &booting(9), &OURS).expect("it spoils boots");
        assert!(booting.contains("says what to boot, boot file pxelinux.0"), "{booting}");
        let proxy = ServerMessage { address: None, ..server(7, BootHints::default()) };
        assert_eq!(servers.hear(at(5), &network, &proxy, &OURS), None);
        let class = BootHints { class: "HTTPClient".into(), ..BootHints::default() };
        assert!(servers.hear(at(6), &network, &ServerMessage { boot: class, ..proxy }, &OURS).is_some());
    }

    #[test]
    fn servers_that_the_site_names_are_expected_and_no_others() {
        for dhcp in [DhcpMode::Authoritative, DhcpMode::Proxy] {
            let known_dhcp_servers = vec![Ipv4Addr::new(10, 1, 0, 9)];
            let network = Network { known_dhcp_servers, ..network(dhcp) };
            let mut servers = ForeignServers::default();
            assert_eq!(servers.hear(at(1), &network, &booting(9), &OURS), None);
            // Through a relay agent the server's own address shows in option 54 alone, or in the sender's.
            let elsewhere = ServerMessage { server: [10, 9, 9, 9].into(), ..plain(9) };
            assert_eq!(servers.hear(at(2), &network, &elsewhere, &OURS), None);
            assert!(servers.hear(at(3), &network, &plain(8), &OURS).is_some());
        }
    }

    #[test]
    fn the_watch_is_switched_off_by_the_site_and_where_dhcp_is_off() {
        let off = Network { watch_dhcp: false, ..network(DhcpMode::Authoritative) };
        for network in [off, network(DhcpMode::Off)] {
            let mut servers = ForeignServers::default();
            servers.follow(at(0), &network, 7);
            assert_eq!(
                (servers.next_question(), servers.hear(at(1), &network, &booting(9), &OURS)),
                (None, None)
            );
        }
    }

    #[test]
    fn who_speaks_for_us_without_being_us_is_told_of() {
        for dhcp in [DhcpMode::Authoritative, DhcpMode::Proxy] {
            let known_dhcp_servers = vec![Ipv4Addr::new(10, 1, 0, 9)];
            let network = Network { known_dhcp_servers, ..network(dhcp) };
            for rogue in [
                ServerMessage { server: OURS[0], ..plain(66) },
                ServerMessage { from: OURS[1], ..plain(66) },
                ServerMessage { from: OURS[1], ..plain(9) },
            ] {
                let mut servers = ForeignServers::default();
                let told = servers.hear(at(1), &network, &rogue, &OURS).expect("an impostor");
                assert!(told.contains(&format!("at {MAC} speaks for this agent")), "{told}");
                assert_eq!(servers.expected(&Network::default()), None, "nobody to stand beside");
            }
        }
    }

    #[test]
    fn our_word_through_a_relay_agent_is_ours() {
        let (mut servers, network) = (ForeignServers::default(), network(DhcpMode::Authoritative));
        let relayed = ServerMessage { server: OURS[0], ..plain(1) };
        // RFC 5107: the relay agent may stand in option 54 itself.
        for message in [&relayed, &plain(1)] {
            servers.note_relay(at(1), [10, 1, 0, 1].into());
            assert_eq!(servers.hear(at(2), &network, message, &OURS), None);
            assert!(servers.hear(at(602), &network, message, &OURS).is_some(), "nobody is behind it");
        }
        let another = ServerMessage { server: [10, 1, 0, 66].into(), ..plain(1) };
        servers.note_relay(at(700), [10, 1, 0, 1].into());
        assert!(servers.hear(at(700), &network, &another, &OURS).is_some(), "another's word");
        for n in 0..1_000_u32 {
            servers.note_relay(at(701), Ipv4Addr::from(n));
        }
        assert_eq!(servers.relays.len(), MAX_RELAYS);
    }

    #[test]
    fn two_machines_that_speak_for_one_known_server_are_told_of() {
        let known_dhcp_servers = vec![[10, 1, 0, 9].into(), [10, 1, 0, 1].into()];
        let network = Network { known_dhcp_servers, ..network(DhcpMode::Authoritative) };
        let mut servers = ForeignServers::default();
        assert_eq!(servers.hear(at(1), &network, &plain(9), &OURS), None);
        // The same server through a relay agent that the site names as well.
        let relayed = ServerMessage { mac: Mac([2, 0, 0, 0, 0, 1]), from: [10, 1, 0, 1].into(), ..plain(9) };
        assert_eq!(servers.hear(at(1), &network, &relayed, &OURS), None);
        for rogue in [
            ServerMessage { mac: ROGUE, ..booting(9) },
            ServerMessage { mac: Mac([2, 0, 0, 0, 6, 7]), from: [10, 1, 0, 66].into(), ..booting(9) },
        ] {
            let told = servers.hear(at(2), &network, &rogue, &OURS).expect("a second one");
            assert!(told.contains("speaks for a known server, as 02:00:00:00:00:09 does"), "{told}");
        }
        let first =
            servers.hear(at(3), &network, &plain(9), &OURS).expect("which of them it is nobody knows");
        assert!(first.contains(&format!("as {ROGUE} does")), "{first}");
    }

    #[test]
    fn memory_and_what_is_told_are_bounded_and_the_last_one_is_told_of_all_the_same() {
        let (mut servers, network) = (ForeignServers::default(), network(DhcpMode::Authoritative));
        let mut told = (3..=255).filter(|n| servers.hear(at(1), &network, &plain(*n), &OURS).is_some());
        assert_eq!(told.by_ref().count(), MAX_SERVERS + 1);
        assert_eq!(servers.heard.len(), MAX_SERVERS);
        assert_eq!(servers.hear(at(10), &network, &plain(255), &OURS), None, "not one after the other");
        assert!(servers.hear(at(11), &network, &plain(255), &OURS).is_some());
        assert_eq!(servers.heard.len(), MAX_SERVERS);
    }

    #[test]
    fn what_is_harmless_takes_nobodys_place() {
        let (mut servers, network) = (ForeignServers::default(), network(DhcpMode::Proxy));
        assert_eq!(servers.hear(at(1), &network, &plain(3), &OURS), None, "the one that we stand beside");
        for n in 4..=255 {
            let harmless = ServerMessage { address: None, ..plain(n) };
            assert_eq!(servers.hear(at(2), &network, &harmless, &OURS), None);
        }
        let rogue = servers.hear(at(12), &network, &plain(66), &OURS).expect("one too many");
        assert!(rogue.contains("beside 10.1.0.3"), "{rogue}");
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
