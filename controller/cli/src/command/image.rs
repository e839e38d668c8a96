//! `bootlane image`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use clap::{Args, Subcommand, ValueEnum};
use proto::catalog::{Family, FileEntry, ImageSpec, Kind, Resource, Spec as _, check_name};
use proto::{Digest, Platform, Program};
use serde_json::Value;

use super::catalog::{self, Column, ListAll, One, cell};
use super::readiness::{self, ImageStatus};
use super::verification::Verification;
use super::{Context, outcomes};
use crate::client::{Change, Client, Writing};
use crate::failure::{Exit, Failure};
use crate::image::{
    Download, Found, Hashed, LARGEST, Media, Progress, Taken, Wanted, check_boot, check_taken, hash, is_url,
    recognise, upload, upload_list, without_secrets,
};
use crate::output::words;

/// What to do with images.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List images
    #[command(visible_alias = "ls")]
    List(ListAll),
    /// Show one
    Get(One),
    /// Import an image from a folder, an ISO or UDF image, a single file, a URL of one, or Debian packages
    #[command(visible_alias = "add")]
    Import(Box<Import>),
    /// Show which sites hold it, how far it has come elsewhere, and why it does not come
    ///
    /// What is shown of an agent that is away is the last that it said. The time that the rest will take follows from what
    /// comes now, from what is fetched before it, and from the site's rates by the time of day (docs/cache.md).
    Status(ImageStatus),
    /// Remove an image that no profile names
    Rm(One),
}

/// How an image is booted and installed.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Families {
    /// Debian's installer
    Debian,
    /// Any kernel and initial RAM disk
    Linux,
    /// A disk's bytes (*.img, *.raw; also as *.gz)
    DiskImage,
    /// Network bootstrap programs (iPXE, shim and GRUB, PXELINUX)
    Loaders,
    /// An ISO image that is booted as it is (memdisk, BIOS alone)
    Iso,
}

impl From<Families> for Family {
    fn from(family: Families) -> Self {
        match family {
            Families::Debian => Self::Debian,
            Families::Linux => Self::Linux,
            Families::DiskImage => Self::DiskImage,
            Families::Loaders => Self::Loaders,
            Families::Iso => Self::Iso,
        }
    }
}

/// `image import`.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// A folder, an ISO or UDF image, a single file, a URL of one of the latter two; or, for loaders, installed Debian packages:
    /// debian:ipxe, debian:pxelinux, debian:lpxelinux or debian:shim-signed (with GRUB)
    #[arg(value_name = "DIR|FILE|URL|debian:NAME")]
    source: String,
    /// How it is booted and installed
    #[arg(long, value_enum)]
    family: Families,
    /// The image's name; another version is another image
    #[arg(long)]
    name: String,
    /// Its version, for people
    #[arg(long)]
    version: Option<String>,
    /// Its architecture, for example amd64 [default: as the media tell]
    #[arg(long)]
    architecture: Option<String>,
    /// The kernel, as a path within the media
    #[arg(long, value_name = "PATH")]
    kernel: Option<String>,
    /// An initial RAM disk, as a path within the media; may be repeated, the order counts
    #[arg(long = "initrd", value_name = "PATH")]
    initrds: Vec<String>,
    /// The disk or ISO image, as a path within the media
    #[arg(long, value_name = "PATH")]
    disk: Option<String>,
    /// The loader of a platform (bios, uefi-x64, uefi-arm64, uefi-loong64, raspberry-pi, …: docs/architectures.md); may be repeated
    #[arg(long = "loader", value_name = "PLATFORM=PATH", value_parser = loader)]
    loaders: Vec<(Platform, String)>,
    /// Take a kernel, an initial RAM disk or a loader whose first bytes are of none
    #[arg(long)]
    force: bool,
    /// Which program the loaders are: ipxe, grub, pxelinux or lpxelinux [default: as their names tell]
    #[arg(long)]
    program: Option<Program>,
    /// Where Debian packages are installed or unpacked
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    #[command(flatten)]
    verification: Verification,
    /// Keep every file of the media, not only what a boot needs
    #[arg(long)]
    all: bool,
    /// Say what would be taken, upload nothing
    #[arg(long)]
    dry_run: bool,
}

fn loader(text: &str) -> Result<(Platform, String), String> {
    let (platform, path) = text.split_once('=').ok_or("expected PLATFORM=PATH")?;
    Ok((platform.parse().map_err(|error| format!("{error}"))?, path.to_owned()))
}

const COLUMNS: &[Column] = &[
    Column::new("family", |image, _| cell(image, "/spec/family")),
    Column::new("version", |image, _| cell(image, "/spec/version")),
    Column::new("architecture", |image, _| cell(image, "/spec/architecture")),
    Column::new("files", |image, _| files(image).count().to_string()),
    Column::new("size", |image, _| words::size(files(image).sum())),
    Column::new("source", |image, _| cell(image, "/spec/source")),
];

