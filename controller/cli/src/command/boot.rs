//! `bootlane boot`.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use proto::event::OrderPhase;
use proto::v1::{BootEvent, BootSummary, ListBootsRequest, ShowBootRequest, WatchBootsRequest};
use proto::{AttemptId, Mac, Wall};
use serde_json::{Value, json};

use super::{Context, capture, explain};
use crate::client::{Client, next};
use crate::failure::{Exit, Failure};
use crate::output::{Format, document, plain, table, words, yaml};
use crate::timeline::{self, Timeline};

/// As many digits of an attempt are shown in a list; `show` takes them.
pub(super) const DIGITS: usize = 12;
/// The fewest digits that name an attempt.
const FEWEST: usize = 4;
/// As many recent attempts are searched for one by its first digits.
const RECENT: u32 = 1_000;

/// What to do with boot attempts.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List recent boot attempts, the newest first
    #[command(visible_alias = "ls")]
    List(List),
    /// Show one: why it came to nothing, its stages, its timeline
    Show(Show),
    /// Follow boots while they happen
    Watch(Watch),
    /// Fetch the packets of one as a pcap file
    Capture(capture::Arguments),
}

/// `boot list`.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those of this host
    #[arg(long)]
    host: Option<String>,
    /// Only those at this site
    #[arg(long)]
    site: Option<String>,
    /// As many at most
    #[arg(long, default_value_t = 20, value_name = "N")]
    limit: u32,
}

/// `boot show`.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The attempt, or its first digits as `boot list` shows them
    attempt: String,
    /// Draw its stages as a picture into this file, too
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// `boot watch`.
#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// Only those of this host
    #[arg(long)]
    host: Option<String>,
    /// Only those at this site
    #[arg(long)]
    site: Option<String>,
    /// Follow the host that --host names, through an installation and the boot after it, until its system is up; exit
    /// code 1 if the installation failed
    #[arg(long, requires = "host")]
    until_end: bool,
}

/// Does it.
pub(crate) async fn run(context: &mut Context, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List(list) => self::list(context, list).await,
        Verb::Show(show) => self::show(context, show).await,
        Verb::Watch(watch) => self::watch(context, watch).await,
        Verb::Capture(arguments) => capture::run(context, &arguments).await,
    }
}

async fn list(context: &mut Context, list: List) -> Result<(), Failure> {
    let request = ListBootsRequest {
        host: list.host.unwrap_or_default(),
        site: list.site.unwrap_or_default(),
        limit: list.limit,
        explain: true,
    };
    let boots = context.connect().await?.list_boots(request).await?;
    match context.output.format_or(Format::Table) {
        Format::Table => {
            let now = words::now();
            let rows: Vec<_> = boots.iter().map(|boot| row(boot, now)).collect();
            let headings = ["attempt", "host", "site", "mac", "began", "took", "outcome", "stage", "cause"];
            context.output.line(&table::render(&headings, &rows, context.output.colours()))
        }
        Format::Json => context.output.line(&document::json(&all(&boots))),
        Format::Yaml => context.output.text(&yaml::text(&all(&boots))),
    }
}

fn row(boot: &BootSummary, now: Wall) -> Vec<String> {
    let (began, last) = (Wall(boot.began_ms), Wall(boot.last_ms));
    vec![
        hex(&boot.attempt).chars().take(DIGITS).collect(),
        boot.host.clone(),
        boot.site.clone(),
        mac(&boot.mac),
        words::relative(began, now),
        words::rough(last.since(began)),
        outcome(boot),
        boot.stage.clone(),
        boot.cause.clone(),
    ]
}

/// `running` says too little of one that nothing more will be heard of.
fn outcome(boot: &BootSummary) -> String {
    if boot.standing == "silent" { "silent".into() } else { boot.outcome.clone() }
}

fn all(boots: &[BootSummary]) -> Value {
    Value::Array(boots.iter().map(summary_value).collect())
}

/// For programs.
pub(super) fn summary_value(boot: &BootSummary) -> Value {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    json!({
        "attempt": hex(&boot.attempt), "host": boot.host, "site": boot.site, "agent": boot.agent,
        "mac": mac(&boot.mac), "began_ms": boot.began_ms, "last_ms": boot.last_ms,
        "outcome": boot.outcome, "stage": boot.stage, "events": boot.events,
        "cause": text(&boot.cause), "standing": text(&boot.standing),
    })
}

async fn show(context: &mut Context, show: Show) -> Result<(), Failure> {
    let mut client = context.connect().await?;
    let attempt = find(&mut client, &show.attempt).await?;
    explain::show(context, &mut client, attempt, show.svg).await
}

