//! What agents teach of PXE ROMs, what is kept of it, and how it is forgotten.

use proto::{FirmwareModel, Mac, plan::ReplyForm};

use super::{super::Proof, *};

const MODEL: FirmwareModel = FirmwareModel([1; 8]);
const MAC: Mac = Mac([0x0c, 0xc4, 0x7a, 0, 0, 1]);

async fn fleet() -> Fleet {
    let fleet = Fleet::in_memory().furnished().await;
    let host = |name: &str, site: &str, mac: &str| json!({"kind":"Host","name":name,"spec":{"site":site,"macs":[mac]}});
    let hosts = [
        host("web-1", "lyon", "0c:c4:7a:00:00:01"),
        host("web-2", "lyon", "0c:c4:7a:00:00:02"),
        host("web-3", "oslo", "0c:c4:7a:00:00:03"),
    ];
    fleet.apply(&hosts).await.expect("all is in order");
    fleet
}

fn proof(mac: Mac, form: ReplyForm, after: u64) -> Proof {
    let (site, firmware, at) = ("lyon".into(), "PXEClient (x64 UEFI)".into(), Wall(NOW.0 + after));
    Proof { site, mac, model: MODEL, firmware, form, at }
}

#[tokio::test]
async fn a_proof_is_kept_for_the_card_and_for_the_model_once() {
    let fleet = fleet().await;
    let told = proof(MAC, ReplyForm::File, 1);
    assert!(fleet.catalog.learn_form(&told).await.expect("recorded"));
    assert!(!fleet.catalog.learn_form(&told).await.expect("read"), "sent again");
    let forms = fleet.catalog.forms().await.expect("read");
    assert_eq!(forms.models[&MODEL].form, ReplyForm::File);
    assert_eq!(
        (forms.models[&MODEL].host.as_str(), forms.cards[&MAC].forms[&MODEL].form),
        ("web-1", ReplyForm::File)
    );
}

#[tokio::test]
async fn an_agent_teaches_of_its_own_sites_hosts_alone() {
    let fleet = fleet().await;
    let [elsewhere, unknown] = [3, 9].map(|last| Mac([0x0c, 0xc4, 0x7a, 0, 0, last]));
    for mac in [elsewhere, unknown] {
        assert!(!fleet.catalog.learn_form(&proof(mac, ReplyForm::File, 1)).await.expect("read"));
    }
    assert!(fleet.catalog.forms().await.expect("read").models.is_empty());
}

#[tokio::test]
async fn the_usual_form_speaks_for_its_machine_and_not_for_the_model() {
    let fleet = fleet().await;
    let neighbour = Mac([0x0c, 0xc4, 0x7a, 0, 0, 2]);
    for told in [proof(MAC, ReplyForm::BootService, 1), proof(neighbour, ReplyForm::Discovery, 2)] {
        assert!(fleet.catalog.learn_form(&told).await.expect("recorded"));
    }
    let forms = fleet.catalog.forms().await.expect("read");
    assert_eq!(forms.models[&MODEL].form, ReplyForm::BootService);
    assert_eq!(forms.cards[&neighbour].forms[&MODEL].form, ReplyForm::Discovery);
    assert!(fleet.catalog.learn_form(&proof(MAC, ReplyForm::Discovery, 3)).await.expect("recorded"));
    let forms = fleet.catalog.forms().await.expect("read");
    assert_eq!(forms.models[&MODEL].form, ReplyForm::Discovery, "who taught it takes it back");
}

#[tokio::test]
async fn what_a_host_taught_is_forgotten_and_older_proofs_do_not_bring_it_back() {
    let fleet = fleet().await;
    fleet.catalog.learn_form(&proof(MAC, ReplyForm::File, 1)).await.expect("recorded");
    let oslo = actor("olga", Role::Operator, &["oslo"]);
    fleet.catalog.forget_forms(&oslo, "web-1", NOW).await.expect_err("another site's");
    let then = Wall(NOW.0 + 1_000);
    fleet.catalog.forget_forms(&fleet.admin, "web-1", then).await.expect("forgotten");
    let forms = fleet.catalog.forms().await.expect("read");
    assert_eq!((forms.models.len(), forms.cards[&MAC].forms.len()), (0, 0));
    assert_eq!(forms.cards[&MAC].forget_before_ms, then);
    assert!(!fleet.catalog.learn_form(&proof(MAC, ReplyForm::File, 900)).await.expect("read"), "from before");
    assert!(fleet.catalog.learn_form(&proof(MAC, ReplyForm::File, 2_000)).await.expect("recorded"));
    let log = fleet.catalog.audit_log(None, 1).await.expect("read");
    assert_eq!((log[0].change.action.as_str(), log[0].change.name.as_str()), ("forget", "web-1"));
}

#[tokio::test]
async fn a_card_remembers_four_models_and_the_oldest_gives_way() {
    let fleet = fleet().await;
    for model in 0..6 {
        let told =
            Proof { model: FirmwareModel([model; 8]), ..proof(MAC, ReplyForm::File, 10 + u64::from(model)) };
        assert!(fleet.catalog.learn_form(&told).await.expect("recorded"));
    }
    let known: Vec<_> =
        fleet.catalog.forms().await.expect("read").cards[&MAC].forms.keys().copied().collect();
    assert_eq!(known, [2, 3, 4, 5].map(|model| FirmwareModel([model; 8])));
}
