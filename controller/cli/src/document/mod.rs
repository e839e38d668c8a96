//! Documents in files: found, read with the place of every mistake, checked as a set.
//!
//! What is sent is what the file declares and no more, in the form that the catalog's types give it; defaults are
//! the controller's to fill in.

mod diff;
mod files;
mod load;
mod place;
mod set;
mod undeclarable;

pub(crate) use diff::diff;
pub(crate) use files::{Input, read_inputs};
pub(crate) use load::{Loaded, load};
pub(crate) use place::{Mistake, Place};
pub(crate) use set::check_set;

use std::sync::Arc;

use proto::catalog::{AnyResource, Kind};
use serde_json::Value;

/// A text with the name under which mistakes in it are reported.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// A path, or `-`.
    pub(crate) name: String,
    /// All of it.
    pub(crate) text: String,
}

/// A document as a file declares it.
#[derive(Debug, Clone)]
pub(crate) struct Declared {
    /// Where it was read.
    pub(crate) source: Arc<Source>,
    /// Which of the file's documents it is, and which element if that is a list.
    pub(crate) index: (usize, Option<usize>),
    /// Its kind.
    pub(crate) kind: Kind,
    /// Its name.
    pub(crate) name: String,
    /// What it declares: kind, name, labels, spec.
    pub(crate) json: Value,
    /// The same with all defaults.
    pub(crate) typed: AnyResource,
}

impl Declared {
    /// Where it, or the field at this path, stands. A field that is not there stands where it would be.
    #[must_use]
    pub(crate) fn place(&self, field: &str) -> Place {
        place::find(&self.source, self.index, field)
    }
}
