//! A boot on paper, for who asks.

use proto::v1;
use tokio::sync::Semaphore;
use tonic::Status;

use super::refusal;
use crate::app::App;
use crate::simulate::{self, GatherError, Question};

/// Simulations at a time: each takes a core for some milliseconds, and the plan's size in memory.
static TURNS: Semaphore = Semaphore::const_new(2);

pub(super) async fn boot(
    app: &App,
    request: v1::SimulateBootRequest,
) -> Result<v1::SimulateBootResponse, Status> {
    let question = question(request)?;
    // Never closed.
    let _turn = TURNS.acquire().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let (scenario, site) = simulate::gather(app, &question).await.map_err(refused)?;
    let paper = tokio::task::spawn_blocking(move || {
        let simulation = simulate::boot(&scenario);
        let flags = simulate::judge(&scenario, &simulation);
        simulate::message(site, &scenario, &simulation, flags)
    });
    paper.await.map_err(|error| {
        tracing::error!(%error, "a boot on paper has ended early");
        Status::internal("the boot cannot be simulated")
    })
}

fn question(request: v1::SimulateBootRequest) -> Result<Question, Status> {
    let v1::SimulateBootRequest { machine, firmware, site, agent, memory_bytes } = request;
    let firmware =
        firmware.parse().map_err(|error: rom::NotAFirmware| refusal::field("firmware", error.to_string()))?;
    Ok(Question { machine, firmware, site, agent, memory: (memory_bytes != 0).then_some(memory_bytes) })
}

fn refused(error: GatherError) -> Status {
    match error {
        GatherError::Catalog(error) => refusal::read(error),
        GatherError::Leases(error) => {
            tracing::error!(%error, "leases cannot be read");
            Status::unavailable(error.to_string())
        }
        GatherError::Missing(_) => Status::not_found(error.to_string()),
        GatherError::Site(_) => refusal::field("site", error.to_string()),
        GatherError::Plan { .. } => Status::internal(error.to_string()),
    }
}
