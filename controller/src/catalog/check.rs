//! What one document demands of others: the checks of a whole draft, every mistake at once.

use std::net::Ipv4Addr;

use proto::catalog::{
    AnyResource, Family, HostSpec, ImageSpec, Kind, MenuSpec, Mode, OperatorSpec, PrefetchSpec, Problem,
    ProfileSpec, Resource, Role, SiteSpec, SubnetSpec,
};

use super::{
    ReadError,
    draft::{Draft, Edit, Id, describe, users},
    keys, orders, secrets, stations,
};
use crate::store::Scan;

/// As many users of a document are named as this.
const NAMED: usize = 5;

/// Checks every edit of a draft against the catalog as it will be.
pub(super) async fn check(draft: &Draft) -> Result<Vec<(Id, Problem)>, ReadError> {
    let mut found = draft.clashes().await?;
    for (id, edit) in draft.edits() {
        let problems = match &edit.after {
            Some(after) => check_document(draft, edit.before.as_ref(), after).await?,
            None => check_removal(draft, id, edit).await?,
        };
        found.extend(problems.into_iter().map(|problem| (id.clone(), problem)));
    }
    found.extend(stations::check(draft).await?);
    Ok(found)
}

async fn check_document(
    draft: &Draft,
    before: Option<&AnyResource>,
    after: &AnyResource,
) -> Result<Vec<Problem>, ReadError> {
    match after {
        AnyResource::Host(host) => check_host(draft, before, host).await,
        AnyResource::Site(site) => check_site(draft, site).await,
        AnyResource::Profile(profile) => check_profile(draft, profile).await,
        AnyResource::Image(image) => Ok(check_image(before, image)),
        AnyResource::Operator(operator) => check_operator(draft, operator).await,
        AnyResource::Agent(agent) => site_exists(draft, &agent.spec.site).await,
        AnyResource::Token(token) => site_exists(draft, &token.spec.site).await,
        AnyResource::Mirror(_) | AnyResource::Order(_) | AnyResource::Secret(_) => Ok(vec![]),
    }
}

async fn site_exists(draft: &Draft, site: &str) -> Result<Vec<Problem>, ReadError> {
    let there = draft.get(Kind::Site, site).await?.is_some();
    Ok(Vec::from_iter((!there).then(|| missing("spec.site", Kind::Site, site))))
}

async fn check_host(
    draft: &Draft,
    before: Option<&AnyResource>,
    host: &Resource<HostSpec>,
) -> Result<Vec<Problem>, ReadError> {
    let mut problems = Vec::new();
    match draft.get(Kind::Site, &host.spec.site).await? {
        Some(AnyResource::Site(site)) => problems.extend(check_address(host, &site.spec)),
        Some(_) | None => problems.push(missing("spec.site", Kind::Site, &host.spec.site)),
    }
    if let Some(profile) = &host.spec.profile
        && draft.get(Kind::Profile, profile).await?.is_none()
    {
        problems.push(missing("spec.profile", Kind::Profile, profile));
    }
    if let Some(loaders) = &host.spec.loaders {
        problems.extend(check_family(draft, "spec.loaders", loaders, &[Family::Loaders]).await?);
    }
    problems.extend(check_menu(draft, host.spec.menu.as_ref()).await?);
    let moved = before.is_some_and(|before| before.site() != Some(host.spec.site.as_str()));
    if moved {
        let orders = users(draft, Kind::Host, &host.name).await?;
        problems.extend(orders.first().map(|order| {
            Problem::new(
                "spec.site",
                format!("cannot change while {} stands: revoke it first", describe(order)),
            )
        }));
    }
    Ok(problems)
}

fn check_address(host: &Resource<HostSpec>, site: &SiteSpec) -> Option<Problem> {
    let address = host.spec.address?;
    refuse_address(address, &site.subnets, &host.spec.site)
        .map(|message| Problem::new("spec.address", message))
}

