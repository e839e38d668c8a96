//! What a file name stands for, for this machine, now.
//!
//! There is no file system behind it: a name that is not in the plan does not exist (DESIGN §6). Names:
//! `a/ATTEMPT/NAME`: a file of the attempt's boot. `o/TOKEN/NAME`: a file of the order, for the leases of its host
//! alone. All others are those of loaders and of what loaders ask for by themselves; see [`super::programs`].

use std::{net::Ipv4Addr, sync::Arc};

use proto::{
    AttemptId, Mac, Token128,
    event::{AlarmKind, EventKind, OrderPhase, Refusal as Because},
    plan::{Boot, Content, Guard, HostPlan, OrderPlan, PlannedFile, SitePlan, Stage},
};

use super::{
    About, Action, Arrival, Site,
    served::{Broken, FileAnswer, FileEnd, FileRequest, FileTold, Served, Source, shown},
};
use crate::{
    attempts::Reached,
    content::{Values, fill},
    time::Now,
};

/// Why a file is not given; for the operator, never for the machine.
pub(super) struct Refusal {
    because: Because,
    why: String,
    /// Whose boot it concerns, where that is not who asked: an order's.
    concerns: Option<About>,
}

/// Which file of an attempt's boot is asked for.
pub(super) struct Asked<'a> {
    pub(super) about: About,
    pub(super) attempt: AttemptId,
    pub(super) mac: Mac,
    pub(super) host: &'a HostPlan,
    /// Its name, once the boot is known.
    pub(super) pick: &'a dyn Fn(&Boot) -> Option<&'a str>,
}

pub(super) fn refuse<T>(because: Because, why: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { because, why: why.into(), concerns: None })
}

impl Site {
    pub(super) fn handle_file(&mut self, now: Now, request: FileRequest) {
        let Some(plan) = self.plan.clone() else {
            let (answer, boot, tftp_single_port) = (FileAnswer::NotFound, None, false);
            return self.actions.push_back(Action::Answer {
                ask: request.ask,
                answer,
                boot,
                tftp_single_port,
            });
        };
        let asker = self.asker(&plan, request.from);
        let (answer, boot) = match self.find(now, &plan, &request, asker) {
            Ok((source, served)) => {
                let (stands, boot) = (may_stand(&request, &served), served.attempt);
                (FileAnswer::Send { source, served: Served { stands, ..served } }, boot)
            }
            Err(refusal) => {
                let about = refusal.concerns.unwrap_or(asker);
                self.note_refusal(now, &request, asker, refusal);
                (FileAnswer::NotFound, about.attempt)
            }
        };
        let tftp_single_port = plan.tftp_single_port(asker.host);
        self.actions.push_back(Action::Answer { ask: request.ask, answer, boot, tftp_single_port });
    }

    /// Whose address this is: by its lease, or by its own word to another server, else by the plan. An installer may
    /// keep the address that its loader got and never renew it, and BOOTP knows no lease.
    pub(super) fn asker(&self, plan: &SitePlan, from: Ipv4Addr) -> About {
        let fixed = || plan.hosts.values().find(|host| host.address == Some(from))?.macs.first().copied();
        let Some(mac) = self.dhcp.machine_at(from).or_else(fixed) else { return About::default() };
        let attempt = self.attempts.of(mac).map(|attempt| attempt.id);
        About { attempt, host: plan.host_of(mac).map(|host| host.id), mac: Some(mac) }
    }

    fn find(
        &mut self,
        now: Now,
        plan: &SitePlan,
        request: &FileRequest,
        asker: About,
    ) -> Result<(Source, Served), Refusal> {
        let mut words = request.name.splitn(3, '/');
        match (words.next(), words.next(), words.next()) {
            (Some("a"), Some(attempt), Some(name)) => {
                self.find_in_attempt(now, plan, request, asker, attempt, name)
            }
            (Some("o"), Some(token), Some(name)) => {
                self.find_in_order(now, plan, request, asker, token, name)
            }
            _ => self.find_for_program(now, plan, request, asker),
        }
    }

