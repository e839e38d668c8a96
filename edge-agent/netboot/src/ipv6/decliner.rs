//! The engine: what came in becomes answers, at their time.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use proto::{
    Mac,
    plan::{DhcpMode, SitePlan, UnknownMachines},
};
use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::{
    dhcp::Solicit,
    packet::Packet,
    router::{self, Asker, Heard},
};
use crate::time::Mono;

/// MAX_RA_DELAY_TIME (RFC 4861 §10).
const LONGEST_DELAY: Duration = Duration::from_millis(500);
/// MIN_DELAY_BETWEEN_RAS (RFC 4861 §10).
const BETWEEN_MULTICASTS: Duration = Duration::from_secs(3);
/// A router says so every 30 minutes at the latest (RFC 4861 §6.2.1); one of these may get lost.
const ROUTER_STANDS: Duration = Duration::from_secs(3_600);
/// RTR_SOLICITATION_INTERVAL and MAX_RTR_SOLICITATIONS (RFC 4861 §10).
const BETWEEN_QUESTIONS: Duration = Duration::from_secs(4);
const MAX_QUESTIONS: u8 = 3;
/// Machines that may wait for their answer at a time; who comes then asks again.
const MAX_WAITING: usize = 64;

/// Whether there is a router at the interface.
#[derive(Debug, Clone, Copy)]
enum Router {
    /// So many questions were asked; what is next, and when.
    Sought { asked: u8, next: Mono },
    /// It was heard, and is taken to be here until then.
    Heard { until: Mono },
    /// Nobody has answered.
    Absent,
}

/// Tells machines at one interface that there is no IPv6. After each `handle` and `handle_timeout`, take the frames
/// ([`Decliner::poll_frame`]) and ask when to come back ([`Decliner::poll_timeout`]).
#[derive(Debug)]
pub struct Decliner {
    ours: Mac,
    random: SmallRng,
    waiting: BTreeMap<Asker, Mono>,
    last_multicast: Option<Mono>,
    router: Router,
    frames: VecDeque<Vec<u8>>,
}

impl Decliner {
    /// For an interface with this link address; `seed` spreads answers in time.
    #[must_use]
    pub fn new(ours: Mac, seed: u64) -> Self {
        Self {
            ours,
            random: SmallRng::seed_from_u64(seed),
            waiting: BTreeMap::new(),
            last_multicast: None,
            router: Router::Sought { asked: 0, next: Mono::default() },
            frames: VecDeque::new(),
        }
    }

    /// A frame came in, under this plan.
    pub fn handle(&mut self, now: Mono, frame: &[u8], plan: &SitePlan) {
        let Some(packet) = Packet::parse(frame).filter(|packet| packet.mac != self.ours) else { return };
        match router::read(&packet) {
            Some(Heard::Router) => self.give_way(now),
            Some(Heard::Solicitation(asker)) if self.speaks(plan) => self.advertise(now, asker),
            Some(Heard::Solicitation(_)) => {}
            None => self.decline_lease(&packet, plan),
        }
    }

    /// Time has passed, under this plan, if there is one yet.
    pub fn handle_timeout(&mut self, now: Mono, plan: Option<&SitePlan>) {
        self.seek_router(now, plan);
        let due: Vec<Asker> =
            self.waiting.iter().filter(|(_, at)| **at <= now).map(|(asker, _)| *asker).collect();
        for asker in due {
            self.waiting.remove(&asker);
            if asker == Asker::Unspecified {
                self.last_multicast = Some(now);
            }
            self.frames.extend(router::advertisement(self.ours, asker));
        }
    }

    /// The next Ethernet frame to send.
    #[must_use]
    pub fn poll_frame(&mut self) -> Option<Vec<u8>> {
        self.frames.pop_front()
    }

