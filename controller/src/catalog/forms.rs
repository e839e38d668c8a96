//! What the fleet has learnt of PXE ROMs: in which form each wants to be told what to boot (QUIRKS 20, 22).
//!
//! ```text
//! /global/form/model/MODEL   what a machine of the model has proved
//! /global/form/card/MAC      what the machine with this card has proved, by model, and what is forgotten
//! ```
//!
//! Agents report proofs that the plan did not expect; a proof of the usual form speaks for its machine alone. Both are planned
//! for every site, both are bounded: the oldest gives way. An agent teaches of hosts of its own site alone. No resource of the
//! catalog: nobody declares it, and an operator's `reply_form` comes before it.

use std::collections::BTreeMap;

use proto::{
    FirmwareModel, Mac, Wall,
    catalog::{AnyResource, Kind},
    plan::{LearnedForm, ReplyForm, ReplySettings},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    Catalog, ChangeError, ReadError,
    draft::Edit,
    keys::{self, FORM_CARDS, FORM_MODELS},
    read,
    roles::Actor,
};
use crate::store::{Entry, Key, Revision, Scan, Txn, TxnError};

/// The most models that are kept.
const MODELS: usize = 256;
/// The most cards that are kept: those that differ from their model, or taught it.
const CARDS: usize = 4_096;
/// The most models of one card.
const MODELS_OF_ONE: usize = 4;
/// How often a proof is tried anew when somebody else writes meanwhile.
const TRIES: usize = 8;

/// A form that a machine has proved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Learned {
    /// The form.
    pub form: ReplyForm,
    /// The model in words.
    pub firmware: String,
    /// The host that has proved it.
    pub host: String,
    /// Where.
    pub site: String,
    /// When.
    pub at_ms: Wall,
}

/// What is known of one machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Card {
    /// By firmware model.
    pub forms: BTreeMap<FirmwareModel, Learned>,
    /// What was learnt before is forgotten.
    #[serde(default)]
    pub forget_before_ms: Wall,
}

/// Everything that is known, for planning.
#[derive(Debug, Clone, Default)]
pub struct Forms {
    /// By firmware model.
    pub models: BTreeMap<FirmwareModel, Learned>,
    /// By link address.
    pub cards: BTreeMap<Mac, Card>,
}

/// An agent's word that a machine obeys a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The agent's site.
    pub site: String,
    /// The machine.
    pub mac: Mac,
    /// What its ROM says of itself.
    pub model: FirmwareModel,
    /// The same in words.
    pub firmware: String,
    /// What it obeys.
    pub form: ReplyForm,
    /// When, by the agent's clock.
    pub at: Wall,
}

/// Why a proof was not recorded.
#[derive(Debug, thiserror::Error)]
pub enum LearnError {
    /// The catalog could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] TxnError),
}

impl Forms {
    /// What every agent is told of models.
    pub(crate) fn plan_models(&self, settings: &mut ReplySettings) {
        let model =
            |(model, of): (&FirmwareModel, &Learned)| LearnedForm { model: *model, mac: None, form: of.form };
        settings.learned = self.models.iter().map(model).collect();
    }

    /// What a host's agents are told of its cards.
    pub(crate) fn plan_cards(&self, macs: &[Mac], settings: &mut ReplySettings) {
        for mac in macs {
            let Some(card) = self.cards.get(mac) else { continue };
            settings.forget_before = settings.forget_before.max(card.forget_before_ms);
            let form = |(model, of): (&FirmwareModel, &Learned)| LearnedForm {
                model: *model,
                mac: Some(*mac),
                form: of.form,
            };
            settings.learned.extend(card.forms.iter().map(form));
        }
    }
}

impl Catalog {
    /// Keeps a proof; true if that was news. Safe to repeat: one that is older than what is known changes nothing.
    ///
    /// # Errors
    /// [`LearnError`]; call again.
    pub async fn learn_form(&self, proof: &Proof) -> Result<bool, LearnError> {
        let mut tries = 1;
        loop {
            match self.try_learn(proof).await {
                Err(LearnError::Store(TxnError::Conflict { .. })) if tries < TRIES => tries += 1,
                done => return done,
            }
        }
    }

    async fn try_learn(&self, proof: &Proof) -> Result<bool, LearnError> {
        let Some(host) = self.host_of_mac(proof.mac).await? else { return Ok(false) };
        let ours = self.get_host(&host).await?.is_some_and(|host| host.spec.site == proof.site);
        if !ours {
            return Ok(false);
        }
        let Proof { mac, model, form, firmware, site, at } = proof.clone();
        let learned = Learned { form, firmware, host, site, at_ms: at };
        let (card_key, model_key) = (keys::form_card(mac), keys::form_model(model));
        let (mut card, card_at) = self.stored::<Card>(&card_key).await?;
        let known = card.forms.get(&model).is_some_and(|known| known.at_ms >= at || known.form == form);
        if known || at < card.forget_before_ms {
            return Ok(false);
        }
        card.forms.insert(model, learned.clone());
        if card.forms.len() > MODELS_OF_ONE {
            let oldest = card.forms.iter().min_by_key(|(_, of)| of.at_ms).map(|(model, _)| *model);
            oldest.and_then(|model| card.forms.remove(&model));
        }
        let mut txn = Txn::new().expect(card_key.clone(), card_at).put(card_key.clone(), json(&card));
        txn = self.make_room(txn, FORM_CARDS, &card_key, CARDS, newest_of_card).await?;
        let (of_model, model_at) = self.stored::<Option<Learned>>(&model_key).await?;
        if teaches_model(&learned, of_model.as_ref()) {
            txn = txn.expect(model_key.clone(), model_at).put(model_key.clone(), json(&learned));
            txn = self.make_room(txn, FORM_MODELS, &model_key, MODELS, time_of_model).await?;
        }
        Ok(self.store.txn(txn).await.map(|_| true)?)
    }