/// Why no machine of the site can have this fixed address. One within a pool is fine: agents keep it out of the pool.
fn refuse_address(address: Ipv4Addr, subnets: &[SubnetSpec], site: &str) -> Option<String> {
    let Some(subnet) = subnets.iter().find(|subnet| subnet.network.contains(&address)) else {
        let networks: Vec<_> = subnets.iter().map(|subnet| subnet.network.to_string()).collect();
        return Some(format!("{address} is in no subnet of site {site} ({})", networks.join(", ")));
    };
    let ends = [subnet.network.network(), subnet.network.broadcast()];
    if subnet.network.prefix_len() < 31 && ends.contains(&address) {
        return Some(format!("{address} is the network's or broadcast address of {}", subnet.network));
    }
    (subnet.router == Some(address)).then(|| format!("{address} is the router of {}", subnet.network))
}

async fn check_site(draft: &Draft, site: &Resource<SiteSpec>) -> Result<Vec<Problem>, ReadError> {
    let mut problems = Vec::new();
    if let Some(loaders) = &site.spec.loaders {
        problems.extend(check_family(draft, "spec.loaders", loaders, &[Family::Loaders]).await?);
    }
    problems.extend(check_menu(draft, site.spec.menu.as_ref()).await?);
    problems.extend(check_prefetch(draft, &site.spec.prefetch).await?);
    let prefix = keys::addresses(&site.name)?;
    let fixed = draft.catalog().store().scan(Scan::prefix(&prefix)).await?;
    for entry in &fixed.entries {
        let address = entry.key.strip_prefix(prefix.as_str()).and_then(|text| text.parse().ok());
        let host = String::from_utf8_lossy(&entry.version.value).into_owned();
        let refused = address.and_then(|address| refuse_address(address, &site.spec.subnets, &site.name));
        // Hosts of the draft are checked themselves.
        if let (Some(why), false) = (refused, draft.touches(Kind::Host, &host)) {
            problems.push(Problem::new("spec.subnets", format!("leave Host {host} out: {why}")));
        }
    }
    Ok(problems)
}

async fn check_prefetch(draft: &Draft, prefetch: &PrefetchSpec) -> Result<Vec<Problem>, ReadError> {
    let mut problems = Vec::new();
    for (kind, names, list) in
        [(Kind::Profile, &prefetch.profiles, "profiles"), (Kind::Image, &prefetch.images, "images")]
    {
        for (index, name) in names.iter().enumerate() {
            if draft.get(kind, name).await?.is_none() {
                problems.push(missing(&format!("spec.prefetch.{list}[{index}]"), kind, name));
            }
        }
    }
    Ok(problems)
}

/// A menu never installs.
async fn check_menu(draft: &Draft, menu: Option<&MenuSpec>) -> Result<Vec<Problem>, ReadError> {
    let mut problems = Vec::new();
    for (path, name) in menu.into_iter().flat_map(MenuSpec::profiles) {
        let field = format!("spec.menu.{path}");
        match draft.get(Kind::Profile, name).await? {
            Some(AnyResource::Profile(profile)) if profile.spec.mode == Mode::Install => {
                let message =
                    format!("profile {name} is of mode install, which takes an order: expected mode run");
                problems.push(Problem::new(field, message));
            }
            Some(_) => {}
            None => problems.push(missing(&field, Kind::Profile, name)),
        }
    }
    Ok(problems)
}

