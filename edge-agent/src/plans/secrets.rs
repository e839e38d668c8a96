//! Secrets at rest: each order's are sealed with a key of their own, so that destroying the key destroys them.
//!
//! The key lies on the same disk, readable by the agent alone: this guards against a forgotten copy of a plan, not
//! against who has the whole disk (S2's honest limit; encrypt the disk, or the state folder).

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use prost::Message;
use proto::{OrderId, v1};
use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::{SecureRandom, SystemRandom},
};
use zeroize::Zeroizing;

use super::AdoptError;
use crate::disk::{DiskError, atomic};

/// The folder of sealed secrets.
#[derive(Debug)]
pub(super) struct Secrets {
    folder: PathBuf,
}

impl Secrets {
    pub(super) fn open(folder: &Path) -> Result<Self, DiskError> {
        atomic::make_directory(folder)?;
        Ok(Self { folder: folder.into() })
    }

    /// Seals an entry `secret/ORDER`.
    pub(super) fn seal(&self, entry: &v1::Entry) -> Result<(), AdoptError> {
        let Some(order) = order_of(&entry.key) else { return Ok(()) };
        let random = SystemRandom::new();
        let mut key = Zeroizing::new([0; 32]);
        let mut nonce = [0; NONCE_LEN];
        random.fill(&mut *key).and_then(|()| random.fill(&mut nonce)).map_err(|_| AdoptError::Seal)?;
        let mut sealed = entry.encode_to_vec();
        cipher(&key[..])
            .and_then(|cipher| {
                let nonce = Nonce::assume_unique_for_key(nonce);
                cipher.seal_in_place_append_tag(nonce, Aad::from(order.0), &mut sealed).ok()
            })
            .ok_or(AdoptError::Seal)?;
        atomic::write_file(&self.path(order, "sealed"), 0o600, &[&nonce[..], &sealed].concat())?;
        atomic::write_file(&self.path(order, "key"), 0o600, &*key)?;
        Ok(())
    }

    /// Every entry whose key is still there.
    pub(super) fn unseal_all(&self) -> Vec<v1::Entry> {
        self.orders().into_iter().filter_map(|order| self.unseal(order)).collect()
    }

    fn unseal(&self, order: OrderId) -> Option<v1::Entry> {
        let key = Zeroizing::new(fs::read(self.path(order, "key")).ok()?);
        let mut sealed = fs::read(self.path(order, "sealed")).ok()?;
        let body = sealed.get_mut(NONCE_LEN..)?.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(sealed.get(..NONCE_LEN)?).ok()?;
        let mut body = Zeroizing::new(body);
        let plain = cipher(&key)?.open_in_place(nonce, Aad::from(order.0), &mut body).ok()?;
        v1::Entry::decode(&*plain).ok()
    }

    /// Destroys the secrets of all orders but those of `entries`.
    pub(super) fn keep_only(&self, entries: &[v1::Entry]) -> Result<(), DiskError> {
        let kept: BTreeSet<_> = entries.iter().filter_map(|entry| order_of(&entry.key)).collect();
        self.orders()
            .into_iter()
            .filter(|order| !kept.contains(order))
            .try_for_each(|order| self.destroy(order))
    }

    /// The key first: without it the rest is noise.
    pub(super) fn destroy(&self, order: OrderId) -> Result<(), DiskError> {
        for suffix in ["key", "sealed"] {
            let path = self.path(order, suffix);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(DiskError::at("remove", &path)(error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    fn orders(&self) -> BTreeSet<OrderId> {
        let Ok(folder) = fs::read_dir(&self.folder) else { return BTreeSet::new() };
        let name =
            |file: fs::DirEntry| file.path().file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
        folder.flatten().filter_map(name).filter_map(|stem| stem.parse().ok()).collect()
    }

    fn path(&self, order: OrderId, suffix: &str) -> PathBuf {
        self.folder.join(format!("{order}.{suffix}"))
    }
}

fn order_of(key: &str) -> Option<OrderId> {
    key.strip_prefix("secret/")?.parse().ok()
}

fn cipher(key: &[u8]) -> Option<LessSafeKey> {
    UnboundKey::new(&CHACHA20_POLY1305, key).ok().map(LessSafeKey::new)
}
