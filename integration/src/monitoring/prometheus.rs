//! A real Prometheus, of Debian's package: unpacked into the lab's folder, run in a namespace, asked over its API.
//!
//! It is asked by `curl` in its namespace: one question after another, so nothing is gained by a client of our own.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::shipped;
use crate::lab::netns::NetworkError;
use crate::lab::packages::{self, PackageError};
use crate::lab::process::LaunchError;
use crate::lab::{LabFolder, Namespace, Process};

/// Debian's package; nothing of it is installed.
const PACKAGE: &str = "prometheus";
/// Where it answers, within its namespace.
const LISTEN: &str = "127.0.0.1:9090";
/// How long it may take until it answers.
const START_TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Why Prometheus does not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum PrometheusError {
    /// A file could not be used.
    #[error("failed to use {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It could not be started.
    #[error("failed to start Prometheus")]
    Launch(#[from] LaunchError),
    /// It does not answer in time.
    #[error("no answer within {} s; see {log}", START_TIMEOUT.as_secs())]
    Silent {
        /// Its log.
        log: PathBuf,
    },
    /// It could not be asked.
    #[error("failed to ask it {question}")]
    Ask {
        /// What was asked.
        question: String,
        /// Why not.
        source: NetworkError,
    },
    /// It answered with an error, or with what is no answer.
    #[error("it answers {answer} to {question}")]
    Answer {
        /// What was asked.
        question: String,
        /// What it said.
        answer: String,
    },
}

/// Unpacks it, if need be.
///
/// # Errors
/// When the package cannot be got.
pub fn unpack(lab: &LabFolder, say: &mut dyn FnMut(&str)) -> Result<PathBuf, PackageError> {
    Ok(packages::unpack(lab, PACKAGE, say)?.join("usr/bin/prometheus"))
}

/// Its checker, where [`unpack`] puts it.
#[must_use]
pub fn promtool(lab: &LabFolder) -> PathBuf {
    lab.packages().join(PACKAGE).join("usr/bin/promtool")
}

/// A running Prometheus. Dropping it ends it.
#[derive(Debug)]
pub struct Prometheus<'a> {
    namespace: &'a Namespace,
    process: Process,
}

/// A series of an answer: its labels, and its points as (seconds since the epoch, value).
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Without its name.
    pub labels: serde_json::Map<String, Value>,
    /// In order.
    pub points: Vec<(f64, f64)>,
}

/// Over which time to ask, in seconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    /// Its beginning.
    pub from: f64,
    /// Its end.
    pub to: f64,
    /// Between two points.
    pub step: f64,
}

