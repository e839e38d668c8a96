//! What its site holds of what a machine boots.

use proto::catalog::{OrderSpec, Resource};
use proto::{Wall, v1};

use super::{Inquiry, Unreadable};
use crate::diagnosis::{BootFacts, Supply, SupplyState};
use crate::events::BootSummary;
use crate::readiness;

impl Inquiry {
    /// Of what its order takes, or of the image that its profile runs.
    pub(super) async fn supply(
        &self,
        boot: &BootSummary,
        order: Option<&Resource<OrderSpec>>,
        boots: Option<&BootFacts>,
    ) -> Result<Option<Supply>, Unreadable> {
        let ordered = match order {
            Some(order) => readiness::of_order(&self.app, &order.name).await?.map(|(message, _)| message),
            None => None,
        };
        let readiness = match (ordered, boots) {
            (Some(ordered), _) => Some(ordered),
            (None, Some(boots)) => {
                readiness::of_image(&self.app, &boot.site, &boot.agent, &boots.image).await?
            }
            (None, None) => None,
        };
        Ok(readiness.as_ref().map(supply_of))
    }
}

pub(super) fn supply_of(readiness: &v1::Readiness) -> Supply {
    let state = match readiness.state.as_str() {
        "ready" => SupplyState::Ready,
        "arriving" | "waiting" => SupplyState::Arriving,
        "failed" => SupplyState::Failed,
        _ => SupplyState::Unknown,
    };
    Supply {
        state,
        bytes: readiness.bytes,
        held: readiness.held_bytes,
        done: (readiness.done_ms != 0).then_some(Wall(readiness.done_ms)),
        why: readiness.why.clone(),
        remedy: readiness.remedy.clone(),
    }
}