    /// When to call [`Decliner::handle_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Mono> {
        let router = match self.router {
            Router::Sought { next: at, .. } | Router::Heard { until: at } => Some(at),
            Router::Absent => None,
        };
        self.waiting.values().copied().chain(router).min()
    }

    /// RFC 4861 §6.3.7. A router that was here before us would else be known by its next word alone, up to half an hour
    /// later.
    fn seek_router(&mut self, now: Mono, plan: Option<&SitePlan>) {
        let (asked, next) = match self.router {
            Router::Sought { asked, next } => (asked, next),
            Router::Heard { until } => (0, until),
            Router::Absent => return,
        };
        if now < next {
            return;
        }
        let next = now.plus(BETWEEN_QUESTIONS);
        self.router = if !plan.is_some_and(may_speak) {
            Router::Sought { asked, next }
        } else if asked < MAX_QUESTIONS {
            self.frames.extend(router::question(self.ours));
            Router::Sought { asked: asked + 1, next }
        } else {
            Router::Absent
        };
    }

    /// IPv6 is somebody's here. Our answer might come before the router's, and some take the first alone.
    fn give_way(&mut self, now: Mono) {
        self.router = Router::Heard { until: now.plus(ROUTER_STANDS) };
        self.waiting.clear();
    }

    /// Is there a router, so that this stays silent?
    #[must_use]
    pub fn gives_way(&self, now: Mono) -> bool {
        matches!(self.router, Router::Heard { until } if now < until)
    }

    /// Not before a router has had the time to answer our first question.
    fn speaks(&self, plan: &SitePlan) -> bool {
        let alone = match self.router {
            Router::Sought { asked, .. } => asked > 1,
            Router::Heard { .. } => false,
            Router::Absent => true,
        };
        alone && may_speak(plan)
    }

    /// RFC 4861 §6.2.6: after a random delay; one for several that ask meanwhile; to all not more often than every 3 s.
    fn advertise(&mut self, now: Mono, asker: Asker) {
        if self.waiting.len() >= MAX_WAITING || self.waiting.contains_key(&asker) {
            return;
        }
        let at = now.plus(self.random.random_range(Duration::ZERO..=LONGEST_DELAY));
        let at = match (asker, self.last_multicast) {
            (Asker::Unspecified, Some(last)) => at.max(last.plus(BETWEEN_MULTICASTS)),
            (Asker::Unspecified | Asker::Machine(..), _) => at,
        };
        self.waiting.insert(asker, at);
    }

    /// Machines that DHCPv4 does not answer are not answered here either: who boots them may do so by IPv6.
    fn decline_lease(&mut self, packet: &Packet<'_>, plan: &SitePlan) {
        let Some(solicit) = Solicit::read(packet).filter(|_| self.speaks(plan)) else { return };
        let answered = match plan.network.unknown {
            UnknownMachines::Lease => true,
            UnknownMachines::Ignore => plan.host_of(solicit.mac).is_some(),
        };
        if answered {
            self.frames.extend(solicit.declined(self.ours));
        }
    }
}

/// Only the authority speaks, and only where it may.
fn may_speak(plan: &SitePlan) -> bool {
    let authority = match plan.network.dhcp {
        DhcpMode::Authoritative => true,
        DhcpMode::Proxy | DhcpMode::Off => false,
    };
    authority && plan.network.decline_ipv6
}

#[cfg(test)]
mod tests {

    use proptest::prelude::*;
    use proto::{
        Generation, HostId,
        plan::{HostPlan, Network, PlanDocument, ReplySettings, host_entry, network_entry},
    };

    use super::super::{
        dhcp::tests::of_firmware,
        packet::{
            ICMPV6, UDP,
            tests::{MACHINE, OURS, sent},
        },
        router::tests::{advertise, solicit},
    };
    use super::*;

    const SOURCE: &str = "fe80::5054:ff:fe7b:6d3d";

    /// Since no router was found.
    fn at(seconds: u64) -> Mono {
        Mono(Duration::from_secs(12 + seconds))
    }

    fn plan(change: impl FnOnce(&mut Network), hosts: &[Mac]) -> SitePlan {
        let mut network = Network { dhcp: DhcpMode::Authoritative, decline_ipv6: true, ..Network::default() };
        change(&mut network);
        let host = HostPlan {
            id: HostId([1; 16]),
            name: "web".into(),
            macs: hosts.to_vec(),
            uuid: None,
            serial: None,
            address: None,
            locked: false,
            boot: None,
            tftp_single_port: false,
            reply: ReplySettings::default(),
        };
        let hosts = (!hosts.is_empty()).then(|| host_entry(&host));
        let entries = [network_entry(&network)].into_iter().chain(hosts);
        let generation = Generation { epoch: 1, revision: 1 };
        SitePlan::decode(&PlanDocument::assemble("acme", "lyon", generation, 1, entries)).expect("legal")
    }

