//! An Admin service that keeps everything in memory and refuses what a test tells it to.
//!
//! It judges documents by themselves as the controller does, and knows none of the controller's other rules.

mod catalog;

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use certs::{Authority, CertificateRequest};
use futures::Stream;
use proto::Digest;
use proto::catalog::Kind;
use proto::v1::{self, admin_server::Admin};
use serde_json::{Value, json};
use tonic::{Request, Response, Status, Streaming};

pub(crate) use catalog::Catalog;
use catalog::bytes;

pub(crate) struct FakeAdmin {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) authority: Arc<Authority>,
}

fn document(json: &Value) -> v1::Document {
    v1::Document {
        kind: json["kind"].as_str().unwrap_or_default().into(),
        name: json["name"].as_str().unwrap_or_default().into(),
        json: bytes(Some(json)),
        revision: 7,
    }
}

type Answers<M> = Pin<Box<dyn Stream<Item = Result<M, Status>> + Send>>;

impl FakeAdmin {
    fn explained(&self) -> v1::ExplainedBoot {
        let stage = v1::BootStage {
            title: "address of the ROM".into(),
            end: "silent".into(),
            began_ms: 1_772_366_400_000,
            last_ms: 1_772_366_404_000,
            ..v1::BootStage::default()
        };
        let finding = v1::Finding {
            cause: "nothing-asked".into(),
            sentence: "Its ROM asked for nothing: a port is blocked.".into(),
            likely: "a port is blocked".into(),
            ..v1::Finding::default()
        };
        v1::ExplainedBoot {
            boot: self.catalog.boots.lock().expect("whole").first().cloned(),
            stages: vec![stage],
            findings: vec![finding],
            standing: "silent".into(),
            ..v1::ExplainedBoot::default()
        }
    }
}

fn all<M: Send + 'static>(messages: Vec<M>) -> Response<Answers<M>> {
    Response::new(Box::pin(tokio_stream::iter(messages.into_iter().map(Ok))))
}

#[tonic::async_trait]
impl Admin for FakeAdmin {
    type WatchBootsStream = Answers<v1::BootEvent>;
    type BackupStream = Answers<v1::BackupChunk>;
    type GetCaptureStream = Answers<v1::CapturePiece>;

    async fn who_am_i(&self, _: Request<v1::WhoAmIRequest>) -> Result<Response<v1::WhoAmIResponse>, Status> {
        self.catalog.permit()?;
        Ok(Response::new(v1::WhoAmIResponse {
            fleet: self.authority.fleet().to_string(),
            operator: "admin".into(),
            role: "admin".into(),
            sites: vec![],
            version: "9.9.9".into(),
        }))
    }

    async fn get(&self, request: Request<v1::GetRequest>) -> Result<Response<v1::Document>, Status> {
        self.catalog.permit()?;
        let v1::GetRequest { kind, name } = request.into_inner();
        let found = self.catalog.get(kind.parse().expect("known"), &name);
        let missing = || Status::not_found(format!("there is no {kind} {name}"));
        found.as_ref().map(document).map(Response::new).ok_or_else(missing)
    }

    /// Two documents to a page, so that every list of three has more than one.
    async fn list(&self, request: Request<v1::ListRequest>) -> Result<Response<v1::ListResponse>, Status> {
        self.catalog.permit()?;
        let asked = request.into_inner();
        let fits = |json: &Value| {
            let labels = asked.labels.iter().all(|(key, value)| json["labels"][key] == value.as_str());
            labels && (asked.site.is_empty() || json["spec"]["site"] == asked.site.as_str())
        };
        let documents = self.catalog.documents.lock().expect("whole");
        let mut found: Vec<_> = documents
            .iter()
            .filter(|((kind, name), json)| kind.word() == asked.kind && *name > asked.after && fits(json))
            .map(|(_, json)| document(json))
            .collect();
        let more = found.len() > 2;
        found.truncate(2);
        Ok(Response::new(v1::ListResponse { documents: found, revision: 7, more }))
    }

    async fn write(&self, request: Request<v1::WriteRequest>) -> Result<Response<v1::WriteResponse>, Status> {
        self.catalog.permit()?;
        let asked = request.into_inner();
        self.catalog.writes.lock().expect("whole").push(asked.clone());
        let judge =
            |write| asked.changes.iter().map(|change| self.catalog.change(change.clone(), write)).collect();
        let outcomes: Vec<v1::Outcome> = judge(false);
        let refused = outcomes.iter().any(|outcome| outcome.effect() == v1::outcome::Effect::Refused);
        match (asked.dry_run, refused) {
            (false, true) => return Err(Status::invalid_argument("refused because of one field")),
            (false, false) => drop::<Vec<v1::Outcome>>(judge(true)),
            (true, _) => {}
        }
        Ok(Response::new(v1::WriteResponse {
            outcomes,
            revision: 8,
            warnings: self.catalog.warnings(),
            more_warnings: 0,
        }))
    }