/// All digits, or the first of one recent attempt.
pub(super) async fn find(client: &mut Client, digits: &str) -> Result<AttemptId, Failure> {
    if let Ok(attempt) = digits.parse() {
        return Ok(attempt);
    }
    if digits.len() < FEWEST || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        let message = format!("{digits:?} is no boot attempt: expected {FEWEST} to 32 hexadecimal digits");
        return Err(Failure::usage(message));
    }
    let request = ListBootsRequest { limit: RECENT, ..ListBootsRequest::default() };
    let boots = client.list_boots(request).await?;
    let digits = digits.to_ascii_lowercase();
    let mut found = boots.iter().filter(|boot| hex(&boot.attempt).starts_with(&digits));
    let (first, second) = (found.next(), found.next());
    match (first, second) {
        (None, _) => Err(unknown(&digits)),
        (Some(_), Some(_)) => {
            Err(Failure::usage(format!("several boot attempts begin with {digits}: give more digits")))
        }
        (Some(boot), None) => AttemptId::from_wire("attempt", &boot.attempt)
            .map_err(|error| Failure::because(Exit::Failed, "read the list of boots", &error)),
    }
}

fn unknown(digits: &str) -> Failure {
    Failure::new(Exit::NotFound, format!("there is no boot attempt {digits}"))
        .remedy("`bootlane boot list` shows the recent ones; older ones are forgotten")
}

async fn watch(context: &mut Context, watch: Watch) -> Result<(), Failure> {
    let mut client = context.connect().await?;
    let request = WatchBootsRequest {
        host: watch.host.clone().unwrap_or_default(),
        site: watch.site.unwrap_or_default(),
        until_end: watch.until_end,
        silences: true,
        ..WatchBootsRequest::default()
    };
    let mut view = View::new(watch.host.is_none());
    let mut events = client.watch_boots(request).await?;
    let mut failed = false;
    let mut told = HashSet::new();
    while let Some(event) = next("watch boots", &mut events).await? {
        view.show(context, &event)?;
        let phase = timeline::phase(&event);
        failed = phase.map_or(failed, is_failure);
        if phase.is_some_and(is_failure) && told.insert(attempt(&event).to_vec()) {
            tell_finding(context, &mut client, attempt(&event)).await?;
        }
        context.output.flush()?;
    }
    match (watch.until_end, failed) {
        (true, false) => Ok(()),
        (true, true) => Err(Failure::failed("the installation failed")),
        // Only a controller that stops ends such a stream.
        (false, _) => {
            Err(Failure::new(Exit::Unreachable, "the controller has ended the stream").remedy("watch again"))
        }
    }
}

/// Why an attempt that has just ended came to nothing; for people alone, as a program reads events.
async fn tell_finding(context: &mut Context, client: &mut Client, attempt: &[u8]) -> Result<(), Failure> {
    let people = context.output.format_or(Format::Table) == Format::Table;
    let Some(attempt) = AttemptId::from_wire("attempt", attempt).ok().filter(|_| people) else {
        return Ok(());
    };
    // A controller that cannot say more ends no watch.
    let Ok(shown) = client.show_boot(ShowBootRequest { attempt: attempt.to_wire() }).await else {
        return Ok(());
    };
    let finding = shown.boot.and_then(|boot| boot.findings.into_iter().next());
    match finding {
        Some(finding) => context.output.line(&plain(&format!("why: {}", finding.sentence))),
        None => Ok(()),
    }
}

fn is_failure(phase: OrderPhase) -> bool {
    match phase {
        OrderPhase::Failed | OrderPhase::Expired | OrderPhase::Revoked => true,
        OrderPhase::Armed | OrderPhase::Offered | OrderPhase::Started | OrderPhase::Installed => false,
    }
}

/// Events as they come, of one attempt or of several at once.
struct View {
    /// Each line says whose it is.
    several: bool,
    timelines: HashMap<Vec<u8>, Timeline>,
    /// The attempt of each machine whose heading stands last.
    headed: HashMap<String, Vec<u8>>,
}

impl View {
    fn new(several: bool) -> Self {
        Self { several, timelines: HashMap::new(), headed: HashMap::new() }
    }

    fn show(&mut self, context: &mut Context, event: &BootEvent) -> Result<(), Failure> {
        match context.output.format_or(Format::Table) {
            Format::Json => return context.output.line(&value(event).to_string()),
            Format::Yaml => {
                let text = yaml::text(&value(event));
                return context.output.text(&format!("---\n{text}"));
            }
            Format::Table => {}
        }
        self.lines(event).iter().try_for_each(|line| context.output.line(line))
    }

