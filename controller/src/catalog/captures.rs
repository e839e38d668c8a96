//! Who has fetched which capture: packets tell more of a machine than its timeline, so that is in the audit log.

use proto::{AttemptId, Wall, catalog::Kind};

use super::{Catalog, ChangeError, audit::Change, roles::Actor};

impl Catalog {
    /// Notes that a capture is fetched.
    ///
    /// # Errors
    /// [`ChangeError`]; then it is not to be given.
    pub async fn note_capture(
        &self,
        actor: &Actor,
        site: &str,
        attempt: AttemptId,
        now: Wall,
    ) -> Result<(), ChangeError> {
        let mut attempts = self.attempts().await;
        loop {
            let mut draft = attempts.begin().await?;
            draft.note(Change {
                action: "fetch-capture".into(),
                kind: Kind::Site,
                name: site.into(),
                detail: format!("boot {attempt}"),
            });
            if attempts.commit(draft, &actor.label(), now).await?.is_some() {
                return Ok(());
            }
        }
    }
}
