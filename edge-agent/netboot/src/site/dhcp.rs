//! DHCP at the site: finds the host, the attempt and the answer, and lets the DHCP server say it.

use std::net::Ipv4Addr;

use proto::{
    OrderId,
    event::{Answer, Client, EventKind, clean},
    plan::{DhcpMode, HostPlan, ReplyForm, SitePlan, UnknownMachines},
};

use super::{About, Action, Arrival, Disk, Site, deferred, programs};
use crate::{
    attempts::{Attempt, Joined, Reached},
    decide::{Circumstances, Decision, Facts, decide},
    dhcp::{BootAnswer, Context, Destination, Effect, MessageType, Port, Request},
    time::Now,
};

/// The longest vendor class that an event shows, in characters.
const VENDOR_CLASS: usize = 64;

impl Site {
    pub(super) fn handle_dhcp(&mut self, now: Now, arrival: &Arrival, request: &Request) {
        let Some(plan) = self.plan.clone() else { return };
        let asks_itself = self.config.stations.iter().any(|station| station.mac == request.mac);
        if plan.network.dhcp == DhcpMode::Off || asks_itself {
            return;
        }
        let host = plan.host_of(request.mac);
        if host.is_none() && plan.network.unknown == UnknownMachines::Ignore {
            return self.note_ignored(now, request.mac);
        }
        match deferred::delay(&plan.network, host, request) {
            Some(delay) => {
                self.join_attempt(now, arrival, request, host);
                self.deferred.insert(now.mono.plus(delay), host.is_some(), arrival, request);
            }
            None => self.answer_dhcp(now, arrival, request, &plan),
        }
    }

    /// Those whose time has come.
    pub(super) fn answer_deferred(&mut self, now: Now) {
        while let Some((arrival, request)) = self.deferred.pop_due(now.mono) {
            if let Some(plan) = self.plan.clone() {
                self.answer_dhcp(now, &arrival, &request, &plan);
            }
        }
    }

    fn answer_dhcp(&mut self, now: Now, arrival: &Arrival, request: &Request, plan: &SitePlan) {
        self.records_before = self.records;
        let host = plan.host_of(request.mac);
        let about = self.join_attempt(now, arrival, request, host);
        let Some((answer, order)) = self.answer(now, arrival, request, plan, about) else { return };
        let form = self.reply_form(now, request, plan, &answer, about);
        let context = Context {
            network: &plan.network,
            host,
            plan,
            server: arrival.server,
            base_url: &arrival.base_url,
            answer: &answer,
            form,
            wire: Some(arrival.interface).filter(|number| (*number as usize) < self.config.stations.len()),
            grants_allowed: self.disk == Disk::Fine,
        };
        let effects = self.dhcp.handle(now, request, &context);
        self.note_dialogue(now, arrival, request, plan, &effects);
        if takes_answer(request, &effects) {
            self.offer_order(now, about, order);
        }
        self.perform_dhcp(now, about, (arrival, request), effects);
        if plan.network.is_proxy() {
            self.note_foreign_lease(now, about, request);
        }
    }

    /// Beside another server an operating system shows by its REQUEST to that server that it is up.
    fn note_foreign_lease(&mut self, now: Now, about: About, request: &Request) {
        if request.client == Client::Os && request.kind == MessageType::Request {
            self.note_system(now, about, request.requested.or(request.ciaddr));
        }
    }

    /// An operating system has its address: that may be the end of the attempt.
    fn note_system(&mut self, now: Now, about: About, address: Option<Ipv4Addr>) {
        let Some(attempt) = self.attempt_of(now, about) else { return };
        if attempt.awaits_system() {
            attempt.reached = Reached::Ended;
            self.tell(now, about, EventKind::OsUp { address });
        }
    }

    /// What a known host can be told while nothing can be put on disk: its fixed address, and in doubt the local disk
    /// (DESIGN §6 "A full disk"). The engine stays as it is, so nothing has to be on disk before this leaves.
    #[must_use]
    pub fn reply_from_plan(&self, arrival: &Arrival, request: &Request) -> Option<(Vec<u8>, Destination)> {
        let plan = self.plan.as_ref()?;
        let context = Context {
            network: &plan.network,
            host: Some(plan.host_of(request.mac)?),
            plan,
            server: arrival.server,
            base_url: &arrival.base_url,
            answer: &BootAnswer::LocalDisk,
            form: ReplyForm::default(),
            wire: None,
            grants_allowed: false,
        };
        self.dhcp.reply_from_plan(request, &context)
    }

