//! What the third set gains: how a site gets its images (rates, sources, neighbours, prefetch, lists of chunks), package
//! mirrors, and files that were sent over and over.

use std::time::Duration;

use proto::chunks::{Chunk, ChunkList, ChunkName, Cut};
use proto::event::{EventKind, Transport};
use proto::holding::{Awaited, BlobState, Holding};
use proto::mirror::MirrorFamily;
use proto::plan::{
    ChunkListRef, ChunkLists, MirrorPlan, Need, Network, Peer, Prefetch, Stage, Wan, WanWindow,
};
use proto::{Digest, Generation, PlanId, RateLimit, ZoneName};

use super::first::blob;
use super::second;

pub(super) fn network() -> Network {
    let zone: ZoneName = "Europe/Paris".parse().expect("a zone");
    let window = WanWindow { days: 0b001_1111, from: 480, to: 1_080, rate: RateLimit::bits(5_000_000) };
    Network {
        wan: Wan { usual: RateLimit::bits(50_000_000), windows: vec![window], zone: zone.rule() },
        blob_sources: vec!["https://images.example/blobs".parse().expect("a source")],
        peers: vec![Peer { name: "two".into(), addresses: vec![([10, 1, 0, 3], 7_445).into()] }],
        ..second::network()
    }
}

pub(super) fn mirror() -> MirrorPlan {
    MirrorPlan {
        name: "debian".into(),
        family: MirrorFamily::Debian,
        upstreams: vec!["https://deb.example/debian/".parse().expect("an upstream")],
        redirects_to: vec!["cdn.example".parse().expect("a host")],
        index: vec!["pool/local/**".parse().expect("a pattern")],
        immutable: vec!["**/*.iso".parse().expect("a pattern")],
        fresh: Duration::from_secs(30),
        budget_bytes: 20 << 30,
        max_object_bytes: 8 << 30,
    }
}

pub(super) fn prefetch() -> [Prefetch; 2] {
    let prefetch =
        |name: &str, need, rank| Prefetch { name: name.into(), need, rank, blobs: vec![blob(name)] };
    [prefetch("order/web-1-7", Need::Order, 0), prefetch("image/live", Need::Site, 1)]
}

/// Of 5,000 bytes whose first and third thousand are alike.
pub(super) fn chunk_list() -> ChunkList {
    let chunk = |name: &str, length| Chunk { name: ChunkName::of(name.as_bytes()), length };
    let chunks = vec![chunk("a", 1_000), chunk("b", 1_000), chunk("a", 1_000), chunk("c", 2_000)];
    ChunkList::new(Cut::Fine, chunks).expect("chunks of a file")
}

pub(super) fn chunk_lists() -> ChunkLists {
    let bytes = chunk_list().encode();
    let list = proto::plan::BlobRef { digest: Digest::of(&bytes), size: bytes.len() as u64 };
    ChunkLists::from([(blob("initrd").digest, ChunkListRef { list, distinct_bytes: 4_000 })])
}

/// What an agent says of what it holds, for the first time.
pub(super) fn holding() -> Holding {
    let plan = PlanId {
        generation: Generation { epoch: 1, revision: 8 },
        planner: 1,
        digest: Digest::of(b"a plan"),
    };
    let mut holding = Holding::of(plan);
    let (state, reason) = (BlobState::Arriving, "two gave bytes with another digest".to_owned());
    holding.lacks(Digest::of(b"initrd"), Awaited { size: 9, arrived: 4, state, reason });
    holding.bytes_per_second = 1_000;
    holding.held_up = "the agent's disk is low on space".into();
    Holding { unnamed: 2, unnamed_bytes: 20, ..holding }
}

pub(super) fn kind() -> EventKind {
    EventKind::FileServed {
        transport: Transport::Http,
        stage: Stage::Kernel,
        name: "linux".into(),
        bytes: 30,
        took_ms: 7,
        retransmissions: 0,
        repeats: 2,
    }
}

pub(super) const DOCUMENTS: [&str; 3] = [
    r#"{"kind":"Image","name":"cut","spec":{"family":"linux","kernel":"linux","files":{"linux":{"sha256":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","size":5000,"chunks":{"sha256":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb","size":96,"distinct":4000}}}}}"#,
    r#"{"kind":"Site","name":"cellar","spec":{"subnets":[{"network":"10.3.0.0/24"}],"timezone":"Europe/Paris","cache":"40GiB","wan":{"rate":"50Mbit","schedule":[{"days":["mon-fri"],"from":"08:00","to":"18:00","rate":"5Mbit"}]},"blob_sources":["https://images.example/blobs"],"prefetch":{"images":["cut"]}}}"#,
    r#"{"kind":"Mirror","name":"debian","spec":{"family":"debian","upstreams":["https://deb.example/debian/"],"redirects_to":["cdn.example"],"sites":{"country":"fr"},"index":["pool/local/**"],"immutable":["**/*.iso"],"fresh":"1m","budget":"1GiB","max_object":"512MiB"}}"#,
];
