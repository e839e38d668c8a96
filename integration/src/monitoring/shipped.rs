//! The files of deploy/ that are made here, and the others that belong to them.

use std::path::{Path, PathBuf};

use super::{alerts, dashboards};

/// A file that is made, and what it must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Where it lies.
    pub path: PathBuf,
    /// What must stand in it.
    pub text: String,
}

/// Every file that is made.
#[must_use]
pub fn files() -> Vec<Made> {
    let dashboard = |dashboard: &super::grafana::Dashboard| Made {
        path: dashboards_folder().join(dashboard.file_name()),
        // Keys are in order, so that a change shows as what it is.
        text: format!("{:#}\n", dashboard.json()),
    };
    let mut files: Vec<_> = dashboards::all().iter().map(dashboard).collect();
    files.push(Made { path: rules(), text: alerts::file() });
    files
}

/// The dashboards.
#[must_use]
pub fn dashboards_folder() -> PathBuf {
    deploy("grafana/dashboards")
}

/// The alerts.
#[must_use]
pub fn rules() -> PathBuf {
    deploy("prometheus/rules/bootlane.yml")
}

/// The example of Prometheus' configuration.
#[must_use]
pub fn configuration() -> PathBuf {
    deploy("prometheus/prometheus.yml")
}

/// The pictures of the main panels.
#[must_use]
pub fn pictures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/pictures")
}

fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name)
}
