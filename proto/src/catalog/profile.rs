//! How to boot an image.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Kind, Problem, Spec, Variables, check_name};
use crate::Span;

/// What operators say of a way to boot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileSpec {
    /// The image that is booted or installed.
    pub image: String,
    /// Does it overwrite the disk? `install` needs an order; `run` does not and must not touch a disk.
    #[serde(default)]
    pub mode: Mode,
    /// The image (of family `linux`) whose kernel and initial RAM disk write a `disk-image` to the disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installer: Option<String>,
    /// The image (of family `loaders`) whose network bootstrap program is given to machines that boot this, where it has
    /// one for the machine's platform; else the site's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loaders: Option<String>,
    /// What differs from the image's own way to boot.
    #[serde(default, skip_serializing_if = "BootSpec::is_empty")]
    pub boot: BootSpec,
    /// Files that are rendered for each host, by name; they replace the family's own of the same name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub templates: BTreeMap<String, TemplateSpec>,
    /// Values for templates; they win over the site's.
    #[serde(default, skip_serializing_if = "Variables::is_empty")]
    pub variables: Variables,
    /// How long answer files and secrets may be fetched once the installation has started, and how long it may take. An
    /// order keeps what this was when it was made.
    #[serde(default = "hour")]
    pub install_time: Span,
    /// How many attempts an order allows before the installation has started.
    #[serde(default = "three")]
    pub attempts: u32,
}

fn hour() -> Span {
    Span::seconds(3_600)
}

fn three() -> u32 {
    3
}

/// Does it overwrite the disk?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Yes; needs an order.
    #[default]
    Install,
    /// No; every boot is this.
    Run,
}

/// What differs from the image's own way to boot.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "fields, such as kernel and initrd")]
pub struct BootSpec {
    /// Another kernel of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// Other initial RAM disks of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initrds: Option<Vec<String>>,
    /// A template for the kernel's arguments, instead of the family's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<String>,
    /// A template that is put behind the kernel's arguments, for example `console=ttyS0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more_arguments: Option<String>,
}

impl BootSpec {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A file that is rendered for each host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "fields, such as text")]
pub struct TemplateSpec {
    /// The template.
    pub text: String,
    /// May it be fetched without a started order? Never for what holds a secret.
    #[serde(default)]
    pub open: bool,
}

/// The largest template, in bytes.
const TEMPLATE: usize = 256 * 1024;

impl Spec for ProfileSpec {
    const KIND: Kind = Kind::Profile;

    fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::from_iter(check_name("image", &self.image));
        problems.extend(self.installer.as_deref().and_then(|name| check_name("installer", name)));
        problems.extend(self.loaders.as_deref().and_then(|name| check_name("loaders", name)));
        for (name, template) in &self.templates {
            problems.extend(check_name(&format!("templates.{name}"), name));
            if template.text.len() > TEMPLATE {
                let message = format!("has {} bytes, at most {TEMPLATE} are taken", template.text.len());
                problems.push(Problem::new(format!("templates.{name}.text"), message));
            }
        }
        if !(1..=20).contains(&self.attempts) {
            problems.push(Problem::new("attempts", format!("is {}, expected 1 to 20", self.attempts)));
        }
        if !(60..=7 * 86_400).contains(&self.install_time.as_seconds()) {
            problems
                .push(Problem::new("install_time", format!("is {}, expected 1m to 7d", self.install_time)));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_profile_has_defaults() {
        let profile: ProfileSpec = serde_json::from_str(r#"{"image":"debian-12"}"#).expect("well-formed");
        assert_eq!((profile.mode, profile.attempts, profile.install_time), (Mode::Install, 3, hour()));
        assert_eq!(profile.validate(), []);
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let json = r#"{"image":"A","installer":"","attempts":0,"install_time":"1s","templates":{"A B":{"text":""}}}"#;
        let profile: ProfileSpec = serde_json::from_str(json).expect("well-formed");
        let fields: Vec<_> = profile.validate().into_iter().map(|problem| problem.field).collect();
        assert_eq!(fields, ["image", "installer", "templates.A B", "attempts", "install_time"]);
    }
}
