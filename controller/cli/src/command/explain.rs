//! `bootlane boot show` and `bootlane host explain`: why a machine did not boot.

mod text;
mod value;

use std::path::{Path, PathBuf};

use clap::Args;
use proto::v1::{ExplainHostRequest, ExplainedBoot, ShowBootRequest, ShowBootResponse};
use proto::{AttemptId, Mac};

use super::Context;
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::output::{Format, document, yaml};
use crate::picture::svg;
use crate::timeline::Timeline;

/// `host explain`.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The host's name, or a machine's link address
    host: String,
}

/// Shows one attempt.
pub(crate) async fn show(
    context: &mut Context,
    client: &mut Client,
    attempt: AttemptId,
    picture: Option<PathBuf>,
) -> Result<(), Failure> {
    let shown = client.show_boot(ShowBootRequest { attempt: attempt.to_wire() }).await?;
    let ShowBootResponse { boot: Some(boot), events } = &shown else {
        return Err(Failure::failed("the controller's answer holds no boot"));
    };
    if let Some(file) = picture {
        write_picture(&file, boot)?;
        context.output.remark(&format!("the timeline is in {}", file.display()));
    }
    match context.output.format_or(Format::Table) {
        Format::Json => context.output.line(&document::json(&value::shown(boot, events))),
        Format::Yaml => context.output.text(&yaml::text(&value::shown(boot, events))),
        Format::Table => {
            let width = context.output.width();
            for line in text::boot(boot, width, context.output.colours()) {
                context.output.line(&line)?;
            }
            context.output.line("")?;
            let mut timeline = Timeline::default();
            for event in events {
                context.output.line(&timeline.line(event))?;
            }
            Ok(())
        }
    }
}

fn write_picture(file: &Path, boot: &ExplainedBoot) -> Result<(), Failure> {
    std::fs::write(file, svg(boot))
        .map_err(|error| Failure::because(Exit::Failed, &format!("write {}", file.display()), &error))
}

/// Explains a host.
pub(crate) async fn host(context: &mut Context, explain: &Explain) -> Result<(), Failure> {
    let request = match explain.host.parse::<Mac>() {
        Ok(mac) => ExplainHostRequest { host: String::new(), mac: mac.0.to_vec().into() },
        Err(_) => ExplainHostRequest { host: explain.host.clone(), ..ExplainHostRequest::default() },
    };
    let explained = context.connect().await?.explain_host(request).await?;
    match context.output.format_or(Format::Table) {
        Format::Json => context.output.line(&document::json(&value::host(&explained))),
        Format::Yaml => context.output.text(&yaml::text(&value::host(&explained))),
        Format::Table => {
            let width = context.output.width();
            for line in text::host(&explained, width, context.output.colours()) {
                context.output.line(&line)?;
            }
            Ok(())
        }
    }
}
