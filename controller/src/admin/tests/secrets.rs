//! No answer tells a secret.

use prost::Message as _;

use super::*;

const SECRET: &str = "correct-horse-in-a-secret";

/// Everything that every call can answer, as bytes, for somebody who may see it all.
async fn every_answer(lab: &Lab) -> Vec<u8> {
    let mut all = Vec::new();
    let mut client = lab.client();
    for kind in proto::catalog::Kind::ALL {
        let request = v1::ListRequest { kind: kind.word().into(), ..v1::ListRequest::default() };
        let list = client.list(by("admin", request)).await.expect("an answer").into_inner();
        for document in &list.documents {
            let request = v1::GetRequest { kind: document.kind.clone(), name: document.name.clone() };
            let one = client.get(by("admin", request)).await.expect("there").into_inner();
            all.extend(one.encode_to_vec());
        }
        all.extend(list.encode_to_vec());
    }
    let request = v1::ListAuditRequest { limit: 1_000, before_revision: 0 };
    all.extend(
        client.list_audit(by("admin", request)).await.expect("an answer").into_inner().encode_to_vec(),
    );
    let request = v1::BackupRequest { passphrase: "a long passphrase".into() };
    let mut backup = client.backup(by("admin", request)).await.expect("an answer").into_inner();
    while let Some(chunk) = backup.message().await.expect("whole") {
        all.extend(chunk.encode_to_vec());
    }
    all
}

#[tokio::test]
async fn no_answer_ever_holds_a_secret() {
    let lab = lab().await;
    let secret = |value: &str| json!({"kind":"Secret","name":"root","spec":{"value":value}});
    let has = |bytes: &[u8]| bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
    let mut dry = applies(&[secret(SECRET)]);
    dry.dry_run = true;
    let previewed = lab.client().write(by("admin", dry)).await.expect("an answer").into_inner();
    assert!(!has(&previewed.encode_to_vec()));
    let written = lab.apply(&[secret(SECRET)]).await.expect("new");
    assert!(!has(&written.encode_to_vec()));
    let changed = lab.apply(&[secret("something else entirely")]).await.expect("changed");
    assert!(!has(&changed.encode_to_vec()));
    lab.apply(&[secret(SECRET)]).await.expect("and back");
    for wrong in [
        json!({"kind":"Secret","name":"root","spec":SECRET}),
        json!({"kind":"Secret","name":"root","spec":{"value":[SECRET]}}),
        json!({"kind":"Secret","name":"root","labels":SECRET,"spec":{"value":SECRET}}),
        json!({"kind":"Secret","name":"root","spec":{"value":SECRET.repeat(10_000)}}),
    ] {
        let status = lab.apply(&[wrong]).await.expect_err("wrong");
        // Of a label it is the writer's own mistake to make a secret.
        let told = format!("{status:?}{:?}", fields(&status));
        assert!(!told.contains(SECRET) || told.contains("labels"), "{told}");
    }
    let sealed =
        lab.app.catalog.get::<proto::catalog::SecretSpec>("root").await.expect("read").expect("there");
    let sealed = sealed.spec.sealed.expect("sealed");
    let all = every_answer(&lab).await;
    assert!(all.len() > 1_000 && !has(&all));
    let get = lab.get("secret", "root").await.expect("there");
    let get = String::from_utf8_lossy(&get.json).into_owned();
    assert!(!get.contains(&sealed) && !get.contains("sealed"), "{get}");
}