impl<'a> Prometheus<'a> {
    /// Starts the shipped configuration and the shipped alerts against a controller at this address and port, which is asked
    /// each `interval`; its data lies in `folder`.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(
        namespace: &'a Namespace,
        program: &Path,
        folder: &Path,
        (controller, port): (Ipv4Addr, u16),
        interval: Duration,
    ) -> Result<Self, PrometheusError> {
        let file = |path: &Path| {
            let path = path.to_owned();
            move |source| PrometheusError::File { path, source }
        };
        fs::create_dir_all(folder.join("rules")).map_err(file(folder))?;
        let shipped =
            fs::read_to_string(shipped::configuration()).map_err(file(&shipped::configuration()))?;
        let configuration = shipped
            .replace("controller.example:9464", &format!("{controller}:{port}"))
            .replace("_interval: 15s", &format!("_interval: {}s", interval.as_secs()));
        let path = folder.join("prometheus.yml");
        fs::write(&path, configuration).map_err(file(&path))?;
        fs::copy(shipped::rules(), folder.join("rules/bootlane.yml")).map_err(file(&shipped::rules()))?;
        let process = namespace
            .command("prometheus", program)
            .arg(format!("--config.file={}", path.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={LISTEN}"))
            .arg("--enable-feature=exemplar-storage")
            .spawn(namespace.run())?;
        let prometheus = Self { namespace, process };
        prometheus.wait_ready()?;
        Ok(prometheus)
    }

    fn wait_ready(&self) -> Result<(), PrometheusError> {
        let end = Instant::now() + START_TIMEOUT;
        while self.namespace.shell(&format!("curl -sf http://{LISTEN}/-/ready")).is_err() {
            if Instant::now() > end {
                return Err(PrometheusError::Silent { log: self.process.log().to_owned() });
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    /// What a question is answered now.
    ///
    /// # Errors
    /// When it is no question, or is not answered.
    pub fn present(&self, question: &str) -> Result<Vec<Series>, PrometheusError> {
        let answer = self.ask("query", &[("query", question)])?;
        series(&answer, VECTOR).ok_or_else(|| no_answer(question, &answer))
    }

    /// What it is answered over time.
    ///
    /// # Errors
    /// When it is no question, or is not answered.
    pub fn course(&self, question: &str, span: Span) -> Result<Vec<Series>, PrometheusError> {
        let (from, to, step) = (span.from.to_string(), span.to.to_string(), span.step.to_string());
        let parameters = [("query", question), ("start", &*from), ("end", &*to), ("step", &*step)];
        let answer = self.ask("query_range", &parameters)?;
        series(&answer, MATRIX).ok_or_else(|| no_answer(question, &answer))
    }

    /// The labels of the exemplars of a question.
    ///
    /// # Errors
    /// When it is no question, or is not answered.
    pub fn exemplars(&self, question: &str, span: Span) -> Result<Vec<Value>, PrometheusError> {
        let (from, to) = (span.from.to_string(), span.to.to_string());
        let answer = self.ask("query_exemplars", &[("query", question), ("start", &*from), ("end", &*to)])?;
        let of_series = answer["data"].as_array().into_iter().flatten();
        let exemplars = of_series.flat_map(|series| series["exemplars"].as_array().into_iter().flatten());
        Ok(exemplars.map(|exemplar| exemplar["labels"].clone()).collect())
    }

    fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value, PrometheusError> {
        let question = parameters.first().map_or_else(String::new, |(_, question)| (*question).to_owned());
        let encoded = parameters
            .iter()
            .map(|(name, value)| format!("--data-urlencode {}", quoted(&format!("{name}={value}"))));
        let encoded = encoded.collect::<Vec<_>>().join(" ");
        let command = format!("curl -sS --max-time 30 http://{LISTEN}/api/v1/{path} {encoded}");
        let said = self.namespace.shell(&command);
        let said = said.map_err(|source| PrometheusError::Ask { question: question.clone(), source })?;
        let answer: Value = serde_json::from_str(&said).unwrap_or(Value::String(said));
        if answer["status"] == "success" { Ok(answer) } else { Err(no_answer(&question, &answer)) }
    }
}

fn no_answer(question: &str, answer: &Value) -> PrometheusError {
    PrometheusError::Answer { question: question.to_owned(), answer: answer.to_string() }
}

/// As one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// What a series of an instant's answer has.
const VECTOR: &str = "value";
/// What one of an answer over time has.
const MATRIX: &str = "values";

/// Reads a vector or a matrix. Points that are no numbers are left out.
fn series(answer: &Value, points: &str) -> Option<Vec<Series>> {
    let of = |series: &Value| {
        let mut labels = series["metric"].as_object()?.clone();
        labels.remove("__name__");
        let points = match points {
            VECTOR => point(&series[points]).into_iter().collect(),
            _ => series[points].as_array()?.iter().filter_map(point).collect(),
        };
        Some(Series { labels, points })
    };
    answer["data"]["result"].as_array()?.iter().map(of).collect()
}

fn point(point: &Value) -> Option<(f64, f64)> {
    let value: f64 = point[1].as_str()?.parse().ok()?;
    Some((point[0].as_f64()?, value)).filter(|_| value.is_finite())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn vectors_and_matrices_are_read_and_what_is_no_number_is_not() {
        let vector =
            json!({"data": {"result": [{"metric": {"__name__": "up", "job": "a"}, "value": [1.5, "2"]}]}});
        let read = series(&vector, VECTOR).expect("a vector");
        assert_eq!(read[0].labels, *json!({"job": "a"}).as_object().expect("labels"));
        assert_eq!(read[0].points, [(1.5, 2.0)]);
        let matrix = json!({"data": {"result": [{"metric": {}, "values": [[1, "NaN"], [2, "3"]]}]}});
        assert_eq!(series(&matrix, MATRIX).expect("a matrix")[0].points, [(2.0, 3.0)]);
        assert_eq!(series(&json!({"data": {}}), VECTOR), None);
    }

    #[test]
    fn a_shell_takes_a_question_for_one_word() {
        assert_eq!(quoted("a{b='c'}"), r"'a{b='\''c'\''}'");
    }
}
