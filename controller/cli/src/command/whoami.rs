//! `bootlane whoami`.

use certs::Identity;
use serde_json::json;

use super::Context;
use crate::failure::Failure;
use crate::output::{Format, document, plain, words, yaml};

/// Says who the caller is to the controller.
pub(crate) async fn run(context: &mut Context) -> Result<(), Failure> {
    let mut client = context.connect().await?;
    let me = client.who_am_i().await?;
    let leaf = client.credential().credential().leaf();
    let until = words::moment(leaf.not_after.into());
    let identity: &Identity = &leaf.identity;
    let value = json!({
        "fleet": me.fleet, "operator": me.operator, "role": me.role, "sites": me.sites,
        "identity": identity.to_string(), "certificate_until": until,
        "controller_version": me.version, "version": proto::VERSION,
    });
    match context.output.format_or(Format::Table) {
        Format::Json => context.output.line(&document::json(&value)),
        Format::Yaml => context.output.text(&yaml::text(&value)),
        Format::Table => {
            let sites = if me.sites.is_empty() { "every site".into() } else { me.sites.join(", ") };
            let text = format!("operator {} of fleet {}: role {}, {sites}", me.operator, me.fleet, me.role);
            context.output.line(&plain(&text))?;
            context.output.line(&format!("certificate until {until}"))?;
            context.output.line(&plain(&format!("controller {}, bootlane {}", me.version, proto::VERSION)))
        }
    }
}
