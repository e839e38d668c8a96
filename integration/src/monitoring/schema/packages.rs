//! Grafana's packages in the lab's folder: fetched by npm, each by the digest that `grafana-schema/package-lock.json` has.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use super::program;
use crate::lab::LabFolder;
use crate::lab::packages::{self, PackageError};

/// Where the packages are named.
const NAMED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/grafana-schema");
/// What names them, with their digests.
const FILES: [&str; 2] = ["package.json", "package-lock.json"];
/// The compiler, as a program of node's.
const COMPILER: &str = "node_modules/typescript/bin/tsc";
/// What runs the compiler, and what gets it.
const NPM: &[(&str, &str)] = &[("nodejs", "the compiler"), ("npm", "its packages")];
/// How it is to compile. `skipLibCheck`: the packages themselves are not what is tested.
const OPTIONS: &[&str] = &[
    "--noEmit",
    "--strict",
    "--skipLibCheck",
    "--target",
    "es2022",
    "--module",
    "esnext",
    "--moduleResolution",
    "bundler",
];

/// Failure to get the packages.
#[derive(Debug, thiserror::Error)]
pub enum PackagesError {
    /// A file could not be written.
    #[error("failed to use {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// npm is not there, and could not be installed.
    #[error("failed to install npm, which gets Grafana's schema package")]
    NoNpm(#[from] PackageError),
    /// npm could not be run.
    #[error("failed to run npm")]
    Run(#[source] io::Error),
    /// npm said no.
    #[error("`npm ci` failed: {0}")]
    Refused(String),
}

/// The packages, as they were installed.
#[derive(Debug, Clone)]
pub struct Packages {
    folder: PathBuf,
}

impl Packages {
    /// Those of a lab, if they are what is named now.
    #[must_use]
    pub fn find(lab: &LabFolder) -> Option<Self> {
        let folder = folder(lab);
        let same = |name| match (fs::read(Path::new(NAMED).join(name)), fs::read(folder.join(name))) {
            (Ok(named), Ok(installed)) => named == installed,
            _ => false,
        };
        (FILES.into_iter().all(same) && folder.join(COMPILER).exists()).then_some(Self { folder })
    }

    /// Gets what is not there. No script of a package is run.
    ///
    /// # Errors
    /// When npm is not there, or cannot get them with these digests.
    pub fn install(lab: &LabFolder, say: &mut dyn FnMut(&str)) -> Result<Self, PackagesError> {
        if let Some(found) = Self::find(lab) {
            return Ok(found);
        }
        // Who has it from elsewhere than Debian keeps what he has.
        if Command::new("npm").arg("--version").output().is_err() {
            packages::ensure_installed(NPM, say)?;
        }
        say("getting Grafana's schema package with npm");
        let folder = folder(lab);
        let file = |path: PathBuf| move |source| PackagesError::File { path, source };
        fs::create_dir_all(&folder).map_err(file(folder.clone()))?;
        for name in FILES {
            fs::copy(Path::new(NAMED).join(name), folder.join(name)).map_err(file(folder.join(name)))?;
        }
        let mut npm = Command::new("npm");
        npm.current_dir(&folder).args([
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
        ]);
        let output = npm.output().map_err(PackagesError::Run)?;
        if !output.status.success() {
            return Err(PackagesError::Refused(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        Ok(Self { folder })
    }

    /// Whether these dashboards are what the types say: the compiler's end and its words.
    ///
    /// # Errors
    /// When node cannot be run, or nothing can be written.
    pub fn compile(&self, dashboards: &[Value]) -> io::Result<Output> {
        let folder = tempfile::tempdir_in(&self.folder)?;
        let file = folder.path().join("dashboards.ts");
        fs::write(&file, program(dashboards))?;
        Command::new("node").arg(self.folder.join(COMPILER)).args(OPTIONS).arg(&file).output()
    }
}

fn folder(lab: &LabFolder) -> PathBuf {
    lab.root().join("grafana-schema")
}
