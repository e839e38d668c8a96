//! Templates: text of operators and data of the catalog become the parts of a planned file (DESIGN §4, S9).
//!
//! Data never becomes template source. Values of variables hold no control characters and no marks; what is only known
//! at the edge (slots) or must not be shown (secrets) is rendered as a private mark and becomes a part of its own. A
//! template, with those that it extends and includes, has limits: instructions, and bytes of output.

mod blocks;
mod marks;
mod quote;
mod templates;
mod values;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::iter::successors;
use std::sync::Arc;

use bytes::Bytes;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind, State, Template, UndefinedBehavior};
use proto::plan::{Guard, Part, Slot};
use zeroize::Zeroizing;

use self::marks::Marks;
use self::quote::Format;
pub(crate) use self::templates::Templates;
pub(crate) use self::values::{context, host};

/// Instructions of one template, and of all that it names.
const FUEL: u64 = 200_000;
/// Bytes of one rendered file.
const OUTPUT: usize = 1 << 20;
/// The name of a template that is no file.
const ALONE: &str = "";

/// The callbacks of an installer.
pub(crate) const REPORTS: [&str; 4] = ["started", "progress", "installed", "failed"];

/// What a template may speak of.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    /// Variables and built-ins; see [`context`].
    pub(crate) context: Value,
    /// What may be rendered, extended and included.
    pub(crate) templates: Templates,
    /// The files of the boot, for `url(name)`.
    pub(crate) files: BTreeMap<String, Guard>,
    /// Their folder, with a slash; "" for none.
    pub(crate) folder: String,
    /// Is it an order's boot? Else there are neither callbacks nor secrets.
    pub(crate) order: bool,
    /// The secrets that the fleet has.
    pub(crate) secrets: BTreeMap<String, Arc<Zeroizing<String>>>,
}

/// Where a template's output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// A file that is fetched under this guard.
    File(Guard),
    /// The kernel's arguments, within a line of an iPXE script: every value must pass the `ipxe` filter's check.
    Arguments,
}

/// A rendered template.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Rendered {
    /// Its parts.
    pub(crate) parts: Vec<Part>,
    /// The secrets that the parts name.
    pub(crate) secrets: BTreeMap<String, Bytes>,
}

/// A template that cannot be rendered, in words that name the line and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct RenderError(String);

impl RenderError {
    fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// Renders a template that names no other.
///
/// # Errors
/// [`RenderError`].
pub(crate) fn render(template: &str, scope: &Arc<Scope>, place: Place) -> Result<Rendered, RenderError> {
    let marks = Marks::default();
    let environment = environment(scope, place, &marks);
    let source = checked_source(template).map_err(|error| said(&error, ALONE))?;
    let template = environment.template_from_named_str(ALONE, source).map_err(|error| said(&error, ALONE))?;
    finish(&template, scope, &marks)
}

/// Renders the file of this name ([`Scope::templates`]).
///
/// # Errors
/// [`RenderError`].
pub(crate) fn render_file(name: &str, scope: &Arc<Scope>, guard: Guard) -> Result<Rendered, RenderError> {
    let key = scope.templates.key(name);
    blocks::check(&scope.templates, &key)?;
    let marks = Marks::default();
    let mut environment = environment(scope, Place::File(guard), &marks);
    let held = Arc::clone(scope);
    environment.set_path_join_callback(move |name, parent| Cow::Owned(held.templates.meant(name, parent)));
    let held = Arc::clone(scope);
    environment.set_loader(move |key| source(&held.templates, key).map(Some));
    let template = environment.get_template(&key).map_err(|error| said(&error, &key))?;
    finish(&template, scope, &marks)
}

fn finish(template: &Template<'_, '_>, scope: &Scope, marks: &Marks) -> Result<Rendered, RenderError> {
    let mut output = Capped(Vec::new());
    let rendered = template.render_captured_to(scope.context.clone(), &mut output);
    rendered.map_err(|error| said(&error, template.name()))?;
    let text = String::from_utf8(output.0).map_err(|_| RenderError::new("the output is not UTF-8"))?;
    marks.split(&text, &scope.secrets)
}

fn source(templates: &Templates, key: &str) -> Result<String, Error> {
    let missing = || Error::new(ErrorKind::TemplateNotFound, templates.missing(key));
    let text = templates.source(key).ok_or_else(missing)?;
    checked_source(text).map(str::to_owned)
}

fn checked_source(text: &str) -> Result<&str, Error> {
    match marks::has_mark(text) {
        true => Err(refused("the template holds a character that is reserved (U+FDD0 or U+FDD1)")),
        false => Ok(text),
    }
}

/// `line 3: undefined value`, or `line 3 of the family's preseed.cfg: …` where it is not `root`'s; without the template's text,
/// which would repeat data.
fn said(error: &Error, root: &str) -> RenderError {
    // What is extended and included wraps what is wrong in it.
    let chain: Vec<_> = successors(Some(error), within).collect();
    let cause = chain.last().map_or_else(String::new, |error| match (error.kind(), error.detail()) {
        (ErrorKind::OutOfFuel, _) => format!("the template takes more than {FUEL} steps"),
        (ErrorKind::WriteFailure, _) => format!("the output has more than {OUTPUT} bytes"),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (kind, None) => kind.to_string(),
    });
    let place = chain.iter().rev().find_map(|error| Some((error.line()?, error.name()?)));
    RenderError(match place {
        None => cause,
        Some((line, name)) if name == root => format!("line {line}: {cause}"),
        Some((line, name)) => format!("line {line} of {}: {cause}", templates::in_words(name)),
    })
}

fn within<'e>(error: &&'e Error) -> Option<&'e Error> {
    // Of the error itself: a reference to one is an error too.
    std::error::Error::source(*error)?.downcast_ref()
}

