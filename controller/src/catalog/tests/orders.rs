//! Orders: who gets one, which stands, and when it ends.

use std::time::Duration;

use proto::{
    catalog::{OrderSpec, OrderStatus, Resource},
    event::OrderPhase,
};

use super::*;
use crate::catalog::{
    ChangeError, CommitError, JoinError,
    draft::{Draft, Edit},
    keys,
    orders::{CLOCK_ERROR, DEFAULT_LIFE, NewOrder, PhaseReport},
};
use crate::store::Txn;

async fn fleet() -> Fleet {
    let fleet = Fleet::in_memory().furnished().await;
    fleet.apply(&[host("web-1", 1)]).await.expect("new");
    fleet
}

fn new(host: &str) -> NewOrder {
    NewOrder { host: host.into(), profile: None, life: None, agent: None, wait: None }
}

async fn create_at(fleet: &Fleet, new: &NewOrder, now: Wall) -> Result<Resource<OrderSpec>, ChangeError> {
    fleet.catalog.create_order(&fleet.admin, new, now).await
}

async fn report(fleet: &Fleet, order: &Resource<OrderSpec>, phase: OrderPhase, since: Wall) -> bool {
    let id = order.id().expect("stored").into();
    let agent = order.spec.agent.clone();
    let report = PhaseReport { agent, order: id, phase, since, reason: String::new(), attempt: None };
    fleet.catalog.record_order_phase(&report).await.expect("recorded")
}

async fn phase(fleet: &Fleet, name: &str) -> Option<OrderPhase> {
    let order = fleet.catalog.get_order(name).await.expect("read").expect("there");
    order.status.map(|status| serde_json::from_value::<OrderStatus>(status).expect("a status").phase)
}

#[tokio::test]
async fn an_order_has_defaults_and_a_number() {
    let fleet = fleet().await;
    let order = create_at(&fleet, &new("web-1"), NOW).await.expect("in order");
    assert_eq!((order.name.as_str(), order.spec.number), ("web-1-1", 1));
    assert_eq!((order.spec.profile.as_str(), order.spec.agent.as_str()), ("debian", "edge-1"));
    assert_eq!(order.spec.not_after_ms, NOW.plus(DEFAULT_LIFE));
    let host = fleet.catalog.get_host("web-1").await.expect("read").expect("there");
    assert_eq!(host.id().map(proto::HostId::from), Some(order.spec.host_id));
}

#[tokio::test]
async fn a_second_live_order_is_refused_and_names_the_first() {
    let fleet = fleet().await;
    create_at(&fleet, &new("web-1"), NOW).await.expect("in order");
    let refused = create_at(&fleet, &new("web-1"), NOW).await.expect_err("one stands");
    assert!(
        matches!(refused, ChangeError::Precondition(_)) && refused.to_string().contains("web-1-1"),
        "{refused}"
    );
}

#[tokio::test]
async fn what_an_order_needs_is_checked() {
    let fleet = fleet().await;
    let text = |result: Result<Resource<OrderSpec>, ChangeError>| result.expect_err("refused").to_string();
    assert_eq!(text(create_at(&fleet, &new("web-9"), NOW).await), "there is no Host web-9");
    let bad = NewOrder {
        profile: Some("rescue".into()),
        life: Some(Duration::from_secs(31 * 86_400)),
        agent: Some("edge-9".into()),
        ..new("web-1")
    };
    let Err(ChangeError::Refused { problems }) = create_at(&fleet, &bad, NOW).await else {
        panic!("refused")
    };
    let fields: Vec<_> = problems.iter().map(|problem| problem.field.as_str()).collect();
    assert_eq!(fields, ["profile", "agent", "seconds"]);
    let gone = NewOrder { profile: Some("gone".into()), ..new("web-1") };
    assert!(text(create_at(&fleet, &gone, NOW).await).contains("there is no Profile gone"));
    let mut locked = host("web-1", 1);
    locked["spec"]["locked"] = true.into();
    fleet.apply(&[locked]).await.expect("locked");
    assert!(text(create_at(&fleet, &new("web-1"), NOW).await).contains("web-1 is locked"));
}

