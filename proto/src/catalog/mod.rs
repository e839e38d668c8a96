//! The catalog: what operators declare and what was seen (DESIGN §4).
//!
//! A resource has a kind, a name, labels, a `spec` (what operators want), a `status` (what was seen) and a revision.
//! Its JSON form is what the store keeps, what the Admin service carries and what `bootlane get` shows; the types
//! here are its only definition (docs/adr/0002). Unknown fields are refused. `validate` reports every mistake that
//! can be seen in one document alone; what needs other documents is the controller's to check.

mod agent;
mod dhcp_option;
mod host;
mod image;
mod link_wait;
mod menu;
mod mirror;
mod mistakes;
mod operator;
mod order;
mod profile;
mod resource;
mod secret;
mod site;
mod supply;
mod token;

pub use agent::{AgentSpec, AgentStatus, MirrorStatus};
pub use dhcp_option::{DhcpOptions, OptionValue, encode_options};
pub use host::HostSpec;
pub use image::{Family, FileChunks, FileEntry, ImageSpec};
pub use menu::{MenuEntry, MenuSpec};
pub use mirror::MirrorSpec;
pub use mistakes::{MOST_MISTAKES, Stopped, read as read_document, read_with as read_document_with};
pub use operator::{OperatorSpec, Role};
pub use order::{OrderSpec, OrderStatus, Waiting};
pub use profile::{BootSpec, Mode, ProfileSpec, TemplateSpec};
pub use resource::{AnyResource, Kind, Meta, NotAResource, Problem, Resource, Spec, check_name, for_people};
pub use secret::SecretSpec;
pub use site::{Dhcp, SiteSpec, SubnetSpec, Unknown};
pub use supply::{PrefetchSpec, WanSpec, WindowSpec};
pub use token::{Enrolled, TokenSpec};

use std::collections::BTreeMap;

/// Values for templates, by name.
pub type Variables = BTreeMap<String, serde_json::Value>;
