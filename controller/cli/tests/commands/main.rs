//! The real binary against a fake controller: happy paths, and every error's exit code and words.

mod documents;
mod fake;
mod fleet;
mod images;
mod migrate;
mod people;
mod refusals;
mod top;
mod trace;
