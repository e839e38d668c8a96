//! The alarms of sites.

use proto::event::AlarmKind;
use proto::v1;
use tonic::Status;

use super::{known, refusal};
use crate::app::App;

/// Alarms of one answer.
const MOST: usize = 10_000;

/// As documents write it: `foreign-dhcp`.
fn word(kind: AlarmKind) -> String {
    serde_json::to_value(kind).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

pub(super) async fn list(
    app: &App,
    request: v1::ListAlarmsRequest,
) -> Result<v1::ListAlarmsResponse, Status> {
    let site = known::site(app, request.site).await?;
    let mut alarms = Vec::new();
    for (site, alarm) in
        app.catalog.alarms(site.as_deref()).await.map_err(refusal::read)?.into_iter().take(MOST)
    {
        let host = match alarm.host {
            Some(host) => app.catalog.host_name(host).await.map_err(refusal::read)?.unwrap_or_default(),
            None => String::new(),
        };
        alarms.push(v1::KnownAlarm {
            site,
            agent: alarm.agent,
            kind: word(alarm.kind),
            detail: alarm.detail,
            host,
            mac: alarm.mac.map(|mac| mac.to_string()).unwrap_or_default(),
            first_ms: alarm.first_ms.0,
            last_ms: alarm.last_ms.0,
            times: alarm.times,
        });
    }
    Ok(v1::ListAlarmsResponse { alarms })
}