#[tokio::test]
async fn of_several_agents_one_must_be_named() {
    let fleet = fleet().await;
    fleet.enrol("lyon", "edge-2").await;
    let refused = create_at(&fleet, &new("web-1"), NOW).await.expect_err("which?");
    assert!(refused.to_string().contains("edge-1, edge-2"), "{refused}");
    fleet.catalog.revoke_agent(&fleet.admin, "edge-1", NOW).await.expect("revoked");
    let order = create_at(&fleet, &new("web-1"), NOW).await.expect("one is left");
    assert_eq!(order.spec.agent, "edge-2");
}

#[tokio::test]
async fn phases_before_the_end_are_seen_and_the_end_frees_the_host() {
    let fleet = fleet().await;
    let order = create_at(&fleet, &new("web-1"), NOW).await.expect("in order");
    let watched = fleet.catalog.store().revision().await.expect("read");
    assert!(report(&fleet, &order, OrderPhase::Offered, Wall(5)).await);
    assert!(report(&fleet, &order, OrderPhase::Started, Wall(6)).await);
    assert!(!report(&fleet, &order, OrderPhase::Started, Wall(6)).await, "no news");
    assert!(!report(&fleet, &order, OrderPhase::Offered, Wall(5)).await, "older");
    let seen = fleet.catalog.status(Kind::Order, "web-1-1").await.expect("read").expect("seen");
    assert_eq!(seen["phase"], serde_json::to_value(OrderPhase::Started).expect("a word"));
    let order_key = keys::resource(Kind::Order, "lyon", "web-1-1").expect("names");
    let unchanged = fleet.catalog.store().get(&order_key).await.expect("read").expect("there");
    assert!(unchanged.mod_revision <= watched, "the plan is not touched");
    assert!(fleet.write(vec![remove(Kind::Host, "web-1")]).await.is_err(), "its order stands");

    assert!(report(&fleet, &order, OrderPhase::Installed, Wall(7)).await);
    assert!(!report(&fleet, &order, OrderPhase::Installed, Wall(7)).await, "no news");
    assert_eq!(phase(&fleet, "web-1-1").await, Some(OrderPhase::Installed));
    assert_eq!(fleet.catalog.status(Kind::Order, "web-1-1").await.expect("read"), None);
    assert!(!report(&fleet, &order, OrderPhase::Started, Wall(9)).await, "it is over");
    let next = create_at(&fleet, &new("web-1"), NOW).await.expect("free");
    assert_eq!(next.name, "web-1-2");
}

#[tokio::test]
async fn only_the_orders_own_agent_reports_it() {
    let fleet = fleet().await;
    let mut order = create_at(&fleet, &new("web-1"), NOW).await.expect("in order");
    order.spec.agent = "edge-9".into();
    assert!(!report(&fleet, &order, OrderPhase::Installed, Wall(7)).await);
    assert_eq!(phase(&fleet, "web-1-1").await, None);
}

#[tokio::test]
async fn a_revoked_order_gives_way_at_the_same_agent_alone() {
    let fleet = fleet().await;
    fleet.enrol("lyon", "edge-2").await;
    let at = |agent: &str| NewOrder { agent: Some(agent.into()), ..new("web-1") };
    let order = create_at(&fleet, &at("edge-1"), NOW).await.expect("in order");
    let revoked = fleet.catalog.revoke_order(&fleet.admin, "web-1-1", NOW).await.expect("it stands");
    assert!(revoked.spec.revoked);
    let refused = create_at(&fleet, &at("edge-2"), NOW).await.expect_err("edge-1 may not know yet");
    assert!(refused.to_string().contains("edge-1 has not confirmed"), "{refused}");
    assert!(report(&fleet, &order, OrderPhase::Revoked, Wall(8)).await);
    let second = create_at(&fleet, &at("edge-2"), NOW).await.expect("confirmed");
    fleet.catalog.revoke_order(&fleet.admin, &second.name, NOW).await.expect("it stands");
    let third = create_at(&fleet, &at("edge-2"), NOW).await.expect("the same agent");
    assert_eq!((third.spec.number, phase(&fleet, &second.name).await), (3, Some(OrderPhase::Revoked)));
    let again = fleet.catalog.revoke_order(&fleet.admin, &second.name, NOW).await.expect_err("over");
    assert!(again.to_string().contains("at its end: revoked"), "{again}");
}

