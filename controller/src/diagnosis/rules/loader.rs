//! From the loader's last byte to its first word.

use proto::event::{EventKind, Refusal};
use proto::plan::Stage;

use crate::diagnosis::case::Case;
use crate::diagnosis::cause::Cause;
use crate::diagnosis::context::LoaderFacts;
use crate::diagnosis::finding::{Certainty, Finding};
use crate::diagnosis::neighbour::Others;
use crate::diagnosis::stage::Step;

/// Its firmware cannot run what it fetched.
pub(super) fn wrong_loader(case: &Case<'_>) -> Option<Finding> {
    let platform = case.platform()?;
    let name = fetched_in_vain(case)?;
    let bytes = loader_facts(case, name).filter(|loader| !loader.runs_on.is_empty());
    let meant = case.context.boots.iter().flat_map(|boots| &boots.entries).filter(|(_, entry)| entry == name);
    let meant_for: Vec<_> = meant.map(|(platform, _)| *platform).collect();
    let by_bytes = bytes.is_some_and(|loader| !loader.runs_on.contains(&platform));
    let by_plan = !meant_for.is_empty() && !meant_for.contains(&platform);
    if !by_bytes && !by_plan {
        return None;
    }
    let runs_on = if by_bytes { bytes.map_or(&[][..], |loader| &loader.runs_on) } else { &meant_for };
    let runs_on: Vec<_> = runs_on.iter().map(ToString::to_string).collect();
    let is_efi = runs_on.iter().any(|platform| platform.starts_with("uefi-"));
    let what = if by_bytes && !is_efi {
        "is no EFI program".to_owned()
    } else {
        format!("runs on {}", runs_on.join(", "))
    };
    Some(Finding {
        cause: Cause::WrongLoader,
        stopped_at: format!("it fetched the whole loader {name}, and the loader was never heard"),
        expected: "the loader's first word: its DHCPDISCOVER, or a request for its script".into(),
        likely: format!("{name} {what} and the machine is {platform}"),
        remedy: format!(
            "import the loaders again with one for {platform} (`bootlane image import FOLDER --family loaders --name NAME \
             --loader {platform}=FILE`)"
        ),
        certainty: if by_bytes { Certainty::Seen } else { Certainty::Likely },
        evidence: Vec::new(),
    })
}

/// What runs on it asked for a file that there is not, and for nothing after it.
pub(super) fn file_missing(case: &Case<'_>) -> Option<Finding> {
    if !case.is_silent() || case.has(Step::Kernel) {
        return None;
    }
    // Loaders try many names (QUIRKS 44): only the last word counts.
    let last = case.kinds().rev().find(|kind| speaks_of_files(kind))?;
    let EventKind::FileRefused { name, refusal, by_token: false, why, .. } = last else { return None };
    let whose = if case.has(Step::Loader) { "its loader" } else { "its ROM" };
    let (likely, remedy) = match refusal {
        Some(Refusal::NoSuchFile) | None => (
            "neither its image of loaders nor what it boots has a file of that name".to_owned(),
            "import the loaders again with that file (`bootlane image import`), or mend the name in the loader's \
             configuration or the profile's script",
        ),
        Some(Refusal::NothingToBoot) => (
            "the agent told it to boot its disk, so something else sent it for this file".to_owned(),
            "`bootlane boot show` has what it was told; look for another DHCP server (`bootlane alarm list`)",
        ),
        Some(Refusal::NoLease) => (
            "the agent does not know it by the address that it asks from".to_owned(),
            "let it take its address from the agent, or set `dhcp: proxy` where another server gives the addresses",
        ),
        Some(
            Refusal::AttemptOver
            | Refusal::OrderEnded
            | Refusal::Elsewhere
            | Refusal::OrderWaits
            | Refusal::TimeOver
            | Refusal::NotHere,
        ) => (why.clone(), "boot it again"),
    };
    Some(Finding {
        cause: Cause::FileMissing,
        stopped_at: format!("{whose} asked for {name}, was refused it, and asked for nothing more"),
        expected: "a request for a file that it can be given".into(),
        likely,
        remedy: remedy.into(),
        certainty: Certainty::Likely,
        evidence: Vec::new(),
    })
}

/// It fetched its loader, and the loader says nothing.
pub(super) fn loader_silent(case: &Case<'_>) -> Option<Finding> {
    let name = fetched_in_vain(case)?;
    let unsigned = loader_facts(case, name).is_some_and(|loader| !loader.signed);
    let uefi = case.platform().is_some_and(|platform| platform.to_string().starts_with("uefi"));
    let (likely, remedy) = match (uefi, unsigned) {
        (true, true) => (
            "its firmware has Secure Boot on and refuses it, since it bears no signature",
            "import a signed loader (shim) for it, or turn Secure Boot off in the firmware's setup; its screen shows a \
             security violation if that is it",
        ),
        (true, false) => (
            "its firmware has Secure Boot on and does not trust it, or the loader has no driver for the network card",
            "its screen tells which: at a security violation import a loader that this firmware trusts; if the loader \
             starts and finds no network card, use snponly.efi in place of ipxe.efi",
        ),
        (false, _) => (
            "the loader does not run there, or has no driver for the network card",
            "its screen tells which; try undionly.kpxe, which uses the ROM's own driver",
        ),
    };
    Some(Finding {
        cause: Cause::LoaderSilent,
        stopped_at: format!("it fetched the whole loader {name}, and the loader was never heard"),
        expected: "the loader's first word: its DHCPDISCOVER, or a request for its script".into(),
        likely: likely.into(),
        remedy: remedy.into(),
        certainty: Certainty::Likely,
        evidence: vec![
            Others::of(case).say(&format!("fetched {name} too and were heard after it"), |other| {
                other.loader.as_deref() == Some(name) && other.runs_loader()
            }),
        ],
    })
}

/// The loader that it fetched last, if that was the last that was heard.
fn fetched_in_vain<'a>(case: &Case<'a>) -> Option<&'a str> {
    let served = case.served(Stage::Loader)?;
    let asked_since = matches!(
        case.kinds().rev().find(|kind| speaks_of_files(kind)),
        Some(EventKind::FileRefused { .. } | EventKind::FileBroken { .. })
    );
    (case.is_silent() && case.last_step() == Some(Step::Loader) && !asked_since).then_some(served)
}

fn loader_facts<'a>(case: &Case<'a>, name: &str) -> Option<&'a LoaderFacts> {
    case.context.loader.as_ref().filter(|loader| loader.name == name)
}

fn speaks_of_files(kind: &EventKind) -> bool {
    matches!(
        kind,
        EventKind::FileServed { .. } | EventKind::FileBroken { .. } | EventKind::FileRefused { .. }
    )
}
