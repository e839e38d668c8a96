//! Many writes to a real controller through its Admin service, and what must be on its disk after a kill.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use controller::catalog::Catalog;
use controller::store::{LocalStore, Revision, Store, Tuning, WatchEvent};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use proto::Mac;
use proto::v1::{self, admin_client::AdminClient};
use tonic::transport::Channel;

use super::controller::FLEET_ADDRESS;
use super::dial;

/// Writes of one life of the controller; most lives end before.
pub const WRITES: u32 = 1_000;
/// Writes that are on their way at one moment.
const CONCURRENT: usize = 8;
/// A watch that says nothing for so long is stuck.
const SILENCE: Duration = Duration::from_secs(60);

/// A host that the controller says it has written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    /// Its name.
    pub host: String,
    /// At which revision.
    pub revision: u64,
}

/// Writes hosts, each once, until all are written or the controller is gone; tells of each that is acknowledged.
///
/// # Errors
/// When the controller refuses a write: a kill breaks calls off and refuses nothing.
pub async fn write_until_killed(
    credential: &Path,
    life: u32,
    told: &mpsc::Sender<Acknowledged>,
) -> anyhow::Result<()> {
    let client = dial::operator(FLEET_ADDRESS, credential).await?;
    let site = format!("life-{life}");
    if write(client.clone(), site_document(&site)).await?.is_none() {
        return Ok(());
    }
    let one = async |number: u32| -> anyhow::Result<bool> {
        let host = format!("h-{life}-{number}");
        let Some(revision) = write(client.clone(), host_document(&host, &site, life, number)).await? else {
            return Ok(false);
        };
        told.send(Acknowledged { host, revision }).context("nobody listens")?;
        Ok(true)
    };
    let mut numbers = 0..WRITES;
    let mut under_way: FuturesUnordered<_> = numbers.by_ref().take(CONCURRENT).map(one).collect();
    while let Some(goes_on) = under_way.next().await {
        if goes_on? {
            under_way.extend(numbers.next().map(one));
        }
    }
    Ok(())
}

/// The revision of the write; None: the call broke off.
async fn write(mut client: AdminClient<Channel>, json: String) -> anyhow::Result<Option<u64>> {
    let document = v1::Document { json: json.into_bytes().into(), ..v1::Document::default() };
    let change = v1::Change { change: Some(v1::change::Change::Put(document)) };
    let request = v1::WriteRequest { changes: vec![change], manager: "test".into(), ..Default::default() };
    match client.write(request).await {
        Ok(written) => Ok(Some(written.into_inner().revision)),
        // What a dead peer looks like through HTTP/2: a broken stream or a closed connection.
        Err(status)
            if matches!(
                status.code(),
                tonic::Code::Unavailable | tonic::Code::Unknown | tonic::Code::Cancelled
            ) =>
        {
            Ok(None)
        }
        Err(status) => Err(status).context("a write was refused"),
    }
}

fn site_document(site: &str) -> String {
    format!(r#"{{"kind":"Site","name":"{site}","spec":{{"subnets":[{{"network":"10.1.0.0/24"}}]}}}}"#)
}

fn host_document(host: &str, site: &str, life: u32, number: u32) -> String {
    let [.., a, b] = life.to_be_bytes();
    let [.., c, d] = number.to_be_bytes();
    let mac = Mac([0x52, 0x54, a, b, c, d]);
    format!(r#"{{"kind":"Host","name":"{host}","spec":{{"site":"{site}","macs":["{mac}"]}}}}"#)
}

/// Opens the killed controller's store and holds it against everything that was ever acknowledged. A watcher goes on
/// behind `watched` and meets every revision once; the newest is returned, for the next time.
///
/// # Errors
/// Says what is gone, torn, repeated or missing.
pub async fn verify(state: &Path, acknowledged: &[Acknowledged], watched: u64) -> anyhow::Result<u64> {
    // On a copy: recovery is the controller's to do.
    let copy = tempfile::tempdir()?;
    copy_folder(&state.join("store"), copy.path())?;
    let tuning = Tuning { history_revisions: u64::MAX, history_bytes: u64::MAX, ..Tuning::default() };
    let store: Arc<dyn Store> = Arc::new(LocalStore::open(copy.path(), tuning)?);
    let catalog = Catalog::new(Arc::clone(&store));
    for Acknowledged { host, revision } in acknowledged {
        let there = catalog.get_host(host).await?;
        let there = there.with_context(|| format!("{host}, acknowledged at {revision}, is gone"))?;
        let found = there.meta.as_ref().map(|meta| meta.revision);
        ensure!(found == Some(*revision), "{host} was acknowledged at {revision} and is at {found:?}");
        let named = catalog.host_of_mac(there.spec.macs[0]).await?;
        ensure!(named.as_deref() == Some(host), "the index of MACs says {named:?} for {host}");
    }
    let newest = store.revision().await?;
    let mut watch = store.watch("/", Revision(watched + 1));
    for expected in watched + 1..=newest.0 {
        let event = tokio::time::timeout(SILENCE, watch.next()).await;
        let event = event.with_context(|| format!("the watcher waits for revision {expected}"))?;
        let Some(WatchEvent::Batch(batch)) = event else { anyhow::bail!("at {expected}: {event:?}") };
        ensure!(batch.revision == Revision(expected), "expected {expected}, found {}", batch.revision);
    }
    drop(watch);
    store.close().await;
    Ok(newest.0)
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &to)?;
        } else {
            std::fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