#[tokio::test]
async fn an_order_that_ran_out_gives_way_in_time() {
    let fleet = fleet().await;
    fleet.enrol("lyon", "edge-2").await;
    let at = |agent: &str| NewOrder { agent: Some(agent.into()), ..new("web-1") };
    let order = create_at(&fleet, &at("edge-1"), NOW).await.expect("in order");
    let ran_out = order.spec.not_after_ms.plus(CLOCK_ERROR);
    assert!(create_at(&fleet, &at("edge-1"), ran_out).await.is_err(), "clocks may differ by that much");
    let later = ran_out.plus(Duration::from_millis(1));
    assert!(create_at(&fleet, &at("edge-2"), later).await.is_err(), "edge-1 may be installing");
    let installed = ran_out.plus(Duration::from_secs(3_600));
    assert!(create_at(&fleet, &at("edge-2"), installed).await.is_err(), "to the millisecond");
    let over = installed.plus(Duration::from_millis(1));
    create_at(&fleet, &at("edge-2"), over).await.expect("no clock lets edge-1 install still");
    assert_eq!(phase(&fleet, &order.name).await, Some(OrderPhase::Expired));
    assert!(report(&fleet, &order, OrderPhase::Installed, Wall(9)).await, "but it had");
    assert_eq!(phase(&fleet, &order.name).await, Some(OrderPhase::Installed));
}

#[tokio::test]
async fn a_started_order_is_not_pushed_aside_by_its_own_agent() {
    let fleet = fleet().await;
    let order = create_at(&fleet, &new("web-1"), NOW).await.expect("in order");
    report(&fleet, &order, OrderPhase::Started, NOW).await;
    let later = order.spec.not_after_ms.plus(CLOCK_ERROR).plus(Duration::from_secs(1));
    assert!(create_at(&fleet, &new("web-1"), later).await.is_err(), "it is installing");
}

/// An order of edge-1 for web-1, and edge-1 revoked.
async fn stranded() -> (Fleet, Resource<OrderSpec>) {
    let fleet = fleet().await;
    fleet.apply(&[host("web-2", 2)]).await.expect("new");
    let order = create_at(&fleet, &new("web-1"), NOW).await.expect("in order");
    fleet.catalog.revoke_agent(&fleet.admin, "edge-1", NOW).await.expect("revoked");
    (fleet, order)
}

#[tokio::test]
async fn a_revoked_agents_order_holds_its_host_alone() {
    let (fleet, _) = stranded().await;
    let none = create_at(&fleet, &new("web-2"), NOW).await.expect_err("who would obey it?");
    assert!(none.to_string().contains("only revoked agents (edge-1)"), "{none}");
    fleet.enrol("lyon", "edge-2").await;
    let other = create_at(&fleet, &new("web-2"), NOW).await.expect("nothing stands in its way");
    assert_eq!(other.spec.agent, "edge-2");
    let held = create_at(&fleet, &new("web-1"), NOW).await.expect_err("edge-1 may obey it still");
    assert!(
        held.to_string().contains("edge-1 is revoked") && held.to_string().contains("--abandon"),
        "{held}"
    );
    assert_refused(
        fleet.write(vec![remove(Kind::Order, "web-1-1")]).await,
        &["edge-1 is revoked", "--abandon"],
    );
    assert_refused(fleet.write(vec![remove(Kind::Agent, "edge-1")]).await, &["Order web-1-1"]);
    let shown = fleet.catalog.get_with_status(Kind::Order, "web-1-1").await.expect("read").expect("there");
    let over = NOW.plus(DEFAULT_LIFE).plus(CLOCK_ERROR).plus(Duration::from_secs(3_600));
    let expected = json!({"over_ms": over, "agent_revoked": true, "host_locked": false});
    assert_eq!(shown.to_value()["status"], expected);
}

