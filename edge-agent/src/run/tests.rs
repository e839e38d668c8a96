//! Tasks that end, and plans that settle.

use proto::{
    Generation,
    plan::{Network, PlanDocument},
};

use super::*;

#[test]
fn root_is_refused_unless_the_configuration_says_so() {
    assert!(matches!(change_user(None, true), Err(RunError::Root)));
    assert!(matches!(change_user(Some("root"), true), Ok(true)));
    assert!(matches!(change_user(None, false), Ok(false)));
    assert!(matches!(change_user(Some("no such user"), true), Err(RunError::User(_))));
}

#[test]
fn a_second_agent_with_one_state_folder_says_so_before_it_tries_any_port() {
    let folder = tempfile::tempdir().expect("a folder");
    let (state, file) = (folder.path().join("state"), folder.path().join("agent.toml"));
    let text = format!(
        "state = {state:?}\n[[interface]]\nname = \"none0\"\n[controller]\nenrol = [\"127.0.0.1:1\"]\n\
         fleet = [\"127.0.0.1:2\"]\nname = \"a-1\"\n"
    );
    std::fs::write(&file, text).expect("written");
    let config = Config::load(&file).expect("legal");
    std::fs::create_dir_all(state.join("ledger")).expect("made");
    let options = log::Options::new(proto::Incarnation([1; 16]));
    let running = log::Ledger::open(&state.join("ledger"), options, &mut |_| Ok(())).expect("opens");
    let refused = run(config.clone()).expect_err("another one runs");
    assert!(refused.to_string().contains("stop it first, or give this one a `state`"), "{refused}");
    drop(running);
    assert!(matches!(run(config), Err(RunError::Interface(_))), "there is no such interface");
}

#[tokio::test]
async fn a_task_that_ends_is_named_and_how_it_ended() {
    let mut tasks = Tasks::default();
    tasks.spawn("the patient one", std::future::pending());
    tasks.spawn("the brief one", async {});
    assert_eq!(tasks.one_ended().await, "the brief one");
    tasks.spawn("the clumsy one", async { panic!("fell") });
    let ended = tasks.one_ended().await;
    assert!(ended.starts_with("the clumsy one (") && ended.contains("panicked"), "{ended}");
}

#[tokio::test]
async fn servers_have_their_time_to_end() {
    let shutdown = CancellationToken::new();
    let (mut tasks, (done, was_done)) = (Tasks::default(), tokio::sync::oneshot::channel());
    let told = shutdown.clone();
    tasks.spawn("a server", async move {
        told.cancelled().await;
        tokio::task::yield_now().await;
        done.send(()).ok();
    });
    tasks.spawn("one that hangs", std::future::pending());
    shutdown.cancel();
    tasks.drain(Duration::from_millis(100)).await;
    was_done.await.expect("it was let to its end");
    assert!(tasks.set.is_empty());
}

fn document(revision: u64) -> (PlanDocument, Arc<SitePlan>) {
    let network = Network::default();
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
    tokio::time::timeout(Duration::from_secs(60), gone).await.expect("it settles");
}
