//! Boots on paper, over gRPC.

use super::*;
use crate::store::{Entry, Revision, Scan};

async fn catalog(lab: &Lab) -> Vec<Entry> {
    lab.app.store.scan(Scan::prefix("/site/")).await.expect("read").entries
}

#[tokio::test]
async fn a_boot_is_simulated_for_every_role_and_changes_nothing() {
    let lab = lab().await;
    lab.enrol("edge-1").await;
    let mut host = host("web-1", 1);
    host["spec"]["address"] = "10.1.0.9".into();
    lab.apply(&[host]).await.expect("new");
    let order = v1::CreateOrderRequest { host: "web-1".into(), ..v1::CreateOrderRequest::default() };
    let order = lab.client().create_order(by("admin", order)).await.expect("in order").into_inner();
    lab.app.planner.reached(Revision(order.revision)).await;
    let before = catalog(&lab).await;
    let ask = |machine: &str, firmware: &str| v1::SimulateBootRequest {
        machine: machine.into(),
        firmware: firmware.into(),
        ..v1::SimulateBootRequest::default()
    };
    let simulated = |request| async { lab.client().simulate_boot(by("viewer", request)).await };
    let answer = simulated(ask("web-1", "uefi-x64")).await.expect("it boots").into_inner();
    assert_eq!(
        (answer.host.as_str(), answer.agent.as_str(), answer.site.as_str()),
        ("web-1", "edge-1", "lyon")
    );
    let text = format!("{answer:?}");
    assert!(text.contains("installs debian") && text.contains("ipxe.efi"), "{text}");
    let flags: Vec<_> = answer.flags.iter().map(|flag| flag.what.as_str()).collect();
    assert!(flags.iter().any(|what| what.contains("was never heard")), "{flags:?}");
    assert!(
        flags.iter().any(|what| what.contains("not at the controller")),
        "no blob was imported: {flags:?}"
    );
    let again = simulated(ask("web-1", "uefi-x64")).await.expect("it boots").into_inner();
    assert_eq!(answer, again);
    assert_eq!(catalog(&lab).await, before, "nothing was written");

    let stranger = simulated(ask("02:00:00:00:00:99", "bios")).await.expect_err("where?");
    assert_eq!(fields(&stranger), ["site"]);
    let at = v1::SimulateBootRequest { site: "lyon".into(), ..ask("02:00:00:00:00:99", "bios") };
    let answer = simulated(at).await.expect("it asks").into_inner();
    assert!(
        answer.host.is_empty() && answer.flags.iter().any(|flag| flag.what.contains("ignore")),
        "{answer:?}"
    );
    assert_eq!(fields(&simulated(ask("web-1", "abacus")).await.expect_err("none")), ["firmware"]);
    assert_eq!(simulated(ask("web-9", "bios")).await.expect_err("none").code(), Code::NotFound);
    let elsewhere = v1::SimulateBootRequest { agent: "edge-9".into(), ..ask("web-1", "bios") };
    assert_eq!(simulated(elsewhere).await.expect_err("none").code(), Code::NotFound);
    assert_eq!(
        lab.client().simulate_boot(by("nobody", ask("web-1", "bios"))).await.expect_err("who?").code(),
        Code::Unauthenticated
    );
}
