//! The value of a secret on its way in: sealed before anything else sees it.

use proto::catalog::{AnyResource, Problem, SecretSpec, Spec as _};
use serde_json::{Map, Value, json};

use crate::vault::{Vault, VaultError};

/// Why a secret was not sealed.
pub(super) enum Unsealed {
    /// What was written is wrong; no text holds the value.
    Problem(Problem),
    /// The vault.
    Vault(VaultError),
}

impl From<Problem> for Unsealed {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// Replaces `spec.value` by `spec.sealed`. The value that is stored already keeps its seal, so that writing it again
/// changes nothing; no value at all means that of before.
pub(super) fn seal(
    vault: &Vault,
    name: &str,
    before: Option<&AnyResource>,
    body: &mut Map<String, Value>,
) -> Result<(), Unsealed> {
    let stored = match before {
        Some(AnyResource::Secret(secret)) => secret.spec.sealed.clone(),
        Some(_) | None => None,
    };
    let Some(Value::Object(spec)) = body.get("spec") else {
        return Err(Problem::new("spec", "is missing, or no object with a value").into());
    };
    if let Some(field) = spec.keys().find(|field| *field != "value") {
        return Err(Problem::new(format!("spec.{field}"), "unknown field, expected value").into());
    }
    let sealed = match (spec.get("value"), stored) {
        (None, Some(stored)) => stored,
        (None, None) => return Err(Problem::new("spec.value", "is missing").into()),
        (Some(Value::String(value)), stored) => renew(vault, name, value, stored)?,
        (Some(_), _) => return Err(Problem::new("spec.value", "is no text").into()),
    };
    body.insert("spec".into(), json!({ "sealed": sealed }));
    Ok(())
}

fn renew(vault: &Vault, name: &str, value: &str, stored: Option<String>) -> Result<String, Unsealed> {
    let spec = SecretSpec { value: Some(value.to_owned()), sealed: None };
    if let Some(problem) = spec.validate().pop() {
        return Err(Problem::new(format!("spec.{}", problem.field), problem.message).into());
    }
    let same = |sealed: &String| vault.open(name, sealed).is_ok_and(|opened| opened.as_str() == value);
    match stored.filter(same) {
        Some(stored) => Ok(stored),
        None => vault.seal(name, value).map_err(Unsealed::Vault),
    }
}
