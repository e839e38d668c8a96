//! What happens in a boot on paper, step by step.

use proto::{Digest, event::Transport, plan::Stage};

/// One thing that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// A DHCP message.
    Packet(Packet),
    /// A file is asked for.
    File(File),
    /// What the machine is answered, and why, as the agent would record it.
    Decided { answer: &'static str, reason: String },
    /// Something else, for people.
    Note(String),
    /// What the machine does at the end of this boot.
    End(String),
}

impl Step {
    /// The file that is asked for, if that is the step.
    pub(crate) fn file(&self) -> Option<&File> {
        match self {
            Self::File(file) => Some(file),
            Self::Packet(_) | Self::Decided { .. } | Self::Note(_) | Self::End(_) => None,
        }
    }
}

/// A DHCP message, as people read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) from: Sender,
    /// `DISCOVER`.
    pub(crate) kind: &'static str,
    /// Of the machine's: which of its programs speaks.
    pub(crate) program: &'static str,
    /// Names and values, in the order of the message.
    pub(crate) fields: Vec<(String, String)>,
    /// More than once where nobody answered.
    pub(crate) times: u32,
}

/// Who sends a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sender {
    Machine,
    Agent,
    /// The server that leases the addresses where the agent serves beside one: assumed.
    OtherServer,
}

impl Sender {
    /// The word in tables and messages.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Machine => "machine",
            Self::Agent => "agent",
            Self::OtherServer => "other server",
        }
    }
}

/// A file that the machine asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) transport: Transport,
    /// As asked for.
    pub(crate) name: String,
    pub(crate) given: Given,
    /// It may go on without.
    pub(crate) optional: bool,
    pub(crate) times: u32,
}

/// What comes of a question for a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Given {
    /// Bytes of an image.
    Blob { stage: Stage, digest: Digest, bytes: u64 },
    /// The agent makes it; bytes as they would leave, cleaned of secrets.
    Text { stage: Stage, bytes: u64, text: String, cut: bool },
    /// For the operator.
    Refused(String),
    /// It is not the agent's to give.
    Elsewhere,
}

impl File {
    /// Is it given, as far as that is known?
    pub(crate) fn is_given(&self) -> bool {
        match self.given {
            Given::Blob { .. } | Given::Text { .. } | Given::Elsewhere => true,
            Given::Refused(_) => false,
        }
    }
}
