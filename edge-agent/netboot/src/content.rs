//! Fills the slots of a planned file: the only text that is made at the edge (DESIGN §4).

use std::{collections::BTreeMap, net::Ipv4Addr};

use proto::{
    AttemptId, Mac, Token128,
    plan::{Part, Slot},
};

/// What the slots stand for. A file that needs a value which is None is refused.
#[derive(Clone)]
pub struct Values<'a> {
    /// `http://ADDRESS[:PORT]` as the machine reaches it.
    pub base_url: &'a str,
    /// Our address on the machine's segment.
    pub server: Ipv4Addr,
    /// The machine's.
    pub client: Ipv4Addr,
    /// The machine's.
    pub mac: Mac,
    /// Of the order that the attempt boots under.
    pub token: Option<Token128>,
    /// The boot attempt.
    pub attempt: Option<AttemptId>,
    /// The order's secrets; None where they may not be used.
    pub secrets: Option<&'a BTreeMap<String, prost::bytes::Bytes>>,
}

/// A file that cannot be filled in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfilled {
    /// It holds a slot without a value.
    #[error("it needs {0:?}, which this boot does not have")]
    Slot(Slot),
    /// It holds a secret that the plan did not send.
    #[error("it needs the secret {0:?}, which the plan does not hold for this order")]
    Secret(String),
}

/// The file's bytes.
///
/// # Errors
/// Names the slot or the secret that has no value.
pub fn fill(parts: &[Part], values: &Values<'_>) -> Result<Vec<u8>, Unfilled> {
    let mut bytes = Vec::new();
    for part in parts {
        match part {
            Part::Literal(literal) => bytes.extend_from_slice(literal),
            Part::Slot(slot) => bytes.extend_from_slice(value(*slot, values)?.as_bytes()),
            Part::Secret(name) => {
                let secret = values.secrets.and_then(|secrets| secrets.get(name));
                bytes.extend_from_slice(secret.ok_or_else(|| Unfilled::Secret(name.clone()))?);
            }
        }
    }
    Ok(bytes)
}

fn value(slot: Slot, values: &Values<'_>) -> Result<String, Unfilled> {
    let missing = || Unfilled::Slot(slot);
    Ok(match slot {
        Slot::BaseUrl => values.base_url.to_owned(),
        Slot::ServerAddress => values.server.to_string(),
        Slot::ClientAddress => values.client.to_string(),
        Slot::ClientMac => values.mac.to_string(),
        Slot::ClientMacHyphens => values.mac.to_string().replace(':', "-"),
        Slot::OrderToken => values.token.ok_or_else(missing)?.reveal(),
        Slot::AttemptId => values.attempt.ok_or_else(missing)?.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values<'a>(secrets: Option<&'a BTreeMap<String, prost::bytes::Bytes>>) -> Values<'a> {
        Values {
            base_url: "http://10.1.0.2",
            server: [10, 1, 0, 2].into(),
            client: [10, 1, 0, 9].into(),
            mac: Mac([0x52, 0x54, 0, 0, 0, 1]),
            token: None,
            attempt: Some(AttemptId([0xab; 16])),
            secrets,
        }
    }

    #[test]
    fn slots_and_secrets_are_filled_in() {
        let secrets = BTreeMap::from([("pw".to_owned(), "hunter2".into())]);
        let literal = |text: &'static str| Part::Literal(text.into());
        let parts = [
            literal("kernel "),
            Part::Slot(Slot::BaseUrl),
            literal("/a/"),
            Part::Slot(Slot::AttemptId),
            literal(" ip="),
            Part::Slot(Slot::ClientAddress),
            literal(" pw="),
            Part::Secret("pw".into()),
        ];
        let text =
            String::from_utf8(fill(&parts, &values(Some(&secrets))).expect("all there")).expect("ASCII");
        assert_eq!(text, format!("kernel http://10.1.0.2/a/{} ip=10.1.0.9 pw=hunter2", "ab".repeat(16)));
    }

    #[test]
    fn what_is_missing_refuses_the_file() {
        assert_eq!(
            fill(&[Part::Slot(Slot::OrderToken)], &values(None)),
            Err(Unfilled::Slot(Slot::OrderToken))
        );
        assert_eq!(fill(&[Part::Secret("pw".into())], &values(None)), Err(Unfilled::Secret("pw".into())));
    }
}
