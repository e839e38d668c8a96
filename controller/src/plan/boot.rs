//! Everything that one host fetches for one profile: kernel, initial RAM disks, answer files, disk image, script.

mod family;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use proto::Program;
use proto::catalog::{
    FileEntry, HostSpec, ImageSpec, Kind, Mode, ProfileSpec, Resource, SiteSpec, Variables,
};
use proto::plan::{BlobRef, Boot, Content, Guard, PlannedFile, Stage};
use serde_json::json;

use super::loaders::{self, Choice};
use super::script::{self, Script};
use super::{Mistake, SiteView};
use crate::render::{self, Place, Rendered, Scope, Templates, context, render, render_file};

/// By name.
type Files = BTreeMap<String, PlannedFile>;
/// By name.
type Secrets = BTreeMap<String, Bytes>;

/// Makes the boot of one host.
pub(super) struct BootMaker<'a> {
    pub(super) view: &'a SiteView<'a>,
    pub(super) host: &'a Resource<HostSpec>,
    /// The profile's name.
    pub(super) profile: &'a str,
    /// The mode that the profile must have.
    pub(super) mode: Mode,
    /// The order's name; None: it boots without one.
    pub(super) order: Option<&'a str>,
    /// The folder of its files within the attempt, with a slash; "" for none.
    pub(super) folder: &'a str,
}

/// A boot, and the secrets that its files name.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) boot: Boot,
    pub(super) secrets: Secrets,
}

/// What a family makes of an image and a profile, before anything is rendered.
struct Recipe {
    kernel: Blob,
    initrds: Vec<Blob>,
    /// The bytes that overwrite the disk.
    image: Option<Blob>,
    /// The template of the kernel's arguments.
    arguments: String,
    /// What is put between the arguments and `more_arguments`.
    separator: &'static str,
    /// Can only machines with BIOS start it?
    bios_only: bool,
    templates: BTreeMap<String, Template>,
}

impl Recipe {
    /// What templates may name.
    fn sources(&self, profile: &ProfileSpec) -> Templates {
        let mut sources = Templates::default();
        for (name, template) in &self.templates {
            let own = profile.templates.contains_key(name).then(|| template.text.clone());
            let family = if own.is_some() { template.family.clone() } else { Some(template.text.clone()) };
            sources.profile.extend(own.map(|text| (name.clone(), text)));
            sources.family.extend(family.map(|text| (name.clone(), text)));
        }
        sources
    }
}

/// A file of an image under the name by which it is fetched.
#[derive(Debug, Clone)]
struct Blob {
    name: String,
    entry: FileEntry,
}

struct Template {
    text: String,
    guard: Guard,
    /// The family's text, where this is a profile's in its place.
    family: Option<String>,
}

