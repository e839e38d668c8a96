//! Secrets at rest: each order's are one file, sealed with a key of their own that lies in front of them, so that
//! removing the file destroys them, and a crash finds the old file or the new one.
//!
//! The key lies on the same disk, readable by the agent alone: this guards against a forgotten copy of a plan, not
//! against who has the whole disk (S2's honest limit; encrypt the disk, or the state folder).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use prost::Message;
use proto::{Digest, OrderId, v1};
use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::{SecureRandom, SystemRandom},
};
use zeroize::Zeroizing;

use super::AdoptError;
use crate::disk::{DiskError, atomic};

/// Bytes of a key.
const KEY_LEN: usize = 32;
/// How the file of an order's secrets ends.
const SUFFIX: &str = "secret";

/// The folder of sealed secrets.
#[derive(Debug)]
pub(super) struct Secrets {
    folder: PathBuf,
    /// What lies there, by the hash of its plain text: an unchanged entry is not sealed again.
    sealed: BTreeMap<OrderId, Digest>,
}

impl Secrets {
    pub(super) fn open(folder: &Path) -> Result<Self, DiskError> {
        atomic::make_directory(folder)?;
        let mut secrets = Self { folder: folder.into(), sealed: BTreeMap::new() };
        let found = secrets.orders().into_iter().filter_map(|order| secrets.unseal(order));
        secrets.sealed = found.map(|(order, entry)| (order, hash(&entry))).collect();
        Ok(secrets)
    }

    /// Seals an entry `secret/ORDER`, unless it lies there already.
    pub(super) fn seal(&mut self, entry: &v1::Entry) -> Result<(), AdoptError> {
        let Some(order) = order_of(&entry.key) else { return Ok(()) };
        let hash = hash(entry);
        if self.sealed.get(&order) == Some(&hash) {
            return Ok(());
        }
        self.sealed.remove(&order);
        let random = SystemRandom::new();
        let mut key = Zeroizing::new([0; KEY_LEN]);
        let mut nonce = [0; NONCE_LEN];
        random.fill(&mut *key).and_then(|()| random.fill(&mut nonce)).map_err(|_| AdoptError::Seal)?;
        let mut body = Zeroizing::new(entry.encode_to_vec());
        cipher(&key[..])
            .and_then(|cipher| {
                let nonce = Nonce::assume_unique_for_key(nonce);
                cipher.seal_in_place_append_tag(nonce, Aad::from(order.0), &mut *body).ok()
            })
            .ok_or(AdoptError::Seal)?;
        let file = Zeroizing::new([&key[..], &nonce, &body].concat());
        atomic::write_file(&self.path(order), 0o600, &file)?;
        self.sealed.insert(order, hash);
        Ok(())
    }

    /// Every entry whose file holds.
    pub(super) fn unseal_all(&self) -> Vec<v1::Entry> {
        self.orders().into_iter().filter_map(|order| Some(self.unseal(order)?.1)).collect()
    }

    fn unseal(&self, order: OrderId) -> Option<(OrderId, v1::Entry)> {
        let mut file = Zeroizing::new(fs::read(self.path(order)).ok()?);
        let (key, rest) = file.split_at_mut_checked(KEY_LEN)?;
        let (nonce, body) = rest.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let plain = cipher(key)?.open_in_place(nonce, Aad::from(order.0), body).ok()?;
        Some((order, v1::Entry::decode(&*plain).ok()?))
    }

    /// Destroys the secrets of all orders but those of `entries`, and what a crash left half written.
    pub(super) fn keep_only(&mut self, entries: &[v1::Entry]) -> Result<(), DiskError> {
        let kept: BTreeSet<_> = entries.iter().filter_map(|entry| order_of(&entry.key)).map(name).collect();
        for file in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            if !file.file_name().to_str().is_some_and(|name| kept.contains(name)) {
                remove(&file.path())?;
            }
        }
        self.sealed.retain(|order, _| kept.contains(&name(*order)));
        atomic::sync_directory(&self.folder)
    }

    /// Gone for good when this returns.
    pub(super) fn destroy(&mut self, order: OrderId) -> Result<(), DiskError> {
        self.sealed.remove(&order);
        remove(&self.path(order))?;
        atomic::sync_directory(&self.folder)
    }

    fn orders(&self) -> BTreeSet<OrderId> {
        let files = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let order = |file: fs::DirEntry| {
            file.file_name().to_str()?.strip_suffix(SUFFIX)?.strip_suffix('.')?.parse().ok()
        };
        files.filter_map(order).collect()
    }

    fn path(&self, order: OrderId) -> PathBuf {
        self.folder.join(name(order))
    }
}

/// The order of an entry `secret/ORDER`.
pub(super) fn order_of(key: &str) -> Option<OrderId> {
    key.strip_prefix("secret/")?.parse().ok()
}

fn name(order: OrderId) -> String {
    format!("{order}.{SUFFIX}")
}

fn hash(entry: &v1::Entry) -> Digest {
    Digest::of(&Zeroizing::new(entry.encode_to_vec()))
}

fn remove(path: &Path) -> Result<(), DiskError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(DiskError::at("remove", path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn cipher(key: &[u8]) -> Option<LessSafeKey> {
    UnboundKey::new(&CHACHA20_POLY1305, key).ok().map(LessSafeKey::new)
}