    fn find_in_attempt(
        &mut self,
        now: Now,
        plan: &SitePlan,
        request: &FileRequest,
        asker: About,
        attempt: &str,
        name: &str,
    ) -> Result<(Source, Served), Refusal> {
        let Ok(attempt) = attempt.parse::<AttemptId>() else {
            return refuse(Because::NoSuchFile, "no such attempt");
        };
        let asker =
            if asker.mac.is_none() { self.asker_by_attempt(plan, request.from, attempt) } else { asker };
        let (Some(mac), Some(host)) = (asker.mac, asker.host.and_then(|id| plan.hosts.get(&id))) else {
            return refuse(Because::NoLease, "the address is no known host's");
        };
        self.resume(now, attempt, mac, host)?;
        let pick = |_: &Boot| Some(name);
        self.find_in_boot(now, plan, request, Asked { about: asker, attempt, mac, host, pick: &pick })
    }

    /// A file of what the attempt boots, under the name that is picked among its files.
    pub(super) fn find_in_boot(
        &mut self,
        now: Now,
        plan: &SitePlan,
        request: &FileRequest,
        asked: Asked<'_>,
    ) -> Result<(Source, Served), Refusal> {
        let Asked { about, attempt, mac, host, pick } = asked;
        self.take_answer(now, plan, About { attempt: Some(attempt), ..about });
        let order = self.orders.by_attempt(attempt).copied();
        if order.is_some_and(|state| state.phase.is_end()) {
            return refuse(Because::OrderEnded, "the order is at its end");
        }
        let ordered = order.and_then(|state| self.order_plan(state.order));
        if let Some(order) = &ordered {
            self.may_go_on(plan, order).or_else(|why| refuse(Because::OrderWaits, why))?;
        }
        let Some(boot) = ordered.as_ref().map(|order| &order.boot).or(host.boot.as_ref()) else {
            return refuse(Because::NothingToBoot, "nothing is to be booted");
        };
        let name = pick(boot).unwrap_or_default();
        let Some(file) = boot.files.get(name).filter(|file| file.guard == Guard::Attempt) else {
            return refuse(Because::NoSuchFile, "no such file in this boot");
        };
        let values = Values {
            token: order.and_then(|state| state.token),
            ..values(&request.arrival, request.from, mac, Some(attempt))
        };
        if let (Some(reached), Some(known)) =
            (reached_by_fetching(file.stage, boot), self.attempts.heard(now.mono, mac))
        {
            known.reached = known.reached.max(reached);
        }
        give(file, name, &values, About { attempt: Some(attempt), ..about })
    }

    /// Beside another server the machine's word to that server may have passed us by. Who names an attempt has heard our
    /// offer, as everybody on the link may have: that is enough for this file of what the host always boots, as long as
    /// the machine was not seen elsewhere. It makes the address nobody's, and is too little for an order.
    fn asker_by_attempt(&self, plan: &SitePlan, from: Ipv4Addr, attempt: AttemptId) -> About {
        let here = plan.network.is_proxy() && plan.network.subnet_of(from).is_some();
        let Some(known) = self.attempts.by_id(attempt).filter(|_| here) else { return About::default() };
        let offered = matches!(known.answered, Some((_, _, Some(_))));
        let ordered = offered || self.orders.by_attempt(attempt).is_some();
        if ordered || self.dhcp.sighted(known.mac).is_some() {
            return About::default();
        }
        About { attempt: Some(attempt), host: known.host, mac: Some(known.mac) }
    }

    /// An attempt that was begun before a restart goes on: the lease says whose it is, and an order's attempt is on disk.
    fn resume(&mut self, now: Now, attempt: AttemptId, mac: Mac, host: &HostPlan) -> Result<(), Refusal> {
        if self.attempts.of(mac).is_some_and(|known| known.id == attempt) {
            return Ok(());
        }
        let ordered = self.orders.by_attempt(attempt);
        if ordered.is_some_and(|state| state.host != host.id) {
            return refuse(Because::AttemptOver, "the attempt is another host's");
        }
        if self.attempts.of(mac).is_some() {
            return refuse(Because::AttemptOver, "this is not the machine's present attempt");
        }
        self.changes += 1;
        let begun = ordered.is_some_and(|state| state.phase == OrderPhase::Started);
        let reached = if begun { Reached::Handover } else { Reached::Loader };
        self.attempts.resume(now.mono, attempt, mac, Some(host.id), reached);
        Ok(())
    }

