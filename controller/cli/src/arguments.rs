//! The command line: the one definition behind parsing, `--help`, completions and man pages.

use clap::{Parser, Subcommand};

use crate::client::Connection;
use crate::command::{
    agent, alarm, apply, audit, backup, boot, form, host, image, lease, manual, migrate, mirror, operator,
    order, page, profile, secret, site, token,
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
    /// Make documents of what another boot server is told, with a report; asks no controller and changes nothing
    #[command(subcommand)]
    Migrate(migrate::Source),
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

    /// What findings advise can be typed: each command and option that the manual of causes names, with all that it requires.
    #[test]
    fn what_findings_advise_are_commands() {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/diagnosis.md");
        let text = std::fs::read_to_string(file).expect("docs/diagnosis.md is there");
        let advised: Vec<_> =
            text.split("`bootlane ").skip(1).filter_map(|rest| rest.split('`').next()).collect();
        assert!(advised.len() > 20, "{advised:?}");
        for command in advised {
            let words: Vec<_> = command.split_whitespace().collect();
            let is_verb = |word: &&&str| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
            let (verbs, arguments) = words.split_at(words.iter().take(2).take_while(is_verb).count());
            let mut found = Arguments::command();
            found.build();
            for verb in verbs {
                found = found.find_subcommand(verb).unwrap_or_else(|| panic!("{command}: no {verb}")).clone();
            }
            let longs: Vec<_> = arguments.iter().filter_map(|word| word.strip_prefix("--")).collect();
            for long in &longs {
                assert!(
                    found.get_arguments().any(|known| known.get_long() == Some(*long)),
                    "{command}: --{long}"
                );
            }
            let required = found.get_arguments().filter(|known| known.is_required_set());
            for long in required.filter_map(clap::Arg::get_long).filter(|_| !arguments.is_empty()) {
                assert!(longs.contains(&long), "{command}: it requires --{long}");
            }
        }
    }
}