impl BootMaker<'_> {
    /// Names what the boot rests on, whether it exists or not; secrets are known only when all is rendered.
    pub(super) fn uses(&self, mut note: impl FnMut(Kind, &str)) {
        note(Kind::Profile, self.profile);
        if let Some(profile) = self.view.globals.profiles.get(self.profile) {
            note(Kind::Image, &profile.spec.image);
            profile.spec.installer.iter().for_each(|name| note(Kind::Image, name));
            profile.spec.loaders.iter().for_each(|name| note(Kind::Image, name));
        }
        self.host.spec.loaders.iter().for_each(|name| note(Kind::Image, name));
    }

    pub(super) fn make(&self) -> Result<Made, Mistake> {
        let profile = self.found_profile()?;
        let image = self.image("image", &profile.image)?;
        let loaders =
            loaders::choose(self.view, [self.host.spec.loaders.as_ref(), profile.loaders.as_ref()])?;
        let recipe = self.recipe(profile, image, &loaders).map_err(|mistake| self.in_profile(mistake))?;
        let scope = self.scope(profile, &recipe)?;
        let (files, secrets) =
            self.files(profile, &recipe, &loaders, &scope).map_err(|mistake| self.in_profile(mistake))?;
        let boot = Boot {
            profile: self.profile.to_owned(),
            image: profile.image.clone(),
            entry: self.path(Program::Ipxe.script()),
            files,
            loaders: loaders.named,
            menu: false,
        };
        Ok(Made { boot, secrets })
    }

    /// The blobs that it fetches from images, and the sets of loaders that it names: all that is known without a host.
    pub(super) fn blobs(&self) -> Result<(Vec<BlobRef>, Vec<String>), Mistake> {
        let profile = self.found_profile()?;
        let image = self.image("image", &profile.image)?;
        let loaders =
            loaders::choose(self.view, [self.host.spec.loaders.as_ref(), profile.loaders.as_ref()])?;
        let recipe = self.recipe(profile, image, &loaders)?;
        let all = [&recipe.kernel].into_iter().chain(&recipe.initrds).chain(&recipe.image);
        let blob = |blob: &Blob| BlobRef { digest: blob.entry.sha256, size: blob.entry.size };
        Ok((all.map(blob).collect(), loaders.named))
    }

    fn found_profile(&self) -> Result<&ProfileSpec, Mistake> {
        let profile = self.view.globals.profiles.get(self.profile);
        let profile = profile
            .ok_or_else(|| Mistake::new("spec.profile", format!("there is no profile {:?}", self.profile)))?;
        if profile.spec.mode != self.mode {
            let message = match self.mode {
                Mode::Install => "is of mode run: an order needs a profile of mode install",
                Mode::Run => "is of mode install: it needs an order",
            };
            return Err(Mistake::new("spec.profile", format!("profile {:?} {message}", self.profile)));
        }
        Ok(&profile.spec)
    }

    fn image(&self, field: &str, name: &str) -> Result<&ImageSpec, Mistake> {
        let image = self.view.globals.images.get(name).map(|image| &image.spec);
        image.ok_or_else(|| self.in_profile(Mistake::new(field, format!("there is no image {name:?}"))))
    }

    fn in_profile(&self, mistake: Mistake) -> Mistake {
        Mistake { field: format!("profile {}: {}", self.profile, mistake.field), ..mistake }
    }

    fn scope(&self, profile: &ProfileSpec, recipe: &Recipe) -> Result<Arc<Scope>, Mistake> {
        let no_variables = BTreeMap::new();
        let site: Option<&SiteSpec> = self.view.local.site.as_ref().map(|site| &site.spec);
        let labels = self.labels();
        let layers = [
            &labels,
            site.map_or(&no_variables, |site| &site.variables),
            &profile.variables,
            &self.host.spec.variables,
        ];
        let spec = &self.host.spec;
        let mac = spec.macs.first().map(ToString::to_string);
        let address = spec.address.map(|address| address.to_string());
        let host = render::host(&self.host.name, mac, address, spec.serial.as_deref());
        let built_in = [
            ("host", host),
            ("site", json!({"name": self.view.name, "fleet": self.view.fleet})),
            ("order", json!({"name": self.order})),
        ];
        let context = context(&layers, &built_in)
            .map_err(|error| Mistake::new(format!("variables.{}", error.path), error.problem))?;
        let blobs =
            recipe.initrds.iter().chain([&recipe.kernel]).map(|blob| (blob.name.clone(), Guard::Attempt));
        let image = recipe.image.iter().map(|blob| (blob.name.clone(), Guard::Order));
        let templates = recipe.templates.iter().map(|(name, template)| (name.clone(), template.guard));
        Ok(Arc::new(Scope {
            context,
            templates: recipe.sources(profile),
            files: blobs.chain(image).chain(templates).collect(),
            folder: self.folder.to_owned(),
            order: self.order.is_some(),
            secrets: self.view.globals.secrets.clone(),
        }))
    }

    /// The variable `labels`: the site's, and the host's in their place. The lowest layer, so that a variable of this name that an
    /// operator has stays.
    fn labels(&self) -> Variables {
        let mut labels = self.view.local.site.as_ref().map(|site| site.labels.clone()).unwrap_or_default();
        labels.extend(self.host.labels.clone());
        Variables::from([("labels".to_owned(), json!(labels))])
    }

    fn files(
        &self,
        profile: &ProfileSpec,
        recipe: &Recipe,
        loaders: &Choice,
        scope: &Arc<Scope>,
    ) -> Result<(Files, Secrets), Mistake> {
        let mut files = BTreeMap::new();
        let mut secrets = BTreeMap::new();
        for (name, template) in &recipe.templates {
            let made = render_file(name, scope, template.guard)
                .map_err(|error| Mistake::new(format!("templates.{name}"), error.to_string()))?;
            secrets.extend(made.secrets);
            // Every file under the order's guard is fetched only from `started` on, so each must start it.
            let stage = if template.guard == Guard::Order { Stage::Answer } else { Stage::Other };
            let content = Content::Parts(made.parts);
            files.insert(self.path(name), PlannedFile { stage, guard: template.guard, content });
        }
        let mut blob = |blob: &Blob, stage, guard| {
            let content = Content::Blob(BlobRef { digest: blob.entry.sha256, size: blob.entry.size });
            files.insert(self.path(&blob.name), PlannedFile { stage, guard, content });
        };
        blob(&recipe.kernel, Stage::Kernel, Guard::Attempt);
        recipe.initrds.iter().for_each(|initrd| blob(initrd, Stage::Initrd, Guard::Attempt));
        recipe.image.iter().for_each(|image| blob(image, Stage::Image, Guard::Order));
        let script = self.script(profile, recipe, scope)?;
        for program in &loaders.programs {
            let content = Content::Parts(script::boot(*program, &script));
            let file = PlannedFile { stage: Stage::Script, guard: Guard::Attempt, content };
            files.insert(self.path(program.script()), file);
        }
        Ok((files, secrets))
    }

    fn path(&self, name: &str) -> String {
        format!("{}{name}", self.folder)
    }

    fn script<'s>(
        &'s self,
        profile: &ProfileSpec,
        recipe: &'s Recipe,
        scope: &Arc<Scope>,
    ) -> Result<Script<'s>, Mistake> {
        let arguments = arguments("boot.arguments", &recipe.arguments, scope)?;
        let more = match &profile.boot.more_arguments {
            Some(more) => Some(arguments_behind(recipe.separator, more, scope)?),
            None => None,
        };
        Ok(Script {
            folder: self.folder,
            host: &self.host.name,
            profile: self.profile,
            kernel: &recipe.kernel.name,
            initrds: recipe.initrds.iter().map(|blob| blob.name.as_str()).collect(),
            arguments,
            more,
            bios_only: recipe.bios_only,
            link_wait: self.view.link_wait(self.host),
            syslog: self.view.syslog(),
        })
    }
}

fn arguments_behind(
    separator: &str,
    more: &str,
    scope: &Arc<Scope>,
) -> Result<Vec<proto::plan::Part>, Mistake> {
    let text = if separator.is_empty() { more.to_owned() } else { format!("{separator} {more}") };
    arguments("boot.more_arguments", &text, scope)
}

/// Renders arguments: one line, whatever lines the template has.
fn arguments(field: &str, template: &str, scope: &Arc<Scope>) -> Result<Vec<proto::plan::Part>, Mistake> {
    let line = template.split_whitespace().collect::<Vec<_>>().join(" ");
    let Rendered { parts, .. } =
        render(&line, scope, Place::Arguments).map_err(|error| Mistake::new(field, error.to_string()))?;
    let control = |part: &proto::plan::Part| match part {
        proto::plan::Part::Literal(bytes) => bytes.iter().any(u8::is_ascii_control),
        proto::plan::Part::Slot(_) | proto::plan::Part::Secret(_) => false,
    };
    match parts.iter().any(control) {
        true => Err(Mistake::new(field, "the arguments hold a control character")),
        false => Ok(parts),
    }
}

/// The last name of a path, fit for a URL and for a word of a script.
pub(super) fn base_name(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
    name.chars().map(plain).collect()
}