    fn find_in_order(
        &mut self,
        now: Now,
        plan: &SitePlan,
        request: &FileRequest,
        asker: About,
        token: &str,
        name: &str,
    ) -> Result<(Source, Served), Refusal> {
        let (order, attempt, mac) =
            self.open_order(asker, token).map_err(|error| self.not_opened(error, request, token))?;
        let Some(file) = order.boot.files.get(name).filter(|file| file.guard == Guard::Order) else {
            return refuse(Because::NoSuchFile, "no such file in this order");
        };
        let values = Values {
            token: token.parse().ok(),
            secrets: Some(&order.secrets),
            ..values(&request.arrival, request.from, mac, attempt)
        };
        // What cannot be given must not start the order.
        let given = give(file, name, &values, About { attempt, host: Some(order.host), mac: Some(mac) })?;
        if let Content::Blob(blob) = &file.content
            && self.out_of_reach.contains(&blob.digest)
        {
            return refuse(
                Because::NotHere,
                "the image is not complete here and the controller is out of reach",
            );
        }
        self.go_on(now, plan, &order, file.stage, request.probe, mac)?;
        Ok(given)
    }

    /// The order that a token opens, for a lease of its host and for nobody else (S2).
    pub(super) fn open_order(
        &self,
        asker: About,
        token: &str,
    ) -> Result<(Arc<OrderPlan>, Option<AttemptId>, Mac), OpenError> {
        let state = token.parse::<Token128>().ok().and_then(|token| self.orders.by_token(token));
        let Some(state) = state else { return Err(OpenError::NoSuchToken) };
        let (Some(mac), Some(host)) = (asker.mac, asker.host) else { return Err(OpenError::Elsewhere) };
        if host != state.host {
            return Err(OpenError::Elsewhere);
        }
        match (state.phase, self.order_plan(state.order)) {
            (OrderPhase::Offered | OrderPhase::Started, Some(order)) => Ok((order, state.attempt, mac)),
            (phase, _) => Err(OpenError::Closed(phase)),
        }
    }

    /// What overwrites a disk leaves only when `started` is on disk; anything else needs the order to be under way.
    fn go_on(
        &mut self,
        now: Now,
        plan: &SitePlan,
        order: &OrderPlan,
        stage: Stage,
        probe: bool,
        mac: Mac,
    ) -> Result<(), Refusal> {
        if stage.starts_order() && !probe {
            self.begin_installation(now, plan, order, mac).or_else(|why| refuse(Because::OrderWaits, why))?;
        } else {
            self.may_go_on(plan, order).or_else(|why| refuse(Because::OrderWaits, why))?;
        }
        match self.orders.get(order.id).and_then(|state| state.started) {
            Some(started) if now.wall.since(started) > order.install => {
                refuse(Because::TimeOver, "the installation's time is over")
            }
            None if !probe => refuse(Because::OrderWaits, "the installation has not started"),
            Some(_) | None => Ok(()),
        }
    }

    /// Loaders are no secret, but not the world's either.
    fn note_refusal(&mut self, now: Now, request: &FileRequest, asker: About, refusal: Refusal) {
        let (name, transport) = (shown(&request.name), request.transport);
        let Refusal { because, why, concerns } = refusal;
        if because == Because::Elsewhere {
            let detail = format!("{} asked for {name}: {why}", request.from);
            self.tell(now, asker, EventKind::Alarm { kind: AlarmKind::OrderFileFromElsewhere, detail });
        }
        let (refusal, by_token) = (Some(because), request.name.starts_with("o/"));
        let about = concerns.unwrap_or(asker);
        self.tell(now, about, EventKind::FileRefused { transport, name, why, refusal, by_token });
    }