#[tokio::test]
async fn an_order_nobody_can_end_ends_with_its_time_and_all_can_be_removed() {
    let (fleet, order) = stranded().await;
    let over = order.spec.not_after_ms.plus(CLOCK_ERROR).plus(Duration::from_secs(3_600));
    assert_eq!(fleet.catalog.end_overdue_orders(over).await.expect("read"), 0, "to the millisecond");
    let later = over.plus(Duration::from_millis(1));
    assert_eq!(fleet.catalog.end_overdue_orders(later).await.expect("written"), 1);
    assert_eq!(fleet.catalog.end_overdue_orders(later).await.expect("read"), 0, "once");
    assert_eq!(phase(&fleet, "web-1-1").await, Some(OrderPhase::Expired));
    let audit = fleet.catalog.audit_log(None, 1).await.expect("read");
    assert_eq!((audit[0].actor.as_str(), audit[0].change.action.as_str()), ("controller", "end"));
    let gone = ["web-1-1"].map(|name| remove(Kind::Order, name)).into_iter();
    fleet
        .write(gone.chain([remove(Kind::Agent, "edge-1"), remove(Kind::Host, "web-1")]).collect())
        .await
        .expect("free");
}

#[tokio::test]
async fn a_profile_that_is_changed_moves_the_end_of_no_order() {
    let fleet = fleet().await;
    let install_time = |time: &str| json!({"kind":"Profile","name":"debian","spec":{"image":"debian-12","install_time":time}});
    fleet.apply(&[install_time("2h")]).await.expect("in order");
    let order = create_at(&fleet, &new("web-1"), NOW).await.expect("in order");
    assert!(report(&fleet, &order, OrderPhase::Started, NOW).await);
    fleet.apply(&[install_time("1m")]).await.expect("in order");
    let over = order.spec.not_after_ms.plus(CLOCK_ERROR).plus(Duration::from_secs(7_200));
    assert_eq!(fleet.catalog.end_overdue_orders(over).await.expect("read"), 0, "it may be installing");
    assert!(create_at(&fleet, &new("web-1"), over).await.is_err(), "it may be installing");
    let shown = fleet.catalog.get_with_status(Kind::Order, &order.name).await.expect("read").expect("there");
    assert_eq!(shown.to_value()["status"]["over_ms"], json!(over));
    let later = over.plus(Duration::from_millis(1));
    assert_eq!(fleet.catalog.end_overdue_orders(later).await.expect("written"), 1);
}

#[tokio::test]
async fn an_order_that_cannot_be_ended_keeps_no_other_from_its_end() {
    let fleet = fleet().await;
    fleet.enrol("oslo", "edge-2").await;
    let mut far = host("web-3", 3);
    far["spec"]["site"] = "oslo".into();
    fleet.apply(&[host("web-2", 2), far]).await.expect("new");
    for name in ["web-1", "web-2", "web-3"] {
        create_at(&fleet, &new(name), NOW).await.expect("in order");
    }
    let damage = |key| fleet.catalog.store().txn(Txn::new().put(key, "no JSON"));
    damage(keys::host_orders("web-1").expect("a name")).await.expect("written");
    let over = NOW.plus(DEFAULT_LIFE).plus(CLOCK_ERROR).plus(Duration::from_secs(3_601));
    assert_eq!(fleet.catalog.end_overdue_orders(over).await.expect("sites"), 2, "all but that of web-1");
    assert_eq!(phase(&fleet, "web-1-1").await, None);

    create_at(&fleet, &new("web-3"), NOW).await.expect("free");
    damage(keys::resource(Kind::Order, "lyon", "web-2-1").expect("names")).await.expect("written");
    assert_eq!(fleet.catalog.end_overdue_orders(over).await.expect("sites"), 1, "another site's");
    assert_eq!(phase(&fleet, "web-3-2").await, Some(OrderPhase::Expired));
}

#[tokio::test]
async fn an_end_that_an_agent_reports_meanwhile_is_not_overwritten() {
    let fleet = fleet().await;
    let order = create_at(&fleet, &new("web-1"), NOW).await.expect("in order");
    let mut draft = Draft::begin(&fleet.catalog).await.expect("read");
    let before = draft.get(Kind::Order, &order.name).await.expect("read");
    let after = before.clone();
    let edit = Edit { before, after, action: "end".into(), detail: String::new() };
    draft.edit(Kind::Order, &order.name, edit);
    assert!(report(&fleet, &order, OrderPhase::Installed, Wall(7)).await);
    let late = draft.commit("controller", NOW).await.expect_err("it was read before the report");
    assert!(matches!(late, CommitError::Conflict), "{late}");
    assert_eq!(phase(&fleet, &order.name).await, Some(OrderPhase::Installed));
}

