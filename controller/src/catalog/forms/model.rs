//! What hosts have proved of one firmware model: a voice for each, and what they come to.
//!
//! A model is what a ROM says of itself, and so whatever somebody on a segment likes to say. Leaves to its parent where it is
//! stored and for whom it is planned.

use std::collections::BTreeMap;

use proto::{FirmwareModel, plan::ReplyForm};
use serde::{Deserialize, Serialize};

use super::{Learned, MODELS, UNCONFIRMED};

/// The most hosts whose proofs of a model are kept.
const WITNESSES: usize = 8;
/// So many hosts must have proved a form before it is planned for other sites.
const CONFIRMED: usize = 2;

/// What is known of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// The newest proof of the form that most hosts have proved.
    #[serde(flatten)]
    pub newest: Learned,
    /// All hosts that have proved any, the latest last. None: written before voices were counted, by the host of `newest`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub witnesses: Vec<Learned>,
}

impl Model {
    /// Have several hosts proved the form?
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        self.witnesses.iter().filter(|of| of.form == self.newest.form).count() >= CONFIRMED
    }

    pub(super) fn is_taught_by(&self, host: &str) -> bool {
        self.voices().iter().any(|of| of.host == host)
    }

    /// Without what a host has taught; None: nothing is left.
    pub(super) fn without(&self, host: &str) -> Option<Self> {
        let mut voices = self.voices();
        voices.retain(|of| of.host != host);
        Self::of(voices)
    }

    fn voices(&self) -> Vec<Learned> {
        if self.witnesses.is_empty() { vec![self.newest.clone()] } else { self.witnesses.clone() }
    }

    /// The form that most have proved; of equals the unusual one, then the newest.
    fn of(witnesses: Vec<Learned>) -> Option<Self> {
        let voices = |form: ReplyForm| witnesses.iter().filter(|of| of.form == form).count();
        let weight = |of: &&Learned| (voices(of.form), of.form != ReplyForm::default(), of.at_ms);
        let newest = witnesses.iter().max_by_key(weight)?.clone();
        Some(Self { newest, witnesses })
    }
}

/// What a proof makes of a model; None: nothing new. The usual form is nothing to tell others of, unless something else was
/// proved before.
pub(super) fn teach(known: Option<&Model>, learned: Learned) -> Option<Model> {
    if known.is_none() && learned.form == ReplyForm::default() {
        return None;
    }
    let mut voices = known.map(Model::voices).unwrap_or_default();
    let spoken = voices.iter().position(|of| of.host == learned.host);
    if let Some(former) = spoken.map(|at| voices.remove(at))
        && former.at_ms >= learned.at_ms
    {
        return None;
    }
    if voices.len() >= WITNESSES {
        voices.remove(0);
    }
    voices.push(learned);
    Model::of(voices)
}

/// Which models give way to a new one of a site.
pub(super) fn gives_way(models: &BTreeMap<FirmwareModel, Model>, site: &str) -> Option<FirmwareModel> {
    let unconfirmed = |of: &Model| !of.is_confirmed() && of.newest.site == site;
    let crowded = models.values().filter(|of| unconfirmed(of)).count() >= UNCONFIRMED;
    let may_go =
        models.iter().filter(|(_, of)| if crowded { unconfirmed(of) } else { models.len() >= MODELS });
    may_go.min_by_key(|(_, of)| (of.is_confirmed(), of.newest.at_ms)).map(|(model, _)| *model)
}

/// The sites whose plans a change of a model concerns, None: all.
pub(super) fn concerned(old: Option<&Model>, new: Option<&Model>) -> Option<Vec<String>> {
    let everywhere = |of: Option<&Model>| of.filter(|of| of.is_confirmed()).map(|of| of.newest.form);
    if everywhere(old) != everywhere(new) {
        return None;
    }
    let here = [old, new].into_iter().flatten().filter(|of| !of.is_confirmed());
    Some(here.map(|of| of.newest.site.clone()).collect())
}

#[cfg(test)]
mod tests {
    use proto::Wall;

    use super::*;

    fn learned(host: &str, form: ReplyForm, at: u64) -> Learned {
        let (firmware, host, site) = ("ROM".into(), host.into(), "lyon".into());
        Learned { form, firmware, host, site, at_ms: Wall(at) }
    }

    #[test]
    fn other_sites_are_concerned_only_by_what_two_hosts_have_proved() {
        let mut known: Option<Model> = None;
        let lyon = Some(vec!["lyon".to_owned()]);
        for (at, (host, expected)) in (1..).zip([("a", lyon), ("b", None), ("c", Some(vec![]))]) {
            let taught = teach(known.as_ref(), learned(host, ReplyForm::File, at));
            assert_eq!(concerned(known.as_ref(), taught.as_ref()), expected, "{host}");
            known = taught;
        }
        assert_eq!(concerned(known.as_ref(), None), None, "forgotten everywhere");
    }

    #[test]
    fn voices_are_bounded_and_the_oldest_gives_way() {
        let mut known = None;
        for at in 1..=WITNESSES as u64 + 1 {
            known = teach(known.as_ref(), learned(&format!("web-{at}"), ReplyForm::File, at));
        }
        let known = known.expect("taught");
        assert_eq!((known.witnesses.len(), known.is_taught_by("web-1")), (WITNESSES, false));
        let older = learned("web-5", ReplyForm::BootService, 4);
        assert_eq!(teach(Some(&known), older), None, "sent again");
    }
}