    async fn create_token(
        &self,
        request: Request<v1::CreateTokenRequest>,
    ) -> Result<Response<v1::CreateTokenResponse>, Status> {
        self.catalog.permit()?;
        let asked = request.into_inner();
        let token = format!("blj1.{}.{}.{}", asked.site, asked.uses, asked.seconds);
        Ok(Response::new(v1::CreateTokenResponse {
            name: "t-1".into(),
            token,
            not_after_ms: 1_772_366_400_000,
        }))
    }

    async fn revoke_agent(
        &self,
        request: Request<v1::RevokeAgentRequest>,
    ) -> Result<Response<v1::RevokeAgentResponse>, Status> {
        self.catalog.permit()?;
        let found = self.catalog.get(Kind::Agent, &request.into_inner().name);
        found.ok_or_else(|| Status::not_found("there is no such agent"))?;
        Ok(Response::new(v1::RevokeAgentResponse { closed: 1 }))
    }

    async fn create_order(
        &self,
        request: Request<v1::CreateOrderRequest>,
    ) -> Result<Response<v1::Document>, Status> {
        self.catalog.permit()?;
        let asked = request.into_inner();
        let now = proto::Wall::from(SystemTime::now());
        let mut order = json!({"kind": "Order", "name": "web-1-1", "spec": {
            "site": "lyon", "host": asked.host, "profile": asked.profile, "agent": "edge-1", "number": 1,
            "not_after_ms": now.plus(Duration::from_secs(asked.seconds)).0}});
        if asked.when_ready {
            let until = now.plus(Duration::from_secs(asked.wait_seconds)).0;
            order["spec"]["waiting"] = json!({"until_ms": until, "life": "2h"});
        }
        self.catalog.put(order.clone());
        Ok(Response::new(document(&order)))
    }

    async fn revoke_order(
        &self,
        request: Request<v1::RevokeOrderRequest>,
    ) -> Result<Response<v1::Document>, Status> {
        self.catalog.permit()?;
        let name = request.into_inner().name;
        let found = self.catalog.get(Kind::Order, &name);
        found
            .as_ref()
            .map(document)
            .map(Response::new)
            .ok_or_else(|| Status::not_found("there is no such order"))
    }

    async fn create_operator(
        &self,
        request: Request<v1::CreateOperatorRequest>,
    ) -> Result<Response<v1::CreateOperatorResponse>, Status> {
        self.catalog.permit()?;
        let asked = request.into_inner();
        let csr = CertificateRequest::from_der(&asked.csr_der).expect("a request");
        let name = asked.name.parse().expect("legal");
        let life = Duration::from_secs(3_600);
        let issued = self.authority.issue_operator(&csr, &name, life, SystemTime::now()).expect("issued");
        Ok(Response::new(v1::CreateOperatorResponse {
            chain_der: issued
                .chain_der
                .iter()
                .map(|der| AsRef::<[u8]>::as_ref(der).to_vec().into())
                .collect(),
            bundle_der: self.authority.bundle().ders().map(|der| der.to_vec().into()).collect(),
        }))
    }

    async fn missing_blobs(
        &self,
        request: Request<v1::MissingBlobsRequest>,
    ) -> Result<Response<v1::MissingBlobsResponse>, Status> {
        self.catalog.permit()?;
        let blobs = self.catalog.blobs.lock().expect("whole");
        let mut sha256 = request.into_inner().sha256;
        sha256.retain(|digest| !blobs.contains_key(&Digest(digest[..].try_into().expect("32 bytes"))));
        Ok(Response::new(v1::MissingBlobsResponse { sha256 }))
    }

    async fn put_blob(
        &self,
        request: Request<Streaming<v1::PutBlobRequest>>,
    ) -> Result<Response<v1::PutBlobResponse>, Status> {
        self.catalog.permit()?;
        let mut messages = request.into_inner();
        let first = messages.message().await?.ok_or_else(|| Status::invalid_argument("nothing"))?;
        let mut bytes = first.chunk.to_vec();
        while let Some(next) = messages.message().await? {
            assert!(next.chunk.len() <= 256 * 1024, "chunks are small");
            bytes.extend_from_slice(&next.chunk);
        }
        let digest = Digest::of(&bytes);
        if digest.0[..] != first.sha256[..] || first.size != bytes.len() as u64 {
            return Err(Status::invalid_argument("the bytes are not those of the digest"));
        }
        self.catalog.blobs.lock().expect("whole").insert(digest, bytes);
        *self.catalog.uploads.lock().expect("whole") += 1;
        Ok(Response::new(v1::PutBlobResponse {}))
    }

