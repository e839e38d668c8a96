//! What people read: the answer first, the evidence last.

use proto::Wall;
use proto::v1::{AgentBrief, BootSummary, ExplainHostResponse, ExplainedBoot, OrderBrief};

use super::super::{boot as boots, readiness};
use crate::findings::{labelled, lines, wrapped};
use crate::output::{plain, words};
use crate::picture::bars;
use crate::timeline::Timeline;

/// One attempt: what it is, the answer, its stages, its findings.
pub(super) fn boot(boot: &ExplainedBoot, width: usize, colours: bool) -> Vec<String> {
    let summary = boot.boot.clone().unwrap_or_default();
    let mut out = vec![boot_heading(&summary, boot)];
    out.extend(answer_lines(boot.findings.first().map_or("", |finding| &finding.sentence), width));
    out.push(String::new());
    out.extend(bars(boot, width.saturating_sub(2), colours).into_iter().map(|bar| format!("  {bar}")));
    for finding in &boot.findings {
        out.push(String::new());
        out.extend(lines(finding, width));
    }
    out
}

fn boot_heading(summary: &BootSummary, boot: &ExplainedBoot) -> String {
    let whose = if summary.host.is_empty() { boots::mac(&summary.mac) } else { summary.host.clone() };
    let firmware = if boot.firmware.is_empty() { "unknown firmware" } else { &boot.firmware };
    let text = format!(
        "boot {} of {whose} at site {}, agent {}: {firmware}, {}, began {}, took {}",
        boots::hex(&summary.attempt),
        summary.site,
        summary.agent,
        outcome(summary, boot),
        words::moment(Wall(summary.began_ms)),
        words::rough(Wall(summary.last_ms).since(Wall(summary.began_ms))),
    );
    plain(&text)
}

/// `running` says too little of one that nothing more will be heard of.
fn outcome(summary: &BootSummary, boot: &ExplainedBoot) -> String {
    match boot.standing.as_str() {
        "silent" => "fell silent".into(),
        _ => summary.outcome.clone(),
    }
}

fn answer_lines(sentence: &str, width: usize) -> Vec<String> {
    wrapped(&plain(sentence), width.max(40))
}

/// What there is to say of a host.
pub(super) fn host(explained: &ExplainHostResponse, width: usize, colours: bool) -> Vec<String> {
    let mut out = answer_lines(&explained.answer, width);
    for finding in &explained.findings {
        out.push(String::new());
        out.extend(lines(finding, width));
    }
    out.push(String::new());
    out.extend(facts(explained, width));
    for boot in &explained.boots {
        out.push(String::new());
        out.extend(evidence(boot, Wall(explained.now_ms), width, colours));
    }
    out
}

fn facts(explained: &ExplainHostResponse, width: usize) -> Vec<String> {
    let now = Wall(explained.now_ms);
    let mut out = labelled("machine", &machine(explained), width);
    out.extend(labelled("by the plan", &format!("{}: {}", explained.given, explained.given_why), width));
    out.extend(explained.order.iter().flat_map(|order| labelled("order", &order_words(order, now), width)));
    let lacks = explained.readiness.as_ref().and_then(|readiness| readiness::lacks(readiness, now));
    out.extend(lacks.iter().flat_map(|lacks| labelled("its image", lacks, width)));
    let agent = explained
        .agent
        .as_ref()
        .map_or_else(|| "its site has none".to_owned(), |agent| agent_words(agent, now));
    out.extend(labelled("agent", &agent, width));
    out.extend(on_paper(explained).iter().flat_map(|hint| labelled("on paper", hint, width)));
    out
}

/// How to see what it would get, of a host that was never heard: its boots tell nothing, and its firmware is not known.
fn on_paper(explained: &ExplainHostResponse) -> Option<String> {
    let never_heard = explained.boots.is_empty() && !explained.host.is_empty();
    never_heard.then(|| {
        let host = &explained.host;
        format!("`bootlane host simulate {host} --firmware uefi-x64` (or bios, ...) shows all that it would be given")
    })
}

fn machine(explained: &ExplainHostResponse) -> String {
    let host = if explained.host.is_empty() { "no host of the catalog" } else { &explained.host };
    let site = if explained.site.is_empty() { "no known site" } else { &explained.site };
    format!("{host}, {}, site {site}", boots::mac(&explained.mac))
}

fn order_words(order: &OrderBrief, now: Wall) -> String {
    let OrderBrief { name, profile, agent, state, .. } = order;
    let since = words::relative(Wall(order.since_ms), now);
    let what = format!("{name} installs {profile} by agent {agent}: {state}, made {since}");
    match state.as_str() {
        // Its time bounds the beginning alone.
        "started" | "ended" => what,
        _ => format!("{what}, may begin until {}", words::relative(Wall(order.not_after_ms), now)),
    }
}

