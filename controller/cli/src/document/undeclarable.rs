//! Kinds that no file declares, and the command that makes one.

use proto::catalog::{Kind, check_name};
use serde_json::Value;

/// Why a document of this kind cannot be applied, and what to do instead; None: it can.
pub(super) fn undeclarable(kind: Kind, document: &Value) -> Option<String> {
    let how = match kind {
        Kind::Agent => "agents enrol with a join token (`bootlane token add`)".to_owned(),
        Kind::Order => return Some(order(document)),
        Kind::Token => "join tokens are made by `bootlane token add`".to_owned(),
        Kind::Operator => "operators are made by `bootlane operator add`".to_owned(),
        Kind::Site | Kind::Host | Kind::Image | Kind::Profile | Kind::Mirror | Kind::Secret => return None,
    };
    Some(format!("kind: {kind} cannot be applied: {how}"))
}

/// A file that is applied again would permit one more installation of a machine that runs.
fn order(document: &Value) -> String {
    let name = |pointer: &str| {
        let name = document.pointer(pointer).and_then(Value::as_str)?;
        check_name("", name).is_none().then_some(name)
    };
    let host = name("/spec/host").unwrap_or("HOST");
    let profile = name("/spec/profile").map(|profile| format!(" --profile {profile}")).unwrap_or_default();
    format!(
        "kind: an Order cannot be applied, since it is permission for one installation: \
         `bootlane order create {host}{profile}` makes one"
    )
}
