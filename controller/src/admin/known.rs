//! What a question names is there; if not, the answer says what is. A filter by something unknown is a mistake, not an empty list.

use proto::{catalog::Kind, hint};
use tonic::Status;

use super::refusal;
use crate::app::App;

/// As many names are listed of what there is.
const LISTED: usize = 10;

/// The site that a question is limited to; None: "", which is all of them.
///
/// # Errors
/// `NOT_FOUND`, with the sites that there are.
pub(super) async fn site(app: &App, asked: String) -> Result<Option<String>, Status> {
    if asked.is_empty() {
        return Ok(None);
    }
    if there_is(app, Kind::Site, &asked).await? {
        return Ok(Some(asked));
    }
    let sites = app.catalog.site_names().await.map_err(refusal::read)?;
    Err(Status::not_found(no_site(&asked, &sites)))
}

/// The resource of this name, where one is named, is in the catalog.
///
/// # Errors
/// `NOT_FOUND`.
pub(super) async fn resource(app: &App, kind: Kind, name: &str) -> Result<(), Status> {
    if name.is_empty() || there_is(app, kind, name).await? {
        return Ok(());
    }
    Err(Status::not_found(format!("there is no {kind} {}", name.escape_debug())))
}

async fn there_is(app: &App, kind: Kind, name: &str) -> Result<bool, Status> {
    // What cannot be a name names nothing.
    if proto::catalog::check_name("name", name).is_some() {
        return Ok(false);
    }
    Ok(app.catalog.get_any(kind, name).await.map_err(refusal::read)?.is_some())
}

fn no_site(asked: &str, sites: &[String]) -> String {
    let meant = hint::nearest(asked, sites.iter().map(String::as_str));
    let meant = meant.map(|site| format!(": did you mean {site}?")).unwrap_or_default();
    let listed = sites.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more =
        if sites.len() > LISTED { format!(", and {} more", sites.len() - LISTED) } else { String::new() };
    let known =
        if sites.is_empty() { "there is none yet".into() } else { format!("the sites are {listed}{more}") };
    let end = if meant.is_empty() { format!(": {known}") } else { format!(" ({known})") };
    format!("there is no site {}{meant}{end}", asked.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_mistypes_is_told_what_there_is() {
        let sites = ["lyon", "oslo"].map(str::to_owned);
        assert_eq!(no_site("nope", &sites), "there is no site nope: the sites are lyon, oslo");
        assert_eq!(
            no_site("lion", &sites),
            "there is no site lion: did you mean lyon? (the sites are lyon, oslo)"
        );
        assert_eq!(no_site("x", &[]), "there is no site x: there is none yet");
        let many: Vec<_> = (0..12).map(|number| format!("site-{number:02}")).collect();
        assert!(no_site("nope", &many).ends_with("site-09, and 2 more"));
    }
}
