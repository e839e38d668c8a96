//! Tables of hosts: CSV with a heading, and the two columns `mac, os` that hand-made PXE servers use.
//!
//! Pure: text in, hosts or every mistake with its line out.

mod fields;
mod mac;
mod table;

use std::collections::BTreeMap;

use proto::Mac;
use proto::catalog::{AnyResource, HostSpec, Kind, Problem, Resource, read_document};

use fields::{Heading, Row};

/// What is the same for all rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Defaults {
    /// The site of rows that name none.
    pub(crate) site: Option<String>,
    /// The profile of an `os` word.
    pub(crate) profiles: BTreeMap<String, String>,
}

/// A host of a table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Listed {
    /// From 1.
    pub(crate) line: u64,
    /// As it will be applied.
    pub(crate) host: Resource<HostSpec>,
}

/// A mistake in a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadLine {
    /// From 1.
    pub(crate) line: u64,
    /// What is wrong.
    pub(crate) message: String,
}

/// A table that cannot be taken over.
#[derive(Debug, Default)]
pub(crate) struct BadTable {
    /// Every mistake that can be seen in the table alone, by line.
    pub(crate) bad: Vec<BadLine>,
    /// The hosts of the other lines.
    pub(crate) listed: Vec<Listed>,
}

impl From<BadLine> for BadTable {
    fn from(bad: BadLine) -> Self {
        Self { bad: vec![bad], listed: Vec::new() }
    }
}

/// Reads a table.
///
/// # Errors
/// Every bad line.
pub(crate) fn read(text: &str, defaults: &Defaults) -> Result<Vec<Listed>, BadTable> {
    let rows = table::rows(text)?;
    let Some((first, rest)) = rows.split_first() else {
        return Err(BadLine { line: 1, message: "the table is empty".into() }.into());
    };
    let headed = first.cells.first().is_some_and(|cell| mac::parse(cell).is_none());
    let (heading, rows) = match headed {
        true => (Heading::read(first)?, rest),
        false => (Heading::mac_and_os(), &rows[..]),
    };
    let mut listed = Vec::new();
    let mut bad = Vec::new();
    for row in rows {
        match host(&heading, row, defaults) {
            Ok(host) => listed.push(Listed { line: row.line, host }),
            Err(messages) => {
                bad.extend(messages.into_iter().map(|message| BadLine { line: row.line, message }))
            }
        }
    }
    bad.extend(twice(&listed));
    bad.sort_by_key(|bad| bad.line);
    match (bad.is_empty(), listed.is_empty()) {
        (true, true) => {
            Err(BadLine { line: first.line, message: "the table has a heading and no rows".into() }.into())
        }
        (true, false) => Ok(listed),
        (false, _) => {
            listed.retain(|listed| bad.iter().all(|bad| bad.line != listed.line));
            Err(BadTable { bad, listed })
        }
    }
}

fn host(heading: &Heading, row: &Row, defaults: &Defaults) -> Result<Resource<HostSpec>, Vec<String>> {
    let value = heading.document(row, defaults)?;
    let any = read_document(Kind::Host, value)
        .map_err(|problems| problems.iter().map(in_column).collect::<Vec<_>>())?;
    let problems = any.validate();
    match any {
        AnyResource::Host(host) if problems.is_empty() => Ok(host),
        AnyResource::Host(_)
        | AnyResource::Site(_)
        | AnyResource::Agent(_)
        | AnyResource::Image(_)
        | AnyResource::Profile(_)
        | AnyResource::Mirror(_)
        | AnyResource::Order(_)
        | AnyResource::Secret(_)
        | AnyResource::Token(_)
        | AnyResource::Operator(_) => Err(problems.iter().map(in_column).collect()),
    }
}

/// A problem of a host in words of the table.
pub(crate) fn in_column(problem: &Problem) -> String {
    match problem.field.as_str() {
        "" => problem.message.clone(),
        field => format!("{}: {}", fields::column_of(field), problem.message),
    }
}