#[tokio::test]
async fn an_admin_may_abandon_what_a_revoked_agent_leaves() {
    let (fleet, order) = stranded().await;
    fleet.enrol("lyon", "edge-2").await;
    let operator = actor("carl", Role::Operator, &[]);
    let denied = fleet.catalog.abandon_order(&operator, "web-1-1", NOW).await.expect_err("no admin");
    assert!(matches!(denied, ChangeError::Denied(_)), "{denied}");
    let ended = fleet.catalog.abandon_order(&fleet.admin, "web-1-1", NOW).await.expect("edge-1 is gone");
    let reason = ended.status.expect("ended")["reason"].as_str().expect("text").to_owned();
    assert!(reason.contains("operator/") && reason.contains("edge-1 is revoked"), "{reason}");
    let next = create_at(&fleet, &new("web-1"), NOW).await.expect("free");
    assert_eq!((next.spec.agent.as_str(), next.spec.number), ("edge-2", order.spec.number + 1));
    let serving =
        fleet.catalog.abandon_order(&fleet.admin, &next.name, NOW).await.expect_err("edge-2 can confirm");
    assert!(
        serving.to_string().contains("edge-2") && serving.to_string().contains("not revoked"),
        "{serving}"
    );
    assert_eq!(phase(&fleet, &next.name).await, None);
}

#[tokio::test]
async fn who_took_an_order_back_is_told() {
    let fleet = fleet().await;
    let order = create_at(&fleet, &new("web-1"), NOW).await.expect("in order");
    let carl = actor("carl", Role::Operator, &["lyon"]);
    fleet.catalog.revoke_order(&carl, &order.name, NOW).await.expect("it stands");
    report(&fleet, &order, OrderPhase::Revoked, Wall(8)).await;
    let ended = fleet.catalog.get_order(&order.name).await.expect("read").expect("there");
    assert_eq!(ended.status.expect("ended")["reason"], "taken back by operator/carl");
}

#[tokio::test]
async fn history_is_short_and_goes_with_the_host() {
    let fleet = fleet().await;
    for number in 1..=15 {
        let order = create_at(&fleet, &new("web-1"), NOW).await.expect("free");
        assert_eq!(order.spec.number, number);
        report(&fleet, &order, OrderPhase::Failed, Wall(number)).await;
    }
    let left = fleet.catalog.list::<OrderSpec>(Some("lyon")).await.expect("read").items;
    assert_eq!(left.len(), 10);
    fleet.write(vec![remove(Kind::Host, "web-1")]).await.expect("nothing stands");
    assert_eq!(fleet.catalog.list::<OrderSpec>(Some("lyon")).await.expect("read").items, []);
    fleet.apply(&[host("web-1", 1)]).await.expect("again");
    let order = create_at(&fleet, &new("web-1"), NOW).await.expect("free");
    assert_eq!(order.name, "web-1-16", "no name comes twice");
}

#[tokio::test]
async fn a_name_that_is_too_long_becomes_an_id() {
    let fleet = fleet().await;
    let name = "h".repeat(63);
    fleet.apply(&[host(&name, 9)]).await.expect("new");
    let order = create_at(&fleet, &new(&name), NOW).await.expect("in order");
    assert!(order.name.starts_with("order-") && order.name.len() == 38, "{}", order.name);
}

