//! Who may do what: the operator behind a certificate, asked anew on every call (DESIGN §4, S17).

use certs::Identity;
use proto::{
    Uid, Wall,
    catalog::{AnyResource, Kind, OperatorSpec, Resource, Role},
};

use super::{
    Catalog, ReadError,
    audit::Change,
    draft::{CommitError, Draft, Edit},
    write::new_meta,
};
use crate::store::Revision;

/// The operator that the first start makes.
pub const FIRST_OPERATOR: &str = "admin";

/// An operator who may do something: not revoked at the time of the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Its name.
    pub name: String,
    /// How much it may do.
    pub role: Role,
    /// Where it may do it, for role `operator`; empty: everywhere.
    pub sites: Vec<String>,
}

/// Why a caller may not do what it asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// An agent or a controller.
    #[error("{0} is no operator")]
    NotAnOperator(String),
    /// The certificate is good, but the catalog has no such operator.
    #[error("there is no operator {0}")]
    Unknown(String),
    /// An operator who was taken the right to call.
    #[error("operator {0} is revoked")]
    Revoked(String),
    /// Too little.
    #[error("operator {name} has role {}; {action} needs role {}", has.word(), needed.word())]
    Role {
        /// Who.
        name: String,
        /// What it has.
        has: Role,
        /// What it takes.
        needed: Role,
        /// What it was to do.
        action: String,
    },
    /// Enough, but elsewhere.
    #[error("operator {name} is of the sites {}; {action} is of site {site}", sites.join(", "))]
    Site {
        /// Who.
        name: String,
        /// Where it may.
        sites: Vec<String>,
        /// Where it was to.
        site: String,
        /// What it was to do.
        action: String,
    },
}

/// Why it could not be said who calls.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The caller may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The catalog could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl Actor {
    /// As the audit log names it.
    #[must_use]
    pub fn label(&self) -> String {
        format!("operator/{}", self.name)
    }

    /// Refuses an actor of a lower role than `needed`.
    ///
    /// # Errors
    /// [`Denied::Role`], which says what role it takes.
    pub fn require(&self, needed: Role, action: &str) -> Result<(), Denied> {
        if self.role >= needed {
            return Ok(());
        }
        Err(Denied::Role { name: self.name.clone(), has: self.role, needed, action: action.to_owned() })
    }

    /// Refuses an actor who may not change hosts and orders of this site.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn require_site(&self, site: &str, action: &str) -> Result<(), Denied> {
        self.require(Role::Operator, action)?;
        let (name, sites) = (self.name.clone(), self.sites.clone());
        if self.role == Role::Admin || sites.is_empty() || sites.iter().any(|own| own == site) {
            return Ok(());
        }
        Err(Denied::Site { name, sites, site: site.to_owned(), action: action.to_owned() })
    }

    /// Refuses a change of this document: hosts and orders are for operators of their site, the rest for admins.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn require_change(&self, kind: Kind, name: &str, site: Option<&str>) -> Result<(), Denied> {
        let action = format!("changing {kind} {name}");
        match (kind, site) {
            (Kind::Host | Kind::Order, Some(site)) => self.require_site(site, &action),
            (Kind::Host | Kind::Order, None) => self.require(Role::Operator, &action),
            (
                Kind::Site
                | Kind::Agent
                | Kind::Image
                | Kind::Profile
                | Kind::Mirror
                | Kind::Secret
                | Kind::Token
                | Kind::Operator,
                _,
            ) => self.require(Role::Admin, &action),
        }
    }
}

impl Catalog {
    /// The operator whose certificate this is.
    ///
    /// # Errors
    /// [`AccessError`]: no operator, unknown, or revoked.
    pub async fn actor(&self, caller: &Identity) -> Result<Actor, AccessError> {
        let Identity::Operator { operator, .. } = caller else {
            return Err(Denied::NotAnOperator(caller.to_string()).into());
        };
        self.operator(operator.as_str()).await.map(|(_, actor)| actor)
    }

