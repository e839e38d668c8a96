//! The capture of a boot, from the agent that has it.

use std::{pin::Pin, time::Duration};

use futures::Stream;
use proto::{AttemptId, event::EventKind, v1};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::refusal;
use crate::{
    app::App,
    captures::{Answer, Piece},
    catalog::roles::Actor,
    events::{BootSummary, Outcome, ReadError},
};

/// What GetCapture answers with.
pub(super) type CaptureStream = Pin<Box<dyn Stream<Item = Result<v1::CapturePiece, Status>> + Send>>;

/// How long an agent is waited for, from piece to piece.
const PATIENCE: Duration = Duration::from_secs(15);
/// Pieces that wait for a slow caller.
const WAITING: usize = 4;

pub(super) async fn get(
    app: &App,
    actor: &Actor,
    request: v1::GetCaptureRequest,
) -> Result<CaptureStream, Status> {
    let attempt = AttemptId::from_wire("attempt", &request.attempt)
        .map_err(|error| refusal::field(&error.field, error.problem))?;
    let found = app.events.boot(attempt).await.map_err(|error| unread(attempt, &error))?;
    let boot = found.ok_or_else(|| Status::not_found(format!("there is no boot {attempt}")))?;
    actor.require_site(&boot.site, "fetching a capture").map_err(|denied| refusal::denied(&denied))?;
    if app.sessions.count(&boot.agent) == 0 {
        let text = format!("agent {} has the capture and is not connected: try again when it is", boot.agent);
        return Err(Status::unavailable(text));
    }
    let now = app.clock.wall();
    app.catalog.note_capture(actor, &boot.site, attempt, now).await.map_err(refusal::change)?;
    let asked = app.captures.ask(&boot.agent, attempt);
    let mut answer = asked.map_err(|error| Status::resource_exhausted(error.to_string()))?;
    // What is refused is an error of the call, and not of its stream.
    let (first, last) = match next(&boot, &mut answer).await? {
        Piece::Refused(why) => return Err(refused(app, &boot, &why).await?),
        Piece::More(bytes) => (bytes, false),
        Piece::Last(bytes) => (bytes, true),
    };
    let (out, pieces) = mpsc::channel(WAITING);
    tokio::spawn(pass_on(boot, answer, (first, last), out));
    Ok(Box::pin(ReceiverStream::new(pieces)))
}

async fn pass_on(
    boot: BootSummary,
    mut answer: Answer,
    (mut bytes, mut last): (bytes::Bytes, bool),
    out: mpsc::Sender<Result<v1::CapturePiece, Status>>,
) {
    loop {
        if out.send(Ok(v1::CapturePiece { pcap: bytes })).await.is_err() || last {
            return;
        }
        (bytes, last) = match next(&boot, &mut answer).await {
            Ok(Piece::More(bytes)) => (bytes, false),
            Ok(Piece::Last(bytes)) => (bytes, true),
            Ok(Piece::Refused(why)) => {
                let _ = out.send(Err(Status::aborted(why))).await;
                return;
            }
            Err(status) => {
                let _ = out.send(Err(status)).await;
                return;
            }
        };
    }
}

async fn next(boot: &BootSummary, answer: &mut Answer) -> Result<Piece, Status> {
    let agent = &boot.agent;
    match tokio::time::timeout(PATIENCE, answer.next()).await {
        Ok(Some(piece)) => Ok(piece),
        Ok(None) => Err(Status::unavailable(format!("agent {agent} sent more than could be passed on"))),
        Err(_) => {
            let seconds = PATIENCE.as_secs();
            let text = format!("agent {agent} did not answer within {seconds} s: is it of an older version?");
            Err(Status::deadline_exceeded(text))
        }
    }
}

/// What the agent says, and what is known here of why it has nothing.
async fn refused(app: &App, boot: &BootSummary, why: &str) -> Result<Status, Status> {
    let events = app.events.boot_events(boot.attempt).await;
    let events = events.map_err(|error| unread(boot.attempt, &error))?;
    let was_kept =
        events.iter().any(|event| matches!(event.numbered.event.kind, EventKind::CaptureKept { .. }));
    let known = match boot.outcome {
        _ if was_kept => "; it kept one, which has given way to newer ones",
        Outcome::Installed | Outcome::Up | Outcome::LocalDisk => "; this boot has not failed",
        Outcome::Running | Outcome::Failed => "",
    };
    Ok(Status::not_found(format!("agent {}: {why}{known}", boot.agent)))
}

fn unread(boot: AttemptId, error: &ReadError) -> Status {
    tracing::error!(%boot, %error, "a boot cannot be read");
    Status::unavailable(error.to_string())
}
