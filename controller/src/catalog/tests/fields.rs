//! Managers that share documents.

use super::*;
use crate::catalog::write::Effect;

async fn fleet() -> Fleet {
    let fleet = Fleet::in_memory().furnished().await;
    fleet.apply(&[host("web-1", 1)]).await.expect("new");
    fleet
}

async fn apply_as(fleet: &Fleet, manager: &str, force: bool, value: Value) -> Result<Written, WriteError> {
    let request = Request { manager: manager.into(), force, ..request(vec![apply(&value)]) };
    fleet.catalog.write(&fleet.admin, &fleet.vault, &request, NOW).await
}

fn lock(locked: bool) -> Value {
    json!({"kind":"Host","name":"web-1","spec":{"locked":locked}})
}

#[tokio::test]
async fn two_managers_declare_different_fields() {
    let fleet = fleet().await;
    apply_as(
        &fleet,
        "rack",
        false,
        json!({"kind":"Host","name":"web-1","labels":{"rack":"7"},"spec":{"serial":"S1"}}),
    )
    .await
    .expect("fields of its own");
    let mut of_git = host("web-1", 1);
    of_git["spec"]["asset_tag"] = "A1".into();
    fleet.apply(&[of_git]).await.expect("fields of git");
    let found = fleet.catalog.get_host("web-1").await.expect("read").expect("there");
    assert_eq!((found.spec.serial.as_deref(), found.spec.asset_tag.as_deref()), (Some("S1"), Some("A1")));
    assert_eq!(found.labels["rack"], "7");
}

#[tokio::test]
async fn another_managers_field_is_taken_only_by_force() {
    let fleet = fleet().await;
    apply_as(&fleet, "rack", false, lock(true)).await.expect("nobody's field");
    let mut of_git = host("web-1", 1);
    of_git["spec"]["locked"] = false.into();
    let refused = fleet.apply(&[of_git.clone()]).await;
    assert_refused(refused, &["Host/web-1 spec.locked", "owned by manager \"rack\""]);
    assert!(fleet.host("web-1").await.locked);
    apply_as(&fleet, "git", true, of_git).await.expect("by force");
    assert!(!fleet.host("web-1").await.locked);
    assert_refused(apply_as(&fleet, "rack", false, lock(true)).await, &["owned by manager \"git\""]);
}

#[tokio::test]
async fn the_same_value_is_shared() {
    let fleet = fleet().await;
    apply_as(&fleet, "rack", false, lock(true)).await.expect("nobody's field");
    let mut of_git = host("web-1", 1);
    of_git["spec"]["locked"] = true.into();
    fleet.apply(&[of_git]).await.expect("they agree");
    let mut without = host("web-1", 1);
    without["spec"]["asset_tag"] = "A1".into();
    fleet.apply(&[without]).await.expect("git lets go");
    assert!(fleet.host("web-1").await.locked, "rack holds it still");
}

#[tokio::test]
async fn what_is_declared_no_longer_is_removed() {
    let fleet = fleet().await;
    let mut more = host("web-1", 1);
    more["spec"]["variables"] = json!({"disk":"sda","raid":{"level":1}});
    more["labels"] = json!({"rack":"7"});
    fleet.apply(&[more]).await.expect("more");
    assert_eq!(fleet.host("web-1").await.variables["raid"]["level"], 1);
    fleet.apply(&[host("web-1", 1)]).await.expect("less");
    let found = fleet.catalog.get_host("web-1").await.expect("read").expect("there");
    assert!(found.spec.variables.is_empty() && found.labels.is_empty(), "{found:?}");
}

#[tokio::test]
async fn a_field_that_is_needed_is_not_pruned_away() {
    let fleet = fleet().await;
    let found = fleet.apply(&[json!({"kind":"Host","name":"web-1","spec":{"site":"lyon"}})]).await;
    assert_refused(found, &["Host/web-1 spec", "missing field `macs`"]);
}

#[tokio::test]
async fn the_same_value_in_another_spelling_is_no_change() {
    let fleet = fleet().await;
    let mut dashed = host("web-1", 1);
    dashed["spec"]["macs"] = json!(["52-54-00-00-00-01"]);
    let again = fleet.apply(&[dashed]).await.expect("the same");
    assert_eq!(again.outcomes[0].effect, Effect::Unchanged);
}

#[tokio::test]
async fn a_put_takes_what_it_changes_and_leaves_the_rest() {
    let fleet = fleet().await;
    let found = fleet.catalog.get_any(Kind::Host, "web-1").await.expect("read").expect("there");
    let revision = found.meta().expect("kept").revision;
    let mut set = host("web-1", 1);
    set["spec"]["profile"] = "rescue".into();
    let request = Request { manager: String::new(), ..request(vec![put(&set, revision)]) };
    fleet.catalog.write(&fleet.admin, &fleet.vault, &request, NOW).await.expect("as it was read");
    assert_refused(fleet.apply(&[host("web-1", 1)]).await, &["spec.profile", "owned by manager \"cli\""]);
    let found = fleet.catalog.get_host("web-1").await.expect("read").expect("there");
    let managers = found.meta.expect("kept").managers;
    assert_eq!(managers["cli"], ["/spec/profile"]);
    assert!(managers["git"].contains(&"/spec/macs".into()), "{managers:?}");
}
