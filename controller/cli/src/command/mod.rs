//! The commands: a module per noun, thin, and what they share.

pub(crate) mod agent;
pub(crate) mod alarm;
pub(crate) mod apply;
pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod boot;
mod capture;
mod catalog;
mod edit;
mod explain;
pub(crate) mod form;
pub(crate) mod host;
pub(crate) mod image;
pub(crate) mod lease;
pub(crate) mod manual;
pub(crate) mod mirror;
pub(crate) mod operator;
pub(crate) mod order;
mod outcomes;
pub(crate) mod page;
pub(crate) mod profile;
mod readiness;
pub(crate) mod secret;
mod simulate;
pub(crate) mod site;
pub(crate) mod token;
mod wan;
mod whoami;

use crate::arguments::Command;
use crate::client::{Client, Connection};
use crate::failure::Failure;
use crate::output::Output;
use crate::top;

/// What every command is given.
pub(crate) struct Context {
    /// Which controller, and as whom.
    pub(crate) connection: Connection,
    /// Where results go.
    pub(crate) output: Output,
}

impl Context {
    /// A connection to the controller.
    ///
    /// # Errors
    /// See [`Client::connect`].
    pub(crate) async fn connect(&self) -> Result<Client, Failure> {
        Client::connect(&self.connection).await
    }
}

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
        Command::Audit(verb) => audit::run(context, verb).await,
        Command::Top(arguments) => top::run(context, arguments).await,
        Command::Whoami => whoami::run(context).await,
        Command::Page(arguments) => page::run(context, &arguments).await,
        Command::Backup(arguments) => backup::run(context, &arguments).await,
        Command::Completions(arguments) => manual::completions(context, &arguments),
        Command::Man(arguments) => manual::man(context, &arguments),
    }
}