    /// An operator by name, with its id: one that is removed and made again is another.
    ///
    /// # Errors
    /// [`AccessError`]: unknown, or revoked.
    pub async fn operator(&self, name: &str) -> Result<(Uid, Actor), AccessError> {
        let unknown = || Denied::Unknown(name.to_owned());
        let found = self.get::<OperatorSpec>(name).await?.ok_or_else(unknown)?;
        let id = found.id().ok_or_else(unknown)?;
        let OperatorSpec { role, sites, revoked } = found.spec;
        if revoked {
            return Err(Denied::Revoked(name.to_owned()).into());
        }
        Ok((id, Actor { name: name.to_owned(), role, sites }))
    }

    /// Records that an operator has logged in somewhere.
    ///
    /// # Errors
    /// [`super::ChangeError`]; nothing is recorded then.
    pub async fn note_login(&self, actor: &Actor, detail: &str, now: Wall) -> Result<(), super::ChangeError> {
        let note = Change {
            action: "log-in".into(),
            kind: Kind::Operator,
            name: actor.name.clone(),
            detail: detail.to_owned(),
        };
        let mut attempts = self.attempts().await;
        loop {
            let mut draft = attempts.begin().await?;
            draft.note(note.clone());
            if attempts.commit(draft, &actor.label(), now).await?.is_some() {
                return Ok(());
            }
        }
    }

    /// Makes the first operator, [`FIRST_OPERATOR`] of role admin, in a catalog without any; whether it did.
    /// The caller issues the certificate.
    ///
    /// # Errors
    /// [`CommitError`].
    pub async fn ensure_first_operator(&self, now: Wall) -> Result<bool, CommitError> {
        let _turn = self.turn.lock().await;
        let mut draft = Draft::begin(self).await?;
        if !self.list::<OperatorSpec>(None).await?.items.is_empty() {
            return Ok(false);
        }
        let spec = OperatorSpec { role: Role::Admin, sites: vec![], revoked: false };
        self.new_operator(&mut draft, FIRST_OPERATOR, spec, now)?;
        draft.commit("controller", now).await?;
        Ok(true)
    }

    /// Makes an operator, or gives one that is there this role.
    ///
    /// # Errors
    /// [`super::ChangeError`].
    pub async fn put_operator(
        &self,
        actor: &Actor,
        name: &str,
        spec: OperatorSpec,
        now: Wall,
    ) -> Result<Revision, super::ChangeError> {
        actor.require(Role::Admin, &format!("making operator {name}"))?;
        let mut attempts = self.attempts().await;
        loop {
            let mut draft = attempts.begin().await?;
            let before = draft.get(Kind::Operator, name).await?;
            let meta = match before.as_ref().and_then(AnyResource::meta) {
                Some(meta) => meta.clone(),
                None => new_meta(now)?,
            };
            let resource = Resource { meta: Some(meta), ..Resource::new(name, spec.clone()) };
            let action = if before.is_some() { "certify" } else { "create" }.to_owned();
            let detail = format!("role {}", spec.role.word());
            let after = Some(AnyResource::Operator(resource));
            draft.edit(Kind::Operator, name, Edit { before, after, action, detail });
            if let Some(revision) = attempts.commit(draft, &actor.label(), now).await? {
                return Ok(revision);
            }
        }
    }

    fn new_operator(
        &self,
        draft: &mut Draft,
        name: &str,
        spec: OperatorSpec,
        now: Wall,
    ) -> Result<(), CommitError> {
        let resource = Resource { meta: Some(new_meta(now)?), ..Resource::new(name, spec) };
        let after = Some(AnyResource::Operator(resource));
        let (action, detail) = ("create".into(), "role admin, by the first start".into());
        draft.edit(Kind::Operator, name, Edit { before: None, after, action, detail });
        Ok(())
    }
}
