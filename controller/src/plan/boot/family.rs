//! What each family of images needs to boot.

use std::collections::BTreeMap;

use proto::catalog::{Family, ImageSpec, Mode, ProfileSpec};
use proto::plan::Guard;
use proto::{Program, Span};

use super::{Blob, BootMaker, Recipe, Template, base_name};
use crate::plan::Mistake;
use crate::plan::loaders::{Choice, MEMDISK};

/// Debian's installer: every question answered by the preseed file.
const DEBIAN: &str = "auto=true priority=critical interface=auto hostname={{ host.hostname }} \
    domain={{ host.domain or domain | default('') }} url={{ url('preseed.cfg') }}";
/// Its words for where its log goes too.
const DEBIAN_SYSLOG: &str = " log_host={{ slot('server_address') }}";
const PRESEED: &str = include_str!("preseed.cfg");

/// Its words for a link that carries nothing yet, in seconds: it gives up asking by DHCP after 25 (`netcfg/dhcp_timeout`).
fn debian_link_wait(wait: Span) -> String {
    let seconds = wait.as_seconds();
    format!(" netcfg/link_wait_timeout={seconds} netcfg/dhcp_timeout={}", seconds + 25)
}

/// The installer environment of `deploy/installer`.
fn disk_image(image: &Blob, link_wait: Option<Span>) -> String {
    let compressed = image.name.to_ascii_lowercase().ends_with(".gz");
    let format = if compressed { " bootlane.format=gz" } else { "" };
    let link_wait = link_wait.map(|wait| format!(" bootlane.link_wait={}", wait.as_seconds()));
    format!(
        "bootlane.image={{{{ url('{}') }}}} bootlane.sha256={} bootlane.size={}{format} bootlane.report={{{{ report('') }}}}{}",
        image.name,
        image.entry.sha256,
        image.entry.size,
        link_wait.unwrap_or_default()
    )
}

