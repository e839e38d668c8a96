//! One request of another agent, and its answer.

use std::{fs::File, io, ops::Range, os::unix::fs::FileExt, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::stream;
use http_body_util::{BodyExt, Empty, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Frame,
    header::{self, HeaderValue},
};
use proto::{Digest, plan::SitePlan};
use tokio::sync::watch;

use crate::disk::cache::{Cache, FillProgress, FillState};

/// What is read in one go, in bytes.
const PIECE: u64 = 256 << 10;
/// An arriving blob that stands still for so long is no use to another agent, which has other sources.
const STANDS_STILL: Duration = Duration::from_secs(10);

/// The body of an answer.
pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// What every request is answered from.
#[derive(Debug, Clone)]
pub(super) struct Service {
    pub(super) cache: Arc<Cache>,
    pub(super) plan: watch::Receiver<Option<Arc<SitePlan>>>,
}

/// A blob of which something can be given.
struct Found {
    file: Arc<File>,
    size: u64,
    /// None: all of it is here.
    progress: Option<Arc<FillProgress>>,
}

impl Service {
    /// Answers a request. Never fails: what goes wrong has a status.
    pub(super) fn answer<B>(&self, request: &Request<B>) -> impl Future<Output = Response<Body>> + use<B> {
        let service = self.clone();
        let asked = match (request.method(), asked_for(request)) {
            (&Method::GET, asked) => asked,
            _ => Err(StatusCode::METHOD_NOT_ALLOWED),
        };
        async move {
            match asked {
                Ok((digest, range)) => service.give(digest, range).await,
                Err(status) => plain(status),
            }
        }
    }

    async fn give(&self, digest: Digest, range: Option<Range<u64>>) -> Response<Body> {
        if !self.is_named(&digest) {
            return plain(StatusCode::NOT_FOUND);
        }
        let cache = Arc::clone(&self.cache);
        let found = tokio::task::spawn_blocking(move || find(&cache, &digest)).await;
        match found {
            Ok(Ok(Some(found))) => found.answer(range),
            Ok(Ok(None)) => plain(StatusCode::NOT_FOUND),
            Ok(Err(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(%digest, error, "failed to open a blob for another agent");
                plain(StatusCode::INTERNAL_SERVER_ERROR)
            }
            Err(_) => plain(StatusCode::SERVICE_UNAVAILABLE),
        }
    }

    fn is_named(&self, digest: &Digest) -> bool {
        let plan = self.plan.borrow();
        plan.as_ref().is_some_and(|plan| {
            let lists = plan.chunk_lists.values().map(|of| of.list);
            plan.blobs().chain(lists).any(|blob| blob.digest == *digest)
        })
    }
}

/// What is asked for: the whole of a blob, or one range of it.
type Asked = (Digest, Option<Range<u64>>);

/// `GET /blobs/sha256/DIGEST`, with one range of the form `bytes=A-B` or none. Who asks for several is told that there is
/// no such answer, not that there is no such blob, and asks for one after the other.
fn asked_for<B>(request: &Request<B>) -> Result<Asked, StatusCode> {
    let digest = request.uri().path().strip_prefix("/blobs/sha256/").and_then(|digest| digest.parse().ok());
    let digest = digest.ok_or(StatusCode::NOT_FOUND)?;
    let Some(field) = request.headers().get(header::RANGE) else { return Ok((digest, None)) };
    let range = field.to_str().ok().and_then(one_range).ok_or(StatusCode::RANGE_NOT_SATISFIABLE)?;
    Ok((digest, Some(range)))
}

fn one_range(field: &str) -> Option<Range<u64>> {
    let (first, last) = field.strip_prefix("bytes=")?.split_once('-')?;
    Some(first.parse().ok()?..last.parse::<u64>().ok()?.checked_add(1)?)
}

fn find(cache: &Cache, digest: &Digest) -> Result<Option<Found>, crate::disk::DiskError> {
    if let Some(blob) = cache.get(digest)? {
        return Ok(Some(Found { file: Arc::new(blob.file), size: blob.size, progress: None }));
    }
    let followed = cache.follow(digest)?;
    Ok(followed.map(|(file, progress)| Found {
        file: Arc::new(file),
        size: progress.size(),
        progress: Some(progress),
    }))
}

impl Found {
    fn answer(self, asked: Option<Range<u64>>) -> Response<Body> {
        let range = asked.clone().unwrap_or(0..self.size);
        if range.end > self.size || range.start > range.end {
            return plain(StatusCode::RANGE_NOT_SATISFIABLE);
        }
        let has_something = self.progress.as_ref().is_none_or(|progress| progress.now().0 > range.start);
        if !has_something {
            return plain(StatusCode::NOT_FOUND);
        }
        let (length, of) = (range.end - range.start, self.size);
        let described =
            asked.map(|asked| format!("bytes {}-{}/{of}", asked.start, asked.end.saturating_sub(1)));
        let mut response = Response::new(self.body(range));
        if let Some(described) = described {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let described = HeaderValue::from_str(&described).expect("digits make a header");
            response.headers_mut().insert(header::CONTENT_RANGE, described);
        }
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
        response
    }

    fn body(self, range: Range<u64>) -> Body {
        let pieces = stream::try_unfold((self, range), |(found, mut range)| async move {
            if range.is_empty() {
                return Ok(None);
            }
            let readable = found.arrived(range.start).await?.min(range.end).min(range.start + PIECE);
            let piece = found.read(range.start..readable).await?;
            range.start = readable;
            Ok(Some((Frame::data(piece), (found, range))))
        });
        StreamBody::new(pieces).boxed_unsync()
    }

    /// How far it may be read, beyond `offset`. An error ends the connection, which tells the other end that this is not
    /// all.
    async fn arrived(&self, offset: u64) -> io::Result<u64> {
        let Some(progress) = &self.progress else { return Ok(self.size) };
        match tokio::time::timeout(STANDS_STILL, progress.beyond(offset)).await {
            Ok((_, FillState::Refused)) => Err(io::Error::other("it is not what the plan names")),
            Ok((readable, _)) if readable > offset => Ok(readable),
            Ok(_) => Err(io::Error::other("it stopped arriving")),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    async fn read(&self, range: Range<u64>) -> io::Result<Bytes> {
        let file = Arc::clone(&self.file);
        let reading = tokio::task::spawn_blocking(move || {
            let length = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
            let mut piece = vec![0; length];
            file.read_exact_at(&mut piece, range.start).map(|()| Bytes::from(piece))
        });
        reading.await.map_err(io::Error::other)?
    }
}

fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use proto::{
        Generation, PlanId,
        plan::{BlobRef, Need, Network, Prefetch},
    };

    use super::*;
    use crate::disk::cache::{WITHHELD_BYTES, tests::put_blob};

    const SIZE: usize = WITHHELD_BYTES as usize * 3;

    struct Scene {
        _dir: tempfile::TempDir,
        _plan: watch::Sender<Option<Arc<SitePlan>>>,
        service: Service,
        content: Vec<u8>,
        digest: Digest,
    }

    /// A plan that names one blob, which is not here.
    fn scene() -> Scene {
        let dir = tempfile::tempdir().expect("tempdir");
        let (cache, _) = Cache::open(dir.path(), SystemTime::now(), Duration::from_secs(60)).expect("opens");
        let content: Vec<u8> = (0..SIZE).map(|n| (n % 251) as u8).collect();
        let digest = Digest::of(&content);
        let blobs = vec![BlobRef { digest, size: SIZE as u64 }];
        let prefetch = Prefetch { name: "site".into(), need: Need::Site, rank: 0, blobs };
        let id = PlanId { generation: Generation { epoch: 1, revision: 1 }, planner: 1, digest };
        let network = Network::default();
        let entries = [proto::plan::network_entry(&network), proto::plan::prefetch_entry(&prefetch)];
        let document = proto::plan::PlanDocument::assemble("acme", "lyon", id.generation, 1, entries);
        let plan = SitePlan::decode(&document).expect("a plan");
        let (sender, plan) = watch::channel(Some(Arc::new(plan)));
        let service = Service { cache: Arc::new(cache), plan };
        Scene { _dir: dir, _plan: sender, service, content, digest }
    }

    impl Scene {
        async fn get(&self, digest: Digest, range: Option<&str>) -> Response<Body> {
            let mut request = Request::new(());
            *request.uri_mut() = format!("/blobs/sha256/{digest}").parse().expect("a path");
            if let Some(range) = range {
                request.headers_mut().insert(header::RANGE, range.parse().expect("a header"));
            }
            self.service.answer(&request).await
        }

        fn put(&self, content: &[u8]) -> Digest {
            put_blob(&self.service.cache, content).digest
        }
    }

    async fn body(response: Response<Body>) -> Result<Vec<u8>, io::Error> {
        response.into_body().collect().await.map(|body| body.to_bytes().to_vec())
    }

    #[tokio::test]
    async fn only_what_the_plan_names_is_given() {
        let scene = scene();
        assert_eq!(scene.get(scene.digest, None).await.status(), StatusCode::NOT_FOUND, "it is not here");
        scene.put(&scene.content);
        let other = scene.put(b"of no plan");
        assert_eq!(scene.get(other, None).await.status(), StatusCode::NOT_FOUND);
        let whole = scene.get(scene.digest, None).await;
        assert_eq!(whole.status(), StatusCode::OK);
        assert_eq!(body(whole).await.expect("all of it"), scene.content);
        let part = scene.get(scene.digest, Some("bytes=7-9")).await;
        assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(part.headers()[header::CONTENT_RANGE], format!("bytes 7-9/{SIZE}"));
        assert_eq!(body(part).await.expect("a part"), &scene.content[7..10]);
        let beyond = "bytes=18446744073709551615-18446744073709551615";
        for odd in ["bytes=9-7", "bytes=0-99999999", beyond, "bytes=0-9,20-29", "bytes=-5", "lines=1-2"] {
            let status = scene.get(scene.digest, Some(odd)).await.status();
            assert_eq!(status, StatusCode::RANGE_NOT_SATISFIABLE, "{odd}");
        }
    }

    #[tokio::test]
    async fn what_has_arrived_is_given_and_its_end_when_it_holds() {
        let scene = scene();
        let mut fill = scene.service.cache.fill(scene.digest, SIZE as u64).expect("begins");
        assert_eq!(
            scene.get(scene.digest, None).await.status(),
            StatusCode::NOT_FOUND,
            "nobody waits for it"
        );
        fill.write(&scene.content[..10]).expect("writes");
        let beyond = scene.get(scene.digest, Some(&format!("bytes=10-{}", SIZE - 1))).await;
        assert_eq!(beyond.status(), StatusCode::NOT_FOUND);
        let arriving = tokio::spawn(body(scene.get(scene.digest, None).await));
        fill.write(&scene.content[10..]).expect("writes");
        fill.finish().expect("publishes");
        assert_eq!(arriving.await.expect("no panic").expect("all of it"), scene.content);
    }

    #[tokio::test]
    async fn what_turns_out_to_be_wrong_is_cut_short() {
        let scene = scene();
        let mut fill = scene.service.cache.fill(scene.digest, SIZE as u64).expect("begins");
        fill.write(&vec![1; SIZE]).expect("writes");
        let arriving = tokio::spawn(body(scene.get(scene.digest, None).await));
        fill.finish().expect_err("it is not the blob");
        arriving.await.expect("no panic").expect_err("it is cut short");
    }
}
