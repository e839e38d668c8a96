//! What several views show. Everything that is not of the catalog's own making is cleaned here or where it is put in.

use maud::{Markup, html};
pub(super) use proto::words::count;
use proto::words::{moment, plain, relative, rough, since};
use proto::{Following, Wall};

use crate::diagnosis::{Finding, Standing};
use crate::events::{BootSummary, Outcome};
use crate::overview::{AgentLine, BootLine};

/// As many digits of an attempt as `bootlane boot list` shows.
const DIGITS: usize = 12;

/// A moment as people say it, with the exact one for who asks.
pub(super) fn when(at: Wall, now: Wall) -> Markup {
    if at.0 == 0 {
        return html! { "never" };
    }
    let exact = moment(at);
    html! { time datetime=(exact) title=(exact) { (relative(at, now)) } }
}

/// A link to a site.
pub(super) fn site(name: &str) -> Markup {
    html! { a href={ "/sites/" (name) } { (name) } }
}

/// A link to a host.
pub(super) fn host(name: &str) -> Markup {
    html! { a href={ "/hosts/" (name) } { (name) } }
}

/// A link to a boot, by the first digits of its attempt.
pub(super) fn attempt(boot: &BootSummary) -> Markup {
    let attempt = boot.attempt.to_string();
    html! { a class="mono" href={ "/boots/" (attempt) } { (attempt[..DIGITS]) } }
}

/// Whose boot it is: the host, or the link address of one that is none.
pub(super) fn machine(line: &BootLine) -> Markup {
    match (&line.host, line.boot.mac) {
        (Some(name), _) => host(name),
        (None, Some(mac)) => html! { span class="mono" { (mac) } },
        (None, None) => html! { "unknown" },
    }
}

/// How a boot stands, in a word and a colour.
pub(super) fn outcome(line: &BootLine) -> Markup {
    let (class, word) = match (line.diagnosis.standing, line.boot.outcome) {
        (Standing::UnderWay, _) => ("busy", "under way"),
        (Standing::Silent, _) => ("bad", "silent"),
        (Standing::Ended, Outcome::Failed) => ("bad", "failed"),
        (Standing::Ended, outcome @ (Outcome::Up | Outcome::Installed)) => ("good", outcome.word()),
        (Standing::Ended, outcome @ (Outcome::Running | Outcome::LocalDisk)) => ("quiet", outcome.word()),
    };
    html! { span class=(class) { (word) } }
}

/// Boots in a table.
pub(super) fn boots(lines: &[BootLine], caption: &str, now: Wall) -> Markup {
    html! {
        div class="scroll" { table {
            caption { (caption) }
            thead { tr {
                th scope="col" { "Boot" } th scope="col" { "Machine" } th scope="col" class="wide" { "Site" }
                th scope="col" { "Began" } th scope="col" class="number wide" { "Took" } th scope="col" { "Outcome" }
                th scope="col" { "Came to" } th scope="col" { "Finding" }
            } }
            tbody { @for line in lines { (boot_row(line, now)) } }
        } }
    }
}

fn boot_row(line: &BootLine, now: Wall) -> Markup {
    let boot = &line.boot;
    html! {
        tr {
            th scope="row" { (attempt(boot)) }
            td { (machine(line)) }
            td class="wide" { (site(&boot.site)) }
            td class="time" { (when(boot.began_ms, now)) }
            td class="number wide" { (rough(boot.last_ms.since(boot.began_ms))) }
            td { (outcome(line)) }
            td { (plain(&boot.stage)) }
            td { @if let Some(finding) = line.diagnosis.findings.first() { (plain(&finding.sentence())) } }
        }
    }
}

/// What is wrong, what was expected and what to do.
pub(super) fn finding(finding: &Finding) -> Markup {
    html! {
        div class="finding" {
            p class="sentence" { (plain(&finding.sentence())) }
            p { "Expected next: " (plain(&finding.expected)) "." }
            @for evidence in &finding.evidence { p { "Evidence: " (plain(evidence)) "." } }
            p { "What to do: " (plain(&finding.remedy)) "." }
            p class="quiet" { (finding.certainty.word()) ", cause " code { (finding.cause.word()) } ": " (finding.cause.meaning()) }
        }
    }
}

/// How an agent stands.
pub(super) fn presence(agent: &AgentLine, now: Wall) -> Markup {
    let Some(status) = agent.status.as_ref().filter(|_| !agent.revoked) else {
        let word = if agent.revoked { "revoked" } else { "never heard" };
        return html! { span class="warn" { (word) } };
    };
    if status.connected {
        return html! { span class="good" { "connected" } };
    }
    html! { span class="bad" { "away" } ", heard " (when(status.last_contact_ms, now)) }
}

/// Which plan an agent obeys.
pub(super) fn following(agent: &AgentLine) -> Markup {
    if agent.revoked {
        return html! { span class="quiet" { "none" } };
    }
    match agent.following {
        Following::Newest => html! { span class="good" { "newest" } },
        Following::Behind => html! { span class="warn" { "older" } },
        Following::Unknown => html! { span class="quiet" { "unknown" } },
    }
}

/// The time of an event: since the beginning for who reads, exact for who asks.
pub(super) fn offset(began: Wall, at: Wall) -> Markup {
    html! { time datetime=(moment(at)) title=(moment(at)) { (since(began, at)) } }
}
