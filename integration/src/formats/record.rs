//! Writes a set: by the code that writes these formats in service.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use certs::{Identity, JoinToken, KeyPair, tls};
use edge_agent::disk::log::{Ledger, Options, Tag};
use edge_agent::plans::PlanStore;
use prost::Message as _;
use proto::v1::{self, admin_client::AdminClient, enrolment_client::EnrolmentClient};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use super::samples::{self, Samples};
use super::{PASSPHRASE, copy_private};
use crate::kills::dial;

/// Writes set `number` into `folder`, which must not be there yet.
///
/// # Errors
/// When it is there, or something cannot be written.
pub async fn record(number: u32, folder: &Path) -> anyhow::Result<()> {
    let samples = Samples::of(number);
    ensure!(!folder.exists(), "{} is there already: a set is never written twice", folder.display());
    fs::create_dir_all(folder)?;
    messages(samples, folder)?;
    plans(samples, &folder.join("plans"))?;
    ledger(samples, &folder.join("ledger"))?;
    controller(samples, folder).await
}

/// What is sent, one message a file.
fn messages(samples: Samples, folder: &Path) -> anyhow::Result<()> {
    let (former, plan) = (samples.former_plan(), samples.plan());
    let batch = v1::EventBatch {
        incarnation: samples::INCARNATION.to_wire(),
        events: samples.events().into_iter().map(Into::into).collect(),
    };
    fs::write(folder.join("plan.pb"), v1::Plan::from(&plan).encode_to_vec())?;
    fs::write(folder.join("plan-delta.pb"), former.delta_to(&plan).encode_to_vec())?;
    fs::write(folder.join("event-batch.pb"), batch.encode_to_vec())?;
    if let Some(list) = samples.chunk_list() {
        fs::write(folder.join("chunks.list"), list.encode())?;
    }
    if let Some(report) = samples.holding().and_then(|holding| holding.report(None)) {
        fs::write(folder.join("holding.pb"), report.encode_to_vec())?;
    }
    Ok(())
}

fn plans(samples: Samples, folder: &Path) -> anyhow::Result<()> {
    let (mut plans, _) = PlanStore::open(folder)?;
    plans.adopt(samples.former_plan())?;
    plans.adopt(samples.plan())?;
    Ok(())
}

/// The records in several commits; without the reserve, which holds nothing, and the lock.
fn ledger(samples: Samples, folder: &Path) -> anyhow::Result<()> {
    let written = tempfile::tempdir()?;
    let tag = Tag::new(1).context("1 is a legal tag")?;
    let mut options = Options::new(samples::INCARNATION);
    options.growth_bytes = 4 << 10;
    let (mut ledger, _) = Ledger::open(written.path(), options, &mut |_| Ok(()))?;
    for records in samples.records().chunks(5) {
        records.iter().try_for_each(|record| ledger.append(tag, &record.encode()))?;
        ledger.commit()?;
    }
    ledger.close()?;
    fs::create_dir(folder)?;
    for entry in fs::read_dir(written.path())? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|extension| extension == "log") {
            fs::copy(entry.path(), folder.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// A controller's state, a backup of it, and the credentials that it gave to an agent.
async fn controller(samples: Samples, folder: &Path) -> anyhow::Result<()> {
    let place = tempfile::tempdir()?;
    let state = place.path().join("state");
    let text = format!(
        "fleet = \"recorded\"\nstate = {state:?}\n[listen]\nfleet = \"127.0.0.1:0\"\nenrol = \"127.0.0.1:0\"\n\
         names = [\"127.0.0.1\"]\n"
    );
    let config = controller::config::Config::parse(Path::new("controller.toml"), &text)?;
    let stop = CancellationToken::new();
    let running = controller::run(config, stop.clone()).await?;
    let credential = state.join(controller::ADMIN_CREDENTIAL);
    let mut client = dial::operator(&running.fleet.to_string(), &credential).await?;
    write_documents(samples, &mut client).await?;
    let given = enrol(&mut client, &running.enrol.to_string()).await?;
    fs::write(folder.join("credentials.pb"), given.encode_to_vec())?;
    let source = controller::events::Source { site: "lab".into(), agent: "one".into() };
    running.app.events.append(&source, samples::INCARNATION, samples.events()).await?;
    if let Some(proof) = samples.proof() {
        ensure!(running.app.catalog.learn_form(&proof, proof.at).await?, "what was proved is news");
    }
    let snapshot = running.app.store.export().await?;
    snapshot.write_to(fs::File::create(folder.join("store.snapshot"))?)?;
    fs::write(folder.join("backup.archive"), backup(&mut client).await?)?;
    drop(client);
    stop.cancel();
    running.ended().await;
    fs::remove_dir_all(state.join("blobs")).ok();
    copy_private(&state, &folder.join("controller"))?;
    Ok(())
}

async fn write_documents(samples: Samples, client: &mut AdminClient<Channel>) -> anyhow::Result<()> {
    for json in samples.documents() {
        let document = v1::Document { json: json.as_bytes().into(), ..Default::default() };
        let change = v1::Change { change: Some(v1::change::Change::Apply(document)) };
        let request = v1::WriteRequest { changes: vec![change], manager: "cli".into(), ..Default::default() };
        client.write(request).await.with_context(|| format!("refused: {json}"))?;
    }
    Ok(())
}

async fn enrol(client: &mut AdminClient<Channel>, address: &str) -> anyhow::Result<v1::Credentials> {
    let request = v1::CreateTokenRequest { site: "lab".into(), ..Default::default() };
    let text = client.create_token(request).await?.into_inner().token;
    let token = JoinToken::parse(&text)?;
    let identity =
        Identity::Agent { fleet: token.fleet.clone(), site: token.site.clone(), agent: "one".parse()? };
    let csr = KeyPair::generate()?.request(&identity)?;
    let tls = tls::first_contact(&token, Arc::new(tls::DefaultTimeProvider))?;
    let mut client = EnrolmentClient::new(dial::channel(address, tls).await?);
    let request = v1::EnrolRequest {
        token: text,
        agent: "one".into(),
        csr_der: csr.into(),
        version: proto::VERSION.into(),
    };
    Ok(client.enrol(request).await?.into_inner())
}

async fn backup(client: &mut AdminClient<Channel>) -> anyhow::Result<Vec<u8>> {
    let request = v1::BackupRequest { passphrase: PASSPHRASE.into() };
    let mut chunks = client.backup(request).await?.into_inner();
    let mut archive = Vec::new();
    while let Some(chunk) = chunks.message().await? {
        archive.extend_from_slice(&chunk.chunk);
    }
    Ok(archive)
}
