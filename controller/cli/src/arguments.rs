//! The command line: the one definition behind parsing, `--help`, completions and man pages.

use clap::{Parser, Subcommand};

use crate::client::Connection;
use crate::command::{
    agent, alarm, apply, audit, backup, boot, form, host, image, lease, manual, mirror, operator, order,
    page, profile, secret, site, token,
};
use crate::failure::EXIT_CODES;
use crate::output::Format;
use crate::top::Top;

/// Boot and install machines over the network at many sites at once
#[derive(Debug, Parser)]
#[command(name = "bootlane", version = proto::VERSION, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Arguments {
    /// Which controller, and as whom.
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// How results are written [default: table for lists, yaml for `get`]
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT")]
    pub(crate) output: Option<Format>,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What there is to do: a noun with a verb, or a verb for the whole fleet.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// VLANs and remote locations
    #[command(subcommand)]
    Site(site::Verb),
    /// Enrolled agents
    #[command(subcommand)]
    Agent(agent::Verb),
    /// Machines
    #[command(subcommand)]
    Host(host::Verb),
    /// Operating systems and loaders
    #[command(subcommand)]
    Image(image::Verb),
    /// Ways to boot an image
    #[command(subcommand)]
    Profile(profile::Verb),
    /// Package mirrors that agents serve and keep
    #[command(subcommand)]
    Mirror(mirror::Verb),
    /// Permissions to install one host once
    #[command(subcommand)]
    Order(order::Verb),
    /// Join tokens for agents
    #[command(subcommand)]
    Token(token::Verb),
    /// Values for templates that are never shown
    #[command(subcommand)]
    Secret(secret::Verb),
    /// Who may do what
    #[command(subcommand)]
    Operator(operator::Verb),
    /// What agents said that somebody should look at
    #[command(subcommand)]
    Alarm(alarm::Verb),
    /// Boot attempts and their timelines
    #[command(subcommand)]
    Boot(boot::Verb),
    /// In which form PXE ROMs want to be told what to boot, as far as it was learnt
    #[command(subcommand)]
    Form(form::Verb),
    /// Addresses that machines have
    #[command(subcommand)]
    Lease(lease::Verb),
    /// Make the catalog what files declare
    Apply(apply::Arguments),
    /// Who changed what
    #[command(subcommand)]
    Audit(audit::Verb),
    /// Show the fleet live: sites, boots under way, boots that stopped, orders
    Top(Top),
    /// Show who you are to the controller, and its version
    Whoami,
    /// Print an address that opens the controller's page in a browser
    Page(page::Arguments),
    /// Write an archive of the catalog and the sealed CA keys
    Backup(backup::Arguments),
    /// Print the completions for a shell
    Completions(manual::Completions),
    /// Write the man pages into a folder
    Man(manual::Man),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_does() {
        fn check(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{} has no description", command.get_name());
            for argument in command.get_arguments().filter(|a| !a.is_hide_set()) {
                assert!(
                    argument.get_help().is_some(),
                    "{} {} has no help",
                    command.get_name(),
                    argument.get_id()
                );
            }
            command.get_subcommands().for_each(check);
        }
        check(&Arguments::command());
    }
}
