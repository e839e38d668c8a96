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
pub(crate) mod migrate;
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
mod verification;
mod wan;
pub(crate) mod whoami;

use crate::client::{Client, Connection};
use crate::failure::Failure;
use crate::output::Output;

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
