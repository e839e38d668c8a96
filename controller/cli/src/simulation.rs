//! A boot on paper as people read it: numbered steps with their details below them, then what would fail.
//!
//! Pure: the controller's answer in, lines out. Names and texts are cleaned before they are shown.

use proto::v1::{
    SimulateBootResponse, SimulatedDecision, SimulatedField, SimulatedFile, SimulatedPacket, SimulatedStep,
    simulated_step::Step,
};
use proto::{Mac, Wall};
use serde_json::{Value, json};

use crate::output::{plain, words};

/// Where the details of a step stand.
const INDENT: &str = "              ";

/// The whole answer; `now` is what times are relative to.
#[must_use]
pub(crate) fn text(answer: &SimulateBootResponse, now: Wall) -> String {
    let mut lines = vec![heading(answer)];
    let mut boot = 0;
    let mut number = 0;
    for step in &answer.steps {
        if step.boot != boot {
            (boot, number) = (step.boot, 0);
            lines.extend([String::new()]);
            lines.extend((boot > 1).then(|| "The boot after the installation:".to_owned()));
        }
        number += 1;
        lines.extend(self::step(number, step, now));
    }
    lines.extend(flags(answer));
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Would something fail?
#[must_use]
pub(crate) fn fails(answer: &SimulateBootResponse) -> bool {
    answer.flags.iter().any(|flag| flag.fails)
}

fn heading(answer: &SimulateBootResponse) -> String {
    let SimulateBootResponse { host, firmware, site, agent, plan, .. } = answer;
    let who = if host.is_empty() { "A machine that is no host" } else { host };
    let by =
        if agent.is_empty() { "answered by nobody".to_owned() } else { format!("answered by agent {agent}") };
    plain(&format!("{who} ({}) with firmware {firmware} at site {site}, {by}, plan {plan}", mac(&answer.mac)))
}

fn mac(bytes: &[u8]) -> String {
    bytes.try_into().map(|mac| Mac(mac).to_string()).unwrap_or_default()
}

fn step(number: usize, step: &SimulatedStep, now: Wall) -> Vec<String> {
    let (word, what, details) = match &step.step {
        Some(Step::Packet(packet)) => self::packet(packet),
        Some(Step::File(file)) => self::file(file, now),
        Some(Step::Decision(SimulatedDecision { answer, reason })) => {
            ("decided", format!("{answer}: {reason}"), Vec::new())
        }
        Some(Step::Note(text)) => ("", text.clone(), Vec::new()),
        Some(Step::End(text)) => ("end", format!("the machine {text}"), Vec::new()),
        None => (
            "?",
            "a step that this program does not know: is it older than the controller?".into(),
            Vec::new(),
        ),
    };
    let first = format!("{number:>3}  {word:<8} {}", plain(&what));
    let details = details.iter().map(|detail| format!("{INDENT}{}", plain(detail)));
    std::iter::once(first).chain(details).collect()
}

fn times(times: u32) -> String {
    if times > 1 { format!(", {times} times") } else { String::new() }
}

fn packet(packet: &SimulatedPacket) -> (&'static str, String, Vec<String>) {
    let SimulatedPacket { from, kind, program, .. } = packet;
    let who = match (from.as_str(), program.as_str()) {
        ("machine", program) => format!(" of {program}"),
        ("agent", _) => String::new(),
        (other, _) => format!(" of the {other} (assumed)"),
    };
    let word = if from == "machine" { "says" } else { "is told" };
    let field = |SimulatedField { name, value }: &SimulatedField| format!("{name}: {value}");
    let fields = packet.fields.iter().map(field).collect();
    (word, format!("{kind}{who}{}", times(packet.times)), fields)
}

fn file(file: &SimulatedFile, now: Wall) -> (&'static str, String, Vec<String>) {
    let SimulatedFile { transport, name, stage, refused, held, .. } = file;
    let again = times(file.times);
    if !refused.is_empty() {
        let without = if file.optional { ", and it goes on" } else { "" };
        return ("misses", format!("{name} by {transport}{again}: {refused}{without}"), Vec::new());
    }
    let size = words::size(file.bytes);
    let what = format!("{stage} {name} by {transport}{again}: {size}");
    if !file.sha256.is_empty() {
        let at = if file.held_ms == 0 {
            String::new()
        } else {
            format!(", expected {}", words::relative(Wall(file.held_ms), now))
        };
        let details = vec![format!("sha256:{}", hex(&file.sha256)), format!("{held}{at}")];
        return ("fetches", what, details);
    }
    let mut details: Vec<_> = file.text.lines().map(|line| format!("| {line}")).collect();
    details.extend(file.cut.then(|| "| … the rest is not shown".to_owned()));
    ("fetches", what, details)
}

fn flags(answer: &SimulateBootResponse) -> Vec<String> {
    let mut lines = Vec::new();
    let (fails, notices): (Vec<_>, Vec<_>) = answer.flags.iter().partition(|flag| flag.fails);
    for (word, flags) in [("would fail", fails), ("note", notices)] {
        for flag in flags {
            lines.push(plain(&format!("{word}: {}", flag.what)));
            lines.extend((!flag.remedy.is_empty()).then(|| plain(&format!("  {}", flag.remedy))));
        }
    }
    if !lines.is_empty() {
        lines.insert(0, String::new());
    }
    lines
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// For programs.
#[must_use]
pub(crate) fn value(answer: &SimulateBootResponse) -> Value {
    let flag = |flag: &proto::v1::SimulatedFlag| json!({"fails": flag.fails, "what": flag.what, "remedy": flag.remedy});
    json!({
        "host": answer.host, "mac": mac(&answer.mac), "firmware": answer.firmware, "site": answer.site,
        "agent": answer.agent, "plan": answer.plan,
        "steps": answer.steps.iter().map(step_value).collect::<Vec<_>>(),
        "flags": answer.flags.iter().map(flag).collect::<Vec<_>>(),
        "fails": fails(answer),
    })
}

fn step_value(step: &SimulatedStep) -> Value {
    let boot = step.boot;
    match &step.step {
        Some(Step::Packet(packet)) => {
            let field = |field: &SimulatedField| json!({"name": field.name, "value": field.value});
            let fields: Vec<_> = packet.fields.iter().map(field).collect();
            json!({"boot": boot, "step": "packet", "from": packet.from, "kind": packet.kind,
                "program": packet.program, "fields": fields, "times": packet.times})
        }
        Some(Step::File(file)) => json!({
            "boot": boot, "step": "file", "transport": file.transport, "name": file.name, "stage": file.stage,
            "bytes": file.bytes, "sha256": hex(&file.sha256), "text": file.text, "cut": file.cut,
            "refused": file.refused, "optional": file.optional, "held": file.held, "held_ms": file.held_ms,
            "times": file.times,
        }),
        Some(Step::Decision(decision)) => {
            json!({"boot": boot, "step": "decision", "answer": decision.answer, "reason": decision.reason})
        }
        Some(Step::Note(text)) => json!({"boot": boot, "step": "note", "text": text}),
        Some(Step::End(text)) => json!({"boot": boot, "step": "end", "text": text}),
        None => json!({"boot": boot, "step": "unknown"}),
    }
}

#[cfg(test)]
mod tests {
    use proto::v1::SimulatedFlag;

    use super::*;

    fn step(boot: u32, step: Step) -> SimulatedStep {
        SimulatedStep { boot, step: Some(step) }
    }

    fn answer() -> SimulateBootResponse {
        let field = |name: &str, value: &str| SimulatedField { name: name.into(), value: value.into() };
        let packet = |from: &str, kind: &str, times| SimulatedPacket {
            from: from.into(),
            kind: kind.into(),
            program: "the PXE ROM".into(),
            fields: vec![field("yiaddr", "10.1.0.9")],
            times,
        };
        let kernel = SimulatedFile {
            transport: "HTTP".into(),
            name: "http://10.1.0.2/a/<attempt>/linux".into(),
            stage: "kernel".into(),
            bytes: 1_500_000,
            sha256: vec![0xab; 2].into(),
            held: "not at lyon-1 yet".into(),
            held_ms: 61_000,
            times: 5,
            ..SimulatedFile::default()
        };
        let script = SimulatedFile {
            text: "#!ipxe\n\x1b[2J".into(),
            sha256: Default::default(),
            stage: "script".into(),
            held: String::new(),
            times: 1,
            ..kernel.clone()
        };
        let missing = SimulatedFile { refused: "no such loader".into(), optional: true, ..script.clone() };
        let decided =
            SimulatedDecision { answer: "a boot script".into(), reason: "order 1 installs x".into() };
        let flag = |fails, what: &str, remedy: &str| SimulatedFlag {
            fails,
            what: what.into(),
            remedy: remedy.into(),
        };
        SimulateBootResponse {
            host: "web-1".into(),
            mac: vec![2, 0, 0, 0, 0, 1].into(),
            firmware: "bios".into(),
            site: "lyon".into(),
            agent: "lyon-1".into(),
            plan: "1.7".into(),
            steps: vec![
                step(1, Step::Packet(packet("machine", "DISCOVER", 4))),
                step(1, Step::Decision(decided)),
                step(1, Step::Packet(packet("agent", "OFFER", 1))),
                step(1, Step::Packet(packet("other server", "OFFER", 1))),
                step(1, Step::File(script)),
                step(1, Step::File(missing)),
                step(1, Step::File(kernel)),
                step(2, Step::Note("order 1 is installed".into())),
                step(2, Step::End("starts from its local disk".into())),
            ],
            flags: vec![flag(false, "its agent is away", ""), flag(true, "no \x07loader", "import one")],
        }
    }

    #[test]
    fn a_boot_is_told_step_by_step_and_steers_no_terminal() {
        let expected = "\
web-1 (02:00:00:00:00:01) with firmware bios at site lyon, answered by agent lyon-1, plan 1.7

  1  says     DISCOVER of the PXE ROM, 4 times
              yiaddr: 10.1.0.9
  2  decided  a boot script: order 1 installs x
  3  is told  OFFER
              yiaddr: 10.1.0.9
  4  is told  OFFER of the other server (assumed)
              yiaddr: 10.1.0.9
  5  fetches  script http://10.1.0.2/a/<attempt>/linux by HTTP: 1.4 MiB
              | #!ipxe
              | \u{fffd}[2J
  6  misses   http://10.1.0.2/a/<attempt>/linux by HTTP: no such loader, and it goes on
  7  fetches  kernel http://10.1.0.2/a/<attempt>/linux by HTTP, 5 times: 1.4 MiB
              sha256:abab
              not at lyon-1 yet, expected in 1m

The boot after the installation:
  1           order 1 is installed
  2  end      the machine starts from its local disk

would fail: no \u{fffd}loader
  import one
note: its agent is away
";
        assert_eq!(text(&answer(), Wall(1_000)), expected);
        assert!(fails(&answer()));
    }

    #[test]
    fn programs_are_told_the_same() {
        let value = value(&answer());
        assert_eq!(value["mac"], "02:00:00:00:00:01");
        assert_eq!((&value["fails"], &value["steps"][6]["times"]), (&true.into(), &5.into()));
        assert_eq!(value["steps"].as_array().map(Vec::len), Some(9));
    }

    #[test]
    fn a_step_of_a_newer_controller_is_not_lost() {
        let newer = SimulatedStep { boot: 1, step: None };
        let answer = SimulateBootResponse { steps: vec![newer], ..SimulateBootResponse::default() };
        assert!(text(&answer, Wall(0)).contains("does not know"));
        assert!(!fails(&answer));
    }
}
