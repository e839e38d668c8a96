//! What installers and installed systems report: the callbacks at `o/TOKEN/report/…`.

use std::{fmt, net::Ipv4Addr};

use proto::{
    AttemptId, Mac,
    event::{AlarmKind, EventKind, OrderPhase, clean},
    plan::{OrderPlan, SitePlan},
};

use super::{About, Action, Site, files::OpenError};
use crate::time::Now;

/// The longest text that a report may carry on, in characters.
const TEXT: usize = 256;

/// Somebody reports.
#[derive(Clone)]
pub struct ReportRequest {
    /// Numbers the request; the answer bears it.
    pub ask: u64,
    /// Who.
    pub from: Ipv4Addr,
    /// The token in the path, as it stands there.
    pub token: String,
    /// What.
    pub callback: Callback,
}

impl fmt::Debug for ReportRequest {
    /// Without the token, which opens the order's files.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ask, from, callback, token: _ } = self;
        out.debug_struct("ReportRequest")
            .field("ask", ask)
            .field("from", from)
            .field("callback", callback)
            .finish_non_exhaustive()
    }
}

/// What is reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Callback {
    /// The installer runs.
    Started,
    /// It has come so far.
    Progress {
        /// 0 to 100.
        percent: Option<u8>,
        /// As sent.
        text: Vec<u8>,
    },
    /// It is done.
    Installed,
    /// It has given up.
    Failed {
        /// As sent.
        reason: Vec<u8>,
    },
}

/// The answer to a [`ReportRequest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportAnswer {
    /// It is on disk: HTTP 200.
    Recorded,
    /// It changes nothing: the order is at its end, or has not started: HTTP 409.
    TooLate,
    /// Nobody may report here: HTTP 404.
    NotFound,
}

impl Site {
    pub(super) fn handle_report(&mut self, now: Now, request: ReportRequest) {
        let ask = request.ask;
        let boot = self.boot_of_token(&request.token);
        let answer = match self.plan.clone() {
            Some(plan) => self.take_report(now, &plan, request),
            None => ReportAnswer::NotFound,
        };
        self.actions.push_back(Action::Replied { ask, answer, boot });
    }

    /// The boot attempt that holds the order which this token opens.
    fn boot_of_token(&self, token: &str) -> Option<AttemptId> {
        self.orders.by_token(token.parse().ok()?)?.attempt
    }

    fn take_report(&mut self, now: Now, plan: &SitePlan, request: ReportRequest) -> ReportAnswer {
        let asker = self.asker(plan, request.from);
        match self.open_order(asker, &request.token) {
            Ok((order, attempt, mac)) => {
                self.record_report(now, plan, &order, attempt, mac, request.callback)
            }
            Err(OpenError::NoSuchToken) => ReportAnswer::NotFound,
            Err(OpenError::Elsewhere) => {
                let detail = format!("{} reports for an order of another host", request.from);
                self.tell(now, asker, EventKind::Alarm { kind: AlarmKind::OrderFileFromElsewhere, detail });
                ReportAnswer::NotFound
            }
            Err(OpenError::Closed(phase)) => repeated(phase, &request.callback),
        }
    }

    fn record_report(
        &mut self,
        now: Now,
        plan: &SitePlan,
        order: &OrderPlan,
        attempt: Option<AttemptId>,
        mac: Mac,
        callback: Callback,
    ) -> ReportAnswer {
        let about = About { attempt, host: Some(order.host), mac: Some(mac) };
        self.attempts.heard(now.mono, mac);
        let (phase, reason) = match callback {
            Callback::Started => {
                // The word of an installer is as good as its first fetch: no other attempt gets one from here on.
                if self.begin_installation(now, plan, order, mac).is_err() {
                    return ReportAnswer::TooLate;
                }
                self.tell(
                    now,
                    about,
                    EventKind::Progress { percent: Some(0), text: "the installer runs".into() },
                );
                return ReportAnswer::Recorded;
            }
            Callback::Progress { percent, text } => {
                let percent = percent.filter(|percent| *percent <= 100);
                self.tell(now, about, EventKind::Progress { percent, text: clean(&text, TEXT) });
                return ReportAnswer::Recorded;
            }
            Callback::Installed => (OrderPhase::Installed, "the installer says so".to_owned()),
            Callback::Failed { reason } => (OrderPhase::Failed, clean(&reason, TEXT)),
        };
        match self.orders.finish(order.id, phase, reason) {
            Some(moved) => {
                self.moved(now, attempt, Some(mac), &moved);
                ReportAnswer::Recorded
            }
            None => ReportAnswer::TooLate,
        }
    }
}

/// An installer that did not hear our first answer says the same again: that is fine, and changes nothing.
fn repeated(phase: OrderPhase, callback: &Callback) -> ReportAnswer {
    match (phase, callback) {
        (OrderPhase::Installed, Callback::Installed) | (OrderPhase::Failed, Callback::Failed { .. }) => {
            ReportAnswer::Recorded
        }
        _ => ReportAnswer::TooLate,
    }
}
