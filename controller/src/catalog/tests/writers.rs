//! Writers at the same time, large requests, and the audit log.

use super::{super::audit::Line, *};
use crate::catalog::{CommitError, write::Effect};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_writers_one_loses_and_no_update_is_lost() {
    for fleet in [Fleet::in_memory().furnished().await, Fleet::on_sled().furnished().await] {
        let created = fleet.apply(&[host("web-1", 1)]).await.expect("new");
        // Another controller: the same store, another turn.
        let rival = Catalog::new(Arc::clone(fleet.catalog.store()));
        let version = |asset: &str| {
            let mut host = host("web-1", 1);
            host["spec"]["asset_tag"] = asset.into();
            request(vec![put(&host, created.revision.0)])
        };
        let (one, two) = (version("one"), version("two"));
        let (one, two) = tokio::join!(
            fleet.catalog.write(&fleet.admin, &fleet.vault, &one, NOW),
            rival.write(&fleet.admin, &fleet.vault, &two, NOW)
        );
        let (won, lost) = if one.is_ok() { ("one", two) } else { ("two", one) };
        assert_refused(lost, &["was changed by another writer", &format!("you read {}", created.revision)]);
        assert_eq!(fleet.host("web-1").await.asset_tag.as_deref(), Some(won));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rivals_cannot_both_take_a_mac_or_use_what_is_removed() {
    for _ in 0..20 {
        let fleet = Fleet::in_memory().furnished().await;
        let rival = Catalog::new(Arc::clone(fleet.catalog.store()));
        let (a, b) = (request(vec![apply(&host("a", 1))]), request(vec![apply(&host("b", 1))]));
        let (a, b) = tokio::join!(
            fleet.catalog.write(&fleet.admin, &fleet.vault, &a, NOW),
            rival.write(&fleet.admin, &fleet.vault, &b, NOW)
        );
        assert!(a.is_ok() != b.is_ok(), "{a:?} {b:?}");
        let profile = json!({"kind":"Profile","name":"p","spec":{"image":"rescue-1"}});
        fleet.write(vec![remove(Kind::Profile, "rescue")]).await.expect("unused");
        let (using, removing) =
            (request(vec![apply(&profile)]), request(vec![remove(Kind::Image, "rescue-1")]));
        let (using, removing) = tokio::join!(
            fleet.catalog.write(&fleet.admin, &fleet.vault, &using, NOW),
            rival.write(&fleet.admin, &fleet.vault, &removing, NOW)
        );
        assert!(using.is_ok() != removing.is_ok(), "{using:?} {removing:?}");
    }
}

#[tokio::test]
async fn a_put_must_know_what_it_replaces() {
    let fleet = Fleet::in_memory().furnished().await;
    fleet.write(vec![put(&host("web-1", 1), 0)]).await.expect("new");
    assert_refused(fleet.write(vec![put(&host("web-1", 2), 0)]).await, &["exists already, at revision"]);
    assert_refused(fleet.write(vec![put(&host("web-2", 2), 7)]).await, &["does not exist any more"]);
    let change = Change::Remove { kind: Kind::Host, name: "web-1".into(), revision: 1 };
    assert_refused(fleet.write(vec![change]).await, &["was changed by another writer"]);
}

#[tokio::test]
async fn one_mistake_refuses_the_whole_request() {
    let fleet = Fleet::in_memory().furnished().await;
    let before = fleet.everything().await;
    let mut bad = host("web-2", 2);
    bad["spec"]["site"] = "nice".into();
    let found = fleet.apply(&[host("web-1", 1), bad]).await;
    assert_refused(found, &["Host/web-2 spec.site"]);
    assert_eq!(fleet.everything().await, before);
}

#[tokio::test]
async fn many_documents_are_applied_in_parts_and_put_only_whole() {
    let fleet = Fleet::in_memory().furnished().await;
    let hosts: Vec<_> = (0..100).map(|n| host(&format!("web-{n}"), n)).collect();
    let puts = fleet.write(hosts.iter().map(|host| put(host, 0)).collect()).await.expect_err("too many");
    assert!(matches!(puts, WriteError::Commit(CommitError::TooLarge { .. })), "{puts:?}");
    assert!(puts.to_string().contains("split it"), "{puts}");
    let before = fleet.catalog.store().revision().await.expect("read");
    fleet.apply(&hosts).await.expect("in parts");
    let after = fleet.catalog.store().revision().await.expect("read");
    assert!(after.0 > before.0 + 1, "several transactions");
    assert_eq!(fleet.catalog.list::<HostSpec>(None).await.expect("read").items.len(), 100);
    let again = fleet.apply(&hosts).await.expect("the same again");
    assert!(again.outcomes.iter().all(|outcome| outcome.effect == Effect::Unchanged));
    assert_eq!(again.revision, after);
    let mut swapped = hosts.clone();
    swapped[0]["spec"]["macs"] = hosts[99]["spec"]["macs"].clone();
    swapped[99]["spec"]["macs"] = hosts[0]["spec"]["macs"].clone();
    for host in &mut swapped {
        host["spec"]["locked"] = true.into();
        host["spec"]["uuid"] = format!(
            "4c4c4544-0042-3510-8051-{}",
            host["spec"]["macs"][0].as_str().expect("a MAC").replace(':', "")
        )
        .into();
    }
    let swap = fleet.apply(&swapped).await.expect_err("a MAC changes hands");
    assert!(matches!(swap, WriteError::Commit(CommitError::Handover { .. })), "{swap:?}");
}

#[tokio::test]
async fn a_dry_run_says_what_would_happen_and_writes_nothing() {
    let fleet = Fleet::in_memory().furnished().await;
    fleet.apply(&[host("web-1", 1)]).await.expect("new");
    let before = fleet.everything().await;
    let mut changed = host("web-1", 1);
    changed["spec"]["serial"] = "S1".into();
    let secret = json!({"kind":"Secret","name":"root","spec":{"value":"hunter2-secret"}});
    let mut dry = request(vec![
        apply(&changed),
        apply(&host("web-2", 1)),
        apply(&secret),
        remove(Kind::Profile, "rescue"),
    ]);
    dry.dry_run = true;
    let answer = fleet.catalog.write(&fleet.admin, &fleet.vault, &dry, NOW).await.expect("an answer");
    let effects: Vec<_> = answer.outcomes.iter().map(|outcome| outcome.effect).collect();
    assert_eq!(effects, [Effect::Changed, Effect::Refused, Effect::Created, Effect::Removed]);
    assert_eq!(answer.revision.0, 0);
    let (was, is) = (answer.outcomes[0].before.as_ref(), answer.outcomes[0].after.as_ref());
    assert_eq!(spec_of(was.expect("there"))["serial"], Value::Null);
    assert_eq!(spec_of(is.expect("there"))["serial"], "S1");
    assert_eq!(spec_of(answer.outcomes[2].after.as_ref().expect("there")), json!({}));
    assert_eq!(fleet.everything().await, before);
}

#[tokio::test]
async fn every_change_has_an_audit_record_in_its_own_revision() {
    let fleet = Fleet::in_memory().furnished().await;
    let lines = fleet.catalog.audit_log(None, 1_000).await.expect("read");
    let of = |line: &Line| {
        format!("{} {} {}/{}", line.actor, line.change.action, line.change.kind, line.change.name)
    };
    let known: Vec<_> = lines.iter().map(of).collect();
    assert!(known.contains(&"operator/admin create Site/lyon".into()), "{known:?}");
    assert!(known.contains(&"agent/edge-1 enrol Agent/edge-1".into()), "{known:?}");
    for (key, _) in fleet.everything().await {
        let Some(place) = crate::catalog::keys::Place::parse(&key) else { continue };
        let key = crate::store::Key::parse(&key).expect("a key");
        let version = fleet.catalog.store().get(&key).await.expect("read").expect("there");
        let recorded = lines.iter().any(|line| {
            (line.change.kind, line.change.name.as_str(), line.revision)
                == (place.kind, place.name, version.mod_revision)
        });
        assert!(recorded, "{key} at {}", version.mod_revision);
    }
}

#[tokio::test]
async fn the_log_is_read_page_by_page_newest_first() {
    let fleet = Fleet::in_memory().furnished().await;
    for n in 0..30 {
        fleet.apply(&[host(&format!("web-{n}"), n)]).await.expect("new");
    }
    let all = fleet.catalog.audit_log(None, 1_000).await.expect("read");
    assert!(all.windows(2).all(|pair| pair[0].revision >= pair[1].revision));
    let (mut paged, mut before) = (Vec::new(), None);
    loop {
        let page = fleet.catalog.audit_log(before, 7).await.expect("read");
        let Some(last) = page.last() else { break };
        before = Some(last.revision);
        paged.extend(page);
    }
    assert_eq!(paged, all);
}

#[tokio::test]
async fn a_secret_is_sealed_and_the_same_value_changes_nothing() {
    let fleet = Fleet::in_memory();
    let secret = |value: &str| json!({"kind":"Secret","name":"root","spec":{"value":value}});
    fleet.apply(&[secret("hunter2-secret")]).await.expect("new");
    let stored = fleet.everything().await;
    let shown = stored.iter().any(|(_, value)| String::from_utf8_lossy(value).contains("hunter2"));
    assert!(!shown, "sealed at rest, absent from the log");
    let again = fleet.apply(&[secret("hunter2-secret")]).await.expect("the same");
    assert_eq!(again.outcomes[0].effect, Effect::Unchanged);
    assert_eq!(fleet.everything().await, stored);
    fleet.apply(&[secret("other")]).await.expect("another value");
    let found = fleet.catalog.get::<proto::catalog::SecretSpec>("root").await.expect("read").expect("there");
    let sealed = found.spec.sealed.expect("sealed");
    assert_eq!(fleet.vault.open("root", &sealed).expect("ours").as_str(), "other");
    let smuggled = json!({"kind":"Secret","name":"root","spec":{"sealed":"AAAA"}});
    assert_refused(fleet.apply(&[smuggled]).await, &["spec.sealed"]);
    let wrong = json!({"kind":"Secret","name":"root","spec":"hunter2-secret"});
    let refused = refusals(fleet.apply(&[wrong]).await);
    assert!(!refused.concat().contains("hunter2"), "{refused:?}");
}