    /// Whoever asked had the token from the order's own boot, which is to show that it came to nothing there.
    fn not_opened(&self, error: OpenError, request: &FileRequest, token: &str) -> Refusal {
        let (because, why) = match error {
            OpenError::NoSuchToken => (Because::NoSuchFile, "no order has this token".into()),
            OpenError::Elsewhere => {
                (Because::Elsewhere, format!("{} is no lease of the order's host", request.from))
            }
            OpenError::Closed(phase) => (Because::OrderEnded, format!("the order is {}", phase.word())),
        };
        let state = token.parse::<Token128>().ok().and_then(|token| self.orders.by_token(token));
        let concerns = state.map(|state| {
            let known = state.attempt.and_then(|attempt| self.attempts.by_id(attempt));
            About { attempt: state.attempt, host: Some(state.host), mac: known.map(|known| known.mac) }
        });
        Refusal { because, why, concerns }
    }

    pub(super) fn handle_told(&mut self, now: Now, told: FileTold) {
        let FileTold { served, transport, bytes, took, retransmissions, repeats, end } = told;
        let Served { name, stage, attempt, host, mac, proves, stands: _ } = served;
        let about = About { attempt, host, mac };
        if let Some((expected, _)) = proves.filter(|(_, size)| end == FileEnd::Whole && bytes >= *size) {
            self.note_delivered(now, about, expected);
        }
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let kind = match end {
            FileEnd::Whole => {
                EventKind::FileServed { transport, stage, name, bytes, took_ms, retransmissions, repeats }
            }
            // Loaders ask for sizes as well, and fetch all the same.
            FileEnd::Probed if stage != Stage::Loader => return,
            FileEnd::Probed => EventKind::FileProbed { transport, stage, name, size: bytes },
            FileEnd::Broken(Broken { why, breakage, block_size }) => EventKind::FileBroken {
                transport,
                stage,
                name,
                bytes,
                why,
                breakage: Some(breakage),
                block_size,
                retransmissions,
                took_ms,
            },
        };
        self.tell(now, about, kind);
    }
}

/// Why a token opens nothing.
pub(super) enum OpenError {
    NoSuchToken,
    Elsewhere,
    Closed(OrderPhase),
}

/// How far a machine is that asks for a file of its boot: what a loader reads shows that the loader runs, also one that
/// never speaks DHCP; a menu may as well go on with the disk.
fn reached_by_fetching(stage: Stage, boot: &Boot) -> Option<Reached> {
    match stage {
        Stage::Kernel => Some(Reached::Handover),
        Stage::Script if boot.menu => Some(Reached::Handover),
        Stage::Script => Some(Reached::Loader),
        Stage::Loader | Stage::Initrd | Stage::Answer | Stage::Image | Stage::Other => None,
    }
}

fn give(
    file: &PlannedFile,
    name: &str,
    values: &Values<'_>,
    about: About,
) -> Result<(Source, Served), Refusal> {
    let source = match &file.content {
        Content::Blob(blob) => Source::Blob(*blob),
        Content::Parts(parts) => match fill(parts, values) {
            Ok(bytes) => Source::Bytes(bytes.into()),
            Err(unfilled) => return refuse(Because::NotHere, unfilled.to_string()),
        },
    };
    Ok((source, served(name, file.stage, about)))
}

pub(super) fn served(name: &str, stage: Stage, about: About) -> Served {
    let About { attempt, host, mac } = about;
    Served { name: name.into(), stage, attempt, host, mac, proves: None, stands: false }
}

/// May the answer be given again unasked? Not what an order's token opens: each fetch of that is the order's business,
/// and may begin an installation (S2). Not what says something of the ROM. And a question for the size alone does less
/// than a fetch.
fn may_stand(request: &FileRequest, served: &Served) -> bool {
    !request.probe && !request.name.starts_with("o/") && served.proves.is_none()
}

pub(super) fn values<'a>(
    arrival: &'a Arrival,
    client: Ipv4Addr,
    mac: Mac,
    attempt: Option<AttemptId>,
) -> Values<'a> {
    let Arrival { server, base_url, .. } = arrival;
    Values { base_url, server: *server, client, mac, token: None, attempt, secrets: None }
}
