//! Captures of boots for the controller: asked for on the stream of plans, answered on that of events.

use std::convert::Infallible;

use proto::{
    AttemptId,
    v1::{self, report_request::Report},
};
use tokio::sync::{Mutex, mpsc};

use super::{LinkError, Session, report::request};
use crate::{captures::Captures, outage::chain};

/// Captures that are wanted and not read yet; of more the controller hears nothing, and asks again.
const WANTED: usize = 8;
/// Bytes of a capture in one message.
const CHUNK: usize = 64 << 10;

/// What is asked for on one stream and answered on the other.
pub(super) struct Desk {
    captures: Captures,
    asked: mpsc::Sender<v1::CaptureRequest>,
    queue: Mutex<mpsc::Receiver<v1::CaptureRequest>>,
}

impl Desk {
    pub(super) fn new(captures: Captures) -> Self {
        let (asked, queue) = mpsc::channel(WANTED);
        Self { captures, asked, queue: Mutex::new(queue) }
    }

    pub(super) fn ask(&self, wanted: v1::CaptureRequest) {
        if let Err(error) = self.asked.try_send(wanted) {
            tracing::debug!(%error, "too many captures are wanted at once");
        }
    }

    /// The answer, in messages.
    async fn answer(&self, wanted: v1::CaptureRequest) -> Vec<v1::CaptureChunk> {
        let id = wanted.id;
        let refuse = |why: String| {
            vec![v1::CaptureChunk { id: id.clone(), last: true, refused: why, ..v1::CaptureChunk::default() }]
        };
        let attempt = match AttemptId::from_wire("attempt", &wanted.attempt) {
            Ok(attempt) => attempt,
            Err(error) => return refuse(error.to_string()),
        };
        match self.captures.read(attempt).await {
            // Of what is empty there is no last piece.
            Ok(pcap) if pcap.is_empty() => refuse("the capture is empty".into()),
            Ok(pcap) => chunks(&id, &pcap),
            Err(error) => refuse(chain(&error)),
        }
    }
}

fn chunks(id: &prost::bytes::Bytes, pcap: &[u8]) -> Vec<v1::CaptureChunk> {
    let mut chunks: Vec<_> = pcap
        .chunks(CHUNK)
        .map(|part| v1::CaptureChunk {
            id: id.clone(),
            pcap: part.to_vec().into(),
            last: false,
            refused: String::new(),
        })
        .collect();
    if let Some(last) = chunks.last_mut() {
        last.last = true;
    }
    chunks
}

impl Session {
    pub(super) async fn send_captures(
        &self,
        out: &mpsc::Sender<v1::ReportRequest>,
    ) -> Result<Infallible, LinkError> {
        let mut queue = self.captures.queue.lock().await;
        while let Some(wanted) = queue.recv().await {
            for chunk in self.captures.answer(wanted).await {
                let sending = out.send(request(Report::Capture(chunk))).await;
                sending.map_err(|_| LinkError::Ended("the stream of events"))?;
            }
        }
        // Its sender lives as long as this session.
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capture_goes_in_pieces_and_the_last_says_so() {
        let pcap: Vec<u8> = (0..2 * CHUNK + 5).map(|n| u8::try_from(n % 251).expect("small")).collect();
        let chunks = chunks(&vec![7; 16].into(), &pcap);
        assert_eq!(chunks.iter().map(|chunk| chunk.last).collect::<Vec<_>>(), [false, false, true]);
        assert_eq!(chunks.iter().flat_map(|chunk| chunk.pcap.to_vec()).collect::<Vec<_>>(), pcap);
    }
}
