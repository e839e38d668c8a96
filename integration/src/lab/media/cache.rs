//! Folders of built things, by a key of their content's sources.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::MediaError;
use crate::lab::folder::LabFolder;

/// Collects what goes into a thing, and names the folder that holds it.
pub(crate) struct Recipe {
    kind: &'static str,
    hasher: Sha256,
}

impl Recipe {
    /// A recipe for a thing of this kind. `revision` stands for the code that builds it.
    pub(crate) fn new(kind: &'static str, revision: u32) -> Self {
        Self { kind, hasher: Sha256::new() }.with(&revision.to_be_bytes())
    }

    /// Adds an ingredient, told apart from its neighbours by its length.
    pub(crate) fn with(mut self, ingredient: &[u8]) -> Self {
        self.hasher.update((ingredient.len() as u64).to_be_bytes());
        self.hasher.update(ingredient);
        self
    }

    /// The folder of the built thing; `build` fills it when it is not there yet. It is built aside and
    /// renamed, so that a half-built one is never taken for whole.
    pub(crate) fn built(
        self,
        lab: &LabFolder,
        build: impl FnOnce(&Path) -> Result<(), MediaError>,
    ) -> Result<PathBuf, MediaError> {
        let digest: [u8; 32] = self.hasher.finalize().into();
        let key: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        let place = lab.media().join(format!("{}-{key}", self.kind));
        if place.is_dir() {
            return Ok(place);
        }
        let work = lab.media().join(format!(".{}-{key}.{}", self.kind, std::process::id()));
        fs::create_dir_all(&work).map_err(MediaError::file(&work))?;
        let outcome = build(&work).and_then(|()| publish(&work, &place));
        // After a rename there is nothing left to remove.
        let _ = fs::remove_dir_all(&work);
        outcome.map(|()| place)
    }
}

fn publish(work: &Path, place: &Path) -> Result<(), MediaError> {
    match fs::rename(work, place) {
        // Somebody else built the same thing from the same recipe.
        Err(_) if place.is_dir() => Ok(()),
        renamed => renamed.map_err(MediaError::file(place)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_built_once_and_again_when_an_ingredient_changes() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let lab = LabFolder::at(folder.path());
        let mut built = 0;
        for ingredient in ["one", "one", "two"] {
            let place = Recipe::new("thing", 1)
                .with(ingredient.as_bytes())
                .built(&lab, |work| {
                    built += 1;
                    fs::write(work.join("content"), ingredient).map_err(MediaError::file(work))
                })
                .expect("built");
            let content = fs::read_to_string(place.join("content")).expect("there");
            assert_eq!(content, ingredient);
        }
        assert_eq!(built, 2);
    }

    #[test]
    fn a_failed_build_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let lab = LabFolder::at(folder.path());
        let failed = Recipe::new("thing", 1).built(&lab, |_| Err(MediaError::Kernel("x".into())));
        assert!(failed.is_err());
        assert_eq!(fs::read_dir(lab.media()).expect("made").count(), 0);
    }
}
