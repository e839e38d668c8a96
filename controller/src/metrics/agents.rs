//! What agents tell of themselves: one report each, the latest, for as long as its stream is open and it is fresh.
//!
//! Nothing of it is taken on trust. A report has a size it may not exceed, packed and unpacked; of it only samples are
//! kept whose metric is defined as an agent's, with as many labels as it has, whose values are short and printable. Whose
//! they are says the certificate.

use std::collections::HashMap;
use std::io::Read as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use prost::Message as _;
use proto::v1;
use telemetry::metrics::{Definition, Exposition, Kind, Owner, Process, Sample};

/// Bytes of a report as it comes.
const PACKED: usize = 64 << 10;
/// Bytes of it as it is.
const UNPACKED: u64 = 1 << 20;
/// Samples of one agent that are kept.
const SAMPLES: usize = 4_000;
/// Characters of a label's value.
const LABEL: usize = 128;
/// An agent that tells more often is not listened to.
const LEAST_PAUSE: Duration = Duration::from_secs(5);
/// After so long a report says nothing of the present: four were missed.
const STALE: Duration = Duration::from_secs(60);

/// The metrics that agents may tell, by their full name.
static KNOWN: LazyLock<HashMap<String, &'static Definition>> = LazyLock::new(|| {
    let of_agents = telemetry::metrics::all()
        .filter(|one| one.process == Process::Agent && matches!(one.kind, Kind::Counter | Kind::Gauge));
    of_agents.map(|one| (one.full_name(), one)).collect()
});

/// The latest report of every agent. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct AgentReports {
    table: Arc<Mutex<HashMap<String, Kept>>>,
    streams: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Kept {
    stream: u64,
    site: String,
    at: Instant,
    samples: Vec<(&'static Definition, Vec<Sample>)>,
}

/// One stream of reports: what it told is gone with it.
#[derive(Debug)]
pub(crate) struct Reporting {
    reports: AgentReports,
    stream: u64,
    owner: Owner,
    last: Option<Instant>,
}

/// Why a report was not taken at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReportError {
    /// It is larger than a report may be.
    #[error("metrics take at most {PACKED} bytes, and {UNPACKED} when they are unpacked")]
    TooLarge,
    /// It is no report.
    #[error("metrics that cannot be unpacked")]
    Malformed,
}

impl AgentReports {
    /// A stream of this agent, whose certificate names it.
    pub(crate) fn open(&self, site: &str, agent: &str) -> Reporting {
        let stream = self.streams.fetch_add(1, Ordering::Relaxed);
        let owner = Owner { site: site.to_owned(), agent: agent.to_owned() };
        Reporting { reports: self.clone(), stream, owner, last: None }
    }

