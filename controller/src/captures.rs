//! Captures of boots on their way from agents to operators.
//!
//! Agents keep them; nothing of them is kept here. An operator's question goes down an agent's stream of plans, the answer comes
//! up its stream of events, in pieces that name the question. Whoever asks waits for so long and no longer; pieces that
//! nobody waits for are dropped.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use proto::{AttemptId, v1};
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::sync::{broadcast, mpsc};

/// Bytes of one capture, at most: several times what an agent gives.
pub(crate) const MOST: usize = 4 << 20;
/// Questions that are open at one time, of all operators.
const OPEN: usize = 64;
/// Questions that a slow stream may be behind; what it misses is not answered.
const BEHIND: usize = 64;
/// Pieces that wait for a slow operator. Agents have sent their messages by then, so none of them waits.
const AHEAD: usize = 128;

type Number = [u8; 16];

/// The questions that are open. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Captures {
    open: Arc<Mutex<HashMap<Number, Open>>>,
    asked: broadcast::Sender<Asked>,
}

/// A question for one agent.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) agent: String,
    number: Number,
    attempt: AttemptId,
}

impl Asked {
    /// As the agent is asked.
    pub(crate) fn request(&self) -> v1::CaptureRequest {
        let id = Bytes::copy_from_slice(&self.number);
        v1::CaptureRequest { id, attempt: self.attempt.to_wire() }
    }
}

#[derive(Debug)]
struct Open {
    agent: String,
    pieces: mpsc::Sender<Piece>,
    bytes: usize,
}

/// A piece of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// More comes.
    More(Bytes),
    /// Nothing comes after it.
    Last(Bytes),
    /// There is no capture, and why.
    Refused(String),
}

/// Why nothing is asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// Too many at once.
    #[error("{OPEN} captures are being fetched already: try again")]
    TooMany,
    /// No question can be told from another.
    #[error("the system gives no randomness")]
    Randomness,
}

/// An open question; it is open for as long as this lives.
#[derive(Debug)]
pub(crate) struct Answer {
    captures: Captures,
    number: Number,
    pieces: mpsc::Receiver<Piece>,
}

impl Default for Captures {
    fn default() -> Self {
        Self { open: Arc::default(), asked: broadcast::channel(BEHIND).0 }
    }
}

impl Captures {
    /// Asks an agent for the capture of a boot.
    pub(crate) fn ask(&self, agent: &str, attempt: AttemptId) -> Result<Answer, AskError> {
        let mut number = [0; 16];
        SystemRandom::new().fill(&mut number).map_err(|_| AskError::Randomness)?;
        let (out, pieces) = mpsc::channel(AHEAD);
        let mut open = self.lock();
        if open.len() >= OPEN {
            return Err(AskError::TooMany);
        }
        open.insert(number, Open { agent: agent.to_owned(), pieces: out, bytes: 0 });
        drop(open);
        // If no agent listens, none answers.
        let _ = self.asked.send(Asked { agent: agent.to_owned(), number, attempt });
        Ok(Answer { captures: self.clone(), number, pieces })
    }

    /// Questions from now on.
    pub(crate) fn questions(&self) -> broadcast::Receiver<Asked> {
        self.asked.subscribe()
    }

    /// An agent answers. Only the one that was asked may.
    pub(crate) fn answered(&self, agent: &str, chunk: v1::CaptureChunk) {
        let Ok(number) = Number::try_from(chunk.id.as_ref()) else { return };
        let mut open = self.lock();
        let Some(question) = open.get_mut(&number).filter(|question| question.agent == agent) else { return };
        question.bytes += chunk.pcap.len();
        let piece = match chunk {
            v1::CaptureChunk { refused, .. } if !refused.is_empty() => Piece::Refused(plain(&refused)),
            _ if question.bytes > MOST => {
                Piece::Refused(format!("the capture has more than {} MiB", MOST >> 20))
            }
            v1::CaptureChunk { last: true, pcap, .. } => Piece::Last(pcap),
            v1::CaptureChunk { pcap, .. } => Piece::More(pcap),
        };
        let over = !matches!(piece, Piece::More(_));
        if question.pieces.try_send(piece).is_err() || over {
            open.remove(&number);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Number, Open>> {
        // Nothing panics between two steps of a change, so a poisoned table is whole.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answer {
    /// The next piece; None: the answer was cut off.
    pub(crate) async fn next(&mut self) -> Option<Piece> {
        self.pieces.recv().await
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.captures.lock().remove(&self.number);
    }
}

fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ATTEMPT: AttemptId = AttemptId([1; 16]);

    fn chunk(asked: &Asked, pcap: &'static [u8], last: bool) -> v1::CaptureChunk {
        v1::CaptureChunk { id: asked.request().id, pcap: pcap.into(), last, refused: String::new() }
    }

    async fn asked(captures: &Captures) -> (Answer, Asked) {
        let mut questions = captures.questions();
        let answer = captures.ask("lyon-1", ATTEMPT).expect("room");
        (answer, questions.recv().await.expect("it was asked"))
    }

    #[tokio::test]
    async fn pieces_reach_whoever_asked_and_nobody_else_may_answer() {
        let captures = Captures::default();
        let (mut answer, question) = asked(&captures).await;
        assert_eq!((question.agent.as_str(), question.request().attempt), ("lyon-1", ATTEMPT.to_wire()));
        captures.answered("paris-1", chunk(&question, b"forged", true));
        captures.answered("lyon-1", chunk(&question, b"first", false));
        captures.answered("lyon-1", chunk(&question, b"last", true));
        captures.answered("lyon-1", chunk(&question, b"after", true));
        assert_eq!(answer.next().await, Some(Piece::More("first".into())));
        assert_eq!(answer.next().await, Some(Piece::Last("last".into())));
        assert_eq!(answer.next().await, None);
    }

    #[tokio::test]
    async fn who_waits_no_more_is_forgotten_and_questions_are_bounded() {
        let captures = Captures::default();
        let answers: Vec<_> = (0..OPEN).map(|_| captures.ask("lyon-1", ATTEMPT).expect("room")).collect();
        assert!(matches!(captures.ask("lyon-1", ATTEMPT), Err(AskError::TooMany)));
        drop(answers);
        assert!(captures.lock().is_empty());
    }

    #[tokio::test]
    async fn a_capture_without_end_is_refused() {
        const PIECE: &[u8] = &[0; 1 << 20];
        let captures = Captures::default();
        let (mut answer, question) = asked(&captures).await;
        for _ in 0..=MOST / PIECE.len() {
            captures.answered("lyon-1", chunk(&question, PIECE, false));
        }
        let mut last = None;
        while let Some(piece) = answer.next().await {
            last = Some(piece);
        }
        assert_eq!(last, Some(Piece::Refused("the capture has more than 4 MiB".into())));
    }
}
