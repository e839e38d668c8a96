//! Plans that settle.

use proto::{
    Generation,
    plan::{DhcpMode, Network, PlanDocument, UnknownMachines},
};

use super::*;

fn document(revision: u64) -> (PlanDocument, Arc<SitePlan>) {
    let network = Network {
        dhcp: DhcpMode::Off,
        subnets: Vec::new(),
        unknown: UnknownMachines::Ignore,
        loaders: std::collections::BTreeMap::new(),
        cache_bytes: None,
    };
    let body = prost::Message::encode_to_vec(&proto::v1::Network::from(&network)).into();
    let entry = ("network".to_owned(), proto::plan::Entry { body, level: 1 });
    let generation = Generation { epoch: 1, revision };
    let document = PlanDocument::assemble("acme", "lyon", generation, 1, [entry]);
    let plan = Arc::new(SitePlan::decode(&document).expect("legal"));
    (document, plan)
}

#[tokio::test]
async fn every_plan_settles_after_its_own_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut store, _) = PlanStore::open(folder.path()).expect("opens");
    let trial = folder.path().join("trial");
    let (first, second) = (document(1), document(2));
    store.adopt(first.0).expect("new");
    let plans = Arc::new(Mutex::new(store));
    let (plan_out, plan) = watch::channel(Some(first.1));
    let settling = tokio::spawn(settle(plans.clone(), plan, Duration::from_millis(20)));
    gone(&trial).await;
    plans.lock().await.adopt(second.0).expect("new");
    assert!(trial.exists());
    plan_out.send_replace(Some(second.1));
    gone(&trial).await;
    settling.abort();
}

async fn gone(path: &std::path::Path) {
    let gone = async {
        while path.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.expect("it settles");
}