    async fn list_boots(
        &self,
        _: Request<v1::ListBootsRequest>,
    ) -> Result<Response<v1::ListBootsResponse>, Status> {
        self.catalog.permit()?;
        Ok(Response::new(v1::ListBootsResponse { boots: self.catalog.boots.lock().expect("whole").clone() }))
    }

    async fn watch_boots(
        &self,
        _: Request<v1::WatchBootsRequest>,
    ) -> Result<Response<Self::WatchBootsStream>, Status> {
        self.catalog.permit()?;
        Ok(all(self.catalog.events.lock().expect("whole").clone()))
    }

    /// The first boot, with what is wrong with it.
    async fn show_boot(
        &self,
        _: Request<v1::ShowBootRequest>,
    ) -> Result<Response<v1::ShowBootResponse>, Status> {
        self.catalog.permit()?;
        let events = self.catalog.events.lock().expect("whole").clone();
        Ok(Response::new(v1::ShowBootResponse { boot: Some(self.explained()), events }))
    }

    async fn explain_host(
        &self,
        request: Request<v1::ExplainHostRequest>,
    ) -> Result<Response<v1::ExplainHostResponse>, Status> {
        self.catalog.permit()?;
        let v1::ExplainHostRequest { host, mac } = request.into_inner();
        if host == "web-9" {
            return Err(Status::not_found("there is no Host web-9"));
        }
        let explained = self.explained();
        Ok(Response::new(v1::ExplainHostResponse {
            host,
            mac,
            answer: explained.findings[0].sentence.clone(),
            given: "its local disk".into(),
            given_why: "no order stands".into(),
            findings: explained.findings.clone(),
            boots: vec![explained],
            ..v1::ExplainHostResponse::default()
        }))
    }

    async fn list_forms(
        &self,
        _: Request<v1::ListFormsRequest>,
    ) -> Result<Response<v1::ListFormsResponse>, Status> {
        let form = v1::KnownForm {
            model: "0102030405060708".into(),
            firmware: "PXEClient (0x0007, x64 UEFI; cards 0c:c4:7a)".into(),
            form: "boot-service".into(),
            mac: String::new(),
            host: "web-1".into(),
            site: "lyon".into(),
            at_ms: 1_772_366_400_000,
        };
        Ok(Response::new(v1::ListFormsResponse { forms: vec![form] }))
    }

    async fn forget_forms(
        &self,
        request: Request<v1::ForgetFormsRequest>,
    ) -> Result<Response<v1::ForgetFormsResponse>, Status> {
        match request.into_inner().host.as_str() {
            "web-1" => Ok(Response::new(v1::ForgetFormsResponse {})),
            other => Err(Status::not_found(format!("there is no Host {other}"))),
        }
    }

    /// One lease to a page.
    async fn list_alarms(
        &self,
        request: Request<v1::ListAlarmsRequest>,
    ) -> Result<Response<v1::ListAlarmsResponse>, Status> {
        self.catalog.permit()?;
        let site = request.into_inner().site;
        let alarms = self.catalog.alarms.lock().expect("whole").clone();
        let alarms = alarms.into_iter().filter(|alarm| site.is_empty() || alarm.site == site).collect();
        Ok(Response::new(v1::ListAlarmsResponse { alarms }))
    }

    /// One site to a page.
    async fn image_status(
        &self,
        request: Request<v1::ImageStatusRequest>,
    ) -> Result<Response<v1::ImageStatusResponse>, Status> {
        self.catalog.permit()?;
        let asked = request.into_inner();
        let readiness = self.catalog.readiness.lock().expect("whole");
        let fits = |entry: &&v1::Readiness| {
            let image = asked.image.is_empty() || entry.image == asked.image;
            image && entry.site > asked.after && (asked.site.is_empty() || entry.site == asked.site)
        };
        let entries: Vec<_> = readiness.iter().filter(fits).take(1).cloned().collect();
        let next = entries.last().map(|entry| entry.site.clone()).unwrap_or_default();
        Ok(Response::new(v1::ImageStatusResponse { entries, next }))
    }

    async fn order_readiness(
        &self,
        _: Request<v1::OrderReadinessRequest>,
    ) -> Result<Response<v1::OrderReadinessResponse>, Status> {
        self.catalog.permit()?;
        let readiness = self.catalog.readiness.lock().expect("whole").first().cloned();
        Ok(Response::new(v1::OrderReadinessResponse { readiness }))
    }