async fn check_profile(draft: &Draft, profile: &Resource<ProfileSpec>) -> Result<Vec<Problem>, ReadError> {
    let ProfileSpec { image: name, installer, .. } = &profile.spec;
    let bootable = [Family::Debian, Family::Linux, Family::DiskImage, Family::Iso];
    let mut problems = check_family(draft, "spec.image", name, &bootable).await?;
    if let Some(installer) = installer {
        problems.extend(check_family(draft, "spec.installer", installer, &[Family::Linux]).await?);
    }
    if let Some(loaders) = &profile.spec.loaders {
        problems.extend(check_family(draft, "spec.loaders", loaders, &[Family::Loaders]).await?);
    }
    let Some(AnyResource::Image(image)) = draft.get(Kind::Image, name).await? else { return Ok(problems) };
    problems.extend(check_mode(&profile.spec, image.spec.family));
    let booted = match (image.spec.family, installer) {
        (Family::DiskImage, Some(installer)) => draft.get(Kind::Image, installer).await?,
        (Family::Debian | Family::Linux | Family::Loaders | Family::DiskImage | Family::Iso, _) => {
            Some(AnyResource::Image(image))
        }
    };
    if let Some(AnyResource::Image(booted)) = booted {
        problems.extend(check_boot(&profile.spec, &booted.name, &booted.spec));
    }
    Ok(problems)
}

/// Which ways to boot go with which family.
fn check_mode(profile: &ProfileSpec, family: Family) -> Option<Problem> {
    let (field, message) = match (family, profile.mode, &profile.installer) {
        (Family::DiskImage, Mode::Install, None) => {
            ("spec.installer", "is missing: an image of family disk-image is written by one of family linux")
        }
        (Family::DiskImage, Mode::Run, _) => ("spec.mode", "is run, but a disk-image can only be installed"),
        (Family::Debian, Mode::Run, _) => ("spec.mode", "is run, but the Debian installer only installs"),
        (Family::Iso, Mode::Install, _) => {
            ("spec.mode", "is install, but an ISO image is only booted: expected run")
        }
        (Family::Debian | Family::Linux | Family::Iso, _, Some(_)) => {
            ("spec.installer", "is only for images of family disk-image")
        }
        (Family::DiskImage, Mode::Install, Some(_))
        | (Family::Debian, Mode::Install, None)
        | (Family::Linux, Mode::Install | Mode::Run, None)
        | (Family::Iso, Mode::Run, None)
        | (Family::Loaders, _, _) => return None,
    };
    Some(Problem::new(field, message))
}

/// The kernel and initial RAM disks that a profile names must be in the image that is booted.
fn check_boot(profile: &ProfileSpec, name: &str, image: &ImageSpec) -> Vec<Problem> {
    let kernel = profile.boot.kernel.iter().map(|path| ("spec.boot.kernel".to_owned(), path));
    let initrds = profile.boot.initrds.iter().flatten().enumerate();
    let initrds = initrds.map(|(index, path)| (format!("spec.boot.initrds[{index}]"), path));
    let absent = kernel.chain(initrds).filter(|(_, path)| image.file(path).is_none());
    absent
        .map(|(field, path)| Problem::new(field, format!("{path:?} is not among the files of image {name}")))
        .collect()
}

async fn check_family(
    draft: &Draft,
    field: &str,
    name: &str,
    families: &[Family],
) -> Result<Vec<Problem>, ReadError> {
    let Some(AnyResource::Image(image)) = draft.get(Kind::Image, name).await? else {
        return Ok(vec![missing(field, Kind::Image, name)]);
    };
    let family = image.spec.family;
    if families.contains(&family) {
        return Ok(vec![]);
    }
    let words: Vec<_> = families.iter().map(|family| family.word()).collect();
    let message = format!("image {name} is of family {}, expected {}", family.word(), words.join(" or "));
    Ok(vec![Problem::new(field, message)])
}

fn check_image(before: Option<&AnyResource>, image: &Resource<ImageSpec>) -> Vec<Problem> {
    let Some(AnyResource::Image(before)) = before else { return vec![] };
    let changed = before.spec != image.spec;
    Vec::from_iter(changed.then(|| {
        Problem::new(
            "spec",
            "an image never changes: give the new version another name, and profiles that name",
        )
    }))
}

async fn check_operator(draft: &Draft, operator: &Resource<OperatorSpec>) -> Result<Vec<Problem>, ReadError> {
    let mut problems = Vec::new();
    for (index, site) in operator.spec.sites.iter().enumerate() {
        if draft.get(Kind::Site, site).await?.is_none() {
            problems.push(missing(&format!("spec.sites[{index}]"), Kind::Site, site));
        }
    }
    if !is_admin(&operator.spec) {
        problems.extend(check_admin_remains(draft).await?);
    }
    Ok(problems)
}

