//! What plans lack since a write, so that who wrote hears of it at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proto::v1;

use crate::app::App;
use crate::plan::PlanProblem;
use crate::planner::Published;
use crate::store::Revision;

/// Warnings of one answer; of those beyond it only the number is told.
const MOST: usize = 50;
/// Plans of a large fleet are made after the answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// The problems of the plans as of `revision` that those `before` did not have, and how many more.
pub(super) async fn since(
    app: &App,
    before: BTreeMap<String, Arc<Published>>,
    revision: Revision,
) -> (Vec<v1::PlanWarning>, u32) {
    if tokio::time::timeout(PATIENCE, app.planner.reached(revision)).await.is_err() {
        return (vec![], 0);
    }
    let (mut warnings, mut more) = (Vec::new(), 0u32);
    for (site, after) in app.planner.sites() {
        let before = before.get(&site);
        if before.is_some_and(|before| Arc::ptr_eq(before, &after)) {
            continue;
        }
        let known = before.map_or(&[][..], |before| before.problems.as_slice());
        for problem in after.problems.iter().filter(|problem| !known.contains(problem)) {
            match warnings.len() {
                MOST => more = more.saturating_add(1),
                _ => warnings.push(warning(&site, problem)),
            }
        }
    }
    (warnings, more)
}

fn warning(site: &str, problem: &PlanProblem) -> v1::PlanWarning {
    v1::PlanWarning {
        site: site.to_owned(),
        kind: problem.kind.word().to_owned(),
        name: problem.name.clone(),
        field: problem.field.clone(),
        message: problem.message.clone(),
    }
}