    /// One that has found no router.
    fn decliner() -> Decliner {
        let mut decliner = Decliner::new(OURS, 7);
        assert_eq!(questions(&mut decliner, &plan(|_| {}, &[]), 4), [0, 4, 8]);
        assert_eq!(decliner.poll_timeout(), None, "whoever is silent so long is not here");
        decliner
    }

    /// At which seconds it asks for a router, in so many turns.
    fn questions(decliner: &mut Decliner, plan: &SitePlan, turns: usize) -> Vec<u64> {
        let mut asked = Vec::new();
        for _ in 0..turns {
            let now = decliner.poll_timeout().expect("it waits");
            decliner.handle_timeout(now, Some(plan));
            if let Some(frame) = decliner.poll_frame() {
                assert_eq!(Some(frame), router::question(OURS));
                asked.push(now.0.as_secs());
            }
        }
        asked
    }

    /// All that it sends until it has nothing to wait for, with the times.
    fn drain(decliner: &mut Decliner) -> Vec<(Mono, Vec<u8>)> {
        let mut sent = Vec::new();
        while let Some(now) = decliner.poll_timeout() {
            decliner.handle_timeout(now, None);
            sent.extend(std::iter::from_fn(|| decliner.poll_frame()).map(|frame| (now, frame)));
        }
        sent
    }

    #[test]
    fn who_asks_for_a_router_hears_of_none_within_half_a_second() {
        let (mut decliner, plan) = (decliner(), plan(|_| {}, &[]));
        decliner.handle(at(1), &solicit(SOURCE), &plan);
        decliner.handle(at(1), &solicit(SOURCE), &plan);
        assert_eq!(decliner.poll_frame(), None, "not before the delay is over");
        let sent = drain(&mut decliner);
        let [(when, frame)] = sent.as_slice() else { panic!("{} answers", sent.len()) };
        assert!(*when <= at(1).plus(LONGEST_DELAY), "{when:?}");
        assert_eq!(frame[..6], MACHINE.0);
    }

    #[test]
    fn everybody_is_told_every_three_seconds_at_most() {
        let (mut decliner, plan) = (decliner(), plan(|_| {}, &[]));
        let mut told = Vec::new();
        for second in 0..10 {
            decliner.handle(at(second), &solicit("::"), &plan);
            if decliner.poll_timeout().is_some_and(|when| when < at(second + 1)) {
                told.extend(drain(&mut decliner).into_iter().map(|(when, _)| when));
            }
        }
        assert!(told.len() >= 3, "{told:?}");
        let apart = told.windows(2).map(|pair| pair[1].since(pair[0])).min();
        assert!(apart >= Some(BETWEEN_MULTICASTS), "{told:?}");
    }

    #[test]
    fn only_the_authority_speaks_and_only_where_it_may() {
        for silent in [
            plan(|network| network.dhcp = DhcpMode::Proxy, &[MACHINE]),
            plan(|network| network.dhcp = DhcpMode::Off, &[MACHINE]),
            plan(|network| network.decline_ipv6 = false, &[MACHINE]),
        ] {
            let mut decliner = decliner();
            decliner.handle(at(0), &solicit(SOURCE), &silent);
            decliner.handle(at(0), &of_firmware(), &silent);
            assert_eq!((decliner.poll_timeout(), decliner.poll_frame()), (None, None));
        }
    }

    #[test]
    fn a_router_is_given_way_to_for_an_hour() {
        let (mut decliner, plan) = (decliner(), plan(|_| {}, &[MACHINE]));
        decliner.handle(at(0), &solicit(SOURCE), &plan);
        decliner.handle(at(0), &advertise(1_800), &plan);
        decliner.handle(at(3_599), &solicit(SOURCE), &plan);
        decliner.handle(at(3_599), &of_firmware(), &plan);
        assert_eq!((decliner.poll_timeout(), decliner.poll_frame()), (Some(at(3_600)), None));
        assert_eq!(questions(&mut decliner, &plan, 1), [3_612], "is it still there?");
        decliner.handle(at(3_601), &advertise(1_800), &plan);
        decliner.handle(at(3_602), &solicit(SOURCE), &plan);
        assert_eq!(decliner.poll_frame(), None);
        assert_eq!(questions(&mut decliner, &plan, 4), [7_213, 7_217, 7_221]);
        decliner.handle(at(7_300), &solicit(SOURCE), &plan);
        assert_eq!(drain(&mut decliner).len(), 1);
    }

