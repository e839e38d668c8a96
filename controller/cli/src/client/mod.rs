//! The controller's Admin service, as the commands use it: values in, values or a [`Failure`] out.

mod credential;
mod dial;
mod status;
mod writes;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use certs::OperatorCredential;
use proto::catalog::Kind;
use proto::v1::{self, admin_client::AdminClient};
use serde_json::Value;
use telemetry::grpc::{Traced, traced};
use tonic::{Request, Response, Status, Streaming};

use crate::failure::{Exit, Failure, chain};
pub(crate) use credential::load as load_credential;
pub(crate) use writes::{Change, Effect, Outcome, Writing, Written};

/// For a call that is answered at once.
const CALL: Duration = Duration::from_secs(60);
/// As many documents come in one answer; the most that a controller gives.
const PAGE: u32 = 1_000;
/// As many digests go in one question: 32 bytes each, far below the message limit.
const DIGESTS: usize = 10_000;

/// Which controller to talk to, and as whom.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    /// The credential file [default: ~/.config/bootlane/credential.toml]
    #[arg(long, global = true, value_name = "FILE", env = "BOOTLANE_CREDENTIAL")]
    credential: Option<PathBuf>,
    /// A controller's fleet listener, in place of those in the credential file
    #[arg(long, global = true, value_name = "HOST:PORT", env = "BOOTLANE_CONTROLLER", value_parser = host_port)]
    controller: Option<String>,
}

fn host_port(text: &str) -> Result<String, String> {
    let (host, port) = text.rsplit_once(':').ok_or("expected HOST:PORT, for example 192.0.2.1:7443")?;
    match (host, port.parse::<u16>()) {
        ("", _) => Err("the host is missing before the colon".into()),
        (_, Err(_)) => Err(format!("{port:?} is no port")),
        (_, Ok(_)) => Ok(text.to_owned()),
    }
}

/// A document as the controller has it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stored {
    /// Its kind.
    pub(crate) kind: Kind,
    /// Its name.
    pub(crate) name: String,
    /// As of this revision.
    pub(crate) revision: u64,
    /// All of it. Not typed, so that documents of a newer controller can be shown too.
    pub(crate) json: Value,
}

/// Which documents to list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    /// Of this site alone.
    pub(crate) site: Option<String>,
    /// With all of these labels.
    pub(crate) labels: BTreeMap<String, String>,
}

/// A connection to a controller.
pub(crate) struct Client {
    admin: AdminClient<Traced>,
    credential: OperatorCredential,
}

impl Client {
    /// Connects as the caller's credential says.
    ///
    /// # Errors
    /// No usable credential, or no controller of its fleet at any of the addresses.
    pub(crate) async fn connect(connection: &Connection) -> Result<Self, Failure> {
        let credential = load_credential(connection.credential.as_deref())?;
        let addresses = match &connection.controller {
            Some(address) => std::slice::from_ref(address),
            None => credential.controllers(),
        };
        let channel = dial::dial(&credential, addresses).await.map_err(|errors| unreachable(&errors))?;
        let admin = AdminClient::new(traced(channel))
            .max_decoding_message_size(proto::MESSAGE_LIMIT)
            .max_encoding_message_size(proto::MESSAGE_LIMIT);
        Ok(Self { admin, credential })
    }

    /// As whom.
    pub(crate) fn credential(&self) -> &OperatorCredential {
        &self.credential
    }

    /// Who the caller is to the controller.
    ///
    /// # Errors
    /// The controller's refusal.
    pub(crate) async fn who_am_i(&mut self) -> Result<v1::WhoAmIResponse, Failure> {
        answer("ask who you are", self.admin.who_am_i(call(v1::WhoAmIRequest {})).await)
    }

    /// One document.
    ///
    /// # Errors
    /// [`Exit::NotFound`] if there is none.
    pub(crate) async fn get(&mut self, kind: Kind, name: &str) -> Result<Stored, Failure> {
        let request = v1::GetRequest { kind: kind.word().into(), name: name.into() };
        let action = format!("get {kind} {name}");
        stored(answer(&action, self.admin.get(call(request)).await)?)
    }

