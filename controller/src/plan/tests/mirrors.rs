//! Which sites get which mirrors.

use std::time::Duration;

use proto::catalog::MirrorSpec;
use proto::mirror::MirrorFamily;

use super::*;

#[test]
fn a_mirror_is_for_the_sites_with_its_labels() {
    let everywhere = json!({"upstreams": ["https://deb.example/debian"], "family": "debian", "fresh": "1m",
        "budget": "1GiB", "redirects_to": ["cdn.example"]});
    let in_france = json!({"upstreams": ["https://rpm.example/"], "sites": {"country": "fr"}});
    let mirrors = [("debian", everywhere), ("rocky", in_france)]
        .map(|(name, spec)| (name.to_owned(), resource::<MirrorSpec>(name, 1, spec)));
    let globals = Globals { mirrors: mirrors.into(), ..globals(json!({})) };

    let plain = planned(&globals, &Local { site: Some(site(json!({}))), ..Local::default() });
    let plan = decoded(&plain);
    assert_eq!(plan.mirrors.keys().collect::<Vec<_>>(), ["debian"]);
    let debian = &plan.mirrors["debian"];
    assert_eq!((debian.family, debian.fresh), (MirrorFamily::Debian, Duration::from_secs(60)));
    assert_eq!((debian.budget_bytes, debian.max_object_bytes), (1 << 30, 1 << 30));
    assert_eq!(debian.upstreams[0].to_string(), "https://deb.example/debian/");

    let mut french = Resource::clone(&site(json!({})));
    french.labels.insert("country".into(), "fr".into());
    let planned = planned(&globals, &Local { site: Some(Arc::new(french)), ..Local::default() });
    assert_eq!(decoded(&planned).mirrors.keys().collect::<Vec<_>>(), ["debian", "rocky"]);
}
