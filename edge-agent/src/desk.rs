//! Who knows what a machine may have: the seam between the servers of files and the agent's core.
//!
//! HTTP and TFTP ask here what a name stands for, and tell here how the sending went. The core answers in service;
//! tests put a table in its place.

use netboot::site::{FileAnswer, FileRequest, FileTold, ReportRequest, Served, Source};
use proto::AttemptId;

use crate::core::{Core, FileReply, ReportReply, Standing, Stopped};

pub use crate::counts::Sent;

/// What a machine may have, and who wants to hear how it went.
pub trait Desk: Send + Sync + 'static {
    /// Names what is being sent when it is told how that went.
    type Ticket: Clone + Send + Sync + 'static;

    /// What a machine asks for. `ask` is filled in here.
    fn file(
        &self,
        request: FileRequest,
    ) -> impl Future<Output = Result<Answered<Self::Ticket>, Stopped>> + Send;

    /// What an installer says. `ask` is filled in here.
    fn report(&self, request: ReportRequest) -> impl Future<Output = Result<ReportReply, Stopped>> + Send;

    /// How the sending of a file went. Never waits.
    fn told(&self, ticket: Self::Ticket, sent: Sent);
}

/// What there is for a machine.
#[derive(Debug, Clone)]
pub struct Answered<T> {
    /// The file; None: there is no such file for it.
    pub found: Option<Found<T>>,
    /// The boot that it is for or refused to, for log lines; None: none, or nobody knows.
    pub boot: Option<AttemptId>,
    /// TFTP answers this machine from port 69 alone (QUIRKS 43).
    pub tftp_single_port: bool,
}

impl<T> From<Option<Found<T>>> for Answered<T> {
    /// In the usual way.
    fn from(found: Option<Found<T>>) -> Self {
        Self { found, boot: None, tftp_single_port: false }
    }
}

/// A file that a machine may have.
#[derive(Debug, Clone)]
pub struct Found<T> {
    /// Where its bytes are.
    pub source: Source,
    /// For [`Desk::told`].
    pub ticket: T,
    /// None: each time that the machine asks for it, the desk is asked. Else for how long it needs not be.
    pub standing: Option<Standing>,
}

impl Desk for Core {
    type Ticket = Served;

    async fn file(&self, request: FileRequest) -> Result<Answered<Served>, Stopped> {
        let transport = request.transport;
        let FileReply { answer, boot, tftp_single_port, standing } = Core::file(self, request).await?;
        let found = match answer {
            FileAnswer::Send { source, served } => Some(Found { source, ticket: served, standing }),
            FileAnswer::NotFound => {
                self.counts().absent(transport);
                None
            }
        };
        Ok(Answered { found, boot, tftp_single_port })
    }

    async fn report(&self, request: ReportRequest) -> Result<ReportReply, Stopped> {
        Core::report(self, request).await
    }

    fn told(&self, ticket: Served, sent: Sent) {
        self.counts().told(ticket.stage, &sent);
        let Sent { transport, bytes, took, retransmissions, repeats, end } = sent;
        let told = FileTold { served: ticket, transport, bytes, took, retransmissions, repeats, end };
        Core::told(self, told);
    }
}
