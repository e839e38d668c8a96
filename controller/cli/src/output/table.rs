//! Tables for people: plain columns, wide enough for their content, nothing drawn around them.

use comfy_table::{Attribute, Cell, ContentArrangement, Table, presets};

use super::plain;

/// Lays out rows under their headings; ends without a newline.
#[must_use]
pub(crate) fn render(headings: &[&str], rows: &[Vec<String>], colours: bool) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    if colours {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    let heading = |text: &&str| {
        let cell = Cell::new(text.to_uppercase());
        if colours { cell.add_attribute(Attribute::Bold) } else { cell }
    };
    table.set_header(headings.iter().map(heading));
    for row in rows {
        table.add_row(row.iter().map(|cell| if cell.is_empty() { "-".into() } else { plain(cell) }));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_nothing_is_left_empty() {
        let rows = [vec!["web-1".into(), String::new()], vec!["a".into(), "x\x1b".into()]];
        assert_eq!(render(&["name", "site"], &rows, false), "NAME   SITE\nweb-1  -\na      x\u{fffd}");
    }
}
