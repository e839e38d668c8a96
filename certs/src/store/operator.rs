//! An operator's credential: one file that the CLI needs and nothing else.

use std::path::Path;
use std::sync::Arc;

use zeroize::{Zeroize as _, Zeroizing};

use super::{MAX_FILE, PartError, StoreError};
use crate::document::VERSION;
use crate::{Credential, FleetName, Identity, KeyPair, OperatorName, TrustBundle, durable, pem};

/// Who an operator is, how the CLI shows it, whom it trusts, and where the controllers are.
#[derive(Debug, Clone)]
pub struct OperatorCredential {
    credential: Credential,
    bundle: TrustBundle,
    fleet: FleetName,
    operator: OperatorName,
    controllers: Vec<String>,
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    fleet: FleetName,
    controllers: Vec<String>,
    bundle: String,
    chain: String,
    key: String,
}

impl Drop for Document {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl OperatorCredential {
    /// Joins what was issued with the addresses (`host:port`) of the controllers' fleet listeners.
    ///
    /// # Errors
    /// [`PartError::Kind`] if the certificate is not an operator's, [`PartError::NoController`].
    pub fn new(
        credential: Credential,
        bundle: TrustBundle,
        controllers: Vec<String>,
    ) -> Result<Self, PartError> {
        if controllers.is_empty() {
            return Err(PartError::NoController);
        }
        match credential.leaf().identity.clone() {
            Identity::Operator { fleet, operator } => {
                Ok(Self { credential, bundle, fleet, operator, controllers })
            }
            found @ (Identity::Agent { .. } | Identity::Controller { .. }) => {
                Err(PartError::Kind { found, expected: "operator" })
            }
        }
    }

    /// Reads the file, which only its owner may be able to reach.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn load(path: &Path) -> Result<Self, StoreError> {
        let text = durable::read_private(path, MAX_FILE)?;
        let document: Document = super::parse(path, &text)?;
        document.read().map_err(|error| StoreError::part(path, error))
    }

    /// Writes the file with mode 0600, durable when this returns. Its folder must exist.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn save(&self, path: &Path) -> Result<(), StoreError> {
        Ok(durable::write_private(path, self.to_text().as_bytes())?)
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

    /// Who it is.
    #[must_use]
    pub fn operator(&self) -> &OperatorName {
        &self.operator
    }

    /// The controllers' addresses, `host:port`; at least one.
    #[must_use]
    pub fn controllers(&self) -> &[String] {
        &self.controllers
    }

    fn to_text(&self) -> Zeroizing<String> {
        let document = Document {
            version: VERSION,
            fleet: self.fleet.clone(),
            controllers: self.controllers.clone(),
            bundle: self.bundle.to_pem(),
            chain: pem::encode_certificates(self.credential.chain()),
            key: self.credential.key().to_pem().to_string(),
        };
        Zeroizing::new(toml::to_string(&document).expect("strings and a number are TOML"))
    }
}

impl Document {
    fn read(&self) -> Result<OperatorCredential, PartError> {
        let key = Arc::new(KeyPair::from_pem(&self.key)?);
        let credential = Credential::new(key, pem::decode_certificates(&self.chain)?)?;
        credential.leaf().check_fleet(&self.fleet)?;
        OperatorCredential::new(credential, TrustBundle::from_pem(&self.bundle)?, self.controllers.clone())
    }
}
