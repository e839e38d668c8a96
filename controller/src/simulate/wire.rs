//! The boot on paper in the messages of `bootlane.v1`.

use proto::event::Transport;
use proto::v1::{self, simulated_step::Step as Of};

use super::drive::Simulation;
use super::scenario::{Flag, Scenario};
use super::step::{File, Given, Packet, Step};

/// What the caller is answered.
pub(crate) fn message(
    site: String,
    scenario: &Scenario,
    simulation: &Simulation,
    flags: Vec<Flag>,
) -> v1::SimulateBootResponse {
    let boots = simulation.boots.iter().zip(1..);
    let steps = boots.flat_map(|(boot, number)| boot.steps.iter().map(move |step| (number, step)));
    let generation = scenario.plan.id.generation;
    v1::SimulateBootResponse {
        host: scenario.host().map(|host| host.name.clone()).unwrap_or_default(),
        mac: scenario.mac.0.to_vec().into(),
        firmware: scenario.firmware.to_string(),
        site,
        agent: scenario.agent.clone().unwrap_or_default(),
        plan: format!("{}.{}", generation.epoch, generation.revision),
        steps: steps
            .map(|(boot, step)| v1::SimulatedStep { boot, step: Some(self::step(scenario, step)) })
            .collect(),
        flags: flags.into_iter().map(flag).collect(),
    }
}

fn step(scenario: &Scenario, step: &Step) -> Of {
    match step {
        Step::Packet(packet) => Of::Packet(self::packet(packet)),
        Step::File(file) => Of::File(self::file(scenario, file)),
        Step::Decided { answer, reason } => {
            Of::Decision(v1::SimulatedDecision { answer: (*answer).to_owned(), reason: reason.clone() })
        }
        Step::Note(text) => Of::Note(text.clone()),
        Step::End(text) => Of::End(text.clone()),
    }
}

fn packet(packet: &Packet) -> v1::SimulatedPacket {
    let field =
        |(name, value): &(String, String)| v1::SimulatedField { name: name.clone(), value: value.clone() };
    v1::SimulatedPacket {
        from: packet.from.word().to_owned(),
        kind: packet.kind.to_owned(),
        program: packet.program.to_owned(),
        fields: packet.fields.iter().map(field).collect(),
        times: packet.times,
    }
}

fn file(scenario: &Scenario, file: &File) -> v1::SimulatedFile {
    let transport = match file.transport {
        Transport::Tftp => "TFTP",
        Transport::Http => "HTTP",
    };
    let asked = v1::SimulatedFile {
        transport: transport.to_owned(),
        name: file.name.clone(),
        optional: file.optional,
        times: file.times,
        ..v1::SimulatedFile::default()
    };
    match &file.given {
        Given::Blob { stage, digest, bytes } => {
            let held = scenario.held.get(digest);
            v1::SimulatedFile {
                stage: stage.word().to_owned(),
                bytes: *bytes,
                sha256: digest.0.to_vec().into(),
                held: held.map(|held| held.words.clone()).unwrap_or_default(),
                held_ms: held.and_then(|held| held.at).map_or(0, |at| at.0),
                ..asked
            }
        }
        Given::Text { stage, bytes, text, cut } => v1::SimulatedFile {
            stage: stage.word().to_owned(),
            bytes: *bytes,
            text: text.clone(),
            cut: *cut,
            ..asked
        },
        Given::Refused(why) => v1::SimulatedFile { refused: why.clone(), ..asked },
        Given::Elsewhere => v1::SimulatedFile { stage: "elsewhere".to_owned(), ..asked },
    }
}

fn flag(flag: Flag) -> v1::SimulatedFlag {
    let Flag { fails, what, remedy } = flag;
    v1::SimulatedFlag { fails, what, remedy }
}
