//! What a fleet is watched with: Grafana's dashboards and Prometheus' alerts, as they are shipped in deploy/, and what proves
//! that they show something.
//!
//! [`dashboards`] and [`alerts`] say what is asked; [`grafana`] how it becomes the JSON that Grafana reads. The files in
//! deploy/ are what these say, which `tests/monitoring.rs` asserts. That each question is about metrics which exist is a
//! test without anything; that each is answered is the lab's case `monitoring`, with a real Prometheus ([`prometheus`]) that has
//! scraped a real fleet; [`schema`] asks Grafana's own types whether they are dashboards at all.

pub mod alerts;
pub mod dashboards;
pub mod grafana;
pub mod preview;
pub mod prometheus;
pub mod promql;
pub mod schema;
pub mod shipped;
