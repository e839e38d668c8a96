//! The certificates of an authority itself, and the dates of all certificates.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyUsagePurpose,
    SerialNumber,
};
use rustls_pki_types::CertificateDer;
use time::OffsetDateTime;

use crate::leaf::{self, Serial};
use crate::{FleetName, KeyError, KeyPair, NoRandomness, SpkiFingerprint};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// A root outlives every machine it speaks for; rolling over is an act, not a surprise.
const ROOT_LIFETIME: Duration = DAY.saturating_mul(3653);
/// An intermediate is renewed at half of this.
const INTERMEDIATE_LIFETIME: Duration = DAY.saturating_mul(366);
/// How far the start of a life lies before its issue, for clocks that are behind.
const BACKDATE: Duration = Duration::from_secs(300);

/// Why a certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// No key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No serial number.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// The moment lies before 1970 or after 9999.
    #[error("the clock shows a date that no certificate can carry")]
    Date,
    /// Encoding or signing failed.
    #[error("cannot sign the certificate")]
    Sign(#[from] rcgen::Error),
    /// A certificate of our own does not read back.
    #[error("the certificate made cannot be read back")]
    ReadBack,
}

/// A root with its key, and the intermediate that issues in its name.
pub(super) struct RootAuthority {
    pub(super) root: CertificateDer<'static>,
    pub(super) root_key: Arc<KeyPair>,
    pub(super) intermediate: Intermediate,
}

/// An intermediate with its key and the dates that bound what it issues.
pub(super) struct Intermediate {
    pub(super) certificate: CertificateDer<'static>,
    pub(super) key: KeyPair,
    pub(super) not_before: SystemTime,
    pub(super) not_after: SystemTime,
}

impl RootAuthority {
    pub(super) fn make(fleet: &FleetName, now: SystemTime) -> Result<Self, MakeError> {
        let root_key = Arc::new(KeyPair::generate()?);
        let life = Life::starting(now, ROOT_LIFETIME)?;
        let mut params = authority_params(fleet, "root", &root_key, 1);
        dress(&mut params, Serial::generate()?, life)?;
        let root = params.self_signed(root_key.signer())?.der().clone();
        let intermediate = Intermediate::make(fleet, &root, &root_key, now)?;
        Ok(Self { root, root_key, intermediate })
    }

    pub(super) fn fingerprint(&self) -> SpkiFingerprint {
        self.root_key.fingerprint()
    }

    /// The same root with a new intermediate.
    pub(super) fn with_fresh_intermediate(
        &self,
        fleet: &FleetName,
        now: SystemTime,
    ) -> Result<Self, MakeError> {
        let intermediate = Intermediate::make(fleet, &self.root, &self.root_key, now)?;
        Ok(Self { root: self.root.clone(), root_key: Arc::clone(&self.root_key), intermediate })
    }
}

impl Intermediate {
    fn make(
        fleet: &FleetName,
        root: &CertificateDer<'static>,
        root_key: &KeyPair,
        now: SystemTime,
    ) -> Result<Self, MakeError> {
        let key = KeyPair::generate()?;
        let root_ends = dates(root).ok_or(MakeError::ReadBack)?.1;
        let life = Life::starting(now, INTERMEDIATE_LIFETIME)?.ending_by(root_ends);
        let mut params = authority_params(fleet, "issuing", &key, 0);
        params.use_authority_key_identifier_extension = true;
        dress(&mut params, Serial::generate()?, life)?;
        let issuer = Issuer::from_ca_cert_der(root, root_key.signer())?;
        let certificate = params.signed_by(key.signer(), &issuer)?.der().clone();
        Self::read(certificate, key).ok_or(MakeError::ReadBack)
    }

    /// Joins a certificate with its key; nothing if the certificate is not that key's or unreadable.
    pub(super) fn read(certificate: CertificateDer<'static>, key: KeyPair) -> Option<Self> {
        let (not_before, not_after) = dates(&certificate)?;
        is_authority_of(&certificate, &key).then_some(Self { certificate, key, not_before, not_after })
    }

    /// Past half of its life, or from a future that the clock once showed and has come back from.
    pub(super) fn is_due(&self, now: SystemTime) -> bool {
        let life = self.not_after.duration_since(self.not_before).unwrap_or_default();
        now < self.not_before || now >= self.not_before + life / 2
    }
}

impl RootAuthority {
    /// When the root's own certificate ends.
    pub(super) fn ends(&self) -> Option<SystemTime> {
        dates(&self.root).map(|(_, end)| end)
    }
}

/// Whether a certificate is that of an authority with this key.
pub(super) fn is_authority_of(certificate: &CertificateDer<'_>, key: &KeyPair) -> bool {
    leaf::parse(certificate).is_some_and(|parsed| parsed.is_ca() && parsed.public_key().raw == key.spki_der())
}

/// Start and end of a certificate's life.
fn dates(certificate: &CertificateDer<'_>) -> Option<(SystemTime, SystemTime)> {
    let parsed = leaf::parse(certificate)?;
    let validity = parsed.validity();
    Some((leaf::system_time(validity.not_before)?, leaf::system_time(validity.not_after)?))
}

/// The key's first digits keep the names of two roots apart. The fleet has a field of its own, because a common
/// name has at most 64 characters (RFC 5280, appendix A.1) and so has the name of a fleet.
fn authority_params(
    fleet: &FleetName,
    role: &str,
    key: &KeyPair,
    authorities_below: u8,
) -> CertificateParams {
    let digits = key.fingerprint().to_string();
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, fleet.as_str());
    params.distinguished_name.push(DnType::CommonName, format!("Bootlane {role} {}", &digits[..8]));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(authorities_below));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// Serial and dates.
pub(super) fn dress(params: &mut CertificateParams, serial: Serial, life: Life) -> Result<(), MakeError> {
    params.serial_number = Some(SerialNumber::from_slice(serial.as_bytes()));
    params.not_before = offset(life.not_before)?;
    params.not_after = offset(life.not_after)?;
    Ok(())
}

/// The life of a certificate, in whole seconds as X.509 has them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Life {
    pub(super) not_before: SystemTime,
    pub(super) not_after: SystemTime,
}

impl Life {
    /// From a little before `now`, at most a tenth of the life: a short life must not be half over at birth.
    pub(super) fn starting(now: SystemTime, lifetime: Duration) -> Result<Self, MakeError> {
        let seconds = now.duration_since(UNIX_EPOCH).map_err(|_| MakeError::Date)?.as_secs();
        let now = UNIX_EPOCH + Duration::from_secs(seconds);
        let back = BACKDATE.min(Duration::from_secs(lifetime.as_secs() / 10));
        let not_before = now.checked_sub(back).filter(|start| *start >= UNIX_EPOCH).unwrap_or(now);
        let not_after = now.checked_add(Duration::from_secs(lifetime.as_secs())).ok_or(MakeError::Date)?;
        Ok(Self { not_before, not_after })
    }

    pub(super) fn ending_by(self, end: SystemTime) -> Self {
        Self { not_after: self.not_after.min(end), ..self }
    }
}

fn offset(time: SystemTime) -> Result<OffsetDateTime, MakeError> {
    let seconds = time.duration_since(UNIX_EPOCH).map_err(|_| MakeError::Date)?.as_secs();
    let seconds = i64::try_from(seconds).map_err(|_| MakeError::Date)?;
    OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| MakeError::Date)
}
