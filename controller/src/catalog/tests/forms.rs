//! What agents teach of PXE ROMs, what is kept of it, and how it is forgotten.

use proto::{
    FirmwareModel, Mac,
    plan::{ReplyForm, ReplySettings},
};

use super::{
    super::{Model, Proof},
    *,
};

/// The controller's clock.
const LATER: Wall = Wall(NOW.0 + 1_000_000);
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
    assert!(fleet.catalog.learn_form(&told, LATER).await.expect("recorded"));
    assert!(!fleet.catalog.learn_form(&told, LATER).await.expect("read"), "sent again");
    let forms = fleet.catalog.forms().await.expect("read");
    assert_eq!(forms.models[&MODEL].newest.form, ReplyForm::File);
    assert_eq!(
        (forms.models[&MODEL].newest.host.as_str(), forms.cards[&MAC].forms[&MODEL].form),
        ("web-1", ReplyForm::File)
    );
}

#[tokio::test]
async fn an_agent_teaches_of_its_own_sites_hosts_alone() {
    let fleet = fleet().await;
    let [elsewhere, unknown] = [3, 9].map(|last| Mac([0x0c, 0xc4, 0x7a, 0, 0, last]));
    for mac in [elsewhere, unknown] {
        assert!(!fleet.catalog.learn_form(&proof(mac, ReplyForm::File, 1), LATER).await.expect("read"));
    }
    assert!(fleet.catalog.forms().await.expect("read").models.is_empty());
}

#[tokio::test]
async fn the_usual_form_speaks_for_its_machine_and_not_for_the_model() {
    let fleet = fleet().await;
    let neighbour = Mac([0x0c, 0xc4, 0x7a, 0, 0, 2]);
    for told in [proof(MAC, ReplyForm::BootService, 1), proof(neighbour, ReplyForm::Discovery, 2)] {
        assert!(fleet.catalog.learn_form(&told, LATER).await.expect("recorded"));
    }
    let forms = fleet.catalog.forms().await.expect("read");
    assert_eq!(forms.models[&MODEL].newest.form, ReplyForm::BootService);
    assert_eq!(forms.cards[&neighbour].forms[&MODEL].form, ReplyForm::Discovery);
    assert!(fleet.catalog.learn_form(&proof(MAC, ReplyForm::Discovery, 3), LATER).await.expect("recorded"));
    let forms = fleet.catalog.forms().await.expect("read");
    assert_eq!(forms.models[&MODEL].newest.form, ReplyForm::Discovery, "who taught it takes it back");
}

#[tokio::test]
async fn what_a_host_taught_is_forgotten_and_older_proofs_do_not_bring_it_back() {
    let fleet = fleet().await;
    fleet.catalog.learn_form(&proof(MAC, ReplyForm::File, 1), LATER).await.expect("recorded");
    let oslo = actor("olga", Role::Operator, &["oslo"]);
    fleet.catalog.forget_forms(&oslo, "web-1", NOW).await.expect_err("another site's");
    let then = Wall(NOW.0 + 1_000);
    fleet.catalog.forget_forms(&fleet.admin, "web-1", then).await.expect("forgotten");
    let forms = fleet.catalog.forms().await.expect("read");
    assert_eq!((forms.models.len(), forms.cards[&MAC].forms.len()), (0, 0));
    assert_eq!(forms.cards[&MAC].forget_before_ms, then);
    assert!(
        !fleet.catalog.learn_form(&proof(MAC, ReplyForm::File, 900), LATER).await.expect("read"),
        "from before"
    );
    assert!(fleet.catalog.learn_form(&proof(MAC, ReplyForm::File, 2_000), LATER).await.expect("recorded"));
    let log = fleet.catalog.audit_log(None, 1).await.expect("read");
    assert_eq!((log[0].change.action.as_str(), log[0].change.name.as_str()), ("forget", "web-1"));
}

#[tokio::test]
async fn a_card_remembers_four_models_and_the_oldest_gives_way() {
    let fleet = fleet().await;
    for model in 0..6 {
        let told =
            Proof { model: FirmwareModel([model; 8]), ..proof(MAC, ReplyForm::File, 10 + u64::from(model)) };
        assert!(fleet.catalog.learn_form(&told, LATER).await.expect("recorded"));
    }
    let known: Vec<_> =
        fleet.catalog.forms().await.expect("read").cards[&MAC].forms.keys().copied().collect();
    assert_eq!(known, [2, 3, 4, 5].map(|model| FirmwareModel([model; 8])));
}

const NEIGHBOUR: Mac = Mac([0x0c, 0xc4, 0x7a, 0, 0, 2]);
const ABROAD: Mac = Mac([0x0c, 0xc4, 0x7a, 0, 0, 3]);

