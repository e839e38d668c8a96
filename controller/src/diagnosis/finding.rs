//! What a rule has found.

use super::cause::Cause;

/// How much a finding rests on what was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Certainty {
    /// It was seen to be so.
    Seen,
    /// What was seen has one usual cause.
    Likely,
    /// What was seen has several causes.
    Possible,
}

impl Certainty {
    /// The word for people and programs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Seen => "seen",
            Self::Likely => "likely",
            Self::Possible => "possible",
        }
    }
}

/// Why a boot attempt came to nothing, as far as one rule can say. Texts are clean: they hold what events hold, and names
/// of the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule's word.
    pub cause: Cause,
    /// Where it stopped: a clause, as in "its ROM took the address 10.1.0.9 and then asked for nothing".
    pub stopped_at: String,
    /// What was expected next: a noun, as in "a request for the loader snponly.efi".
    pub expected: String,
    /// The likely cause: a clause.
    pub likely: String,
    /// What to do: a sentence without its full stop.
    pub remedy: String,
    /// How sure that is.
    pub certainty: Certainty,
    /// What tells it from other causes: what others did there of late, times, who has what. Sentences without their full
    /// stops; often none.
    pub evidence: Vec<String>,
}

impl Finding {
    /// The answer in one sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        capital(&format!("{}: {}.", self.stopped_at, self.likely))
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
