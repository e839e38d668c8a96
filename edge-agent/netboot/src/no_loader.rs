//! Says why a machine that was to boot is given no loader: what it is, where was looked, and what to do.

use proto::{
    Architecture, Platform,
    plan::{Boot, SitePlan},
};

/// For the event and for people. `architecture` is the first number of option 93.
pub(crate) fn explain(
    platform: Option<Platform>,
    architecture: Option<u16>,
    plan: &SitePlan,
    boot: &Boot,
) -> String {
    let Boot { profile, .. } = boot;
    let code = architecture.map(Architecture::describe);
    match (platform, code) {
        (Some(platform), code) => {
            let code = code.map(|code| format!(" (architecture {code})")).unwrap_or_default();
            format!(
                "profile {profile} has no loader for {platform}{code}: looked in {}; import one (`bootlane image \
                 import`, family loaders) and name it in the site, the profile or the host",
                looked(plan, boot)
            )
        }
        (None, Some(code)) => {
            format!("profile {profile} has no loader for architecture {code}, and none is known to exist")
        }
        (None, None) => format!("profile {profile} has no loader for a machine that names no architecture"),
    }
}

/// The sets, in the order in which they were looked at.
fn looked(plan: &SitePlan, boot: &Boot) -> String {
    let mut sets = boot.loaders.clone();
    match plan.loaders.values().find(|set| set.site_default) {
        Some(set) if sets.contains(&set.name) => {}
        Some(set) if set.name.is_empty() => sets.push("the site's own".into()),
        Some(set) => sets.push(format!("the site's {}", set.name)),
        None => sets.push("no loaders of the site, which names none".into()),
    }
    sets.join(", ")
}