impl Fleet {
    async fn learns(&self, told: Proof) -> bool {
        self.catalog.learn_form(&told, LATER).await.expect("recorded")
    }

    /// What a site is planned with for any machine of the model.
    async fn planned(&self, site: &str, proxy: bool) -> Option<ReplyForm> {
        let mut settings = ReplySettings::default();
        self.catalog.forms().await.expect("read").plan_models(site, proxy, &mut settings);
        settings.learned(Mac([9; 6]), MODEL)
    }
}

#[tokio::test]
async fn what_one_host_has_proved_is_planned_for_its_site_and_what_two_have_for_all() {
    let fleet = fleet().await;
    assert!(fleet.learns(proof(MAC, ReplyForm::File, 1)).await);
    assert_eq!(fleet.planned("lyon", false).await, Some(ReplyForm::File));
    assert_eq!(fleet.planned("oslo", false).await, None, "it may have been made up");
    assert!(fleet.learns(proof(MAC, ReplyForm::BootService, 2)).await);
    assert!(fleet.learns(proof(MAC, ReplyForm::File, 3)).await);
    assert_eq!(fleet.planned("oslo", false).await, None, "one voice");
    assert!(fleet.learns(proof(NEIGHBOUR, ReplyForm::File, 4)).await);
    assert_eq!(fleet.planned("oslo", false).await, Some(ReplyForm::File));
    let liar = Proof { site: "oslo".into(), ..proof(ABROAD, ReplyForm::BootService, 5) };
    assert!(fleet.learns(liar).await);
    for site in ["lyon", "oslo"] {
        assert_eq!(fleet.planned(site, false).await, Some(ReplyForm::File), "two against one");
    }
    fleet.catalog.forget_forms(&fleet.admin, "web-1", LATER).await.expect("forgotten");
    let of = fleet.catalog.forms().await.expect("read").models[&MODEL].clone();
    assert_eq!((of.is_confirmed(), of.witnesses.len()), (false, 2));
}

#[tokio::test]
async fn the_plain_file_is_not_planned_beside_another_server() {
    let fleet = fleet().await;
    for (mac, at) in [(MAC, 1), (NEIGHBOUR, 2)] {
        assert!(fleet.learns(proof(mac, ReplyForm::File, at)).await);
    }
    let forms = fleet.catalog.forms().await.expect("read");
    for (proxy, expected) in [(false, Some(ReplyForm::File)), (true, None)] {
        let mut settings = ReplySettings::default();
        forms.plan_cards(&[MAC], proxy, &mut settings);
        assert_eq!((settings.learned(MAC, MODEL), fleet.planned("oslo", proxy).await), (expected, expected));
    }
}

#[tokio::test]
async fn models_that_one_host_makes_up_push_out_none_but_its_sites() {
    let fleet = fleet().await;
    let abroad = Proof { site: "oslo".into(), ..proof(ABROAD, ReplyForm::File, 0) };
    assert!(fleet.learns(Proof { model: FirmwareModel([0xff; 8]), ..abroad }).await);
    for (mac, at) in [(MAC, 1), (NEIGHBOUR, 2)] {
        assert!(fleet.learns(proof(mac, ReplyForm::File, at)).await);
    }
    for made_up in 10..60 {
        let model = FirmwareModel([made_up; 8]);
        assert!(fleet.learns(Proof { model, ..proof(MAC, ReplyForm::File, made_up.into()) }).await);
    }
    let models = fleet.catalog.forms().await.expect("read").models;
    assert!(models[&MODEL].is_confirmed() && models.contains_key(&FirmwareModel([0xff; 8])));
    let made_up: Vec<_> = models.keys().filter(|model| (10..60).contains(&model.0[0])).collect();
    assert_eq!((made_up.len(), made_up[0]), (16, &FirmwareModel([44; 8])));
}

#[tokio::test]
async fn a_proof_of_a_clock_that_runs_ahead_counts_as_of_now() {
    let fleet = fleet().await;
    assert!(fleet.learns(proof(MAC, ReplyForm::File, 31_536_000_000)).await);
    assert_eq!(fleet.catalog.forms().await.expect("read").models[&MODEL].newest.at_ms, LATER);
    let told = proof(MAC, ReplyForm::BootService, 1_000_001);
    let now = Wall(LATER.0 + 1);
    assert!(fleet.catalog.learn_form(&told, now).await.expect("recorded"), "the clock was set right");
}

#[test]
fn a_model_of_before_voices_were_counted_is_one_hosts_word() {
    let json = r#"{"form":"file","firmware":"ROM","host":"web-1","site":"lyon","at_ms":1}"#;
    let of: Model = serde_json::from_str(json).expect("as it was written");
    assert_eq!((of.newest.form, of.is_confirmed()), (ReplyForm::File, false));
    assert_eq!(serde_json::to_string(&of).expect("text"), json);
}