    /// The attempt that the message belongs to. Only what asks us for an address or a file may begin one.
    fn join_attempt(
        &mut self,
        now: Now,
        arrival: &Arrival,
        request: &Request,
        host: Option<&HostPlan>,
    ) -> About {
        let mac = request.mac;
        let host_id = host.map(|host| host.id);
        let fresh = self.fresh_attempt();
        let table = if host.is_some() { &mut self.attempts } else { &mut self.strangers };
        if !may_begin(request, arrival) {
            let attempt = table.of(mac).filter(|attempt| attempt.reached < Reached::Ended);
            return About { attempt: attempt.map(|attempt| attempt.id), host: host_id, mac: Some(mac) };
        }
        let (attempt, joined) = table.boot_packet(now.mono, mac, host_id, request.client, fresh);
        attempt.uuid = request.uuid.or(attempt.uuid);
        let about = About { attempt: Some(attempt.id), host: host_id, mac: Some(mac) };
        if joined == Joined::Begins {
            self.judge_replaced(now.mono);
            if !self.passes_over(now, about) {
                self.tell(now, about, began(request));
            }
        }
        about
    }

    /// The attempt under way on a machine that the plan knows, or on a stranger.
    pub(super) fn attempt_of(&mut self, now: Now, about: About) -> Option<&mut Attempt> {
        let table = if about.host.is_some() { &mut self.attempts } else { &mut self.strangers };
        table.heard(now.mono, about.mac?)
    }

    /// What the machine is told, and the order that it rests on; None: nothing at all.
    fn answer(
        &mut self,
        now: Now,
        arrival: &Arrival,
        request: &Request,
        plan: &SitePlan,
        about: About,
    ) -> Option<(BootAnswer, Option<OrderId>)> {
        // A later program of the chain may show no UUID: what an earlier one showed still counts.
        let known = self.attempt_of(now, about);
        let (shown, loaded) = known.map_or((None, false), |attempt| (attempt.uuid, attempt.loaded));
        let uuid = request.uuid.or(shown);
        let architecture = request.architectures.first().copied();
        let Request { client, platform, lacks_http, .. } = *request;
        let facts = Facts { client, platform, architecture, uuid, lacks_http, loaded };
        let circumstances = Circumstances {
            plan,
            host: plan.host_of(request.mac),
            orders: &self.orders,
            agent: &self.config.agent,
            attempt: about.attempt,
            now: now.wall,
            clock_in_doubt: self.clock_in_doubt,
            disk_full: self.disk == Disk::Full,
            out_of_reach: &self.out_of_reach,
        };
        let decision = decide(&facts, &circumstances);
        self.note_decision(now, &facts, about, &decision);
        let answer = translate(&facts, &decision, plan, arrival, about)?;
        Some((answer, decision.order.map(|order| order.id)))
    }

    /// Tells of a decision once for each program that gets another answer than before, or the same for another reason.
    fn note_decision(&mut self, now: Now, facts: &Facts, about: About, decision: &Decision<'_>) {
        if facts.client == Client::Os {
            return;
        }
        let Some(attempt) = self.attempt_of(now, about) else { return };
        let answered = Some((facts.client, decision.answer, decision.order.map(|order| order.id)));
        let because = Some(decision.because);
        if (attempt.answered, attempt.because) == (answered, because) {
            return;
        }
        (attempt.answered, attempt.because) = (answered, because);
        if !self.passes_over(now, about) {
            let (answer, reason) = (decision.answer, decision.reason.clone().into_owned());
            let order = decision.order.map(|order| order.id);
            self.tell(now, about, EventKind::Decided { answer, reason, order, because });
        }
        if let Some((kind, detail)) = decision.alarm.clone() {
            self.tell(now, about, EventKind::Alarm { kind, detail });
        }
    }

    /// Beside another server a machine may show only by what it fetches that it has taken our answer: from then on the
    /// attempt holds the order that it was answered under, if that still stands.
    pub(super) fn take_answer(&mut self, now: Now, plan: &SitePlan, about: About) {
        let answered = self.attempt_of(now, about).and_then(|attempt| attempt.answered);
        let Some((_, Answer::Loader | Answer::Script, Some(order))) = answered else { return };
        let Some(order) = plan.orders.get(&order).filter(|_| plan.network.is_proxy()) else { return };
        let stands = self.orders.stands(order, &self.config.agent, about.attempt, now.wall);
        if stands.is_ok() && !self.clock_in_doubt && self.disk == Disk::Fine {
            self.offer_order(now, about, Some(order.id));
        }
    }

    /// An attempt that boots under an order holds it from its lease on, and that is on disk before it is told so.
    fn offer_order(&mut self, now: Now, about: About, order: Option<OrderId>) {
        let order = order.and_then(|id| self.order_plan(id));
        let (Some(order), Some(attempt)) = (order, about.attempt) else { return };
        let token = self.fresh_token();
        if let Some(moved) = self.orders.offer(&order, attempt, token) {
            self.moved(now, Some(attempt), about.mac, &moved);
        }
    }