    /// A heading where the line above it is of another boot of the machine, and the event's line.
    fn lines(&mut self, event: &BootEvent) -> Vec<String> {
        let (attempt, name) = (attempt(event).to_vec(), name(event));
        let former = self.headed.insert(name.clone(), attempt.clone());
        let heading = (former.as_ref() != Some(&attempt)).then(|| heading(event));
        let line = self.timelines.entry(attempt).or_default().line(event);
        let whose = if self.several { format!("{:<16} ", plain(&name)) } else { String::new() };
        heading.into_iter().chain([format!("{whose}{line}")]).collect()
    }
}

fn heading(event: &BootEvent) -> String {
    let what = match attempt(event) {
        [] => "outside of any boot".to_owned(),
        attempt => format!("boot {}", hex(attempt)),
    };
    let text = format!(
        "{} at site {}, agent {}: {what}, {}",
        name(event),
        event.site,
        event.agent,
        words::moment(timeline::at(event))
    );
    plain(&text)
}

/// The host's name, else its link address.
fn name(event: &BootEvent) -> String {
    let mac = machine(event).unwrap_or_default();
    match (event.host.as_str(), mac.as_str()) {
        ("", "") => format!("agent {}", event.agent),
        ("", mac) => mac.to_owned(),
        (host, _) => host.to_owned(),
    }
}

/// For programs.
pub(super) fn value(event: &BootEvent) -> Value {
    let (what, words) = timeline::words(event);
    let number = event.event.as_ref().map_or(0, |numbered| numbered.number);
    json!({
        "at_ms": timeline::at(event).0, "attempt": hex(attempt(event)), "site": event.site, "agent": event.agent,
        "incarnation": hex(&event.incarnation), "number": number, "host": event.host,
        "mac": machine(event), "what": what, "text": words,
        "cause": timeline::silent(event).map(|boot| &boot.cause),
    })
}

/// The machine's link address; None: an event without content.
fn machine(event: &BootEvent) -> Option<String> {
    let silent = timeline::silent(event).map(|boot| &boot.mac);
    silent.or_else(|| inner(event).map(|event| &event.mac)).map(|bytes| mac(bytes))
}

fn inner(event: &BootEvent) -> Option<&proto::v1::Event> {
    event.event.as_ref()?.event.as_ref()
}

fn attempt(event: &BootEvent) -> &[u8] {
    let silent = timeline::silent(event).map(|boot| &boot.attempt);
    silent.or_else(|| inner(event).map(|event| &event.attempt)).map_or(&[], |attempt| attempt)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn mac(bytes: &[u8]) -> String {
    <[u8; 6]>::try_from(bytes).map(|mac| Mac(mac).to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(attempt: u8, host: &str) -> BootEvent {
        let inner = proto::v1::Event { attempt: vec![attempt; 16].into(), ..proto::v1::Event::default() };
        let numbered = proto::v1::NumberedEvent { event: Some(inner), ..proto::v1::NumberedEvent::default() };
        BootEvent { event: Some(numbered), host: host.into(), ..BootEvent::default() }
    }

    fn silence(attempt: u8, host: &str) -> BootEvent {
        let boot =
            proto::v1::BootSummary { attempt: vec![attempt; 16].into(), ..proto::v1::BootSummary::default() };
        let silence = proto::v1::BootSilence { boot: Some(boot), sentence: "It fell silent.".into() };
        BootEvent { silence: Some(silence), host: host.into(), ..BootEvent::default() }
    }

    /// Which lines are headings, and of which boot.
    fn headings(view: &mut View, event: &BootEvent) -> Option<String> {
        let lines = view.lines(event);
        let (heading, line) = (lines.first()?, lines.last()?);
        assert!(!line.contains("boot 0"), "{line}");
        heading.contains("boot 0").then(|| heading.clone())
    }

    #[test]
    fn a_line_stands_under_the_heading_of_its_boot() {
        let mut view = View::new(false);
        let mut of = |event: &BootEvent| headings(&mut view, event);
        assert!(of(&event(1, "web-1")).is_some_and(|heading| heading.contains(&"01".repeat(16))));
        assert_eq!(of(&event(1, "web-1")), None);
        assert!(of(&event(2, "web-1")).is_some());
        assert!(of(&silence(1, "web-1")).is_some_and(|heading| heading.contains(&"01".repeat(16))));
        assert!(of(&event(2, "web-1")).is_some_and(|heading| heading.contains(&"02".repeat(16))));
    }

    #[test]
    fn machines_that_boot_at_once_are_told_apart_by_their_names() {
        let mut view = View::new(true);
        let mut of = |event: &BootEvent| headings(&mut view, event).is_some();
        assert!(of(&event(1, "web-1")) && of(&event(2, "web-2")));
        assert!(!of(&event(1, "web-1")) && !of(&event(2, "web-2")));
    }
}
