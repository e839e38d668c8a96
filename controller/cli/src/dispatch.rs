//! From the command line to its command.

use clap::CommandFactory as _;

use crate::arguments::{Arguments, Command};
use crate::command::{
    Context, agent, alarm, apply, audit, backup, boot, form, host, image, lease, manual, migrate, mirror,
    operator, order, page, profile, secret, site, token, whoami,
};
use crate::failure::Failure;
use crate::top;

/// Does what the command line says.
///
/// # Errors
/// How it ended, if not well.
pub(crate) async fn run(context: &mut Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::Site(verb) => site::run(context, verb).await,
        Command::Agent(verb) => agent::run(context, verb).await,
        Command::Host(verb) => host::run(context, verb).await,
        Command::Image(verb) => image::run(context, verb).await,
        Command::Profile(verb) => profile::run(context, verb).await,
        Command::Mirror(verb) => mirror::run(context, verb).await,
        Command::Order(verb) => order::run(context, verb).await,
        Command::Token(verb) => token::run(context, verb).await,
        Command::Secret(verb) => secret::run(context, verb).await,
        Command::Operator(verb) => operator::run(context, verb).await,
        Command::Form(verb) => form::run(context, verb).await,
        Command::Alarm(verb) => alarm::run(context, verb).await,
        Command::Boot(verb) => boot::run(context, verb).await,
        Command::Lease(verb) => lease::run(context, verb).await,
        Command::Apply(arguments) => apply::run(context, &arguments).await,
        Command::Migrate(source) => migrate::run(context, &source),
        Command::Audit(verb) => audit::run(context, verb).await,
        Command::Top(arguments) => top::run(context, arguments).await,
        Command::Whoami => whoami::run(context).await,
        Command::Page(arguments) => page::run(context, &arguments).await,
        Command::Backup(arguments) => backup::run(context, &arguments).await,
        Command::Completions(arguments) => manual::completions(context, &arguments, Arguments::command()),
        Command::Man(arguments) => manual::man(context, &arguments, Arguments::command()),
    }
}
