//! What is never shown: the values of secrets, and what is made anew for each boot (DESIGN §4: slots by name).

use prost::bytes::Bytes;
use proto::plan::SitePlan;
use proto::{AttemptId, Token128};

/// What stands in a secret's place.
pub(super) const SECRET: &str = "***";
const ATTEMPT: &str = "<attempt>";
const TOKEN: &str = "<token>";

/// Takes the value of every secret out of a plan. What is made of the plan afterwards cannot hold one.
pub(super) fn secrets(plan: &mut SitePlan) {
    let values = plan.orders.values_mut().flat_map(|order| order.secrets.values_mut());
    values.for_each(|value| *value = Bytes::from_static(SECRET.as_bytes()));
}

/// The values that the paper engine has made up, and their names.
#[derive(Debug, Default)]
pub(super) struct MadeUp {
    values: Vec<(String, &'static str)>,
}

impl MadeUp {
    pub(super) fn attempt(&mut self, attempt: AttemptId) {
        self.note(attempt.to_string(), ATTEMPT);
    }

    pub(super) fn token(&mut self, token: Token128) {
        self.note(token.reveal(), TOKEN);
    }

    fn note(&mut self, value: String, name: &'static str) {
        if !self.values.iter().any(|(known, _)| *known == value) {
            self.values.push((value, name));
        }
    }

    /// The text with names in place of what was made up.
    pub(super) fn named(&self, text: &str) -> String {
        let replace = |text: String, (value, name): &(String, &str)| text.replace(value.as_str(), name);
        self.values.iter().fold(text.to_owned(), replace)
    }
}