fn files(image: &Value) -> impl Iterator<Item = u64> {
    let files = image.pointer("/spec/files").and_then(Value::as_object);
    files.into_iter().flatten().map(|(_, file)| file.get("size").and_then(Value::as_u64).unwrap_or_default())
}

/// Does it.
pub(crate) async fn run(context: &mut Context, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List(list) => catalog::list(context, Kind::Image, COLUMNS, list.into()).await,
        Verb::Get(one) => catalog::get(context, Kind::Image, COLUMNS, &one).await,
        Verb::Import(import) => self::import(context, *import).await,
        Verb::Status(wanted) => readiness::image_status(context, wanted).await,
        Verb::Rm(one) => catalog::remove(context, Kind::Image, &one).await,
    }
}

/// Files first, the document last: half an import is never seen.
async fn import(context: &mut Context, import: Import) -> Result<(), Failure> {
    if let Some(problem) = check_name("--name", &import.name) {
        return Err(Failure::usage(problem.to_string()));
    }
    // Before a long download or an hour of hashing: is there anybody who will take it?
    let mut client = context.connect().await?;
    let Opened { media, taken, _download } = open(context, &import).await?;
    let (files, lists) = hash_all(context, &media, &taken).await?;
    let image = Resource::new(&import.name, spec(&import, &taken, &files));
    if let Some(problem) = image.spec.validate().into_iter().next() {
        return Err(Failure::bad_input(problem.to_string()));
    }
    tell(context, &taken, &files);
    let there = already_there(&mut client, &image).await?;
    if import.dry_run {
        return context.output.line(&format!(
            "Image {} would be {}",
            image.name,
            if there { "unchanged" } else { "created" }
        ));
    }
    send(context, &mut client, &media, &files, lists).await?;
    if there {
        return context.output.line(&format!("Image {} is already there", image.name));
    }
    let json = serde_json::to_value(&image)
        .map_err(|error| Failure::because(Exit::Failed, "write the image's document", &error))?;
    let change = Change::Put { kind: Kind::Image, name: image.name, json, revision: 0 };
    outcomes::write(context, &mut client, &[change], &Writing::default()).await
}

struct Opened {
    media: Arc<Media>,
    taken: Taken,
    /// Dropped, the fetched file is gone.
    _download: Option<Download>,
}

async fn open(context: &mut Context, import: &Import) -> Result<Opened, Failure> {
    let source = &import.source;
    let named = if is_url(source) { without_secrets(source) } else { source.clone() };
    let action = format!("import {named}");
    let verification = match import.verification.is_wanted() {
        true if !is_url(source) && !Path::new(source).is_file() => {
            let message =
                format!("--sha256, --checksums and --signature are of one file, and {named} is none");
            return Err(Failure::usage(message));
        }
        true => Some(import.verification.expected(context, source).await?),
        false => None,
    };
    let download = match is_url(source) {
        true => Some(
            Download::fetch(source, context.output.live(), LARGEST)
                .await
                .map_err(|error| Failure::because(Exit::Failed, &action, &error))?,
        ),
        false => None,
    };
    let (path, name) = match &download {
        Some(download) => (download.path().to_owned(), download.name().to_owned()),
        None => (PathBuf::from(source), file_name(source)),
    };
    if let Some(verification) = &verification {
        verification.check(context, &path, &named).await?;
    }
    let all = import.all;
    let packages = source.strip_prefix(PACKAGES).map(|name| (import.root.clone(), name.to_owned()));
    let (family, wanted, force) = (Family::from(import.family), wanted(import), import.force);
    let opened = blocking(move || {
        let media = match packages {
            Some((root, name)) => Media::debian(&root, &name),
            None if family == Family::Iso => Media::whole(&path, &name),
            None => Media::open(&path, &name),
        };
        let media = media.map_err(|error| Failure::because(Exit::BadInput, &action, &error))?;
        let mut taken = recognise(family, media.files(), &wanted)
            .map_err(|error| Failure::because(Exit::BadInput, &action, &error))?;
        if all {
            let others = media.files().iter().filter(|found| !taken.has(&found.path));
            let others: Vec<_> = others.map(|found| found.path.clone()).collect();
            taken.beside.extend(others);
        }
        match check_boot(&media, &taken) {
            Err(error) if !force => {
                let failure = Failure::because(Exit::BadInput, &action, &error);
                Err(failure.remedy(
                    "name another file with --kernel, --initrd or --loader, or take it all the same with --force",
                ))
            }
            Ok(()) | Err(_) => Ok((Arc::new(media), taken)),
        }
    });
    let (media, taken) = opened.await?;
    Ok(Opened { media, taken, _download: download })
}

/// Before the name of Debian packages.
const PACKAGES: &str = "debian:";

