//! The top-level modules of a crate stand in layers: none uses one that uses it, directly or by way of others.
//!
//! What is read is the text of the sources without their tests, which may look upward: every path from the root of the crate. A name
//! that the root passes on stands for the module that has it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use cargo_metadata::{Package, TargetKind};

/// Which modules each top-level module uses.
type Uses = BTreeMap<String, BTreeSet<String>>;

#[test]
fn no_module_uses_one_that_uses_it() {
    let metadata = super::metadata();
    for (name, package) in super::ours(&metadata) {
        let uses = uses_of(package);
        assert!(!uses.is_empty(), "{name} has no modules");
        let circles = circles(&uses);
        assert!(circles.is_empty(), "modules of {name} use each other: {circles:#?}");
    }
}

#[test]
fn the_scan_sees_what_modules_use() {
    let uses = |text: &str| roots(text, 2).into_iter().collect::<Vec<_>>();
    assert_eq!(uses("use crate::one::Two; let x = crate::three();"), ["one", "three"]);
    assert_eq!(
        uses("use crate::{\n    one::{self, Two},\n    three, four::five as six,\n};"),
        ["four", "one", "three"]
    );
    assert_eq!(uses("use super::one; use super::super::two; use super::super::super::three;"), ["two"]);
    assert_eq!(uses("use othercrate::one;"), [""; 0]);

    let text = "use crate::a;\n#[cfg(test)]\nmod tests;\n/// See [`crate::b`].\nfn f() {\n    #[cfg(test)]\n    {\n        crate::c();\n    }\n}\n#[cfg(test)]\nmod more {\n    use crate::d;\n}\nuse crate::e;\n";
    assert_eq!(uses(&without_tests(text)), ["a", "e"]);
    assert_eq!(declared("mod a;\npub(crate) mod b;\nmod c {\n}\n"), ["a", "b"].map(String::from).into());
}

#[test]
fn a_circle_is_found_however_long() {
    let graph = |edges: &[(&str, &str)]| {
        let mut uses = Uses::new();
        for (from, to) in edges {
            uses.entry((*from).into()).or_default().insert((*to).into());
        }
        uses
    };
    assert_eq!(circles(&graph(&[("a", "b"), ("b", "c"), ("a", "c")])), [""; 0]);
    assert_eq!(
        circles(&graph(&[("a", "b"), ("b", "c"), ("c", "a"), ("a", "d")])),
        ["a uses b", "b uses c", "c uses a"]
    );
}

/// The arrows that are part of a circle.
fn circles(uses: &Uses) -> Vec<String> {
    let arrows = uses.iter().flat_map(|(from, used)| used.iter().map(move |to| (from, to)));
    arrows
        .filter(|(from, to)| reaches(uses, to, from))
        .map(|(from, to)| format!("{from} uses {to}"))
        .collect()
}

fn reaches(uses: &Uses, from: &str, wanted: &str) -> bool {
    let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(module) = open.pop() {
        if module == wanted {
            return true;
        }
        if seen.insert(module) {
            open.extend(uses.get(module).into_iter().flatten().map(String::as_str));
        }
    }
    false
}

/// Of a crate's library, or of its program if it is none.
fn uses_of(package: &Package) -> Uses {
    let root = |kind| package.targets.iter().find(|target| target.kind.contains(&kind));
    let root = root(TargetKind::Lib).or_else(|| root(TargetKind::Bin)).expect("a crate has a root");
    let (file, folder) = (root.src_path.as_std_path(), root.src_path.parent().expect("a file has a folder"));
    let text = without_tests(&read(file));
    let modules = declared(&text);
    let passed_on = passed_on(&text, &modules);
    let mut uses = Uses::new();
    for module in &modules {
        let mut used = BTreeSet::new();
        walk(folder.as_std_path(), module, 1, &mut used);
        let named = used.iter().filter_map(|name| passed_on.get(name).or(modules.get(name)));
        uses.insert(module.clone(), named.filter(|used| *used != module).cloned().collect());
    }
    uses
}

/// Adds what a module and those in it name of the root of the crate.
fn walk(folder: &Path, module: &str, depth: usize, used: &mut BTreeSet<String>) {
    let within = folder.join(module);
    let [file, other] = [folder.join(format!("{module}.rs")), within.join("mod.rs")];
    let text = without_tests(&read(if file.exists() { &file } else { &other }));
    used.extend(roots(&text, depth));
    for child in declared(&text) {
        walk(&within, &child, depth + 1, used);
    }
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// A source without comments, and without what is compiled for tests alone: up to the `;` of an item without a body, or to the
/// brace that closes its body, which stands below its beginning.
fn without_tests(text: &str) -> String {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let text: String = code.flat_map(|line| [line, "\n"]).collect();
    let mut parts = text.split("#[cfg(test)]");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let indent = kept.rsplit('\n').next().unwrap_or_default().to_owned();
        let close = format!("\n{indent}}}");
        let bodiless = match (part.find(';'), part.find('{')) {
            (Some(end), Some(body)) => end < body || part.trim_start().starts_with("use "),
            (_, body) => body.is_none(),
        };
        let end = if bodiless { ";" } else { &close };
        let end = part.find(end).map(|at| at + end.len());
        kept.push_str(end.map_or("", |end| &part[end..]));
    }
    kept
}

/// The modules that have files of their own.
fn declared(text: &str) -> BTreeSet<String> {
    let words =
        text.lines().map(|line| line.trim().trim_start_matches("pub(crate) ").trim_start_matches("pub "));
    let names = words.filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'));
    names.map(str::to_owned).collect()
}

/// What the root passes on of its modules (`pub use module::Name;`), with the module.
fn passed_on(root: &str, modules: &BTreeSet<String>) -> BTreeMap<String, String> {
    let mut passed = BTreeMap::new();
    for statement in root.split(';') {
        let Some((_, path)) = statement.split_once("use ") else { continue };
        let mut words = path.split(|c: char| !is_word(c)).filter(|word| !word.is_empty());
        let Some(module) = words.next().and_then(|first| modules.get(first)) else { continue };
        passed.extend(words.map(|word| (word.to_owned(), module.clone())));
    }
    passed
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The first names after `crate::`, or after as many `super::` as lead to the root from so deep.
fn roots(text: &str, depth: usize) -> BTreeSet<String> {
    let up = "super::".repeat(depth);
    let mut names = BTreeSet::new();
    for prefix in ["crate::", up.as_str()] {
        for (at, _) in text.match_indices(prefix) {
            let (before, after) = (&text[..at], &text[at + prefix.len()..]);
            if !before.ends_with(is_word) && !before.ends_with("super::") {
                names.extend(firsts(after));
            }
        }
    }
    // One more step up from there leads nowhere.
    names.remove("super");
    names
}

/// The name that a path begins with, or those of a list of paths in braces.
fn firsts(path: &str) -> Vec<String> {
    let name = |path: &str| path.chars().take_while(|c| is_word(*c)).collect::<String>();
    let Some(list) = path.strip_prefix('{') else { return vec![name(path)] };
    let (mut depth, mut names, mut begins) = (0, Vec::new(), true);
    for (at, c) in list.char_indices() {
        match c {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => begins = true,
            c if begins && is_word(c) => {
                names.push(name(&list[at..]));
                begins = false;
            }
            _ => {}
        }
    }
    names
}
