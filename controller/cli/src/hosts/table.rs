//! Lines into cells: commas, semicolons or blanks between them, whichever the table uses.

use super::{BadLine, fields::Row};

/// The largest table, in rows.
const ROWS: usize = 10_000;

/// The rows of a table, without comments and empty lines.
pub(super) fn rows(text: &str) -> Result<Vec<Row>, BadLine> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let is_content = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let Some(first) = text.lines().find(is_content) else { return Ok(vec![]) };
    let rows = if is_csv(first) { csv(text, first)? } else { plain(text) };
    match rows.get(ROWS) {
        Some(row) => Err(BadLine { line: row.line, message: format!("the table has more than {ROWS} rows") }),
        None => Ok(rows),
    }
}

/// A heading of words, separated by commas, semicolons or tabs: quotes mean something below it.
fn is_csv(first: &str) -> bool {
    let cell = first.split([',', ';', '\t', ' ']).next().unwrap_or_default();
    super::mac::parse(cell).is_none() && first.contains([',', ';', '\t'])
}

fn csv(text: &str, first: &str) -> Result<Vec<Row>, BadLine> {
    let delimiter = [b';', b'\t', b','].into_iter().find(|delimiter| first.contains(char::from(*delimiter)));
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter.unwrap_or(b','))
        .comment(Some(b'#'))
        .trim(csv::Trim::All)
        .flexible(true)
        .has_headers(false)
        .from_reader(text.as_bytes());
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| {
            let line = error.position().map_or(0, csv::Position::line);
            BadLine { line, message: format!("is no CSV: {error}") }
        })?;
        let cells: Vec<_> = record.iter().map(str::to_owned).collect();
        if cells.iter().any(|cell| !cell.is_empty()) {
            rows.push(Row { line: line_of(&record, text), cells });
        }
    }
    Ok(rows)
}

/// Where a record begins; the reader's own position is before the comments and empty lines in front of it.
fn line_of(record: &csv::StringRecord, text: &str) -> u64 {
    let Some(position) = record.position() else { return 0 };
    let start = usize::try_from(position.byte()).unwrap_or(usize::MAX);
    let mut line = position.line();
    for skipped in text.get(start..).unwrap_or_default().lines() {
        let trimmed = skipped.trim();
        if !trimmed.is_empty() && !skipped.starts_with('#') {
            break;
        }
        line += 1;
    }
    line
}

fn plain(text: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    for (line, content) in (1..).zip(text.lines()) {
        let content = content.split('#').next().unwrap_or_default();
        let cells: Vec<_> = content
            .split([',', ';', ' ', '\t'])
            .map(|cell| cell.trim().trim_matches('"').to_owned())
            .filter(|cell| !cell.is_empty())
            .collect();
        if !cells.is_empty() {
            rows.push(Row { line, cells });
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<(u64, usize)> {
        rows(text).expect("legal").iter().map(|row| (row.line, row.cells.len())).collect()
    }

    #[test]
    fn lines_are_counted_as_an_editor_does() {
        assert_eq!(lines("\n# x\nmac,os\n\n# y\na,b\n\"c\nc\",d\ne,f\n"), [(3, 2), (6, 2), (7, 2), (9, 2)]);
        assert_eq!(lines("\u{feff}mac os\n\n# y\na b # c\n"), [(1, 2), (4, 2)]);
    }
}
