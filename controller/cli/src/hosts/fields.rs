//! What the columns of a table mean.

use proto::catalog::check_name;
use serde_json::{Map, Value, json};

use super::{BadLine, Defaults, mac};

/// A line of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) line: u64,
    pub(super) cells: Vec<String>,
}

/// What a column is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Column {
    Name,
    Macs,
    Site,
    Address,
    Profile,
    /// A word that `--map` turns into a profile.
    Os,
    Uuid,
    Serial,
    AssetTag,
    /// `key=value` pairs.
    Labels,
    Label(String),
}

/// The columns of a table, in order.
#[derive(Debug)]
pub(super) struct Heading {
    columns: Vec<Column>,
}

const KNOWN: &str = "name, mac, site, address, profile, os, uuid, serial, asset_tag, labels, label:KEY";

impl Heading {
    /// Of a table without a heading.
    pub(super) fn mac_and_os() -> Self {
        Self { columns: vec![Column::Macs, Column::Os] }
    }

    pub(super) fn read(row: &Row) -> Result<Self, BadLine> {
        let bad = |message: String| BadLine { line: row.line, message };
        let mut columns = Vec::new();
        for word in &row.cells {
            let column = column(word).ok_or_else(|| {
                bad(format!("{word:?} is neither a MAC address nor a column: expected {KNOWN}"))
            })?;
            if columns.contains(&column) {
                return Err(bad(format!("the column {word} is there twice")));
            }
            columns.push(column);
        }
        if columns.contains(&Column::Macs) {
            return Ok(Self { columns });
        }
        Err(bad("the heading has no column mac".into()))
    }

    /// A row as a document, not yet checked as one.
    pub(super) fn document(&self, row: &Row, defaults: &Defaults) -> Result<Value, Vec<String>> {
        if row.cells.len() > self.columns.len() {
            return Err(vec![format!("has {} columns, expected {}", row.cells.len(), self.columns.len())]);
        }
        let mut host = Draft::default();
        let mut problems = Vec::new();
        let filled = self.columns.iter().zip(&row.cells).filter(|(_, cell)| !cell.is_empty());
        for (column, cell) in filled {
            let problem = host.take(column, cell, defaults).err();
            problems.extend(problem.map(|problem| format!("column {}: {problem}", column.word())));
        }
        if problems.is_empty() {
            host.finish(defaults).map_err(|problem| vec![problem])
        } else {
            Err(problems)
        }
    }
}

impl Column {
    /// As a heading names it.
    fn word(&self) -> String {
        let word = match self {
            Self::Name => "name",
            Self::Macs => "mac",
            Self::Site => "site",
            Self::Address => "address",
            Self::Profile => "profile",
            Self::Os => "os",
            Self::Uuid => "uuid",
            Self::Serial => "serial",
            Self::AssetTag => "asset_tag",
            Self::Labels => "labels",
            Self::Label(key) => return format!("label:{key}"),
        };
        word.to_owned()
    }
}

/// The column that a field of the document came from.
pub(super) fn column_of(field: &str) -> String {
    let field = field.strip_prefix("spec.").unwrap_or(field);
    let word = field.split(['.', '[']).next().unwrap_or(field);
    format!("column {}", if word == "macs" { "mac" } else { word })
}

fn column(word: &str) -> Option<Column> {
    let lower = word.trim().to_ascii_lowercase();
    if let Some(("label", _)) = lower.split_once([':', '.']) {
        let key = word.trim().split_once([':', '.']).map(|(_, key)| key.to_owned())?;
        return (!key.is_empty()).then_some(Column::Label(key));
    }
    Some(match lower.as_str() {
        "name" | "host" | "hostname" => Column::Name,
        "mac" | "macs" | "mac_address" => Column::Macs,
        "site" => Column::Site,
        "address" | "ip" => Column::Address,
        "profile" => Column::Profile,
        "os" => Column::Os,
        "uuid" => Column::Uuid,
        "serial" => Column::Serial,
        "asset_tag" => Column::AssetTag,
        "labels" => Column::Labels,
        _ => return None,
    })
}

#[derive(Default)]
struct Draft {
    name: Option<String>,
    spec: Map<String, Value>,
    labels: Map<String, Value>,
}

impl Draft {
    fn take(&mut self, column: &Column, cell: &str, defaults: &Defaults) -> Result<(), String> {
        let field = match column {
            Column::Name => {
                self.name = Some(cell.to_owned());
                return Ok(());
            }
            Column::Macs => return self.macs(cell),
            Column::Os => {
                self.spec.insert("profile".into(), profile(cell, defaults)?.into());
                return Ok(());
            }
            Column::Labels => return self.labels(cell),
            Column::Label(key) => {
                self.labels.insert(key.clone(), cell.into());
                return Ok(());
            }
            Column::Site => "site",
            Column::Address => "address",
            Column::Profile => "profile",
            Column::Uuid => "uuid",
            Column::Serial => "serial",
            Column::AssetTag => "asset_tag",
        };
        self.spec.insert(field.into(), cell.into());
        Ok(())
    }

    /// One address, or several with blanks between them.
    fn macs(&mut self, cell: &str) -> Result<(), String> {
        let macs = cell
            .split([' ', '|', '\t'])
            .filter(|part| !part.is_empty())
            .map(|part| mac::parse(part).ok_or_else(|| format!("{part:?} is no MAC address")))
            .collect::<Result<Vec<_>, _>>()?;
        self.spec.insert("macs".into(), macs.iter().map(ToString::to_string).collect::<Vec<_>>().into());
        Ok(())
    }

    fn labels(&mut self, cell: &str) -> Result<(), String> {
        for pair in cell.split_whitespace() {
            let (key, value) =
                pair.split_once('=').ok_or_else(|| format!("{pair:?} is no label: expected KEY=VALUE"))?;
            self.labels.insert(key.to_owned(), value.into());
        }
        Ok(())
    }

    fn finish(mut self, defaults: &Defaults) -> Result<Value, String> {
        if !self.spec.contains_key("site") {
            let site =
                defaults.site.clone().ok_or("names no site: give one with --site or in a column site")?;
            self.spec.insert("site".into(), site.into());
        }
        let first = self.spec.get("macs").and_then(|macs| macs.get(0)).and_then(Value::as_str);
        let named_by = first.ok_or("has no MAC address")?.replace(':', "");
        let name = self.name.unwrap_or_else(|| format!("host-{named_by}"));
        let mut document = json!({"kind": "Host", "name": name, "spec": self.spec});
        if !self.labels.is_empty() {
            document["labels"] = Value::Object(self.labels);
        }
        Ok(document)
    }
}

/// What `--map` says; a word that could be a profile's name stands for itself.
fn profile(os: &str, defaults: &Defaults) -> Result<String, String> {
    match defaults.profiles.get(os) {
        Some(profile) => Ok(profile.clone()),
        None if check_name("profile", os).is_none() => Ok(os.to_owned()),
        None => Err(format!("no profile is known for {os:?}: say which with --map {os}=PROFILE")),
    }
}