    #[test]
    fn a_router_that_was_here_before_is_asked_for_and_given_way_to() {
        let second = |second| Mono(Duration::from_secs(second));
        let (mut decliner, plan) = (Decliner::new(OURS, 7), plan(|_| {}, &[MACHINE]));
        decliner.handle_timeout(second(0), Some(&plan));
        assert_eq!(decliner.poll_frame(), router::question(OURS));
        decliner.handle(second(1), &of_firmware(), &plan);
        assert_eq!(decliner.poll_frame(), None, "not before it has had time to answer");
        decliner.handle(second(2), &advertise(1_800), &plan);
        decliner.handle(second(60), &of_firmware(), &plan);
        assert_eq!((decliner.poll_frame(), decliner.poll_timeout()), (None, Some(second(3_602))));
    }

    #[test]
    fn nobody_is_asked_where_the_agent_does_not_speak() {
        let silent = plan(|network| network.dhcp = DhcpMode::Proxy, &[]);
        let mut decliner = Decliner::new(OURS, 7);
        assert_eq!(questions(&mut decliner, &silent, 10), [0; 0]);
        let speaks = plan(|_| {}, &[]);
        assert_eq!(questions(&mut decliner, &speaks, 4), [40, 44, 48], "another plan comes");
    }

    #[test]
    fn firmware_is_declined_at_once_where_dhcp_answers_it() {
        let known = plan(|_| {}, &[MACHINE]);
        let leased = plan(|network| network.unknown = UnknownMachines::Lease, &[]);
        let ignored = plan(|_| {}, &[]);
        for (plan, answers) in [(known, 1), (leased, 1), (ignored, 0)] {
            let mut decliner = decliner();
            decliner.handle(at(0), &of_firmware(), &plan);
            assert_eq!(std::iter::from_fn(|| decliner.poll_frame()).count(), answers);
        }
    }

    #[test]
    fn a_flood_waits_in_a_bounded_room() {
        let (mut decliner, plan) = (decliner(), plan(|_| {}, &[]));
        for machine in 1..=1_000 {
            decliner.handle(at(0), &solicit(&format!("fe80::{machine:x}")), &plan);
        }
        assert_eq!(drain(&mut decliner).len(), MAX_WAITING);
    }

    proptest! {
        /// With checksums that hold, so that the bytes are looked at.
        #[test]
        fn no_bytes_panic_and_none_is_answered_twice(
            mut payload in proptest::collection::vec(any::<u8>(), 4..120), which in 0_usize..3, true_to_form: bool,
        ) {
            let (to, protocol) = [("ff02::2", (ICMPV6, 255)), ("ff02::1", (ICMPV6, 255)), ("ff02::1:2", (UDP, 64))][which];
            if true_to_form {
                let length = u8::try_from(payload.len()).expect("short");
                let start = [vec![133, 0], vec![134, 0], vec![2, 34, 2, 35, 0, length, 0, 0, 1]][which].clone();
                payload.iter_mut().zip(start).for_each(|(byte, fixed)| *byte = fixed);
            }
            payload.resize(payload.len().max(8), 0);
            let (mut decliner, plan) = (decliner(), plan(|_| {}, &[MACHINE]));
            decliner.handle(at(0), &sent((SOURCE, to), protocol, &payload), &plan);
            let answers = std::iter::from_fn(|| decliner.poll_frame()).count() + drain(&mut decliner).len();
            prop_assert!(answers <= 1);
        }

        #[test]
        fn no_frame_panics(frame in proptest::collection::vec(any::<u8>(), 0..200)) {
            decliner().handle(at(0), &frame, &plan(|_| {}, &[]));
        }
    }
}