fn environment<'t>(scope: &Arc<Scope>, place: Place, marks: &Marks) -> Environment<'t> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_syntax(syntax());
    if place == Place::Arguments {
        let marks = marks.clone();
        environment.set_formatter(move |out, state, value| {
            checked_for_ipxe(&marks, value)?;
            minijinja::escape_formatter(out, state, value)
        });
    }
    add_functions(&mut environment, scope, place, marks);
    for format in Format::ALL {
        let marks = marks.clone();
        environment.add_filter(format.word(), move |value: Value| quote::filter(&marks, format, &value));
    }
    environment
}

/// A file ends as its template does.
fn syntax() -> SyntaxConfig {
    SyntaxConfig::builder().keep_trailing_newline(true).build().expect("the standard delimiters")
}

fn checked_for_ipxe(marks: &Marks, value: &Value) -> Result<(), Error> {
    if value.is_undefined() || value.is_none() {
        return Ok(());
    }
    quote::filter(marks, Format::Ipxe, &Value::from(value.to_string())).map(drop)
}

fn add_functions(environment: &mut Environment<'_>, scope: &Arc<Scope>, place: Place, marks: &Marks) {
    let (held, made) = (Arc::clone(scope), marks.clone());
    environment.add_function("url", move |name: &str| url(&held, &made, name));
    let (held, made) = (Arc::clone(scope), marks.clone());
    environment.add_function("report", move |name: &str| report(&held, &made, name));
    let made = marks.clone();
    environment.add_function("slot", move |name: &str| slot(&made, name));
    let (held, made) = (Arc::clone(scope), marks.clone());
    environment
        .add_function("secret", move |_: &State<'_, '_>, name: &str| secret(&held, &made, place, name));
}

fn refused(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, text.into())
}

/// Where the machine fetches a file of its boot.
fn url(scope: &Scope, marks: &Marks, name: &str) -> Result<String, Error> {
    let Some(guard) = scope.files.get(name) else {
        let names: Vec<_> = scope.files.keys().map(String::as_str).collect();
        return Err(refused(format!("url({name:?}): there is no such file, only {}", names.join(", "))));
    };
    Ok(format!("{}/{}{name}", folder(marks, *guard), scope.folder))
}

/// The folder of the files under a guard.
pub(crate) fn folder(marks: &Marks, guard: Guard) -> String {
    let base = marks.slot(Slot::BaseUrl);
    match guard {
        Guard::Attempt => format!("{base}/a/{}", marks.slot(Slot::AttemptId)),
        Guard::Order => format!("{base}/o/{}", marks.slot(Slot::OrderToken)),
    }
}

/// Where the installer reports; "" for the folder of all callbacks.
fn report(scope: &Scope, marks: &Marks, name: &str) -> Result<String, Error> {
    if !scope.order {
        return Err(refused("report(): only an order's installer reports, this profile is of mode run"));
    }
    let folder = format!("{}/report", folder(marks, Guard::Order));
    match name {
        "" => Ok(folder),
        name if REPORTS.contains(&name) => Ok(format!("{folder}/{name}")),
        name => Err(refused(format!("report({name:?}): expected one of {}", REPORTS.join(", ")))),
    }
}

fn slot(marks: &Marks, name: &str) -> Result<String, Error> {
    let slots = [
        ("base_url", Slot::BaseUrl),
        ("server_address", Slot::ServerAddress),
        ("client_address", Slot::ClientAddress),
        ("client_mac", Slot::ClientMac),
        ("attempt_id", Slot::AttemptId),
    ];
    match slots.iter().find(|(word, _)| *word == name) {
        Some((_, slot)) => Ok(marks.slot(*slot)),
        None => {
            let words: Vec<_> = slots.iter().map(|(word, _)| *word).collect();
            Err(refused(format!("slot({name:?}): expected one of {}", words.join(", "))))
        }
    }
}

fn secret(scope: &Scope, marks: &Marks, place: Place, name: &str) -> Result<String, Error> {
    if !scope.order || place != Place::File(Guard::Order) {
        return Err(refused("secret(): only files of an order that are not `open` may hold secrets"));
    }
    if !scope.secrets.contains_key(name) {
        return Err(refused(format!("secret({name:?}): there is no such secret")));
    }
    Ok(marks.secret(name, None))
}

/// Takes so many bytes and no more.
struct Capped(Vec<u8>);

impl io::Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > OUTPUT {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
