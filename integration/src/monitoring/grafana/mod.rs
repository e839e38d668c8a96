//! Grafana's dashboards, as far as ours need them: a few words that become the JSON which Grafana reads.
//!
//! What stands here is the form alone; what is shown stands in [`super::dashboards`]. Every choice that all panels share
//! (legends, tooltips, how a line is drawn) is made here once, so that six dashboards look like one.
//!
//! The JSON is that of "schema version 41", which Grafana 11 and later read. [`super::schema`] checks it against
//! the types that Grafana publishes.

mod dashboard;
mod field;
mod panel;
mod query;
mod table;
mod variable;
mod view;

pub use dashboard::{Dashboard, Placed, Row, What, panels};
pub use field::{Colour, Levels, Link, Meaning, Unit};
pub use panel::Panel;
pub use query::{Asked, Query};
pub use table::Column;
pub use variable::{Choice, Variable};
pub use view::{Shape, View};
