//! What `bootlane host simulate` said before a boot, held against what a machine was really answered and given.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use proto::Digest;
use proto::event::EventKind;
use serde_json::Value;

use super::super::setting::Setting;
use super::drive::Told;
use crate::lab::MachineSpec;

/// What stands for an attempt or a token, which every boot has of its own.
const MADE_UP: &str = "<made up>";
/// Of these, in hexadecimal digits.
const DIGITS: usize = 32;

/// A boot on paper.
pub(super) struct Paper {
    /// What is given, by name.
    files: BTreeMap<String, Value>,
    /// The reason of each decision, in order.
    reasons: Vec<String>,
}

/// Asks the controller; a boot that would fail is an error.
pub(super) fn simulate(setting: &Setting<'_>, spec: &MachineSpec, firmware: &str) -> anyhow::Result<Paper> {
    let told = setting.fleet.cli().json(&["host", "simulate", &spec.name, "--firmware", firmware])?;
    let steps = told["steps"].as_array().context("a boot on paper has steps")?;
    let first = || steps.iter().filter(|step| step["boot"] == 1);
    let given = first().filter(|step| step["step"] == "file" && step["refused"] == "");
    let files: BTreeMap<_, _> = given.map(|file| (anonymous(text(&file["name"])), file.clone())).collect();
    let decided = first().filter(|step| step["step"] == "decision");
    let reasons: Vec<_> = decided.map(|decision| text(&decision["reason"]).to_owned()).collect();
    ensure!(!files.is_empty() && !reasons.is_empty(), "nothing was said on paper: {told}");
    Ok(Paper { files, reasons })
}

impl Paper {
    /// The same decisions, the same files, the same bytes; none more, none less.
    pub(super) fn must_match(&self, setting: &Setting<'_>, told: &Told) -> anyhow::Result<()> {
        for (name, bytes) in &told.files {
            self.must_match_file(&anonymous(name), bytes)?;
        }
        let given = |name: &String| told.files.keys().any(|fetched| anonymous(fetched) == *name);
        let answers = self.files.iter().filter(|(_, file)| file["stage"] == "answer file");
        let answers: BTreeMap<_, _> = answers.collect();
        let never: Vec<_> =
            self.files.keys().filter(|name| !given(name) && !answers.contains_key(name)).collect();
        ensure!(never.is_empty(), "the machine was not given what was said on paper: {never:?}");
        let answer = String::from_utf8_lossy(&told.answer);
        let said = answers.values().any(|file| text(&file["text"]) == answer);
        ensure!(said, "the machine's answer file is {answer:?}, on paper there are {answers:?}");
        self.must_match_reasons(setting)
    }

    fn must_match_file(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let said = self.files.get(name).with_context(|| format!("{name} was not said on paper"))?;
        ensure!(said["bytes"] == bytes.len(), "{name} has {} bytes, on paper {}", bytes.len(), said["bytes"]);
        let digest = text(&said["sha256"]);
        if digest.is_empty() {
            let (shown, given) = (anonymous(text(&said["text"])), anonymous(&String::from_utf8_lossy(bytes)));
            ensure!(shown == given, "{name} is\n{given}\non paper\n{shown}");
        } else {
            ensure!(digest == Digest::of(bytes).to_string(), "{name} has other bytes than on paper");
        }
        Ok(())
    }

    fn must_match_reasons(&self, setting: &Setting<'_>) -> anyhow::Result<()> {
        let ledger = setting.ledger()?;
        let reason = |kind: &EventKind| {
            let EventKind::Decided { reason, .. } = kind else { return None };
            Some(reason.clone())
        };
        let reasons: Vec<_> = ledger.events.iter().filter_map(|event| reason(&event.event.kind)).collect();
        ensure!(
            reasons == self.reasons,
            "the agent decided for {reasons:?}, on paper for {:?}",
            self.reasons
        );
        Ok(())
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// With one word for whatever a boot makes up.
fn anonymous(text: &str) -> String {
    let named = text.replace("<attempt>", MADE_UP).replace("<token>", MADE_UP);
    let mut out = String::with_capacity(named.len());
    let mut rest = named.as_str();
    while let Some(at) = rest.find(|c: char| c.is_ascii_hexdigit()) {
        let (before, from) = rest.split_at(at);
        let end = from.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(from.len());
        let (word, after) = from.split_at(end);
        out.push_str(before);
        out.push_str(if word.len() == DIGITS { MADE_UP } else { word });
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_up_is_no_difference() {
        let id = "0a".repeat(16);
        assert_eq!(anonymous(&format!("/a/{id}/linux x=abc")), "/a/<made up>/linux x=abc");
        assert_eq!(anonymous("/a/<attempt>/linux x=abc"), "/a/<made up>/linux x=abc");
        assert_eq!(anonymous(&id.repeat(2)), id.repeat(2), "a digest");
    }
}
