//! Package mirrors, as far as rules go: which paths exist, what is an index, what is fresh, what may be stale, and
//! where an upstream may redirect to.
//!
//! Pure functions of the plan, a path and the time. The shell holds the files, asks upstreams and answers machines.

mod class;
mod freshness;
mod path;
mod redirect;

pub use class::{Class, class, named_digest, vouchers};
pub use freshness::{Seen, is_coherent, is_fresh};
pub use path::{Asked, NoPath, ObjectPath};
pub use redirect::{NotFollowed, redirect};

#[cfg(test)]
mod paper {
    //! What the tests of all rules begin with.

    use std::time::Duration;

    use proto::{mirror::MirrorFamily, plan::MirrorPlan};

    pub(super) fn mirror(family: MirrorFamily) -> MirrorPlan {
        MirrorPlan {
            name: "m".into(),
            family,
            upstreams: vec!["https://deb.example/debian/".parse().expect("an upstream")],
            redirects_to: vec![],
            index: vec![],
            immutable: vec![],
            fresh: Duration::from_secs(30),
            budget_bytes: 1 << 30,
            max_object_bytes: 1 << 30,
        }
    }
}
