//! The metrics of a controller: boots, sites, what agents are up to, and how it does itself.

use super::definition::Process::{Controller, ControllerOfAgents};
use super::definition::{Buckets, Definition, Unit};
use super::of_agent::definitions;

/// From 63 ms, less than a DHCP exchange takes a ROM, to 2.3 hours.
const STAGES: Buckets = Buckets { from: -4, to: 13 };
/// From 1 ms to 16 s.
const CALLS: Buckets = Buckets { from: -10, to: 4 };

definitions! {
    /// Finished boots.
    BOOTS = Definition::counter(
        Controller,
        "bootlane_boots",
        "Boot attempts that have ended or gone silent, by outcome (up, installed, local-disk, failed, silent), \
         by cause of what did not go well (none where all went well; docs/diagnosis.md), by firmware and by the family \
         of the operating system (none where it was to boot no image).",
    )
    .labels(&["site", "outcome", "cause", "firmware", "family"]);
    /// Boots under way.
    BOOTS_IN_PROGRESS = Definition::gauge(
        Controller,
        "bootlane_boots_in_progress",
        "Boot attempts under way, by the stage that they are in.",
    )
    .labels(&["site", "stage"]);
    /// Time by stage.
    STAGE_SECONDS = Definition::seconds(
        Controller,
        "bootlane_boot_stage_duration",
        STAGES,
        "How long a stage of a boot took, of boots that have ended or gone silent. Exemplars carry the trace id of the \
         attempt.",
    )
    .labels(&["site", "stage"]);
    /// Time in all.
    BOOT_SECONDS = Definition::seconds(
        Controller,
        "bootlane_boot_duration",
        STAGES,
        "From the first packet of a boot to its last event, of boots that have ended. Exemplars carry the trace id of \
         the attempt.",
    )
    .labels(&["site", "outcome"]);
    /// Not counted.
    BOOTS_MISSED = Definition::counter(
        Controller,
        "bootlane_boots_missed",
        "Boot attempts that could not be followed, because too many were under way at once.",
    );
    /// Traces.
    BOOT_TRACES = Definition::counter(
        Controller,
        "bootlane_boot_traces",
        "Spans of boots for the OTLP collector, by what became of them (exported, dropped, unsampled).",
    )
    .labels(&["outcome"]);

    /// A site's plan.
    SITE_PLAN_REVISION = Definition::gauge(
        Controller,
        "bootlane_site_plan_revision",
        "Revision of the newest plan of a site, within the epoch of the store.",
    )
    .labels(&["site"]);
    /// What it lacks.
    SITE_PLAN_PROBLEMS = Definition::gauge(
        Controller,
        "bootlane_site_plan_problems",
        "What the newest plan of a site lacks; `bootlane site get NAME` says what.",
    )
    .labels(&["site"]);
    /// How many are behind.
    SITE_AGENTS_BEHIND = Definition::gauge(
        Controller,
        "bootlane_site_agents_behind",
        "Agents of a site that do not obey its newest plan, as far as they have told.",
    )
    .labels(&["site"]);
    /// Orders.
    ORDERS = Definition::gauge(
        Controller,
        "bootlane_site_orders",
        "Orders of a site that are not at their end, by phase (waiting, armed, offered, started).",
    )
    .labels(&["site", "phase"]);
    /// The oldest of them.
    ORDER_OLDEST = Definition::gauge(
        Controller,
        "bootlane_site_order_oldest_timestamp",
        "When the order that has been in its phase for the longest entered it, by phase.",
    )
    .unit(Unit::Seconds)
    .labels(&["site", "phase"]);
    /// Alarms.
    ALARMS = Definition::counter(
        Controller,
        "bootlane_site_alarms",
        "Alarms that agents of a site raised, by kind, as they came in since the controller started.",
    )
    .labels(&["site", "kind"]);

    /// The version.
    BUILD = Definition::gauge(Controller, "bootlane_controller_build_info", "1, with the version of the controller.")
        .labels(&["version"]);
    /// Since when.
    STARTED =
        Definition::gauge(Controller, "bootlane_controller_start_timestamp", "When the controller started.")
            .unit(Unit::Seconds);
    /// Memory.
    MEMORY = Definition::gauge(
        Controller,
        "bootlane_controller_resident_memory",
        "Memory of the controller's process.",
    )
    .unit(Unit::Bytes);
    /// Processor time.
    CPU = Definition::counter(Controller, "bootlane_controller_cpu", "Processor time of the controller's process.")
        .unit(Unit::Seconds);
    /// Agents.
    AGENTS = Definition::gauge(
        Controller,
        "bootlane_controller_agents",
        "Agents of the fleet that are not revoked, by whether this controller hears them (online, offline).",
    )
    .labels(&["state"]);
    /// Events taken in.
    EVENTS = Definition::counter(
        Controller,
        "bootlane_controller_events",
        "Events of agents that were stored.",
    );
    /// Events the follower lost.
    EVENTS_MISSED = Definition::counter(
        Controller,
        "bootlane_controller_events_missed",
        "Stored events that the counting of boots was too slow for; their boots are read again from the store.",
    );
    /// Do stores take writes?
    STORE_WRITABLE = Definition::gauge(
        Controller,
        "bootlane_controller_store_writable",
        "1 while a store takes writes, else 0: the catalog, the events.",
    )
    .labels(&["store"]);
    /// How far the catalog is.
    STORE_REVISION = Definition::gauge(
        Controller,
        "bootlane_controller_store_revision",
        "Revision of the catalog: how many changes it has seen.",
    );
    /// How far planning is behind.
    PLANNER_LAG = Definition::gauge(
        Controller,
        "bootlane_controller_planner_lag",
        "For how long changes of the catalog have been waiting to be in the plans; 0 while all are.",
    )
    .unit(Unit::Seconds);
    /// Images.
    BLOBS_USED = Definition::gauge(
        Controller,
        "bootlane_controller_blobs_used",
        "Image files that the controller holds, as of the last minute.",
    )
    .unit(Unit::Bytes);
    /// In files.
    BLOBS = Definition::gauge(
        Controller,
        "bootlane_controller_blobs",
        "Image files that the controller holds, as of the last minute.",
    );
    /// Free.
    DISK_FREE = Definition::gauge(
        Controller,
        "bootlane_controller_disk_free",
        "Free space on the disk of the state and of the image files (state, blobs).",
    )
    .unit(Unit::Bytes)
    .labels(&["disk"]);
    /// Of how much.
    DISK_SIZE = Definition::gauge(
        Controller,
        "bootlane_controller_disk_size",
        "Size of the disk of the state and of the image files (state, blobs).",
    )
    .unit(Unit::Bytes)
    .labels(&["disk"]);
    /// The ends of certificates.
    CERTIFICATE_EXPIRY = Definition::gauge(
        Controller,
        "bootlane_controller_certificate_expiry_timestamp",
        "When a certificate ends: the fleet's authority (authority), the controller's own (listener), which it renews.",
    )
    .unit(Unit::Seconds)
    .labels(&["certificate"]);
    /// Calls.
    CALLS_ANSWERED = Definition::counter(
        Controller,
        "bootlane_controller_calls",
        "gRPC calls that were answered, by method (SERVICE/METHOD) and status code. A stream is counted when it has \
         begun.",
    )
    .labels(&["method", "code"]);
    /// Their time.
    CALL_SECONDS = Definition::seconds(
        Controller,
        "bootlane_controller_call_duration",
        CALLS,
        "From a gRPC call to its answer; of a stream to its beginning.",
    )
    .labels(&["method"]);
    /// Spans.
    SPANS = Definition::counter(
        Controller,
        "bootlane_controller_spans",
        "Spans of the controller's own work for the OTLP collector, by what became of them (exported, dropped).",
    )
    .labels(&["outcome"]);
    /// Refused reports.
    REPORTS_REFUSED = Definition::counter(
        Controller,
        "bootlane_controller_agent_metrics_refused",
        "Samples of agents' metrics that were left out: unknown to this version, or not well-formed.",
    );

    /// Is it there?
    AGENT_UP = Definition::gauge(
        ControllerOfAgents,
        "bootlane_agent_up",
        "1 while this controller hears the agent, else 0. Of every agent that is not revoked.",
    );
    /// When it was heard.
    AGENT_LAST_CONTACT = Definition::gauge(
        ControllerOfAgents,
        "bootlane_agent_last_contact_timestamp",
        "When the agent was last heard. Absent for one that never was.",
    )
    .unit(Unit::Seconds);
    /// Does it obey the newest plan?
    AGENT_BEHIND = Definition::gauge(
        ControllerOfAgents,
        "bootlane_agent_plan_behind",
        "1 while the agent does not obey its site's newest plan, as far as it has told, else 0.",
    );
}
