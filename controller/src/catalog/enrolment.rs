//! Join tokens, the agents that enrol with them, and their revocation (S11, S12).

use certs::{TokenHash, TokenSecret};
use proto::{
    Digest, Wall,
    catalog::{AgentSpec, AnyResource, Enrolled, Kind, Resource, Role, TokenSpec},
};

use super::{
    Catalog, ReadError,
    draft::{CommitError, Draft, Edit},
    roles::Actor,
    write::{ChangeError, new_meta},
};

/// An agent that wants to join.
#[derive(Debug, Clone)]
pub struct Joining {
    /// The token's id.
    pub token: String,
    /// What shows that it was given the token.
    pub secret: TokenSecret,
    /// The name that it wants.
    pub agent: String,
    /// SHA-256 of its public key.
    pub key: Digest,
    /// Its public key: SubjectPublicKeyInfo in base64.
    pub public_key: String,
}

/// Why an agent may not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// No such token, or the wrong secret: not told apart.
    #[error("the join token is not known here: it was removed, or is of another fleet")]
    Unknown,
    /// Too late.
    #[error("the join token has expired: make another one")]
    Expired,
    /// As many agents as it was good for have enrolled.
    #[error("the join token is used up: make another one")]
    UsedUp,
    /// It is bound to another name.
    #[error("the join token is for agent {0} alone")]
    OtherName(String),
    /// Two agents of one name.
    #[error(
        "agent {0} has enrolled with another key: choose another name, or revoke and remove that agent first"
    )]
    Taken(String),
    /// The key is not welcome any more.
    #[error("agent {0} is revoked")]
    Revoked(String),
    /// Writing it down.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

impl From<ReadError> for JoinError {
    fn from(error: ReadError) -> Self {
        Self::Change(error.into())
    }
}

impl Catalog {
    /// Writes a new join token down. `name` is its id; of its secret only the hash is kept.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn create_token(
        &self,
        actor: &Actor,
        name: &str,
        spec: TokenSpec,
        now: Wall,
    ) -> Result<(), ChangeError> {
        actor.require(Role::Admin, "making a join token")?;
        let token = Resource { meta: Some(new_meta(now)?), ..Resource::new(name, spec) };
        let mut attempts = self.attempts().await;
        loop {
            let mut draft = attempts.begin().await?;
            let detail = format!("site {} uses {}", token.spec.site, token.spec.uses);
            let after = Some(AnyResource::Token(token.clone()));
            draft.edit(Kind::Token, name, Edit { before: None, after, action: "create".into(), detail });
            if attempts.commit(draft, &actor.label(), now).await?.is_some() {
                return Ok(());
            }
        }
    }

    /// Enrols an agent by a token; where it belongs. The same token with the same key is answered again within the
    /// token's life, so that a lost reply strands nobody (S11).
    ///
    /// # Errors
    /// [`JoinError`].
    pub async fn enrol(&self, joining: &Joining, now: Wall) -> Result<Resource<AgentSpec>, JoinError> {
        let mut attempts = self.attempts().await;
        loop {
            let mut draft = attempts.begin().await.map_err(ChangeError::from)?;
            let token = self.get::<TokenSpec>(&joining.token).await?.ok_or(JoinError::Unknown)?;
            check_token(&token.spec, joining, now)?;
            if let Some(agent) = self.get_agent(&joining.agent).await? {
                return same_agent(agent, joining);
            }
            if token.spec.enrolled.len() >= token.spec.uses as usize {
                return Err(JoinError::UsedUp);
            }
            let agent = new_agent(&token.spec, joining, now).map_err(ChangeError::from)?;
            enter(&mut draft, &agent, token, joining.key);
            let actor = format!("agent/{}", joining.agent);
            if attempts.commit(draft, &actor, now).await?.is_some() {
                return Ok(agent);
            }
        }
    }

    /// Revokes an agent: no call of it is answered from now on. Closing its open streams is the caller's to do.
    /// Revoking it again changes nothing.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn revoke_agent(&self, actor: &Actor, name: &str, now: Wall) -> Result<(), ChangeError> {
        actor.require(Role::Admin, &format!("revoking agent {name}"))?;
        let not_found = || ChangeError::NotFound { kind: Kind::Agent, name: name.to_owned() };
        if self.get_agent(name).await?.ok_or_else(not_found)?.spec.revoked {
            return Ok(());
        }
        let mut attempts = self.attempts().await;
        loop {
            let mut draft = attempts.begin().await?;
            let Some(AnyResource::Agent(before)) = draft.get(Kind::Agent, name).await? else {
                return Err(not_found());
            };
            let mut after = before.clone();
            after.spec.revoked = true;
            let (before, after) = (Some(AnyResource::Agent(before)), Some(AnyResource::Agent(after)));
            let (action, detail) = ("revoke".to_owned(), String::new());
            draft.edit(Kind::Agent, name, Edit { before, after, action, detail });
            if attempts.commit(draft, &actor.label(), now).await?.is_some() {
                return Ok(());
            }
        }
    }
}

fn check_token(token: &TokenSpec, joining: &Joining, now: Wall) -> Result<(), JoinError> {
    let hash = token.secret.map(|secret| TokenHash::from_bytes(secret.0));
    if !hash.is_some_and(|hash| hash.matches(&joining.secret)) {
        return Err(JoinError::Unknown);
    }
    if now > token.not_after_ms {
        return Err(JoinError::Expired);
    }
    match &token.agent {
        Some(only) if *only != joining.agent => Err(JoinError::OtherName(only.clone())),
        Some(_) | None => Ok(()),
    }
}

/// A name that is taken is answered only to the key that took it.
fn same_agent(agent: Resource<AgentSpec>, joining: &Joining) -> Result<Resource<AgentSpec>, JoinError> {
    match (agent.spec.key == joining.key, agent.spec.revoked) {
        (false, _) => Err(JoinError::Taken(agent.name)),
        (true, true) => Err(JoinError::Revoked(agent.name)),
        (true, false) => Ok(agent),
    }
}

fn new_agent(token: &TokenSpec, joining: &Joining, now: Wall) -> Result<Resource<AgentSpec>, CommitError> {
    let spec = AgentSpec {
        site: token.site.clone(),
        key: joining.key,
        public_key: joining.public_key.clone(),
        revoked: false,
        peer_addresses: vec![],
    };
    Ok(Resource { meta: Some(new_meta(now)?), ..Resource::new(joining.agent.clone(), spec) })
}

fn enter(draft: &mut Draft, agent: &Resource<AgentSpec>, token: Resource<TokenSpec>, key: Digest) {
    let detail = format!("site {} by token {}", agent.spec.site, token.name);
    let after = Some(AnyResource::Agent(agent.clone()));
    draft.edit(Kind::Agent, &agent.name, Edit { before: None, after, action: "enrol".into(), detail });
    let mut used = token.clone();
    used.spec.enrolled.push(Enrolled { agent: agent.name.clone(), key });
    let (name, detail) = (token.name.clone(), format!("by agent {}", agent.name));
    let (before, after) = (Some(AnyResource::Token(token)), Some(AnyResource::Token(used)));
    draft.edit(Kind::Token, &name, Edit { before, after, action: "use".into(), detail });
}
