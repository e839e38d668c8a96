//! Labels that select nothing, so that who wrote them hears of it at once: a misspelt one is legal.

use std::collections::BTreeMap;

use proto::catalog::{AnyResource, Kind, MirrorSpec, Resource, SiteSpec};
use proto::v1;

use crate::app::App;
use crate::catalog::ReadError;
use crate::catalog::write::{Effect, Outcome};

type Labels = BTreeMap<String, String>;

/// A warning for each mirror that no site takes any more, or that was written and none takes.
///
/// # Errors
/// [`ReadError`].
pub(super) async fn idle(app: &App, outcomes: &[Outcome]) -> Result<Vec<v1::PlanWarning>, ReadError> {
    let written: Vec<_> = outcomes.iter().filter(|outcome| is_news(outcome)).collect();
    let before: Vec<_> = written.iter().filter_map(|outcome| labels_of(outcome.before.as_ref())).collect();
    let mut mirrors: BTreeMap<_, _> = written.iter().filter_map(|outcome| mirror(outcome)).collect();
    if !before.is_empty() {
        for stored in app.catalog.list::<MirrorSpec>(None).await?.items {
            if before.iter().any(|labels| stored.spec.is_for(labels)) {
                mirrors.entry(stored.name).or_insert(stored.spec);
            }
        }
    }
    mirrors.retain(|_, mirror| !mirror.sites.is_empty());
    if mirrors.is_empty() {
        return Ok(vec![]);
    }
    let sites = sites(app, &written).await?;
    mirrors.retain(|_, mirror| !sites.values().any(|labels| mirror.is_for(labels)));
    Ok(mirrors.into_iter().map(|(name, mirror)| warning(name, &mirror)).collect())
}

fn is_news(outcome: &Outcome) -> bool {
    match outcome.effect {
        Effect::Created | Effect::Changed | Effect::Removed => true,
        Effect::Unchanged | Effect::Refused => false,
    }
}

/// The labels that a site had.
fn labels_of(any: Option<&AnyResource>) -> Option<&Labels> {
    any.filter(|any| any.kind() == Kind::Site).map(AnyResource::labels)
}

fn mirror(outcome: &Outcome) -> Option<(String, MirrorSpec)> {
    let Some(AnyResource::Mirror(mirror)) = &outcome.after else { return None };
    Some((mirror.name.clone(), mirror.spec.clone()))
}

/// The labels of every site, as they are after the write, also where it is a dry run.
async fn sites(app: &App, written: &[&Outcome]) -> Result<BTreeMap<String, Labels>, ReadError> {
    let stored = app.catalog.list::<SiteSpec>(None).await?.items;
    let mut sites: BTreeMap<_, _> =
        stored.into_iter().map(|Resource { name, labels, .. }| (name, labels)).collect();
    for outcome in written.iter().filter(|outcome| outcome.kind == Kind::Site) {
        match labels_of(outcome.after.as_ref()) {
            Some(labels) => sites.insert(outcome.name.clone(), labels.clone()),
            None => sites.remove(&outcome.name),
        };
    }
    Ok(sites)
}

fn warning(name: String, mirror: &MirrorSpec) -> v1::PlanWarning {
    let labels: Vec<_> = mirror.sites.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let labels = labels.join(",");
    v1::PlanWarning {
        site: String::new(),
        kind: Kind::Mirror.word().to_owned(),
        name,
        field: "spec.sites".to_owned(),
        message: format!("selects nothing: no site has {labels}, so no agent serves the mirror"),
    }
}
