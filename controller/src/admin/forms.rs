//! What the fleet has learnt of PXE ROMs.

use proto::{FirmwareModel, v1};
use tonic::Status;

use super::refusal;
use crate::{
    app::App,
    catalog::{Learned, roles::Actor},
};

pub(super) async fn list(app: &App) -> Result<v1::ListFormsResponse, Status> {
    let known = app.catalog.forms().await.map_err(refusal::read)?;
    let models = known.models.iter().map(|(model, of)| line(*model, String::new(), &of.newest));
    let cards = known
        .cards
        .iter()
        .flat_map(|(mac, card)| card.forms.iter().map(|(model, of)| line(*model, mac.to_string(), of)));
    Ok(v1::ListFormsResponse { forms: models.chain(cards).collect() })
}

pub(super) async fn forget(app: &App, actor: &Actor, host: &str) -> Result<v1::ForgetFormsResponse, Status> {
    app.catalog.forget_forms(actor, host, app.clock.wall()).await.map_err(refusal::change)?;
    Ok(v1::ForgetFormsResponse {})
}

fn line(model: FirmwareModel, mac: String, of: &Learned) -> v1::KnownForm {
    let Learned { form, firmware, host, site, at_ms } = of.clone();
    let (model, form) = (model.to_string(), form.word().to_owned());
    v1::KnownForm { model, firmware, form, mac, host, site, at_ms: at_ms.0 }
}
