//! Logins to the page for browsers.

use proto::v1;
use tonic::Status;

use super::refusal;
use crate::app::App;
use crate::catalog::roles::Actor;
use crate::logins::{Holder, KeyError};

pub(super) async fn create_login(app: &App, actor: &Actor) -> Result<v1::CreatePageLoginResponse, Status> {
    let none = || {
        Status::failed_precondition(
            "this controller serves no page: set `listen` of [page] in its configuration",
        )
    };
    let logins = app.logins.as_ref().ok_or_else(none)?;
    let (id, actor) = app.catalog.operator(&actor.name).await.map_err(refusal::access)?;
    let ticket = logins.ticket(Holder { id, name: actor.name }).map_err(refused)?;
    let seconds = u32::try_from(ticket.life.as_secs()).unwrap_or(u32::MAX);
    Ok(v1::CreatePageLoginResponse { url: ticket.url, seconds })
}

fn refused(error: KeyError) -> Status {
    match error {
        KeyError::TooManyOfOne | KeyError::TooMany => Status::resource_exhausted(error.to_string()),
        KeyError::NoRandomness(_) => Status::internal(error.to_string()),
    }
}