impl BootMaker<'_> {
    pub(super) fn recipe(
        &self,
        profile: &ProfileSpec,
        image: &ImageSpec,
        loaders: &Choice,
    ) -> Result<Recipe, Mistake> {
        let mut recipe = match image.family {
            Family::Debian => self.debian(profile, image)?,
            Family::Linux => Recipe::of(profile, image, "image")?,
            Family::DiskImage => self.disk_image(profile, image)?,
            Family::Iso => self.iso(image, loaders)?,
            Family::Loaders => {
                return Err(Mistake::new("image", "is of family loaders, which no machine boots by itself"));
            }
        };
        if let Some(arguments) = &profile.boot.arguments {
            recipe.arguments.clone_from(arguments);
        }
        self.add_templates(profile, loaders, &mut recipe)?;
        Ok(recipe)
    }

    fn debian(&self, profile: &ProfileSpec, image: &ImageSpec) -> Result<Recipe, Mistake> {
        if self.mode == Mode::Run {
            return Err(Mistake::new(
                "mode",
                "is run: Debian's installer overwrites the disk, so it must be install",
            ));
        }
        let mut recipe = Recipe::of(profile, image, "image")?;
        DEBIAN.clone_into(&mut recipe.arguments);
        recipe.arguments.extend(self.view.link_wait(self.host).map(debian_link_wait));
        if self.view.syslog() {
            recipe.arguments.push_str(DEBIAN_SYSLOG);
        }
        // What follows is kept for the installed system too.
        recipe.separator = "---";
        let preseed = Template { text: PRESEED.to_owned(), guard: Guard::Order, family: None };
        recipe.templates.insert("preseed.cfg".to_owned(), preseed);
        Ok(recipe)
    }

    fn disk_image(&self, profile: &ProfileSpec, image: &ImageSpec) -> Result<Recipe, Mistake> {
        if self.mode == Mode::Run {
            return Err(Mistake::new(
                "mode",
                "is run: a disk image overwrites the disk, so it must be install",
            ));
        }
        let installer = profile.installer.as_ref().ok_or_else(|| {
            Mistake::new(
                "installer",
                "is missing: a disk image needs an image of family linux that writes it",
            )
        })?;
        let installer = self.image("installer", installer)?;
        if installer.family != Family::Linux {
            let message = format!("is of family {}, expected linux", installer.family.word());
            return Err(Mistake::new("installer", message));
        }
        let mut recipe = Recipe::of(profile, installer, "installer")?;
        let disk = image.disk.as_deref().ok_or_else(|| Mistake::new("image", "has no disk"))?;
        let mut disk = find(image, "image", disk)?;
        if recipe.names().any(|name| name == disk.name) {
            disk.name = format!("disk-{}", disk.name);
        }
        recipe.arguments = disk_image(&disk, self.view.link_wait(self.host));
        recipe.image = Some(disk);
        Ok(recipe)
    }

    /// QUIRKS 59: memdisk holds the whole image in memory, and BIOS calls see a drive.
    fn iso(&self, image: &ImageSpec, loaders: &Choice) -> Result<Recipe, Mistake> {
        if self.mode == Mode::Install {
            return Err(Mistake::new("mode", "is install: an ISO image is only booted, so it must be run"));
        }
        let entry = loaders.memdisk.ok_or_else(|| {
            let message =
                "needs memdisk, which none of the host's, the profile's and the site's loaders has beside it";
            Mistake::new("image", message)
        })?;
        let disk = image.disk.as_deref().ok_or_else(|| Mistake::new("image", "has no ISO image"))?;
        Ok(Recipe {
            kernel: Blob { name: MEMDISK.to_owned(), entry },
            initrds: vec![find(image, "image", disk)?],
            image: None,
            arguments: "iso raw".to_owned(),
            separator: "",
            bios_only: true,
            templates: BTreeMap::new(),
        })
    }

    fn add_templates(
        &self,
        profile: &ProfileSpec,
        loaders: &Choice,
        recipe: &mut Recipe,
    ) -> Result<(), Mistake> {
        let is_script = |name: &str| {
            name == Program::AUTOEXEC || loaders.programs.iter().any(|program| program.script() == name)
        };
        for (name, template) in &profile.templates {
            let field = format!("templates.{name}");
            if self.mode == Mode::Run && !template.open {
                let message = "is not `open`: without an order a file can only be open";
                return Err(Mistake::new(field, message));
            }
            if recipe.names().any(|taken| taken == name) || is_script(name) {
                return Err(Mistake::new(field, "has the name of another file of the boot"));
            }
            let guard = if template.open { Guard::Attempt } else { Guard::Order };
            let family = recipe.templates.remove(name).map(|own| own.text);
            recipe.templates.insert(name.clone(), Template { text: template.text.clone(), guard, family });
        }
        Ok(())
    }
}

impl Recipe {
    /// The kernel and the initial RAM disks of an image, as the profile changes them.
    fn of(profile: &ProfileSpec, image: &ImageSpec, field: &str) -> Result<Self, Mistake> {
        let (kernel_field, kernel) = match &profile.boot.kernel {
            Some(kernel) => ("boot.kernel", Some(kernel)),
            None => (field, image.kernel.as_ref()),
        };
        let kernel = kernel.ok_or_else(|| Mistake::new(field, "has no kernel"))?;
        let kernel = find(image, kernel_field, kernel)?;
        let initrds = profile.boot.initrds.as_ref().unwrap_or(&image.initrds);
        let mut recipe = Self {
            kernel,
            initrds: Vec::new(),
            image: None,
            arguments: String::new(),
            separator: "",
            bios_only: false,
            templates: BTreeMap::new(),
        };
        for path in initrds {
            let mut initrd = find(image, "boot.initrds", path)?;
            if recipe.names().any(|name| name == initrd.name) {
                initrd.name = format!("{}-{}", recipe.initrds.len() + 1, initrd.name);
            }
            recipe.initrds.push(initrd);
        }
        Ok(recipe)
    }

    /// The names of its blobs.
    fn names(&self) -> impl Iterator<Item = &str> {
        self.initrds.iter().chain([&self.kernel]).chain(&self.image).map(|blob| blob.name.as_str())
    }
}

fn find(image: &ImageSpec, field: &str, path: &str) -> Result<Blob, Mistake> {
    let entry = image.file(path);
    let entry =
        entry.ok_or_else(|| Mistake::new(field, format!("{path:?} is not among the image's files")))?;
    Ok(Blob { name: base_name(path), entry })
}
