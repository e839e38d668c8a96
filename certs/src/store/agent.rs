//! An agent's identity folder: `identity.toml`, and `enrolment.key` until there is one.

use std::path::Path;
use std::sync::Arc;

use zeroize::{Zeroize as _, Zeroizing};

use super::{MAX_FILE, PartError, StoreError};
use crate::document::VERSION;
use crate::{
    AgentName, Credential, FleetName, Identity, KeyError, KeyPair, SiteName, TrustBundle, durable, pem,
};

const FILE: &str = "identity.toml";
const ENROLMENT_KEY: &str = "enrolment.key";

/// Who an agent is, how it shows it, and whom it trusts.
#[derive(Debug, Clone)]
pub struct AgentIdentity {
    credential: Credential,
    bundle: TrustBundle,
    fleet: FleetName,
    site: SiteName,
    agent: AgentName,
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    fleet: FleetName,
    bundle: String,
    chain: String,
    key: String,
}

impl Drop for Document {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl AgentIdentity {
    /// Joins what enrolment or renewal gave.
    ///
    /// # Errors
    /// [`PartError::Kind`] if the certificate is not an agent's.
    pub fn new(credential: Credential, bundle: TrustBundle) -> Result<Self, PartError> {
        match credential.leaf().identity.clone() {
            Identity::Agent { fleet, site, agent } => Ok(Self { credential, bundle, fleet, site, agent }),
            found @ (Identity::Operator { .. } | Identity::Controller { .. }) => {
                Err(PartError::Kind { found, expected: "agent" })
            }
        }
    }

    /// Reads the folder. The certificate may have ended: recovery needs it all the same.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::is_not_found`] if the agent never enrolled.
    pub fn load(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(FILE);
        let text = durable::read_private(&path, MAX_FILE)?;
        let document: Document = super::parse(&path, &text)?;
        document.read().map_err(|error| StoreError::part(&path, error))
    }

    /// Replaces the folder's identity, durable when this returns; the enrolment key has served.
    ///
    /// # Errors
    /// [`StoreError::File`]; the old identity is still there then.
    pub fn save(&self, folder: &Path) -> Result<(), StoreError> {
        durable::create_private_folder(folder)?;
        durable::sweep(folder)?;
        durable::write_private(&folder.join(FILE), self.to_text().as_bytes())?;
        Ok(durable::remove(&folder.join(ENROLMENT_KEY))?)
    }

    /// The key to enrol with: the one that an interrupted enrolment left, else a new one, on disk when this
    /// returns. The same token with the same key gives the same answer (S11), so trying again is safe.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn enrolment_key(folder: &Path) -> Result<KeyPair, KeyError> {
        durable::create_private_folder(folder)?;
        durable::sweep(folder)?;
        let path = folder.join(ENROLMENT_KEY);
        match KeyPair::load(&path) {
            Err(KeyError::File(error)) if error.is_not_found() => {
                let key = KeyPair::generate()?;
                key.save(&path)?;
                Ok(key)
            }
            loaded => loaded,
        }
    }

    /// Key and chain.
    #[must_use]
    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    /// The roots it trusts.
    #[must_use]
    pub fn bundle(&self) -> &TrustBundle {
        &self.bundle
    }

    /// Its fleet.
    #[must_use]
    pub fn fleet(&self) -> &FleetName {
        &self.fleet
    }

    /// Its site.
    #[must_use]
    pub fn site(&self) -> &SiteName {
        &self.site
    }

    /// Its name.
    #[must_use]
    pub fn agent(&self) -> &AgentName {
        &self.agent
    }

    fn to_text(&self) -> Zeroizing<String> {
        let document = Document {
            version: VERSION,
            fleet: self.fleet.clone(),
            bundle: self.bundle.to_pem(),
            chain: pem::encode_certificates(self.credential.chain()),
            key: self.credential.key().to_pem().to_string(),
        };
        Zeroizing::new(toml::to_string(&document).expect("strings and a number are TOML"))
    }
}

impl Document {
    fn read(&self) -> Result<AgentIdentity, PartError> {
        let key = Arc::new(KeyPair::from_pem(&self.key)?);
        let credential = Credential::new(key, pem::decode_certificates(&self.chain)?)?;
        credential.leaf().check_fleet(&self.fleet)?;
        AgentIdentity::new(credential, TrustBundle::from_pem(&self.bundle)?)
    }
}
