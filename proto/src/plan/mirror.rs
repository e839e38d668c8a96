//! A package mirror as an agent is to serve it.

use std::{str::FromStr, time::Duration};

use crate::{
    mirror::{HostName, MirrorFamily, Pattern, Upstream},
    name, v1,
    wire::WireError,
};

/// A package mirror, served at `/mirror/NAME/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorPlan {
    /// Names it, in URLs and on disk.
    pub name: String,
    /// What is an index there, and what never changes.
    pub family: MirrorFamily,
    /// Where its files come from, the preferred first; at least one.
    pub upstreams: Vec<Upstream>,
    /// Other hosts that an upstream may redirect to.
    pub redirects_to: Vec<HostName>,
    /// Files that are asked after; goes before all else.
    pub index: Vec<Pattern>,
    /// Files that never change under their name; goes before the family.
    pub immutable: Vec<Pattern>,
    /// How long an index is given away before it is asked after again.
    pub fresh: Duration,
    /// What it may take on disk.
    pub budget_bytes: u64,
    /// The largest file that is taken.
    pub max_object_bytes: u64,
}

impl From<&MirrorPlan> for v1::Mirror {
    fn from(mirror: &MirrorPlan) -> Self {
        fn texts<T: ToString>(all: &[T]) -> Vec<String> {
            all.iter().map(ToString::to_string).collect()
        }
        Self {
            name: mirror.name.clone(),
            family: mirror.family.into(),
            upstreams: texts(&mirror.upstreams),
            redirects_to: texts(&mirror.redirects_to),
            index: texts(&mirror.index),
            immutable: texts(&mirror.immutable),
            fresh_ms: u32::try_from(mirror.fresh.as_millis()).unwrap_or(u32::MAX),
            budget_bytes: mirror.budget_bytes,
            max_object_bytes: mirror.max_object_bytes,
        }
    }
}

impl TryFrom<v1::Mirror> for MirrorPlan {
    type Error = WireError;

    fn try_from(message: v1::Mirror) -> Result<Self, WireError> {
        fn parsed<T: FromStr<Err: ToString>>(field: &str, texts: &[String]) -> Result<Vec<T>, WireError> {
            let one = |text: &String| text.parse().map_err(|e: T::Err| WireError::new(field, e.to_string()));
            texts.iter().map(one).collect()
        }
        if let Some(flaw) = name::flaw(&message.name) {
            return Err(WireError::new("name", flaw));
        }
        let upstreams = parsed("upstreams", &message.upstreams)?;
        if upstreams.is_empty() {
            return Err(WireError::new("upstreams", "is missing"));
        }
        Ok(Self {
            // A family that is not known here: all its files are asked after, which is never wrong.
            family: MirrorFamily::from_wire("family", message.family).unwrap_or_default(),
            name: message.name,
            upstreams,
            redirects_to: parsed("redirects_to", &message.redirects_to)?,
            index: parsed("index", &message.index)?,
            immutable: parsed("immutable", &message.immutable)?,
            fresh: Duration::from_millis(message.fresh_ms.into()),
            budget_bytes: message.budget_bytes,
            max_object_bytes: message.max_object_bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> MirrorPlan {
        MirrorPlan {
            name: "debian".into(),
            family: MirrorFamily::Debian,
            upstreams: vec!["https://deb.example/debian/".parse().expect("an upstream")],
            redirects_to: vec!["cdn.example".parse().expect("a host")],
            index: vec!["pool/local/**".parse().expect("a pattern")],
            immutable: vec!["**/*.iso".parse().expect("a pattern")],
            fresh: Duration::from_secs(30),
            budget_bytes: 1 << 30,
            max_object_bytes: 1 << 20,
        }
    }

    #[test]
    fn a_mirror_there_and_back() {
        assert_eq!(MirrorPlan::try_from(v1::Mirror::from(&plan())), Ok(plan()));
    }

    #[test]
    fn what_another_version_says_is_an_error_or_the_careful_choice() {
        let wire = || v1::Mirror::from(&plan());
        let careful = MirrorPlan::try_from(v1::Mirror { family: 99, ..wire() }).expect("taken");
        assert_eq!(careful.family, MirrorFamily::Generic);
        for wrong in [
            v1::Mirror { name: "../x".into(), ..wire() },
            v1::Mirror { upstreams: vec![], ..wire() },
            v1::Mirror { upstreams: vec!["ftp://x/".into()], ..wire() },
            v1::Mirror { redirects_to: vec!["a/b".into()], ..wire() },
            v1::Mirror { index: vec![String::new()], ..wire() },
        ] {
            MirrorPlan::try_from(wrong).expect_err("a mistake");
        }
    }
}