fn agent_words(agent: &AgentBrief, now: Wall) -> String {
    let link = match (agent.connected, agent.last_heard_ms) {
        (true, _) => "connected".to_owned(),
        (false, 0) => "away, never heard by this controller".to_owned(),
        (false, at) => format!("away, last heard {}", words::relative(Wall(at), now)),
    };
    let plan = if agent.current { "obeys the newest plan" } else { "does not obey the newest plan" };
    let ids = match (agent.applied.as_str(), agent.newest.as_str()) {
        (applied, newest) if !agent.current && !applied.is_empty() => {
            format!(" ({applied}, newest {newest})")
        }
        _ => String::new(),
    };
    format!("{}: {link}, {plan}{ids}", agent.name)
}

/// One of its last attempts, in short.
fn evidence(boot: &ExplainedBoot, now: Wall, width: usize, colours: bool) -> Vec<String> {
    let summary = boot.boot.clone().unwrap_or_default();
    let cause = boot.findings.first().map(|finding| format!(", {}", finding.cause)).unwrap_or_default();
    let began = words::relative(Wall(summary.began_ms), now);
    let attempt: String = boots::hex(&summary.attempt).chars().take(boots::DIGITS).collect();
    let heading = plain(&format!("boot {attempt}, {began}: {}{cause}", outcome(&summary, boot)));
    let bars = bars(boot, width.saturating_sub(2), colours).into_iter().map(|bar| format!("  {bar}"));
    let mut timeline = Timeline::since(Wall(summary.began_ms));
    let refusals = boot.refusals.iter().map(move |event| timeline.line(event));
    std::iter::once(heading).chain(bars).chain(refusals).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use proto::v1;

    use super::*;
    use crate::picture::tests::broken;

    pub(in crate::command::explain) fn finding() -> v1::Finding {
        v1::Finding {
            cause: "transfer-broken".into(),
            sentence: "Its kernel linux broke off: machine fell silent.".into(),
            stopped_at: "its kernel linux broke off".into(),
            expected: "the rest of the file".into(),
            likely: "machine fell silent".into(),
            remedy: "look at its screen".into(),
            certainty: "likely".into(),
            evidence: vec!["web-2 fetched it".into()],
            meaning: "a transfer ended early".into(),
        }
    }

    #[test]
    fn the_answer_comes_first_and_the_evidence_last() {
        let explained = ExplainHostResponse {
            host: "web-1".into(),
            mac: vec![2, 0, 0, 0, 0, 9].into(),
            site: "lyon".into(),
            answer: finding().sentence,
            given: "its local disk".into(),
            given_why: "no order stands".into(),
            findings: vec![finding()],
            boots: vec![ExplainedBoot { findings: vec![finding()], ..broken() }],
            agent: Some(AgentBrief { name: "lyon-1\u{1b}".into(), current: true, ..AgentBrief::default() }),
            now_ms: broken().now_ms,
            ..ExplainHostResponse::default()
        };
        let lines = host(&explained, 80, false);
        assert_eq!(lines[0], "Its kernel linux broke off: machine fell silent.");
        let expected = [
            "transfer-broken: a transfer ended early",
            "  stopped         its kernel linux broke off",
            "  expected        the rest of the file",
            "  likely cause    machine fell silent",
            "  evidence        web-2 fetched it",
            "  what to do      look at its screen",
            "",
            "  machine         web-1, 02:00:00:00:00:09, site lyon",
            "  by the plan     its local disk: no order stands",
            "  agent           lyon-1\u{fffd}: away, never heard by this controller, obeys the",
            "                  newest plan",
            "",
            "boot 1f1f1f1f1f1f, 8m ago: fell silent, transfer-broken",
        ];
        assert_eq!(lines[2..15], expected);
        assert!(lines[15].starts_with("  address of the ROM"), "{lines:#?}");
        assert!(!lines.concat().contains('\u{1b}'), "nothing steers the terminal");
    }

    #[test]
    fn a_host_that_was_never_heard_can_be_tried_on_paper() {
        let explained = ExplainHostResponse { host: "web-1".into(), ..ExplainHostResponse::default() };
        let hint =
            |explained| host(&explained, 200, false).into_iter().find(|line| line.contains("simulate"));
        let expected = "  on paper        `bootlane host simulate web-1 --firmware uefi-x64` (or bios, ...) shows all that it \
                        would be given";
        assert_eq!(hint(explained.clone()).as_deref(), Some(expected));
        assert_eq!(hint(ExplainHostResponse { boots: vec![broken()], ..explained.clone() }), None);
        assert_eq!(hint(ExplainHostResponse { host: String::new(), ..explained }), None, "it is no host");
    }

    #[test]
    fn a_boot_begins_with_what_it_is_and_the_answer() {
        let lines = boot(&ExplainedBoot { findings: vec![finding()], ..broken() }, 100, false);
        let heading = "boot 1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f of web-1 at site lyon, agent lyon-1: unknown firmware, fell \
                       silent, began 2026-03-01T12:00:00Z, took 40s";
        assert_eq!(lines[0], heading);
        assert_eq!(lines[1], "Its kernel linux broke off: machine fell silent.");
    }
}