    async fn list_leases(
        &self,
        request: Request<v1::ListLeasesRequest>,
    ) -> Result<Response<v1::ListLeasesResponse>, Status> {
        self.catalog.permit()?;
        let at = request.into_inner().after.first().map_or(0, |after| usize::from(*after));
        let leases = self.catalog.leases.lock().expect("whole");
        let next = if at + 1 < leases.len() { vec![u8::try_from(at + 1).expect("few")] } else { vec![] };
        let leases = leases.get(at).cloned().into_iter().collect();
        Ok(Response::new(v1::ListLeasesResponse { leases, next: next.into() }))
    }

    async fn lease_history(
        &self,
        request: Request<v1::LeaseHistoryRequest>,
    ) -> Result<Response<v1::LeaseHistoryResponse>, Status> {
        use v1::lease_history_request::Of;
        self.catalog.permit()?;
        let of = request.into_inner().of.expect("one of the three");
        let mut leases = self.catalog.leases.lock().expect("whole").clone();
        leases.retain(|lease| match &of {
            Of::Address(address) => *address == lease.address,
            Of::Mac(mac) => *mac == lease.mac,
            Of::Host(host) => *host == lease.host,
        });
        Ok(Response::new(v1::LeaseHistoryResponse { leases }))
    }

    async fn release_lease(
        &self,
        request: Request<v1::ReleaseLeaseRequest>,
    ) -> Result<Response<v1::ReleaseLeaseResponse>, Status> {
        self.catalog.permit()?;
        let address = request.into_inner().address;
        let leases = self.catalog.leases.lock().expect("whole");
        let lease = leases.iter().find(|lease| lease.address == address).cloned();
        lease.as_ref().ok_or_else(|| Status::not_found("no lease of it is known at site lyon"))?;
        Ok(Response::new(v1::ReleaseLeaseResponse { lease }))
    }

    async fn list_audit(
        &self,
        _: Request<v1::ListAuditRequest>,
    ) -> Result<Response<v1::ListAuditResponse>, Status> {
        self.catalog.permit()?;
        let record = v1::AuditRecord {
            revision: 3,
            at_ms: 1_772_366_400_000,
            actor: "operator admin".into(),
            action: "create".into(),
            kind: "Site".into(),
            name: "lyon".into(),
            detail: String::new(),
        };
        Ok(Response::new(v1::ListAuditResponse { records: vec![record] }))
    }

    async fn backup(
        &self,
        request: Request<v1::BackupRequest>,
    ) -> Result<Response<Self::BackupStream>, Status> {
        self.catalog.permit()?;
        let passphrase = request.into_inner().passphrase;
        let chunk = |text: &str| v1::BackupChunk { chunk: text.as_bytes().to_vec().into() };
        Ok(all(vec![chunk("archive of "), chunk(&passphrase.len().to_string())]))
    }

    async fn simulate_boot(
        &self,
        request: Request<v1::SimulateBootRequest>,
    ) -> Result<Response<v1::SimulateBootResponse>, Status> {
        self.catalog.permit()?;
        let v1::SimulateBootRequest { machine, firmware, site, agent, memory_bytes } = request.into_inner();
        // Memory that is too little is what would fail here.
        let what = format!("{memory_bytes} bytes");
        let flag = v1::SimulatedFlag { fails: memory_bytes != 0, what, remedy: String::new() };
        let end = v1::simulated_step::Step::End("starts from its local disk".into());
        Ok(Response::new(v1::SimulateBootResponse {
            host: machine,
            firmware,
            site,
            agent,
            steps: vec![v1::SimulatedStep { boot: 1, step: Some(end) }],
            flags: vec![flag],
            ..v1::SimulateBootResponse::default()
        }))
    }

    async fn create_page_login(
        &self,
        _: Request<v1::CreatePageLoginRequest>,
    ) -> Result<Response<v1::CreatePageLoginResponse>, Status> {
        self.catalog.permit()?;
        let url = "https://boot.example:7445/login?code=x\u{1b}[2J".into();
        Ok(Response::new(v1::CreatePageLoginResponse { url, seconds: 60 }))
    }

    async fn get_capture(
        &self,
        request: Request<v1::GetCaptureRequest>,
    ) -> Result<Response<Self::GetCaptureStream>, Status> {
        self.catalog.permit()?;
        let attempt = request.into_inner().attempt;
        let piece = |bytes: &[u8]| v1::CapturePiece { pcap: bytes.to_vec().into() };
        Ok(all(vec![piece(b"packets of "), piece(&attempt)]))
    }
}