fn is_admin(operator: &OperatorSpec) -> bool {
    operator.role == Role::Admin && !operator.revoked
}

/// A fleet without an administrator could never be changed again.
async fn check_admin_remains(draft: &Draft) -> Result<Option<Problem>, ReadError> {
    let stored = draft.catalog().list::<OperatorSpec>(None).await?.items;
    let had = stored.iter().any(|operator| is_admin(&operator.spec));
    let untouched = stored.iter().filter(|operator| !draft.touches(Kind::Operator, &operator.name));
    let drafted = draft.edits().values().filter_map(|edit| match &edit.after {
        Some(AnyResource::Operator(operator)) => Some(operator),
        Some(_) | None => None,
    });
    let remains = untouched.chain(drafted).any(|operator| is_admin(&operator.spec));
    Ok((had && !remains).then(|| Problem::new("", "is the last admin: make another one first")))
}

async fn check_removal(draft: &Draft, (kind, name): &Id, edit: &Edit) -> Result<Vec<Problem>, ReadError> {
    let mut users = users(draft, *kind, name).await?;
    if *kind == Kind::Secret {
        users.extend(secrets::users(draft, name).await?);
    }
    if !users.is_empty() {
        return Ok(vec![Problem::new("", format!("is used by {}", list(users.iter().map(describe))))]);
    }
    match &edit.before {
        Some(AnyResource::Site(_)) => check_site_empty(draft, name).await,
        Some(AnyResource::Agent(agent)) if !agent.spec.revoked => {
            Ok(vec![Problem::new("", "is not revoked: revoke it first, or it goes on with its certificate")])
        }
        Some(AnyResource::Order(order)) if !orders::at_end(order) => {
            Ok(vec![Problem::new("", orders::why_it_stays(draft, order).await?)])
        }
        Some(AnyResource::Operator(_)) => Ok(Vec::from_iter(check_admin_remains(draft).await?)),
        Some(
            AnyResource::Agent(_)
            | AnyResource::Order(_)
            | AnyResource::Host(_)
            | AnyResource::Image(_)
            | AnyResource::Profile(_)
            | AnyResource::Mirror(_)
            | AnyResource::Secret(_)
            | AnyResource::Token(_),
        )
        | None => Ok(vec![]),
    }
}

async fn check_site_empty(draft: &Draft, site: &str) -> Result<Vec<Problem>, ReadError> {
    let page = draft.catalog().store().scan(Scan::prefix(keys::site(site)?).limit(1_000)).await?;
    let mut left = Vec::new();
    for entry in &page.entries {
        let Some(place) = keys::Place::parse(&entry.key) else { continue };
        let stays = place.kind != Kind::Site && draft.get(place.kind, place.name).await?.is_some();
        if stays {
            left.push(describe(&(place.kind, place.name.to_owned())));
        }
    }
    let operators = draft.catalog().list::<OperatorSpec>(None).await?.items;
    for operator in operators.iter().filter(|operator| operator.spec.sites.iter().any(|s| s == site)) {
        if !draft.touches(Kind::Operator, &operator.name) {
            left.push(describe(&(Kind::Operator, operator.name.clone())));
        }
    }
    Ok(Vec::from_iter(
        (!left.is_empty()).then(|| Problem::new("", format!("is used by {}", list(left.into_iter())))),
    ))
}

fn missing(field: &str, kind: Kind, name: &str) -> Problem {
    Problem::new(field, format!("there is no {kind} {name}"))
}

/// The first few, and how many more.
fn list(names: impl ExactSizeIterator<Item = String>) -> String {
    let more = names.len().saturating_sub(NAMED);
    let shown: Vec<_> = names.take(NAMED).collect();
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{rest}", shown.join(", "))
}
