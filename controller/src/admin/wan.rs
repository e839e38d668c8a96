//! Which rate of a site's `wan` holds now.

use proto::Wall;
use proto::catalog::{AnyResource, SiteSpec};
use serde_json::{Value, json};

use crate::app::App;

/// A document as callers see it: a site with rates says which holds now, for all of its agents together, and until when.
pub(super) fn with_wan(app: &App, mut any: AnyResource) -> AnyResource {
    let AnyResource::Site(site) = &any else { return any };
    let Some(wan) = in_force(&site.spec, app.clock.wall()) else { return any };
    let mut status = site.status.clone().unwrap_or_else(|| json!({}));
    if let Some(fields) = status.as_object_mut() {
        fields.insert("wan".into(), wan);
        any.set_status(Some(status));
    }
    any
}

fn in_force(site: &SiteSpec, now: Wall) -> Option<Value> {
    let planned = site.wan.as_ref()?.planned(site.timezone.as_ref(), 1);
    let held = planned.in_force(now);
    let entry = match held.window {
        Some(index) => format!("schedule[{index}]"),
        None => "rate".into(),
    };
    Some(json!({"rate": held.rate, "entry": entry, "until_ms": held.until}))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-03-27, a Friday, 08:00 UTC.
    const EIGHT: u64 = 1_774_598_400_000;

    #[test]
    fn the_entry_that_holds_is_named_with_its_end() {
        let spec = json!({"subnets": [{"network": "10.1.0.0/24"}], "wan": {"rate": "50Mbit", "schedule": [
            {"days": ["mon-fri"], "from": "08:00", "to": "18:00", "rate": "5Mbit"}]}});
        let spec: SiteSpec = serde_json::from_value(spec).expect("legal");
        let at = |ms| in_force(&spec, Wall(ms)).expect("it has rates");
        let office = json!({"rate": "5Mbit", "entry": "schedule[0]", "until_ms": EIGHT + 36_000_000});
        assert_eq!(at(EIGHT), office);
        assert_eq!(at(EIGHT - 1_000), json!({"rate": "50Mbit", "entry": "rate", "until_ms": EIGHT}));
        assert_eq!(in_force(&SiteSpec { wan: None, ..spec }, Wall(EIGHT)), None);
    }
}
