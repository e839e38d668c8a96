//! Opens image blobs for whoever sends them to machines: whole ones, and ones that are still arriving.
//!
//! Assumes that the fetcher takes what machines wait for before anything that it fetches of its own accord. It hears of a
//! blob once for each machine that waits; it begins one fill, and all of them follow that. Leaves to others: how bytes
//! are fetched, and how they are sent.

use std::{fs::File, pin::pin, sync::Arc, time::Duration};

use proto::{Digest, plan::BlobRef};
use tokio::{sync::mpsc, time::Instant};

use crate::{
    counts::Count,
    disk::{
        DiskError,
        cache::{Cache, FillProgress},
    },
};

/// An opened blob.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Open for reading; read it by position.
    pub file: Arc<File>,
    /// Its whole size in bytes.
    pub size: u64,
    /// None: all of it is there. Else how much of it is.
    pub progress: Option<Arc<FillProgress>>,
}

/// Why a blob cannot be had now.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// It is not in the cache, and nobody began to fetch it in time.
    #[error("the blob {0} is not in the cache and could not be fetched in time")]
    Absent(Digest),
    /// The fetcher has ended.
    #[error("the blob {0} is not in the cache and nothing is fetched any more")]
    NoFetcher(Digest),
    /// The plan and the cache disagree.
    #[error("the blob {digest} has {actual} bytes instead of the plan's {expected}")]
    OtherSize {
        /// The blob.
        digest: Digest,
        /// The plan's.
        expected: u64,
        /// The cache's.
        actual: u64,
    },
    /// The file system failed.
    #[error("failed to open the blob")]
    Disk(#[from] DiskError),
    /// The runtime is stopping.
    #[error("the agent is stopping")]
    Stopping,
}

/// The image cache, and the way to its fetcher; cheap to clone.
#[derive(Debug, Clone)]
pub struct Images {
    cache: Arc<Cache>,
    wanted: mpsc::Sender<BlobRef>,
    lookups: Arc<Lookups>,
}

/// How those fared who opened blobs.
#[derive(Debug, Default)]
pub(crate) struct Lookups {
    /// All of it was there.
    pub(crate) hits: Count,
    /// A part of it, while the rest came.
    pub(crate) arriving: Count,
    /// Nothing, in time.
    pub(crate) misses: Count,
}

impl Images {
    /// Opens blobs of `cache`; those that are not there are asked of the other end of `wanted`.
    #[must_use]
    pub fn new(cache: Arc<Cache>, wanted: mpsc::Sender<BlobRef>) -> Self {
        Self { cache, wanted, lookups: Arc::default() }
    }

    /// Grows when a blob leaves the cache, also one that was found to be corrupt.
    #[must_use]
    pub fn removals(&self) -> u64 {
        self.cache.removals()
    }

    /// Opens `blob`, waiting at most `patience` for somebody to begin filling one that is not there.
    ///
    /// # Errors
    /// [`Unavailable`] says why it cannot be had now.
    pub async fn open(&self, blob: &BlobRef, patience: Duration) -> Result<Opened, Unavailable> {
        let opened = self.wait_for(blob, patience).await;
        match &opened {
            Ok(Opened { progress: None, .. }) => self.lookups.hits.one(),
            Ok(Opened { progress: Some(_), .. }) => self.lookups.arriving.one(),
            Err(_) => self.lookups.misses.one(),
        }
        opened
    }

    /// How those fared who asked so far.
    pub(crate) fn lookups(&self) -> &Lookups {
        &self.lookups
    }

    async fn wait_for(&self, blob: &BlobRef, patience: Duration) -> Result<Opened, Unavailable> {
        let deadline = Instant::now() + patience;
        let (mut asking, mut asked) = (pin!(self.wanted.send(*blob)), false);
        loop {
            // Before the look, so that no fill begins between the two unheard.
            let mut begun = pin!(self.cache.begun());
            begun.as_mut().enable();
            if let Some(opened) = self.look(blob).await? {
                return Ok(opened);
            }
            tokio::select! {
                () = begun => {}
                put = &mut asking, if !asked => {
                    put.map_err(|_| Unavailable::NoFetcher(blob.digest))?;
                    asked = true;
                }
                () = tokio::time::sleep_until(deadline) => return Err(Unavailable::Absent(blob.digest)),
            }
        }
    }

    async fn look(&self, blob: &BlobRef) -> Result<Option<Opened>, Unavailable> {
        let (cache, digest) = (Arc::clone(&self.cache), blob.digest);
        let looked = tokio::task::spawn_blocking(move || look(&cache, &digest)).await;
        let opened = looked.map_err(|_| Unavailable::Stopping)??;
        match opened {
            Some(Opened { size, .. }) if size != blob.size => {
                Err(Unavailable::OtherSize { digest, expected: blob.size, actual: size })
            }
            opened => Ok(opened),
        }
    }
}

