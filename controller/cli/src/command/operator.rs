//! `bootlane operator`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use certs::{Credential, Identity, KeyPair, OperatorCredential, OperatorName, TrustBundle};
use clap::{Args, Subcommand, ValueEnum};
use proto::catalog::{Kind, Role};
use proto::v1;

use super::Context;
use super::catalog::{self, Column, ListAll, One, cell};
use super::edit::{Edit, Labels, Unset};
use crate::client::Client;
use crate::failure::{Exit, Failure};

/// What to do with operators.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List operators
    #[command(visible_alias = "ls")]
    List(ListAll),
    /// Show one
    Get(One),
    /// Make an operator, or give one a new certificate; the key is made here and never sent
    Add(Add),
    /// Change an operator's role or sites
    Set(Set),
    /// Answer no call of an operator any more
    Revoke(One),
    /// Remove an operator
    Rm(One),
}

/// How much an operator may do.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Rank {
    /// Look
    Viewer,
    /// Change hosts and orders of some sites
    Operator,
    /// Everything
    Admin,
}

impl Rank {
    fn word(self) -> &'static str {
        match self {
            Self::Viewer => Role::Viewer.word(),
            Self::Operator => Role::Operator.word(),
            Self::Admin => Role::Admin.word(),
        }
    }
}

/// `operator add`.
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Its name: lower-case letters, digits and hyphens
    name: String,
    /// How much it may do
    #[arg(long, value_enum)]
    role: Rank,
    /// A site where it may do it (role operator); may be repeated [default: every site]
    #[arg(long = "site", value_name = "SITE")]
    sites: Vec<String>,
    /// Where the credential goes: a new file of mode 0600
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// `operator set`.
#[derive(Debug, Args)]
pub(crate) struct Set {
    /// Its name
    name: String,
    /// How much it may do
    #[arg(long, value_enum)]
    role: Option<Rank>,
    /// A site where it may do it; replaces those it has; may be repeated
    #[arg(long = "site", value_name = "SITE")]
    sites: Vec<String>,
    #[command(flatten)]
    labels: Labels,
    /// Take a field away, for example sites; may be repeated
    #[arg(long, value_name = "FIELD")]
    unset: Vec<Unset>,
}

const COLUMNS: &[Column] = &[
    Column::new("role", |operator, _| cell(operator, "/spec/role")),
    Column::new("sites", |operator, _| cell(operator, "/spec/sites")),
    Column::new("revoked", |operator, _| cell(operator, "/spec/revoked")),
];

/// Does it.
pub(crate) async fn run(context: &mut Context, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List(list) => catalog::list(context, Kind::Operator, COLUMNS, list.into()).await,
        Verb::Get(one) => catalog::get(context, Kind::Operator, COLUMNS, &one).await,
        Verb::Add(add) => self::add(context, &add).await,
        Verb::Set(set) => {
            let role = Edit::optional("role", set.role.map(Rank::word));
            let edits = role.into_iter().chain(Edit::list("sites", &set.sites)).chain(set.labels.edits());
            catalog::set(context, Kind::Operator, &set.name, edits.collect(), &set.unset).await
        }
        Verb::Revoke(one) => {
            let edits = vec![Edit::spec("revoked", true)];
            catalog::set(context, Kind::Operator, &one.name, edits, &[]).await
        }
        Verb::Rm(one) => catalog::remove(context, Kind::Operator, &one).await,
    }
}

async fn add(context: &mut Context, add: &Add) -> Result<(), Failure> {
    let name: OperatorName = add.name.parse().map_err(|error| Failure::usage(format!("{error}")))?;
    check_place(&add.out)?;
    let mut client = context.connect().await?;
    let credential = certify(&mut client, add, name).await?;
    let action = format!("write the credential of operator {}, who exists now", add.name);
    credential.save(&add.out).map_err(|error| {
        Failure::because(Exit::Failed, &action, &error)
            .remedy("the same command with another --out makes a new one")
    })?;
    context.output.line(&format!("operator {} has role {}", add.name, add.role.word()))?;
    context.output.remark(&format!("hand over {}: whoever has it is {}", add.out.display(), add.name));
    Ok(())
}

/// Before anything is made: a credential that cannot be written down is lost.
fn check_place(out: &Path) -> Result<(), Failure> {
    if out.symlink_metadata().is_ok() {
        return Err(Failure::usage(format!("{} exists already and is not replaced", out.display())));
    }
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if folder.is_dir() {
        Ok(())
    } else {
        Err(Failure::usage(format!("there is no folder {}", folder.display())))
    }
}

/// Makes a key, has it certified, and joins both with what the caller knows of the fleet.
async fn certify(client: &mut Client, add: &Add, name: OperatorName) -> Result<OperatorCredential, Failure> {
    let broken = |error: &(dyn std::error::Error + 'static)| {
        Failure::because(Exit::Failed, &format!("make a credential for operator {}", add.name), error)
    };
    let key = Arc::new(KeyPair::generate().map_err(|error| broken(&error))?);
    let identity = Identity::Operator { fleet: client.credential().fleet().clone(), operator: name };
    let request = v1::CreateOperatorRequest {
        name: add.name.clone(),
        role: add.role.word().into(),
        sites: add.sites.clone(),
        csr_der: key.request(&identity).map_err(|error| broken(&error))?.into(),
    };
    let made = client.create_operator(request).await?;
    let credential = Credential::new(key, &made.chain_der).map_err(|error| broken(&error))?;
    let bundle = TrustBundle::from_der(&made.bundle_der).map_err(|error| broken(&error))?;
    let controllers = client.credential().controllers().to_vec();
    OperatorCredential::new(credential, bundle, controllers).map_err(|error| broken(&error))
}