    /// Everything that was learnt.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn forms(&self) -> Result<Forms, ReadError> {
        let mut forms = Forms::default();
        for prefix in [FORM_MODELS, FORM_CARDS] {
            for entry in self.entries_of(prefix).await? {
                forms.put(&entry.key, Some(&entry.version.value));
            }
        }
        Ok(forms)
    }

    /// Forgets what a host has taught, here and at its agents: it begins anew, as do others of the models that it taught.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn forget_forms(&self, actor: &Actor, name: &str, now: Wall) -> Result<(), ChangeError> {
        let not_found = || ChangeError::NotFound { kind: Kind::Host, name: name.to_owned() };
        let mut attempts = self.attempts().await;
        loop {
            let mut draft = attempts.begin().await?;
            let host = self.get_host(name).await?.ok_or_else(not_found)?;
            actor.require_site(&host.spec.site, &format!("forgetting the reply forms of host {name}"))?;
            let card = Card { forget_before_ms: now, ..Card::default() };
            for mac in &host.spec.macs {
                draft.put_along(keys::form_card(*mac), Some(json(&card)));
            }
            let taught = self.forms().await?.models.into_iter().filter(|(_, of)| of.host == name);
            for (model, _) in taught {
                draft.put_along(keys::form_model(model), None);
            }
            let same = Some(AnyResource::Host(host));
            let (action, detail) = ("forget".to_owned(), "reply forms".to_owned());
            draft.edit(Kind::Host, name, Edit { before: same.clone(), after: same, action, detail });
            if attempts.commit(draft, &actor.label(), now).await?.is_some() {
                return Ok(());
            }
        }
    }

    /// A value and where it stands; the default where there is none.
    async fn stored<T: DeserializeOwned + Default>(&self, key: &Key) -> Result<(T, Revision), ReadError> {
        match self.store.get(key).await? {
            Some(found) => Ok((read::from_json(key, &found.value)?, found.mod_revision)),
            None => Ok((T::default(), Revision::ZERO)),
        }
    }

    async fn entries_of(&self, prefix: &str) -> Result<Vec<Entry>, ReadError> {
        Ok(self.store.scan(Scan::prefix(prefix).limit(CARDS + 1)).await?.entries)
    }

    /// Removes the oldest where `key` would be one too many.
    async fn make_room(
        &self,
        txn: Txn,
        prefix: &str,
        key: &Key,
        most: usize,
        time: fn(&Entry) -> Wall,
    ) -> Result<Txn, ReadError> {
        let entries = self.entries_of(prefix).await?;
        if entries.len() < most || entries.iter().any(|entry| entry.key == *key) {
            return Ok(txn);
        }
        let oldest = entries.into_iter().min_by_key(time);
        Ok(oldest.into_iter().fold(txn, |txn, oldest| txn.delete(oldest.key)))
    }
}

impl Forms {
    /// Takes one key in; the sites that it concerns, None: all. What cannot be read is not known.
    pub(crate) fn put(&mut self, key: &str, value: Option<&bytes::Bytes>) -> Option<Vec<String>> {
        if let Some(model) = key.strip_prefix(FORM_MODELS).and_then(|text| text.parse().ok()) {
            match value.and_then(|value| serde_json::from_slice(value).ok()) {
                Some(learned) => drop(self.models.insert(model, learned)),
                None => drop(self.models.remove(&model)),
            }
            return None;
        }
        let Some(mac) = key.strip_prefix(FORM_CARDS).and_then(|text| text.parse().ok()) else {
            return Some(Vec::new());
        };
        let card: Card = value.and_then(|value| serde_json::from_slice(value).ok()).unwrap_or_default();
        let sites = card.forms.values().map(|of| of.site.clone()).collect();
        self.cards.insert(mac, card);
        if value.is_none() {
            self.cards.remove(&mac);
        }
        Some(sites)
    }
}

/// The usual form is nothing to tell others of, unless the same machine said otherwise before.
fn teaches_model(learned: &Learned, known: Option<&Learned>) -> bool {
    match known {
        Some(known) if known.at_ms >= learned.at_ms || known.form == learned.form => false,
        Some(known) => learned.form != ReplyForm::default() || known.host == learned.host,
        None => learned.form != ReplyForm::default(),
    }
}

fn newest_of_card(entry: &Entry) -> Wall {
    let card: Card = serde_json::from_slice(&entry.version.value).unwrap_or_default();
    card.forms.values().map(|of| of.at_ms).max().unwrap_or_default().max(card.forget_before_ms)
}

fn time_of_model(entry: &Entry) -> Wall {
    serde_json::from_slice::<Learned>(&entry.version.value).map_or(Wall::default(), |of| of.at_ms)
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain text and numbers")
}