#[tokio::test]
async fn a_token_enrols_as_often_as_it_says_and_repeats_its_answer() {
    let fleet = fleet().await;
    let (name, site) = ("acme".parse().expect("a name"), "lyon".parse().expect("a name"));
    let token =
        certs::JoinToken::generate(name, site, certs::SpkiFingerprint::of_spki(b"root")).expect("random");
    let spec = proto::catalog::TokenSpec {
        site: "lyon".into(),
        agent: None,
        uses: 1,
        not_after_ms: NOW,
        secret: Some(Digest(*token.secret.hash().as_bytes())),
        enrolled: vec![],
    };
    let id = token.id.to_string();
    fleet.catalog.create_token(&fleet.admin, &id, spec, NOW).await.expect("a token");
    let joining = |agent: &str, key: &[u8]| Joining {
        token: id.clone(),
        secret: token.secret.clone(),
        agent: agent.into(),
        key: Digest::of(key),
        public_key: "AAAA".into(),
    };
    let stranger = certs::TokenSecret::try_from([9; 32].as_slice()).expect("32 bytes");
    let wrong = Joining { secret: stranger, ..joining("edge-5", b"5") };
    assert!(matches!(fleet.catalog.enrol(&wrong, NOW).await, Err(JoinError::Unknown)));
    let late = fleet.catalog.enrol(&joining("edge-5", b"5"), Wall(NOW.0 + 1)).await;
    assert!(matches!(late, Err(JoinError::Expired)));
    let taken = fleet.catalog.enrol(&joining("edge-1", b"5"), NOW).await;
    assert!(matches!(taken, Err(JoinError::Taken(_))), "{taken:?}");
    let first = fleet.catalog.enrol(&joining("edge-5", b"5"), NOW).await.expect("new");
    let again = fleet.catalog.enrol(&joining("edge-5", b"5"), NOW).await.expect("the same key");
    assert_eq!(first.id(), again.id());
    let used = fleet.catalog.enrol(&joining("edge-6", b"6"), NOW).await;
    assert!(matches!(used, Err(JoinError::UsedUp)));
    fleet.catalog.revoke_agent(&fleet.admin, "edge-5", NOW).await.expect("revoked");
    assert!(fleet.agent("edge-5").await.revoked);
    let revoked = fleet.catalog.enrol(&joining("edge-5", b"5"), NOW).await;
    assert!(matches!(revoked, Err(JoinError::Revoked(_))));
}

fn waiting(host: &str) -> NewOrder {
    NewOrder { wait: Some(Duration::from_secs(3_600)), life: Some(Duration::from_secs(60)), ..new(host) }
}

#[tokio::test]
async fn an_order_that_waits_is_armed_once_and_lives_from_then_on() {
    let fleet = fleet().await;
    let order = create_at(&fleet, &waiting("web-1"), NOW).await.expect("in order");
    let wait = order.spec.waiting.clone().expect("it waits");
    assert_eq!(wait.until_ms, NOW.plus(Duration::from_secs(3_600)));
    let refused = create_at(&fleet, &new("web-1"), NOW).await.expect_err("one waits");
    assert!(refused.to_string().contains("web-1-1, which waits"), "{refused}");
    let later = NOW.plus(Duration::from_secs(600));
    assert!(fleet.catalog.arm_order("web-1-1", later).await.expect("written"));
    assert!(!fleet.catalog.arm_order("web-1-1", later).await.expect("it stands"));
    let armed = fleet.catalog.get_order("web-1-1").await.expect("read").expect("there").spec;
    assert_eq!((armed.waiting, armed.armed_ms), (None, Some(later)));
    assert_eq!(armed.not_after_ms, later.plus(Duration::from_secs(60)));
}

#[tokio::test]
async fn a_wait_can_be_cancelled_and_ends_at_once() {
    let fleet = fleet().await;
    create_at(&fleet, &waiting("web-1"), NOW).await.expect("in order");
    let revoked = fleet.catalog.revoke_order(&fleet.admin, "web-1-1", NOW).await.expect("taken back");
    assert!(revoked.status.is_some());
    assert_eq!(phase(&fleet, "web-1-1").await, Some(OrderPhase::Revoked));
    assert!(!fleet.catalog.arm_order("web-1-1", NOW).await.expect("nothing"), "it is over");
    create_at(&fleet, &new("web-1"), NOW).await.expect("the host is free");
}

#[tokio::test]
async fn a_wait_ends_by_its_own_limit_and_not_while_the_host_is_locked() {
    let fleet = fleet().await;
    create_at(&fleet, &waiting("web-1"), NOW).await.expect("in order");
    let mut locked = host("web-1", 1);
    locked["spec"]["locked"] = true.into();
    fleet.apply(&[locked]).await.expect("locked");
    assert!(
        !fleet.catalog.arm_order("web-1-1", NOW).await.expect("nothing"),
        "a locked host is not overwritten"
    );
    let end = NOW.plus(Duration::from_secs(3_600));
    assert_eq!(fleet.catalog.end_overdue_orders(end).await.expect("looked"), 0);
    let after = end.plus(Duration::from_millis(1));
    assert!(!fleet.catalog.arm_order("web-1-1", after).await.expect("nothing"), "too late");
    assert_eq!(fleet.catalog.end_overdue_orders(after).await.expect("looked"), 1);
    assert_eq!(phase(&fleet, "web-1-1").await, Some(OrderPhase::Expired));
}