    /// One document, if there is one.
    ///
    /// # Errors
    /// Any refusal but that it does not exist.
    pub(crate) async fn find(&mut self, kind: Kind, name: &str) -> Result<Option<Stored>, Failure> {
        match self.get(kind, name).await {
            Ok(found) => Ok(Some(found)),
            Err(failure) if failure.exit == Some(Exit::NotFound) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// All documents of a kind that the selection takes and the caller may see.
    ///
    /// # Errors
    /// The controller's refusal.
    pub(crate) async fn list(&mut self, kind: Kind, selection: &Selection) -> Result<Vec<Stored>, Failure> {
        let mut found: Vec<Stored> = Vec::new();
        loop {
            let request = v1::ListRequest {
                kind: kind.word().into(),
                site: selection.site.clone().unwrap_or_default(),
                labels: selection.labels.clone().into_iter().collect(),
                after: found.last().map(|last| last.name.clone()).unwrap_or_default(),
                limit: PAGE,
            };
            let page = answer(&format!("list {kind}"), self.admin.list(call(request)).await)?;
            let more = page.more && !page.documents.is_empty();
            for document in page.documents {
                found.push(stored(document)?);
            }
            if !more {
                return Ok(found);
            }
        }
    }

    /// A new join token.
    ///
    /// # Errors
    /// The controller's refusal.
    pub(crate) async fn create_token(
        &mut self,
        request: v1::CreateTokenRequest,
    ) -> Result<v1::CreateTokenResponse, Failure> {
        answer("make a join token", self.admin.create_token(call(request)).await)
    }

    /// Answers no call of this agent any more; how many of its streams were closed.
    ///
    /// # Errors
    /// The controller's refusal.
    pub(crate) async fn revoke_agent(&mut self, name: &str) -> Result<u32, Failure> {
        let request = v1::RevokeAgentRequest { name: name.into() };
        let answered = self.admin.revoke_agent(call(request)).await;
        Ok(answer(&format!("revoke Agent {name}"), answered)?.closed)
    }

    /// A new order.
    ///
    /// # Errors
    /// The controller's refusal.
    pub(crate) async fn create_order(&mut self, request: v1::CreateOrderRequest) -> Result<Stored, Failure> {
        let action = format!("order the installation of {}", request.host);
        stored(answer(&action, self.admin.create_order(call(request)).await)?)
    }

    /// Takes an order back; abandoned, it ends without its agent's word.
    ///
    /// # Errors
    /// The controller's refusal.
    pub(crate) async fn revoke_order(&mut self, name: &str, abandon: bool) -> Result<Stored, Failure> {
        let request = v1::RevokeOrderRequest { name: name.into(), abandon };
        stored(answer(&format!("revoke Order {name}"), self.admin.revoke_order(call(request)).await)?)
    }

    /// A certificate for an operator.
    ///
    /// # Errors
    /// The controller's refusal.
    pub(crate) async fn create_operator(
        &mut self,
        request: v1::CreateOperatorRequest,
    ) -> Result<v1::CreateOperatorResponse, Failure> {
        let action = format!("make operator {}", request.name);
        answer(&action, self.admin.create_operator(call(request)).await)
    }

    /// A way into the controller's page.
    ///
    /// # Errors
    /// The controller's refusal.
    pub(crate) async fn create_page_login(&mut self) -> Result<v1::CreatePageLoginResponse, Failure> {
        answer("log in to the page", self.admin.create_page_login(call(v1::CreatePageLoginRequest {})).await)
    }

    /// Which of these blobs the controller does not hold.
    ///
    /// # Errors
    /// The controller's refusal.
    pub(crate) async fn missing_blobs(
        &mut self,
        digests: &[proto::Digest],
    ) -> Result<Vec<proto::Digest>, Failure> {
        let mut missing = Vec::new();
        for part in digests.chunks(DIGESTS) {
            let sha256 = part.iter().map(|digest| digest.0.to_vec().into()).collect();
            let request = v1::MissingBlobsRequest { sha256 };
            let told = answer("ask which files are there", self.admin.missing_blobs(call(request)).await)?;
            for bytes in told.sha256 {
                let digest =
                    <[u8; 32]>::try_from(&bytes[..]).map_err(|_| strange("a digest of another length"))?;
                missing.push(proto::Digest(digest));
            }
        }
        Ok(missing)
    }

    /// Sends one blob; the first message names digest and size.
    ///
    /// # Errors
    /// The controller's refusal, for example when the bytes are not those of the digest.
    pub(crate) async fn put_blob<S>(&mut self, name: &str, messages: S) -> Result<(), Failure>
    where
        S: futures::Stream<Item = v1::PutBlobRequest> + Send + 'static,
    {
        answer(&format!("upload {name}"), self.admin.put_blob(messages).await).map(|_| ())
    }

    /// Recent boot attempts, the newest first.
    ///
    /// # Errors
    /// The controller's refusal.
    pub(crate) async fn list_boots(
        &mut self,
        request: v1::ListBootsRequest,
    ) -> Result<Vec<v1::BootSummary>, Failure> {
        Ok(answer("list boots", self.admin.list_boots(call(request)).await)?.boots)
    }

    /// One boot, and what there is to say of it.
    ///
    /// # Errors
    /// The controller's refusal.
    pub(crate) async fn show_boot(
        &mut self,
        request: v1::ShowBootRequest,
    ) -> Result<v1::ShowBootResponse, Failure> {
        answer("show the boot", self.admin.show_boot(call(request)).await)
    }

    /// Why a host did not boot.
    ///
    /// # Errors
    /// The controller's refusal.
    pub(crate) async fn explain_host(
        &mut self,
        request: v1::ExplainHostRequest,
    ) -> Result<v1::ExplainHostResponse, Failure> {
        answer("explain the host", self.admin.explain_host(call(request)).await)
    }

    /// The leases that stand, page by page.
    ///
    /// # Errors
    /// The controller's refusal.
    pub(crate) async fn list_leases(
        &mut self,
        mut request: v1::ListLeasesRequest,
    ) -> Result<Vec<v1::LeaseEntry>, Failure> {
        let mut found = Vec::new();
        loop {
            let page = answer("list leases", self.admin.list_leases(call(request.clone())).await)?;
            found.extend(page.leases);
            // A page that ends where it began would never end.
            if page.next.is_empty() || page.next == request.after {
                return Ok(found);
            }
            request.after = page.next;
        }
    }

    /// Who had an address, or what a machine had.
    ///
    /// # Errors
    /// The controller's refusal.
    pub(crate) async fn lease_history(
        &mut self,
        request: v1::LeaseHistoryRequest,
    ) -> Result<Vec<v1::LeaseEntry>, Failure> {
        Ok(answer("read the history of leases", self.admin.lease_history(call(request)).await)?.leases)
    }

    /// Wants an address freed; the lease that is to end.
    ///
    /// # Errors
    /// The controller's refusal.
    pub(crate) async fn release_lease(
        &mut self,
        request: v1::ReleaseLeaseRequest,
    ) -> Result<v1::LeaseEntry, Failure> {
        let released = answer("release the lease", self.admin.release_lease(call(request)).await)?;
        Ok(released.lease.unwrap_or_default())
    }

    /// Events of boots; see [`next`].
    ///
    /// # Errors
    /// The controller's refusal.
    pub(crate) async fn watch_boots(
        &mut self,
        request: v1::WatchBootsRequest,
    ) -> Result<Streaming<v1::BootEvent>, Failure> {
        answer("watch boots", self.admin.watch_boots(request).await)
    }

    /// The alarms of a site; "": of all.
    ///
    /// # Errors
    /// The controller's refusal.
    pub(crate) async fn list_alarms(&mut self, site: &str) -> Result<Vec<v1::KnownAlarm>, Failure> {
        let request = v1::ListAlarmsRequest { site: site.to_owned() };
        Ok(answer("list alarms", self.admin.list_alarms(call(request)).await)?.alarms)
    }

    /// What sites hold of images, page by page.
    ///
    /// # Errors
    /// The controller's refusal.
    pub(crate) async fn image_status(
        &mut self,
        mut request: v1::ImageStatusRequest,
    ) -> Result<Vec<v1::Readiness>, Failure> {
        let mut found = Vec::new();
        loop {
            let page = answer("ask what sites hold", self.admin.image_status(call(request.clone())).await)?;
            found.extend(page.entries);
            // A page that ends where it began would never end.
            if page.next.is_empty() || page.next <= request.after {
                return Ok(found);
            }
            request.after = page.next;
        }
    }

    /// Whether the site of an order holds what it takes; None: that is not known.
    ///
    /// # Errors
    /// The controller's refusal.
    pub(crate) async fn order_readiness(&mut self, order: &str) -> Result<Option<v1::Readiness>, Failure> {
        let request = v1::OrderReadinessRequest { order: order.to_owned() };
        Ok(answer("ask what the site holds", self.admin.order_readiness(call(request)).await)?.readiness)
    }

    /// Can this controller tell what sites hold, and so let orders wait for it?
    ///
    /// # Errors
    /// The controller's refusal.
    pub(crate) async fn knows_readiness(&mut self) -> Result<bool, Failure> {
        let request = v1::ImageStatusRequest { limit: 1, ..v1::ImageStatusRequest::default() };
        match self.admin.image_status(call(request)).await {
            Ok(_) => Ok(true),
            Err(status) if status.code() == tonic::Code::Unimplemented => Ok(false),
            Err(status) => Err(status::failure("ask what sites hold", &status)),
        }
    }

    /// Who changed what, the newest first.
    ///
    /// # Errors
    /// The controller's refusal.
    pub(crate) async fn list_audit(
        &mut self,
        request: v1::ListAuditRequest,
    ) -> Result<Vec<v1::AuditRecord>, Failure> {
        Ok(answer("list the audit log", self.admin.list_audit(call(request)).await)?.records)
    }

    /// What the fleet has learnt of PXE ROMs.
    ///
    /// # Errors
    /// The controller's refusal.
    pub(crate) async fn list_forms(&mut self) -> Result<Vec<v1::KnownForm>, Failure> {
        let request = call(v1::ListFormsRequest {});
        Ok(answer("list reply forms", self.admin.list_forms(request).await)?.forms)
    }

    /// Forgets what a host has taught.
    ///
    /// # Errors
    /// The controller's refusal.
    pub(crate) async fn forget_forms(&mut self, host: &str) -> Result<(), Failure> {
        let request = call(v1::ForgetFormsRequest { host: host.to_owned() });
        answer("forget reply forms", self.admin.forget_forms(request).await).map(drop)
    }

    /// A boot on paper.
    ///
    /// # Errors
    /// The controller's refusal.
    pub(crate) async fn simulate_boot(
        &mut self,
        request: v1::SimulateBootRequest,
    ) -> Result<v1::SimulateBootResponse, Failure> {
        answer("simulate the boot", self.admin.simulate_boot(call(request)).await)
    }

    /// The capture of a boot; see [`next`].
    ///
    /// # Errors
    /// The controller's refusal, and the agent's.
    pub(crate) async fn get_capture(
        &mut self,
        attempt: proto::AttemptId,
    ) -> Result<Streaming<v1::CapturePiece>, Failure> {
        let request = v1::GetCaptureRequest { attempt: attempt.to_wire() };
        answer("fetch the capture", self.admin.get_capture(request).await)
    }

    /// The archive of a backup; see [`next`].
    ///
    /// # Errors
    /// The controller's refusal.
    pub(crate) async fn backup(&mut self, passphrase: &str) -> Result<Streaming<v1::BackupChunk>, Failure> {
        let request = v1::BackupRequest { passphrase: passphrase.to_owned() };
        answer("back up", self.admin.backup(request).await)
    }
}

/// The next message of a stream; None at its end.
///
/// # Errors
/// What ended the stream early.
pub(crate) async fn next<M>(action: &str, stream: &mut Streaming<M>) -> Result<Option<M>, Failure> {
    stream.message().await.map_err(|status| status::failure(action, &status))
}

fn call<M>(message: M) -> Request<M> {
    let mut request = Request::new(message);
    request.set_timeout(CALL);
    request
}

fn answer<M>(action: &str, answered: Result<Response<M>, Status>) -> Result<M, Failure> {
    answered.map(Response::into_inner).map_err(|status| status::failure(action, &status))
}

fn stored(document: v1::Document) -> Result<Stored, Failure> {
    let json = serde_json::from_slice(&document.json).map_err(|_| strange("a document that is no JSON"))?;
    let kind =
        document.kind.parse().map_err(|_| strange("a document of a kind that this program does not know"))?;
    Ok(Stored { kind, name: document.name, revision: document.revision, json })
}

fn strange(what: &str) -> Failure {
    Failure::failed(format!("the controller answered with {what}"))
        .remedy("`bootlane whoami` shows its version, `bootlane --version` that of this program")
}

fn unreachable(errors: &[dial::DialError]) -> Failure {
    let lines: Vec<_> = errors.iter().map(|error| chain(error)).collect();
    let remedy = match errors {
        [dial::DialError::Peer { .. }] => "check the address, or use the credential of that fleet",
        [dial::DialError::Port { .. }] => {
            "name the other port with --controller, or correct `controllers` in the credential file"
        }
        [dial::DialError::Credential(_)] => "ask an admin for a new credential",
        _ => "is the controller running, and is its fleet listener reachable from here?",
    };
    Failure::new(Exit::Unreachable, lines.join("\n")).remedy(remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_needs_host_and_port() {
        for good in ["192.0.2.1:7443", "controller.example:7443", "[::1]:7443"] {
            assert_eq!(host_port(good).as_deref(), Ok(good));
        }
        for bad in ["controller", ":7443", "a:port", "a:70000", ""] {
            assert!(host_port(bad).is_err(), "{bad}");
        }
    }
}
