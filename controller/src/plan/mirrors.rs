//! The package mirrors that a site's agents serve.

use proto::catalog::{MirrorSpec, Resource, SiteSpec};
use proto::plan::MirrorPlan;

use super::SiteView;

/// The mirrors that are for `site`, in order of name.
pub(super) fn of<'a>(
    view: &'a SiteView<'_>,
    site: &'a Resource<SiteSpec>,
) -> impl Iterator<Item = MirrorPlan> + 'a {
    let chosen = view.globals.mirrors.values().filter(|mirror| mirror.spec.is_for(&site.labels));
    chosen.map(|mirror| planned(&mirror.name, &mirror.spec))
}

fn planned(name: &str, spec: &MirrorSpec) -> MirrorPlan {
    MirrorPlan {
        name: name.to_owned(),
        family: spec.family,
        upstreams: spec.upstreams.clone(),
        redirects_to: spec.redirects_to.clone(),
        index: spec.index.clone(),
        immutable: spec.immutable.clone(),
        fresh: spec.fresh.into(),
        budget_bytes: spec.budget.0,
        max_object_bytes: spec.largest().0,
    }
}
