//! What programs read: every field.

use proto::v1::{BootEvent, BootStage, ExplainHostResponse, ExplainedBoot, Finding};
use serde_json::{Value, json};

use super::super::{boot as boots, readiness};

/// `boot show`.
pub(super) fn shown(boot: &ExplainedBoot, events: &[BootEvent]) -> Value {
    let mut value = boot_value(boot);
    if let Some(fields) = value.as_object_mut() {
        fields.insert("events".into(), Value::Array(events.iter().map(boots::value).collect()));
    }
    value
}

fn boot_value(boot: &ExplainedBoot) -> Value {
    let summary = boot.boot.clone().unwrap_or_default();
    let stage = |stage: &BootStage| {
        json!({
            "step": stage.step, "title": stage.title, "began_ms": stage.began_ms, "last_ms": stage.last_ms,
            "end": stage.end, "why": text(&stage.why), "bytes": stage.bytes, "transfer_ms": stage.transfer_ms,
            "retransmissions": stage.retransmissions, "detail": text(&stage.detail),
        })
    };
    let mut value = boots::summary_value(&summary);
    if let Some(fields) = value.as_object_mut() {
        fields.insert("firmware".into(), json!(text(&boot.firmware)));
        fields.insert("family".into(), json!(text(&boot.family)));
        fields.insert("standing".into(), json!(boot.standing));
        fields.insert("stages".into(), Value::Array(boot.stages.iter().map(stage).collect()));
        fields.insert("findings".into(), findings_value(&boot.findings));
        let refusals = boot.refusals.iter().map(boots::value).collect();
        fields.insert("refusals".into(), Value::Array(refusals));
    }
    value
}

fn findings_value(findings: &[Finding]) -> Value {
    let one = |finding: &Finding| {
        json!({
            "cause": finding.cause, "sentence": finding.sentence, "stopped_at": finding.stopped_at,
            "expected": finding.expected, "likely": finding.likely, "remedy": finding.remedy,
            "certainty": finding.certainty, "evidence": finding.evidence, "meaning": finding.meaning,
        })
    };
    Value::Array(findings.iter().map(one).collect())
}

/// `host explain`.
pub(super) fn host(explained: &ExplainHostResponse) -> Value {
    let order = explained.order.as_ref().map(|order| {
        json!({
            "name": order.name, "number": order.number, "profile": order.profile, "agent": order.agent,
            "state": order.state, "since_ms": order.since_ms, "not_after_ms": order.not_after_ms,
        })
    });
    let agent = explained.agent.as_ref().map(|agent| {
        json!({
            "name": agent.name, "connected": agent.connected, "last_heard_ms": agent.last_heard_ms,
            "current": agent.current, "applied": text(&agent.applied), "newest": text(&agent.newest),
        })
    });
    json!({
        "host": text(&explained.host), "mac": boots::mac(&explained.mac), "site": text(&explained.site),
        "answer": explained.answer, "given": explained.given, "given_why": explained.given_why,
        "findings": findings_value(&explained.findings),
        "boots": explained.boots.iter().map(boot_value).collect::<Vec<_>>(),
        "order": order, "readiness": explained.readiness.as_ref().map(readiness::value), "agent": agent,
        "now_ms": explained.now_ms,
    })
}

fn text(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::super::text::tests::finding;
    use super::*;
    use crate::picture::tests::broken;

    #[test]
    fn programs_get_every_field() {
        let value = boot_value(&ExplainedBoot { findings: vec![finding()], ..broken() });
        assert_eq!(value["findings"][0]["cause"], "transfer-broken");
        assert_eq!(
            (value["stages"][1]["bytes"].as_u64(), value["standing"].as_str()),
            (Some(1 << 20), Some("silent"))
        );
        assert_eq!(value["firmware"], Value::Null);
    }
}
