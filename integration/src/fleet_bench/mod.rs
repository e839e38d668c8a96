//! How long a change takes to a hundred agents, and what an idle agent weighs.
//!
//! The controller and the agent whose memory is read are the shipped programs. The hundred agents are clients in this
//! process: each enrols with a token of its own, has its own certificate, its own connection and its own stream, and
//! counts a change as applied when it holds the new plan decoded. They share two cores with the controller, so what is
//! measured is more than the controller's part.

mod agent;
mod changes;
mod idle;
mod spread;

pub use agent::{Applied, Simulated};
pub use changes::{Fleet, Options, Round, measure};
pub use idle::{Idle, weigh};
pub use spread::Spread;
