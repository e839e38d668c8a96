//! What two hosts have proved of a PXE ROM is planned for every site, until an operator forgets it.

use proto::event::{Event, EventKind, NumberedEvent};
use proto::plan::{PlanDocument, ReplyForm, SitePlan};
use proto::v1::{self, update::Change};
use proto::{FirmwareModel, Mac};

use serde_json::json;

use super::harness::{Controller, admin, next_plan, now};
use super::plans::snapshot;
use super::reports::Stream;

const MODEL: FirmwareModel = FirmwareModel([7; 8]);
/// The harness's `web-1`.
const MAC: Mac = Mac([0x52, 0x54, 0, 0, 0, 1]);

const NEIGHBOUR: Mac = Mac([0x52, 0x54, 0, 0, 0, 2]);

fn proof(number: u64, mac: Mac) -> v1::NumberedEvent {
    let kind = EventKind::FormMoved {
        form: ReplyForm::BootService,
        proved: true,
        model: MODEL,
        firmware: "PXEClient:Arch:00007 (0x0007, x64 UEFI)".into(),
        why: "it has fetched what it was told to".into(),
    };
    let event = Event { at: now(), attempt: None, host: None, mac: Some(mac), kind };
    NumberedEvent { number, event }.into()
}

async fn changed(stream: &mut tonic::Streaming<v1::Update>, plan: &PlanDocument) -> PlanDocument {
    let update = next_plan(stream).await.expect("open").expect("an update");
    let Some(Change::Delta(delta)) = update.change else { panic!("expected a change: {update:?}") };
    plan.apply(delta).expect("it fits")
}

fn decoded(plan: &PlanDocument) -> SitePlan {
    SitePlan::decode(plan).expect("agents understand it")
}

#[tokio::test]
async fn another_site_is_planned_with_the_form_that_two_hosts_of_one_have_proved() {
    let controller = Controller::with_lyon().await;
    let neighbour = json!({"site": "lyon", "macs": [NEIGHBOUR.to_string()]});
    controller.apply(&[json!({"kind": "Host", "name": "web-9", "spec": neighbour})]).await;
    let (lyon, nice) = (controller.agent("lyon", "lyon-1").await, controller.agent("nice", "nice-1").await);
    let (mut here, first_here) = snapshot(&lyon).await;
    let (mut there, first_there) = snapshot(&nice).await;
    let stranger = Mac([2, 0, 0, 0, 0, 9]);
    assert_eq!(decoded(&first_there).learned_form(stranger, MODEL), None);

    let mut events = Stream::open(&lyon).await;
    events.batch(vec![proof(1, MAC)]).await.expect("stored");
    let second_here = changed(&mut here, &first_here).await;
    assert_eq!(decoded(&second_here).learned_form(stranger, MODEL), Some(ReplyForm::BootService));
    events.batch(vec![proof(2, NEIGHBOUR)]).await.expect("stored");
    let second_there = changed(&mut there, &first_there).await;
    assert_eq!(decoded(&second_there).learned_form(stranger, MODEL), Some(ReplyForm::BootService));
    let second_here = changed(&mut here, &second_here).await;
    let host = decoded(&second_here).host_of(MAC).expect("known").reply.clone();
    assert_eq!(
        host.learned(MAC, MODEL),
        Some(ReplyForm::BootService),
        "for its other agent, or the next one"
    );

    controller.running.app.catalog.forget_forms(&admin(), "web-1", now()).await.expect("forgotten");
    let third_there = changed(&mut there, &second_there).await;
    assert_eq!(decoded(&third_there).learned_form(stranger, MODEL), None);
    let third_here = decoded(&changed(&mut here, &second_here).await);
    assert_eq!(third_here.host_of(MAC).expect("known").reply.learned(MAC, MODEL), None);
    assert_eq!(third_here.learned_form(MAC, MODEL), Some(ReplyForm::BootService), "its neighbour's word");
    assert!(third_here.host_of(MAC).expect("known").reply.forget_before.0 > 0, "the agent forgets it too");
}
