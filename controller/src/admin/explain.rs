//! ShowBoot and ExplainHost: findings as messages.

use proto::{AttemptId, Mac, v1};
use tonic::Status;

use super::{boots, refusal};
use crate::{
    app::App,
    diagnosis::{End, Finding, OrderFacts, OrderState, StageSpan},
    events::StoredEvent,
    explain::{AgentLink, Explained, HostExplained, Inquiry, Subject, Unreadable},
};

/// Refused requests of one attempt that are told: of a loader that tries many names the last matter.
const REFUSALS: usize = 8;

pub(super) async fn boot(app: &App, request: &v1::ShowBootRequest) -> Result<v1::ShowBootResponse, Status> {
    let attempt = AttemptId::from_wire("attempt", &request.attempt)
        .map_err(|error| refusal::field(&error.field, error.problem))?;
    let mut inquiry = Inquiry::new(app);
    let found = inquiry.attempt(attempt).await.map_err(unexplained)?;
    let Some(explained) = found else {
        return Err(Status::not_found(format!("there is no boot {attempt}")));
    };
    let mut events = Vec::with_capacity(explained.events.len());
    for event in &explained.events {
        events.push(boots::message(app, event).await?);
    }
    let boot = message(app, &inquiry, explained).await?;
    Ok(v1::ShowBootResponse { boot: Some(boot), events })
}

pub(super) async fn host(
    app: &App,
    request: &v1::ExplainHostRequest,
) -> Result<v1::ExplainHostResponse, Status> {
    let (subject, mac) = subject(app, request).await?;
    let name = match &subject {
        Subject::Host(host) => host.name.clone(),
        Subject::Machine(_) => String::new(),
    };
    let mut inquiry = Inquiry::new(app);
    let found = inquiry.host(subject).await.map_err(unexplained)?;
    let HostExplained { site, answer, given, findings, boots, order, readiness, agent } = found;
    let mut explained = Vec::with_capacity(boots.len());
    for boot in boots {
        explained.push(message(app, &inquiry, boot).await?);
    }
    Ok(v1::ExplainHostResponse {
        host: name,
        mac: mac.map(|mac| mac.0.to_vec().into()).unwrap_or_default(),
        site,
        answer,
        given: given.what,
        given_why: given.why,
        findings: findings.iter().map(finding).collect(),
        boots: explained,
        order: order.map(order_brief),
        readiness,
        agent: agent.map(agent_brief),
        now_ms: inquiry.now().0,
    })
}

/// A name, or the address of a host or of none.
async fn subject(app: &App, request: &v1::ExplainHostRequest) -> Result<(Subject, Option<Mac>), Status> {
    let mac = match request.mac.as_ref() {
        [] => None,
        bytes => Some(Mac(bytes.try_into().map_err(|_| refusal::field("mac", "takes 6 bytes"))?)),
    };
    let name = match mac {
        Some(mac) => app.catalog.host_of_mac(mac).await.map_err(refusal::read)?,
        None => Some(request.host.clone()),
    };
    let host = match &name {
        Some(name) => app.catalog.get_host(name).await.map_err(refusal::read)?,
        None => None,
    };
    match (host, mac) {
        (Some(host), mac) => {
            let mac = mac.or(host.spec.macs.first().copied());
            Ok((Subject::Host(Box::new(host)), mac))
        }
        (None, Some(mac)) => Ok((Subject::Machine(mac), Some(mac))),
        (None, None) => Err(Status::not_found(format!("there is no Host {}", request.host.escape_debug()))),
    }
}

/// Everything that was found of an attempt.
async fn message(
    app: &App,
    inquiry: &Inquiry,
    Explained { boot, events, diagnosis }: Explained,
) -> Result<v1::ExplainedBoot, Status> {
    let mut refusals = Vec::new();
    for event in refused(&events) {
        refusals.push(boots::message(app, event).await?);
    }
    Ok(v1::ExplainedBoot {
        boot: Some(boots::summary(app, boot, Some(&diagnosis)).await?),
        refusals,
        stages: diagnosis.stages.iter().map(stage).collect(),
        findings: diagnosis.findings.iter().map(finding).collect(),
        firmware: diagnosis.firmware.map(|platform| platform.to_string()).unwrap_or_default(),
        family: diagnosis.family.map(|family| family.word().to_owned()).unwrap_or_default(),
        standing: diagnosis.standing.word().to_owned(),
        now_ms: inquiry.now().0,
    })
}

/// The latest events that tell of a request which was not granted.
fn refused(events: &[StoredEvent]) -> Vec<&StoredEvent> {
    let refused: Vec<_> = events.iter().filter(|event| event.numbered.event.kind.is_refusal()).collect();
    refused[refused.len().saturating_sub(REFUSALS)..].to_vec()
}

fn stage(span: &StageSpan) -> v1::BootStage {
    let why = match &span.end {
        End::Broken(why) => why.clone(),
        End::Open | End::Done | End::Silent => String::new(),
    };
    v1::BootStage {
        step: span.step.word().to_owned(),
        title: span.step.title().to_owned(),
        began_ms: span.began.0,
        last_ms: span.last.0,
        end: span.end.word().to_owned(),
        why,
        bytes: span.bytes,
        transfer_ms: u64::try_from(span.transfer.as_millis()).unwrap_or(u64::MAX),
        retransmissions: span.retransmissions,
        detail: span.detail.clone(),
    }
}

fn finding(finding: &Finding) -> v1::Finding {
    v1::Finding {
        cause: finding.cause.word().to_owned(),
        sentence: finding.sentence(),
        stopped_at: finding.stopped_at.clone(),
        expected: finding.expected.clone(),
        likely: finding.likely.clone(),
        remedy: finding.remedy.clone(),
        certainty: finding.certainty.word().to_owned(),
        evidence: finding.evidence.clone(),
        meaning: finding.cause.meaning().to_owned(),
    }
}

fn order_brief(order: OrderFacts) -> v1::OrderBrief {
    let state = match order.state {
        OrderState::Waiting => "waiting",
        OrderState::Armed => "armed",
        OrderState::Offered => "offered",
        OrderState::Started => "started",
        OrderState::Ended => "ended",
    };
    v1::OrderBrief {
        name: order.name,
        number: order.number,
        profile: order.profile,
        agent: order.agent,
        state: state.to_owned(),
        since_ms: order.since.0,
        not_after_ms: order.not_after.0,
    }
}

fn agent_brief(agent: AgentLink) -> v1::AgentBrief {
    let AgentLink { facts, applied, newest } = agent;
    v1::AgentBrief {
        name: facts.name,
        connected: facts.connected,
        last_heard_ms: facts.last_heard.map_or(0, |at| at.0),
        current: facts.current,
        applied,
        newest,
    }
}

pub(super) fn unexplained(error: Unreadable) -> Status {
    match error {
        Unreadable::Catalog(error) => refusal::read(error),
        Unreadable::Events(error) => boots::unread(error),
    }
}