    fn perform_dhcp(
        &mut self,
        now: Now,
        about: About,
        (arrival, request): (&Arrival, &Request),
        effects: Vec<Effect>,
    ) {
        let interface = arrival.interface;
        for effect in effects {
            match effect {
                Effect::Persist(record) => self.persist(record),
                Effect::Send { datagram, to } => {
                    if let Destination::Relay(relay) = to {
                        self.foreign_servers.note_relay(now.mono, relay);
                    }
                    let at_once = self.rests_on_nothing(about, request);
                    self.actions.push_back(Action::Send { interface, datagram, to, at_once });
                }
                Effect::Probe(address) => self.actions.push_back(Action::Probe { interface, address }),
                Effect::ProbeAhead { wire, address } => {
                    self.actions.push_back(Action::Probe { interface: wire, address });
                }
                Effect::Wait { until } => {
                    self.deferred.insert(until, about.host.is_some(), arrival, request);
                }
                Effect::Report(EventKind::ForeignOfferTaken { server, .. }) => {
                    self.note_foreign_offer(now, about, server);
                }
                Effect::Report(kind) => self.report_dhcp(now, about, kind),
            }
        }
    }

    /// An OFFER promises nothing that a restart keeps (QUIRKS 7). One to a machine that the plan does not know, which no order
    /// can be for, and of which nothing is recorded need not wait for what others are promised.
    fn rests_on_nothing(&self, about: About, request: &Request) -> bool {
        request.kind == MessageType::Discover && about.host.is_none() && self.records == self.records_before
    }

    /// Expiries, answers for addresses and the like, which belong to no message.
    pub(super) fn perform(&mut self, now: Now, effects: Vec<Effect>) {
        self.perform_about(now, About::default(), effects);
    }

    pub(super) fn perform_about(&mut self, now: Now, about: About, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Persist(record) => self.persist(record),
                Effect::Report(kind) => self.tell(now, about, kind),
                Effect::ProbeAhead { wire, address } => {
                    self.actions.push_back(Action::Probe { interface: wire, address });
                }
                Effect::Send { .. } | Effect::Probe(_) | Effect::Wait { .. } => {
                    debug_assert!(false, "only a message is answered");
                }
            }
        }
    }

    fn report_dhcp(&mut self, now: Now, about: About, kind: EventKind) {
        self.tell(now, about, kind.clone());
        let EventKind::Leased { address, client, .. } = kind else { return };
        let Some(attempt) = self.attempt_of(now, about) else { return };
        attempt.address = Some(address);
        if client == Client::Os {
            self.note_system(now, about, Some(address));
        }
    }
}

/// Asks this message us for an address or a file? A machine that gives an address back, or takes another server's
/// offer, begins nothing.
fn may_begin(request: &Request, arrival: &Arrival) -> bool {
    let asks = matches!(request.kind, MessageType::Discover | MessageType::Request | MessageType::Bootp);
    let ours = request.server_id.is_none_or(|server| server == arrival.server);
    request.is_boot_class() && asks && ours
}

/// Is a lease of ours among the effects?
pub(super) fn leases(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Report(EventKind::Leased { .. })))
}

/// Does the machine get its address for good, or ask at the boot service, and so go on to what it is told to boot?
fn takes_answer(request: &Request, effects: &[Effect]) -> bool {
    let answered = |effect: &Effect| matches!(effect, Effect::Send { .. });
    let at_once = match request.port {
        Port::BootService(_) => true,
        Port::Dhcp => request.kind == MessageType::Bootp,
    };
    leases(effects) || (at_once && effects.iter().any(answered))
}

/// The decision as DHCP says it.
fn translate(
    facts: &Facts,
    decision: &Decision<'_>,
    plan: &SitePlan,
    arrival: &Arrival,
    about: About,
) -> Option<BootAnswer> {
    match decision.answer {
        Answer::Silence => None,
        Answer::AddressOnly => Some(BootAnswer::AddressOnly),
        Answer::LocalDisk => Some(BootAnswer::LocalDisk),
        Answer::Loader => {
            let (set, path) = plan.loader_of(decision.boot?, facts.platform?)?;
            Some(BootAnswer::Loader { name: programs::loader_name(set, path) })
        }
        Answer::Script => {
            let (attempt, boot) = (about.attempt?, decision.boot?);
            Some(BootAnswer::Script { url: format!("{}/a/{attempt}/{}", arrival.base_url, boot.entry) })
        }
    }
}

fn began(request: &Request) -> EventKind {
    EventKind::AttemptBegan {
        platform: request.platform,
        client: request.client,
        vendor_class: clean(&request.vendor_class, VENDOR_CLASS),
        uuid: request.uuid,
        relay: request.giaddr,
        architecture: request.architectures.first().copied(),
    }
}
