//! The lists of chunks that manifests name.

use proto::plan::{BlobRef, ChunkListRef};

use super::*;

const LIST: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn with_chunks(mut globals: Globals, image: &str, path: &str) -> Globals {
    let found = globals.images.get_mut(image).expect("there");
    let mut spec = serde_json::to_value(&found.spec).expect("a document");
    spec["files"][path]["chunks"] = json!({"sha256": LIST, "size": 39, "distinct": 5});
    *found = resource(image, 1, spec);
    globals
}

#[test]
fn a_plan_names_the_lists_of_what_it_names_and_no_others() {
    let profiles = json!({"live": {"image": "live", "mode": "run"}});
    let local = Local {
        site: Some(site(json!({}))),
        hosts: [host("web-1", 1, Some("live"))].into(),
        ..Local::default()
    };
    let without = planned(&globals(profiles.clone()), &local);
    assert!(decoded(&without).chunk_lists.is_empty());
    assert!(without.document.entries().all(|(key, _)| key != "chunks"));

    let globals = with_chunks(globals(profiles), "live", "vmlinuz");
    let plan = planned(&globals, &local);
    let list = BlobRef { digest: LIST.parse().expect("a digest"), size: 39 };
    let expected = ChunkListRef { list, distinct_bytes: 5 };
    let understood = decoded(&plan);
    assert_eq!(
        understood.chunk_lists.into_iter().collect::<Vec<_>>(),
        [(KERNEL.parse().expect("a digest"), expected)]
    );
    assert_eq!(plan.blobs.get(&list.digest), Some(&39), "agents may fetch it");
    assert!(decoded(&plan).blobs().all(|blob| blob != list), "nobody fetches it for its own sake");

    let elsewhere = Local { hosts: [host("web-1", 1, None)].into(), ..local };
    assert!(decoded(&planned(&globals, &elsewhere)).chunk_lists.is_empty());
}