    /// Everything that is fresh.
    pub(crate) fn add_to(&self, exposition: &mut Exposition, now: Instant) {
        let mut table = self.lock();
        table.retain(|_, kept| now.saturating_duration_since(kept.at) < STALE);
        for (agent, kept) in table.iter() {
            exposition.owned_by(Owner { site: kept.site.clone(), agent: agent.clone() });
            for (definition, samples) in &kept.samples {
                for Sample { labels, value } in samples {
                    let labels: Vec<_> = labels.iter().map(String::as_str).collect();
                    exposition.set_with(definition, &labels, *value);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Kept>> {
        // Nothing panics between two steps of a change, so a poisoned table is whole.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reporting {
    /// Takes a report; how many samples of it were left out. One that comes too soon is passed over.
    pub(crate) fn take(&mut self, report: &v1::MetricsReport, now: Instant) -> Result<u64, ReportError> {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < LEAST_PAUSE) {
            return Ok(0);
        }
        self.last = Some(now);
        let (samples, refused) = understood(unpack(&report.gzip)?);
        let kept = Kept { stream: self.stream, site: self.owner.site.clone(), at: now, samples };
        self.reports.lock().insert(self.owner.agent.clone(), kept);
        Ok(refused)
    }
}

impl Drop for Reporting {
    fn drop(&mut self) {
        let mut table = self.reports.lock();
        // The agent may have come back by another stream.
        if table.get(&self.owner.agent).is_some_and(|kept| kept.stream == self.stream) {
            table.remove(&self.owner.agent);
        }
    }
}

fn unpack(gzip: &[u8]) -> Result<v1::MetricFamilies, ReportError> {
    if gzip.len() > PACKED {
        return Err(ReportError::TooLarge);
    }
    let mut unpacked = Vec::new();
    let read = GzDecoder::new(gzip).take(UNPACKED + 1).read_to_end(&mut unpacked);
    match read {
        Ok(bytes) if bytes as u64 > UNPACKED => Err(ReportError::TooLarge),
        Ok(_) => v1::MetricFamilies::decode(unpacked.as_slice()).map_err(|_| ReportError::Malformed),
        Err(_) => Err(ReportError::Malformed),
    }
}

/// What of it this version understands, each metric once, and how many samples it does not.
fn understood(families: v1::MetricFamilies) -> (Vec<(&'static Definition, Vec<Sample>)>, u64) {
    let (mut kept, mut room, mut refused) = (HashMap::new(), SAMPLES, 0);
    for v1::MetricFamily { name, samples } in families.families {
        let known = KNOWN.get(&name).copied().filter(|known| !kept.contains_key(known.name));
        let told = samples.len();
        let legal = samples.into_iter().filter_map(|sample| legal(known?, sample));
        let samples: Vec<_> = legal.take(room).collect();
        room -= samples.len();
        refused += (told - samples.len()) as u64;
        if let Some(known) = known {
            kept.insert(known.name, (known, samples));
        }
    }
    (kept.into_values().collect(), refused)
}

fn legal(definition: &Definition, sample: v1::MetricSample) -> Option<Sample> {
    let v1::MetricSample { labels, value } = sample;
    let printable = |label: &String| label.chars().count() <= LABEL && !label.chars().any(char::is_control);
    let counts = definition.kind != Kind::Counter || value >= 0.0;
    let legal = labels.len() == definition.labels.len() && labels.iter().all(printable);
    (legal && counts && value.is_finite()).then_some(Sample { labels, value })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use telemetry::metrics::{Form, of_agent};

    use super::*;

    fn packed(bytes: &[u8]) -> v1::MetricsReport {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).expect("memory");
        v1::MetricsReport { gzip: encoder.finish().expect("memory").into() }
    }

    fn family(name: String, samples: &[(&[&str], f64)]) -> v1::MetricFamily {
        let sample = |(labels, value): &(&[&str], f64)| v1::MetricSample {
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            value: *value,
        };
        v1::MetricFamily { name, samples: samples.iter().map(sample).collect() }
    }

    fn report(families: Vec<v1::MetricFamily>) -> v1::MetricsReport {
        packed(&v1::MetricFamilies { families }.encode_to_vec())
    }

    fn text(reports: &AgentReports, now: Instant) -> String {
        let mut exposition = Exposition::new();
        reports.add_to(&mut exposition, now);
        exposition.text(Form::Prometheus)
    }

    fn leases(count: f64) -> v1::MetricsReport {
        report(vec![family(of_agent::LEASES.full_name(), &[(&[], count)])])
    }

    #[test]
    fn an_agents_numbers_bear_its_name_and_go_when_it_goes() {
        let (reports, now) = (AgentReports::default(), Instant::now());
        let mut stream = reports.open("lyon", "lyon-1");
        assert_eq!(stream.take(&leases(7.0), now), Ok(0));
        let line = "bootlane_agent_leases{site=\"lyon\",agent=\"lyon-1\"} 7\n";
        assert!(text(&reports, now).contains(line), "{}", text(&reports, now));
        let mut newer = reports.open("lyon", "lyon-1");
        assert_eq!(newer.take(&leases(8.0), now), Ok(0));
        drop(stream);
        assert!(
            text(&reports, now).contains("} 8\n"),
            "the end of the former stream takes nothing of the newer"
        );
        drop(newer);
        assert_eq!(text(&reports, now), "");
    }

    #[test]
    fn who_tells_nothing_any_more_is_not_shown_and_who_tells_too_often_is_not_heard() {
        let (reports, now) = (AgentReports::default(), Instant::now());
        let mut stream = reports.open("lyon", "lyon-1");
        stream.take(&leases(1.0), now).expect("legal");
        stream.take(&leases(2.0), now + LEAST_PAUSE / 2).expect("passed over");
        assert!(text(&reports, now + LEAST_PAUSE).contains("} 1\n"));
        assert_eq!(text(&reports, now + STALE), "");
    }

    #[test]
    fn what_is_not_defined_or_not_fit_to_be_shown_is_left_out() {
        let (reports, now) = (AgentReports::default(), Instant::now());
        let long = "x".repeat(LABEL + 1);
        let pools = [
            (&["10.1.0.0/24"][..], 1.0),
            (&["a\nb"], 1.0),
            (&[&long], 1.0),
            (&["one", "two"], 1.0),
            (&["nan"], f64::NAN),
        ];
        let families = vec![
            family(of_agent::POOL_LEASES.full_name(), &pools),
            family(of_agent::POOL_LEASES.full_name(), &[(&["again"], 1.0)]),
            family(of_agent::RETRANSMISSIONS.full_name(), &[(&[], -1.0)]),
            family("bootlane_agent_of_tomorrow".into(), &[(&[], 1.0)]),
            family("bootlane_controller_events_total".into(), &[(&[], 1.0)]),
            family("bootlane_agent_up".into(), &[(&[], 1.0)]),
        ];
        assert_eq!(reports.open("lyon", "lyon-1").take(&report(families.clone()), now), Ok(9));
        let mut stream = reports.open("lyon", "lyon-1");
        stream.take(&report(families), now).expect("legal");
        let samples: Vec<_> =
            text(&reports, now).lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
        let expected = "bootlane_agent_pool_leases{site=\"lyon\",agent=\"lyon-1\",subnet=\"10.1.0.0/24\"} 1";
        assert_eq!(samples, [expected]);
    }

    #[test]
    fn a_report_has_a_size() {
        let (reports, now) = (AgentReports::default(), Instant::now());
        let take = |report: &v1::MetricsReport| reports.open("lyon", "lyon-1").take(report, now);
        assert_eq!(take(&v1::MetricsReport { gzip: vec![0; PACKED + 1].into() }), Err(ReportError::TooLarge));
        assert_eq!(take(&packed(&vec![0; 2 << 20])), Err(ReportError::TooLarge), "a bomb");
        assert_eq!(take(&v1::MetricsReport { gzip: vec![1, 2, 3].into() }), Err(ReportError::Malformed));
        assert_eq!(take(&packed(&[0xff; 9])), Err(ReportError::Malformed));
        let many: Vec<_> = (0..SAMPLES + 3).map(|_| (&["x"][..], 1.0)).collect();
        assert_eq!(take(&report(vec![family(of_agent::POOL_LEASES.full_name(), &many)])), Ok(3));
    }
}
