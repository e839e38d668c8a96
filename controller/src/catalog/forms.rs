//! What the fleet has learnt of PXE ROMs: in which form each wants to be told what to boot (QUIRKS 20, 22).
//!
//! ```text
//! /global/form/model/MODEL   what a machine of the model has proved
//! /global/form/card/MAC      what the machine with this card has proved, by model, and what is forgotten
//! ```
//!
//! Agents report proofs that the plan did not expect. What a model is can be made up by anybody on a segment, so each host has
//! one voice: a form that two hosts have proved is planned for every site, one that a single host has proved for that host's
//! site alone; the usual form speaks for its machine alone, unless more say so. Both are bounded: the oldest gives way, of
//! models those with one voice first. An agent teaches of hosts of its own site alone. No resource of the catalog: nobody
//! declares it, and an operator's `reply_form` comes before it.

mod model;

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
pub use model::Model;

use crate::store::{Entry, Key, Revision, Scan, Txn, TxnError};

/// The most models that are kept.
const MODELS: usize = 256;
/// The most of them that a single host of one site has proved.
const UNCONFIRMED: usize = 16;
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
    pub models: BTreeMap<FirmwareModel, Model>,
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
    /// What a site's agents are told of models. A form that cannot work beside another server is not planned there.
    pub(crate) fn plan_models(&self, site: &str, proxy: bool, settings: &mut ReplySettings) {
        let here = |(_, of): &(&FirmwareModel, &Model)| {
            (of.is_confirmed() || of.newest.site == site) && works(of.newest.form, proxy)
        };
        let planned = self.models.iter().filter(here);
        settings.learned = planned
            .map(|(model, of)| LearnedForm { model: *model, mac: None, form: of.newest.form })
            .collect();
    }

    /// What a host's agents are told of its cards.
    pub(crate) fn plan_cards(&self, macs: &[Mac], proxy: bool, settings: &mut ReplySettings) {
        for mac in macs {
            let Some(card) = self.cards.get(mac) else { continue };
            settings.forget_before = settings.forget_before.max(card.forget_before_ms);
            let form = |(model, of): (&FirmwareModel, &Learned)| LearnedForm {
                model: *model,
                mac: Some(*mac),
                form: of.form,
            };
            let works = card.forms.iter().filter(|(_, of)| works(of.form, proxy));
            settings.learned.extend(works.map(form));
        }
    }
}

impl Catalog {
    /// Keeps a proof; true if that was news. Safe to repeat: one that is older than what is known changes nothing. One that an
    /// agent's clock has dated after `now` counts as of now.
    ///
    /// # Errors
    /// [`LearnError`]; call again.
    pub async fn learn_form(&self, proof: &Proof, now: Wall) -> Result<bool, LearnError> {
        let proof = &Proof { at: proof.at.min(now), ..proof.clone() };
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
        if card_at == Revision::ZERO {
            txn = self.make_room_for_card(txn).await?;
        }
        let (of_model, model_at) = self.stored::<Option<Model>>(&model_key).await?;
        if let Some(of) = model::teach(of_model.as_ref(), learned) {
            if model_at == Revision::ZERO {
                txn = self.make_room_for_model(txn, &of.newest.site).await?;
            }
            txn = txn.expect(model_key.clone(), model_at).put(model_key.clone(), json(&of));
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

    /// Forgets what a host has taught, here and at its agents: it begins anew, as do others of the models that it alone taught.
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
            for (model, of) in self.forms().await?.models {
                if of.is_taught_by(name) {
                    draft.put_along(keys::form_model(model), of.without(name).as_ref().map(json));
                }
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

    /// The oldest gives way to a new card.
    async fn make_room_for_card(&self, txn: Txn) -> Result<Txn, ReadError> {
        let cards = self.entries_of(FORM_CARDS).await?;
        let full = cards.len() >= CARDS;
        let oldest = cards.into_iter().min_by_key(newest_of_card).filter(|_| full);
        Ok(oldest.into_iter().fold(txn, |txn, oldest| txn.delete(oldest.key)))
    }

    /// A site that has too many models of a single host each loses its own; where all are too many, those of a single host go
    /// first.
    async fn make_room_for_model(&self, txn: Txn, site: &str) -> Result<Txn, ReadError> {
        let models = self.forms().await?.models;
        let gone = model::gives_way(&models, site);
        Ok(gone.into_iter().fold(txn, |txn, model| txn.delete(keys::form_model(model))))
    }
}

impl Forms {
    /// Takes one key in; the sites that it concerns, None: all. What cannot be read is not known.
    pub(crate) fn put(&mut self, key: &str, value: Option<&bytes::Bytes>) -> Option<Vec<String>> {
        if let Some(model) = key.strip_prefix(FORM_MODELS).and_then(|text| text.parse().ok()) {
            let new: Option<Model> = value.and_then(|value| serde_json::from_slice(value).ok());
            let old = match new.clone() {
                Some(of) => self.models.insert(model, of),
                None => self.models.remove(&model),
            };
            return model::concerned(old.as_ref(), new.as_ref());
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

fn works(form: ReplyForm, proxy: bool) -> bool {
    !proxy || form.works_beside_another_server()
}

fn newest_of_card(entry: &Entry) -> Wall {
    let card: Card = serde_json::from_slice(&entry.version.value).unwrap_or_default();
    card.forms.values().map(|of| of.at_ms).max().unwrap_or_default().max(card.forget_before_ms)
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain text and numbers")
}
