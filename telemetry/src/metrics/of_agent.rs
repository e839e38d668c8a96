//! The metrics of an agent: what it serves, holds, fetches and waits for.

use super::definition::Process::Agent;
use super::definition::{Definition, Unit};

macro_rules! definitions {
    ($($(#[$doc:meta])* $name:ident = $definition:expr;)*) => {
        $($(#[$doc])* pub static $name: Definition = $definition;)*
        /// All of them, in the order of their page.
        pub static ALL: &[&Definition] = &[$(&$name),*];
    };
}
pub(super) use definitions;

definitions! {
    /// 1, with the version.
    BUILD = Definition::gauge(Agent, "bootlane_agent_build_info", "1, with the version of the agent.")
        .labels(&["version"]);
    /// Since when.
    STARTED = Definition::gauge(Agent, "bootlane_agent_start_timestamp", "When the agent started.")
        .unit(Unit::Seconds);
    /// Memory.
    MEMORY = Definition::gauge(Agent, "bootlane_agent_resident_memory", "Memory of the agent's process.")
        .unit(Unit::Bytes);
    /// Processor time.
    CPU = Definition::counter(Agent, "bootlane_agent_cpu", "Processor time of the agent's process.")
        .unit(Unit::Seconds);
    /// The link.
    LINK_UP = Definition::gauge(
        Agent,
        "bootlane_agent_controller_connected",
        "1 while the agent has a stream of updates from a controller, else 0.",
    );
    /// The certificate's end.
    CERTIFICATE_EXPIRY = Definition::gauge(
        Agent,
        "bootlane_agent_certificate_expiry_timestamp",
        "When the agent's certificate ends; it is renewed at half its life.",
    )
    .unit(Unit::Seconds);

    /// The plan's place.
    PLAN_EPOCH = Definition::gauge(
        Agent,
        "bootlane_agent_plan_epoch",
        "Epoch of the plan in force; a restored controller begins a new one.",
    );
    /// The plan's place within.
    PLAN_REVISION = Definition::gauge(
        Agent,
        "bootlane_agent_plan_revision",
        "Revision of the plan in force, within its epoch. Absent before the first plan.",
    );
    /// Since when.
    PLAN_ADOPTED = Definition::gauge(
        Agent,
        "bootlane_agent_plan_adopted_timestamp",
        "When the plan in force was adopted, or the agent began with it.",
    )
    .unit(Unit::Seconds);

    /// What came in.
    DHCP_REQUESTS = Definition::counter(
        Agent,
        "bootlane_agent_dhcp_requests",
        "DHCP and BOOTP messages from machines and relay agents, by type (discover, request, decline, release, inform, \
         bootp, other, malformed).",
    )
    .labels(&["type"]);
    /// What went out.
    DHCP_REPLIES = Definition::counter(
        Agent,
        "bootlane_agent_dhcp_replies",
        "DHCP and BOOTP messages to machines, by type (offer, ack, nak, bootp, other).",
    )
    .labels(&["type"]);
    /// All leases.
    LEASES = Definition::gauge(Agent, "bootlane_agent_leases", "Leases that stand, of pools and of fixed addresses.");
    /// A pool's size.
    POOL_ADDRESSES = Definition::gauge(
        Agent,
        "bootlane_agent_pool_addresses",
        "Addresses in the pools of a subnet, by the subnet's network.",
    )
    .labels(&["subnet"]);
    /// A pool's use.
    POOL_LEASES = Definition::gauge(
        Agent,
        "bootlane_agent_pool_leases",
        "Leases that stand within the pools of a subnet, by the subnet's network.",
    )
    .labels(&["subnet"]);
    /// Others on the wire.
    FOREIGN_SERVERS = Definition::gauge(
        Agent,
        "bootlane_agent_foreign_dhcp_servers",
        "Other DHCP servers that were heard in the last ten minutes and that do not belong there (docs/dhcp.md).",
    );

    /// Ends of transfers.
    TRANSFERS = Definition::counter(
        Agent,
        "bootlane_agent_transfers",
        "Files sent to machines, by protocol (tftp, http), by what the file was to the machine, and by how it ended \
         (sent, broken). A file that one connection fetches again and again is counted each time.",
    )
    .labels(&["transport", "stage", "outcome"]);
    /// Their bytes.
    TRANSFERRED = Definition::counter(
        Agent,
        "bootlane_agent_transferred",
        "Bytes of files sent to machines, whole or not, counted when a transfer has ended.",
    )
    .unit(Unit::Bytes)
    .labels(&["transport", "stage"]);
    /// Names without a file.
    NOT_FOUND = Definition::counter(
        Agent,
        "bootlane_agent_files_not_found",
        "Requests of machines for names that stand for no file of theirs, by protocol (tftp, http).",
    )
    .labels(&["transport"]);
    /// Lost blocks.
    RETRANSMISSIONS = Definition::counter(
        Agent,
        "bootlane_agent_tftp_retransmissions",
        "TFTP blocks that were sent more than once, counted when a transfer has ended.",
    );

    /// What the cache holds.
    CACHE_USED = Definition::gauge(Agent, "bootlane_agent_cache_used", "Whole images in the cache.").unit(Unit::Bytes);
    /// What it may hold.
    CACHE_BUDGET = Definition::gauge(Agent, "bootlane_agent_cache_budget", "What the image cache may take.")
        .unit(Unit::Bytes);
    /// What it lacks.
    CACHE_MISSING = Definition::gauge(
        Agent,
        "bootlane_agent_cache_missing_blobs",
        "Files that the plan names and that are not in the cache as a whole.",
    );
    /// How askers fared.
    CACHE_LOOKUPS = Definition::counter(
        Agent,
        "bootlane_agent_cache_lookups",
        "Files of images that machines asked for, by what the cache had: all of it (hit), a part while the rest came \
         (arriving), or nothing in time (miss).",
    )
    .labels(&["result"]);
    /// How fetches fared.
    CACHE_FILLS = Definition::counter(
        Agent,
        "bootlane_agent_cache_fills",
        "Fetches of files into the cache that have ended, by how (done, failed).",
    )
    .labels(&["outcome"]);
    /// What the disk has spoilt.
    CACHE_CORRUPT = Definition::counter(
        Agent,
        "bootlane_agent_cache_corrupt_blobs",
        "Files of the cache that were read again and found corrupt; they are fetched anew.",
    );
    /// Where bytes came from.
    FETCHED = Definition::counter(
        Agent,
        "bootlane_agent_fetched",
        "Bytes of images that came in, by the kind of source: another agent of the site (agent), a URL that the site \
         names (url), the controller (controller).",
    )
    .unit(Unit::Bytes)
    .labels(&["source"]);

    /// What a mirror holds.
    MIRROR_USED = Definition::gauge(Agent, "bootlane_agent_mirror_used", "What is held of a package mirror.")
        .unit(Unit::Bytes)
        .labels(&["mirror"]);
    /// In files.
    MIRROR_FILES = Definition::gauge(Agent, "bootlane_agent_mirror_files", "Files that are held of a package mirror.")
        .labels(&["mirror"]);
    /// From upstreams.
    MIRROR_WAN = Definition::counter(Agent, "bootlane_agent_mirror_fetched", "Bytes from a mirror's upstreams.")
        .unit(Unit::Bytes)
        .labels(&["mirror"]);
    /// To machines.
    MIRROR_SERVED = Definition::counter(Agent, "bootlane_agent_mirror_served", "Bytes of a mirror to machines.")
        .unit(Unit::Bytes)
        .labels(&["mirror"]);
    /// Asked upstream.
    MIRROR_QUESTIONS = Definition::counter(
        Agent,
        "bootlane_agent_mirror_upstream_requests",
        "Requests to the upstreams of a mirror.",
    )
    .labels(&["mirror"]);
    /// Answered.
    MIRROR_ANSWERS = Definition::counter(
        Agent,
        "bootlane_agent_mirror_answers",
        "Answers of a mirror to machines, by where they came from (held, checked, fetched, joined, stale), or that \
         there is no such file (absent) or none now (unavailable).",
    )
    .labels(&["mirror", "result"]);
    /// Upstreams away.
    MIRROR_AWAY = Definition::gauge(
        Agent,
        "bootlane_agent_mirror_upstreams_away",
        "Upstreams of a mirror that do not answer at present.",
    )
    .labels(&["mirror"]);

    /// The journal's depth.
    JOURNAL = Definition::gauge(
        Agent,
        "bootlane_agent_journal_events",
        "Events on disk that wait for the controller.",
    );
    /// And its limit.
    JOURNAL_LIMIT = Definition::gauge(
        Agent,
        "bootlane_agent_journal_limit_events",
        "Diagnostics that may wait for the controller; beyond it the oldest give way.",
    );
    /// Alarms.
    ALARMS = Definition::counter(Agent, "bootlane_agent_alarms", "Alarms that the agent raised, by kind.")
        .labels(&["kind"]);
    /// Free.
    DISK_FREE = Definition::gauge(Agent, "bootlane_agent_disk_free", "Free space on the disk of the agent's state.")
        .unit(Unit::Bytes);
    /// Of how much.
    DISK_SIZE = Definition::gauge(Agent, "bootlane_agent_disk_size", "Size of the disk of the agent's state.")
        .unit(Unit::Bytes);
    /// Too low.
    DISK_LOW = Definition::gauge(
        Agent,
        "bootlane_agent_disk_low",
        "1 while the disk is so full that pool grants and new orders wait, else 0.",
    );
    /// Spans.
    SPANS = Definition::counter(
        Agent,
        "bootlane_agent_spans",
        "Spans of the agent's own work for the OTLP collector, by what became of them (exported, dropped).",
    )
    .labels(&["outcome"]);
}