/// Names and addresses that stand in two lines.
fn twice(listed: &[Listed]) -> Vec<BadLine> {
    let mut names: BTreeMap<&str, u64> = BTreeMap::new();
    let mut macs: BTreeMap<Mac, u64> = BTreeMap::new();
    let mut bad = Vec::new();
    for Listed { line, host } in listed {
        let mut again = |what: String, first: u64| {
            bad.push(BadLine { line: *line, message: format!("{what} stands in line {first} already") });
        };
        if let Some(first) = names.insert(&host.name, *line) {
            again(format!("the name {}", host.name), first);
        }
        for mac in &host.spec.macs {
            if let Some(first) = macs.insert(*mac, *line).filter(|first| first != line) {
                again(mac.to_string(), first);
            }
        }
    }
    bad
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lyon() -> Defaults {
        let profiles = [("debian".into(), "debian-12".into())].into();
        Defaults { site: Some("lyon".into()), profiles }
    }

    fn bad(text: &str, defaults: &Defaults) -> Vec<(u64, String)> {
        let bad = read(text, defaults).expect_err("bad lines");
        bad.bad.into_iter().map(|bad| (bad.line, bad.message)).collect()
    }

    #[test]
    fn the_two_columns_in_every_notation() {
        let text = "# lab\n52:54:00:00:00:01 debian\n52-54-00-00-00-02,rescue # old one\n\n5254.0000.0003 ; debian\n\
                    01-52-54-00-00-00-04\trescue\n0:1A:2b:3:4:5 debian\n52540000000A\n";
        let listed = read(text, &lyon()).expect("legal");
        let short: Vec<_> =
            listed.iter().map(|l| (l.line, l.host.name.as_str(), l.host.spec.profile.as_deref())).collect();
        let expected = [
            (2, "host-525400000001", Some("debian-12")),
            (3, "host-525400000002", Some("rescue")),
            (5, "host-525400000003", Some("debian-12")),
            (6, "host-525400000004", Some("rescue")),
            (7, "host-001a2b030405", Some("debian-12")),
            (8, "host-52540000000a", None),
        ];
        assert_eq!(short, expected);
        assert!(listed.iter().all(|listed| listed.host.spec.site == "lyon"));
    }

    #[test]
    fn csv_with_a_heading() {
        let text = "Name,MAC,Site,IP,Profile,UUID,Serial,label:rack,labels\n\
            web-1,52:54:00:00:00:01 52:54:00:00:00:02,paris,10.1.0.5,debian-12,4c4c4544-0042-3510-8051-b4c04f4d5231,S1,\"r1, left\",a=b c=d\n\
            web-2,5254.0000.0003,,,,,,,\n";
        let listed = read(text, &lyon()).expect("legal");
        let web = &listed[0].host;
        assert_eq!((web.name.as_str(), web.spec.site.as_str(), web.spec.macs.len()), ("web-1", "paris", 2));
        assert_eq!(web.spec.address, Some([10, 1, 0, 5].into()));
        assert_eq!(web.labels["rack"], "r1, left");
        assert_eq!(web.labels["c"], "d");
        assert_eq!((listed[1].line, listed[1].host.spec.site.as_str()), (3, "lyon"));
    }

    #[test]
    fn semicolons_and_a_heading_of_two() {
        let listed = read("mac;os\n52:54:00:00:00:01;debian\n", &lyon()).expect("legal");
        assert_eq!(listed[0].host.spec.profile.as_deref(), Some("debian-12"));
    }

    #[test]
    fn every_bad_line_is_named_at_once() {
        let text = "52:54:00:00:00:01 debian\nnonsense debian\n52:54:00:00:00:01 debian\n\
                    52:54:00:00:00:02 Windows\n52:54:00:00:00:03 debian more\nff:ff:ff:ff:ff:ff debian\n";
        let bad = bad(text, &lyon());
        let lines: Vec<_> = bad.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [2, 3, 3, 4, 5, 6], "{bad:?}");
        assert!(bad[1].1.contains("line 1"), "{bad:?}");
        assert!(bad[3].1.contains("--map Windows=PROFILE"), "{bad:?}");
    }

    #[test]
    fn a_bad_cell_is_named_with_its_column() {
        let text = "name,mac,ip,labels\nA B,52:54:00:00:00:01,10.1.0.300,\nb,zz,,\nc,52:54:00:00:00:03,,x\n";
        let bad = bad(text, &lyon());
        let starts =
            [(2, "column address: "), (2, "column name: "), (3, "column mac: "), (4, "column labels: ")];
        for ((line, start), (found, message)) in starts.iter().zip(&bad) {
            assert!(line == found && message.starts_with(start), "{bad:?}");
        }
        assert!(bad[0].1.contains("10.1.0.300"), "{bad:?}");
    }

    #[test]
    fn what_the_heading_lacks_or_does_not_know_is_named() {
        assert!(bad("name,site\na,lyon\n", &lyon())[0].1.contains("no column mac"));
        assert!(bad("mac,colour\n52:54:00:00:00:01,red\n", &lyon())[0].1.contains("colour"));
        assert!(bad("mac,mac\n", &lyon())[0].1.contains("twice"));
        assert!(bad("", &lyon())[0].1.contains("empty"));
        assert!(bad("52:54:00:00:00:01 debian\n", &Defaults::default())[0].1.contains("--site"));
    }
}
