//! `bootlane page`.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::json;

use super::Context;
use crate::failure::{Exit, Failure};
use crate::output::{Format, document, plain, yaml};
use crate::question;

/// `bootlane page`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Open it in this machine's browser without asking
    #[arg(long, conflicts_with = "save_root")]
    open: bool,
    /// Write the fleet's root certificates into this file, in PEM form, for a browser that is to trust the page's certificate
    #[arg(long, value_name = "FILE")]
    save_root: Option<PathBuf>,
}

/// What opens an address in the browser of whoever is logged in.
const OPENER: &str = "xdg-open";

/// Prints an address that opens the page.
pub(crate) async fn run(context: &mut Context, arguments: &Arguments) -> Result<(), Failure> {
    let mut client = context.connect().await?;
    if let Some(file) = &arguments.save_root {
        let pem = client.credential().bundle().to_pem();
        std::fs::write(file, pem)
            .map_err(|error| Failure::because(Exit::Failed, "write the roots", &error))?;
        return context.output.line(&format!("the fleet's root certificates are in {}", file.display()));
    }
    let login = client.create_page_login().await?;
    let url = plain(&login.url);
    let value = || json!({"url": url, "seconds": login.seconds});
    match context.output.format_or(Format::Table) {
        Format::Json => return context.output.line(&document::json(&value())),
        Format::Yaml => {
            return context.output.text(&yaml::text(&value()));
        }
        Format::Table => context.output.line(&url)?,
    }
    context.output.flush()?;
    context.output.remark(&format!("opens the page as you, once, within {} seconds", login.seconds));
    if arguments.open || wants_browser()? { open(&url) } else { Ok(()) }
}

/// Is there a screen to open it on, and somebody who wants that?
fn wants_browser() -> Result<bool, Failure> {
    let asks = std::io::stdout().is_terminal() && has_display();
    Ok(asks && question::agreed("open it in this machine's browser?")? == Some(true))
}

fn has_display() -> bool {
    ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

fn open(url: &str) -> Result<(), Failure> {
    let mut command = Command::new(OPENER);
    command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let failed =
        |why: String| Failure::failed(format!("{OPENER} did not open it: {why}")).remedy("copy the address");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(failed(status.to_string())),
        Err(error) => Err(failed(error.to_string())),
    }
}