fn file_name(path: &str) -> String {
    Path::new(path).file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn wanted(import: &Import) -> Wanted {
    Wanted {
        kernel: import.kernel.clone(),
        initrds: import.initrds.clone(),
        disk: import.disk.clone(),
        loaders: import.loaders.iter().cloned().collect(),
        program: import.program,
        architecture: import.architecture.clone(),
    }
}

/// Files with their digests, by path.
type Entries = BTreeMap<String, FileEntry>;
/// Lists of chunks by their own digests, with the path of a file that has them.
type Lists = BTreeMap<Digest, (String, Bytes)>;

async fn hash_all(context: &Context, media: &Arc<Media>, taken: &Taken) -> Result<(Entries, Lists), Failure> {
    let found: Vec<Found> = media.files().iter().filter(|found| taken.has(&found.path)).cloned().collect();
    check_taken(&found).map_err(|error| Failure::because(Exit::BadInput, "make an image of it", &error))?;
    let total = found.iter().map(|found| found.size).fold(0, u64::saturating_add);
    let progress = Progress::new(context.output.live(), "hashing", total);
    let media = Arc::clone(media);
    blocking(move || {
        let (mut entries, mut lists) = (Entries::new(), Lists::new());
        for Found { path, size } in found {
            let found = Found { path: path.clone(), size };
            let Hashed { entry, list } = hash(&media, &found, &progress)
                .map_err(|error| Failure::because(Exit::BadInput, "read the media", &error))?;
            let list = entry.chunks.zip(list);
            lists.extend(list.map(|(chunks, bytes)| (chunks.sha256, (path.clone(), bytes))));
            entries.insert(path, entry);
        }
        progress.finish();
        Ok((entries, lists))
    })
    .await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Failure::because(Exit::Failed, "read the media", &error)))
}

fn spec(import: &Import, taken: &Taken, files: &Entries) -> ImageSpec {
    let source = if is_url(&import.source) { without_secrets(&import.source) } else { import.source.clone() };
    ImageSpec {
        family: import.family.into(),
        version: import.version.clone().unwrap_or_default(),
        architecture: taken.architecture.clone(),
        source,
        files: files.clone(),
        kernel: taken.kernel.clone(),
        initrds: taken.initrds.clone(),
        disk: taken.disk.clone(),
        loaders: taken.loaders.clone(),
        program: taken.program,
    }
}

/// What was taken, on standard error: people see it, programs read the result.
fn tell(context: &mut Context, taken: &Taken, files: &Entries) {
    for (what, path) in taken.parts() {
        let size = files.get(path).map_or(0, |entry| entry.size);
        context.output.remark(&format!("{what}: {path} ({})", words::size(size)));
    }
    match (taken.program, taken.beside.len()) {
        (Some(program), beside) => {
            context.output.remark(&format!("program: {program}, and {beside} files that it may ask for"));
        }
        (None, 0) => {}
        (None, beside) => context.output.remark(&format!("beside: {beside} further files of the media")),
    }
}

/// Is an image of this name there with the same content? Where it came from does not count, nor how it was cut.
async fn already_there(client: &mut Client, image: &Resource<ImageSpec>) -> Result<bool, Failure> {
    let Some(stored) = client.find(Kind::Image, &image.name).await? else { return Ok(false) };
    let spec = stored.json.get("spec").cloned().unwrap_or_default();
    let same = serde_json::from_value::<ImageSpec>(spec).is_ok_and(|stored| {
        uncut(ImageSpec { source: image.spec.source.clone(), ..stored }) == uncut(image.spec.clone())
    });
    if same {
        return Ok(true);
    }
    let message =
        format!("Image {} exists already with other content, and an image never changes", image.name);
    Err(Failure::new(Exit::Conflict, message).remedy("give this version another name"))
}

fn uncut(mut image: ImageSpec) -> ImageSpec {
    image.files.values_mut().for_each(|file| file.chunks = None);
    image
}

async fn send(
    context: &mut Context,
    client: &mut Client,
    media: &Arc<Media>,
    files: &Entries,
    lists: Lists,
) -> Result<(), Failure> {
    let mut digests: Vec<Digest> =
        files.values().map(|entry| entry.sha256).chain(lists.keys().copied()).collect();
    digests.sort_unstable();
    digests.dedup();
    let mut missing = client.missing_blobs(&digests).await?;
    for (path, entry) in files {
        // Two files of the same bytes are one blob.
        let Some(at) = missing.iter().position(|digest| *digest == entry.sha256) else { continue };
        missing.swap_remove(at);
        if !context.output.live() {
            context.output.remark(&format!("uploading {path} ({})", words::size(entry.size)));
        }
        let progress = Progress::new(context.output.live(), path, entry.size);
        let found = Found { path: path.clone(), size: entry.size };
        upload(client, media, &found, *entry, &progress).await?;
        progress.finish();
    }
    for (digest, (path, list)) in lists {
        if missing.contains(&digest) {
            upload_list(client, &path, list).await?;
        }
    }
    Ok(())
}