/// A blob that is published between the two looks is seen at the next one.
fn look(cache: &Cache, digest: &Digest) -> Result<Option<Opened>, DiskError> {
    if let Some(blob) = cache.get(digest)? {
        return Ok(Some(Opened { file: Arc::new(blob.file), size: blob.size, progress: None }));
    }
    let followed = cache.follow(digest)?;
    Ok(followed.map(|(file, progress)| Opened {
        file: Arc::new(file),
        size: progress.size(),
        progress: Some(progress),
    }))
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::fs::FileExt,
        time::{Duration, SystemTime},
    };

    use super::*;
    use crate::disk::cache::FillState;

    const SOON: Duration = Duration::from_secs(60);

    fn cache(root: &std::path::Path) -> Arc<Cache> {
        Arc::new(Cache::open(root, SystemTime::now(), SOON).expect("opens").0)
    }

    fn blob(content: &[u8]) -> BlobRef {
        BlobRef { digest: Digest::of(content), size: content.len() as u64 }
    }

    fn content(opened: &Opened) -> Vec<u8> {
        let mut content = vec![0; usize::try_from(opened.size).expect("small")];
        opened.file.read_exact_at(&mut content, 0).expect("it is there");
        content
    }

    #[tokio::test]
    async fn a_whole_blob_is_opened_and_nobody_is_asked() {
        let dir = tempfile::tempdir().expect("tempdir");
        let cache = cache(dir.path());
        let mut fill = cache.fill(Digest::of(b"kernel"), 6).expect("begins");
        fill.write(b"kernel").expect("writes");
        fill.finish().expect("publishes");
        let (wanted, mut fetcher) = mpsc::channel(1);
        let opened = Images::new(cache, wanted).open(&blob(b"kernel"), SOON).await.expect("it is there");
        assert_eq!(content(&opened), b"kernel");
        assert!(opened.progress.is_none());
        assert!(fetcher.try_recv().is_err());
    }

    #[tokio::test]
    async fn an_absent_blob_is_asked_for_and_followed() {
        let dir = tempfile::tempdir().expect("tempdir");
        let cache = cache(dir.path());
        let (wanted, mut fetcher) = mpsc::channel(1);
        let images = Images::new(Arc::clone(&cache), wanted);
        let opening = tokio::spawn(async move { images.open(&blob(b"initrd"), SOON).await });
        let wanted = fetcher.recv().await.expect("it is asked for");
        assert_eq!(wanted, blob(b"initrd"));
        let mut fill = cache.fill(wanted.digest, wanted.size).expect("begins");
        let opened = opening.await.expect("no panic").expect("it arrives");
        fill.write(b"initrd").expect("writes");
        fill.finish().expect("publishes");
        let progress = opened.progress.as_ref().expect("it was not there");
        assert_eq!(progress.now(), (6, FillState::Published));
        assert_eq!(content(&opened), b"initrd");
    }

    #[tokio::test]
    async fn patience_ends_and_the_question_was_put_once() {
        let dir = tempfile::tempdir().expect("tempdir");
        let (wanted, mut fetcher) = mpsc::channel(100);
        let images = Images::new(cache(dir.path()), wanted);
        let refused = images.open(&blob(b"x"), Duration::from_millis(50)).await;
        assert!(matches!(refused, Err(Unavailable::Absent(digest)) if digest == Digest::of(b"x")));
        assert!(fetcher.try_recv().is_ok());
        assert!(fetcher.try_recv().is_err());
    }

    #[tokio::test]
    async fn without_a_fetcher_nobody_waits() {
        let dir = tempfile::tempdir().expect("tempdir");
        let (wanted, _) = mpsc::channel(1);
        let refused = Images::new(cache(dir.path()), wanted).open(&blob(b"x"), SOON).await;
        assert!(matches!(refused, Err(Unavailable::NoFetcher(_))));
    }

    #[tokio::test]
    async fn a_size_that_the_plan_does_not_name_is_not_served() {
        let dir = tempfile::tempdir().expect("tempdir");
        let cache = cache(dir.path());
        let mut fill = cache.fill(Digest::of(b"kernel"), 6).expect("begins");
        fill.write(b"kernel").expect("writes");
        fill.finish().expect("publishes");
        let (wanted, _fetcher) = mpsc::channel(1);
        let other = BlobRef { digest: Digest::of(b"kernel"), size: 7 };
        let refused = Images::new(cache, wanted).open(&other, SOON).await;
        assert!(matches!(refused, Err(Unavailable::OtherSize { actual: 6, expected: 7, .. })));
    }
}
