//! A dashboard: rows of panels, which find their places by themselves.

use serde_json::{Value, json};

use super::panel::Panel;
use super::variable::Variable;

/// The columns of a dashboard.
const COLUMNS: u32 = 24;
/// What all of ours have, so that they find each other.
const TAG: &str = "bootlane";
/// Which form of JSON this is.
const SCHEMA_VERSION: u32 = 41;

/// A dashboard.
#[derive(Debug, Clone, PartialEq)]
pub struct Dashboard {
    /// What addresses name it by; it stays.
    pub uid: &'static str,
    /// Its name.
    pub title: &'static str,
    /// What it answers.
    pub about: &'static str,
    /// How much of the past it shows at first, such as `6h`.
    pub shows: &'static str,
    /// What is chosen at its top, without the sources of data.
    pub variables: Vec<Variable>,
    /// From the top.
    pub rows: Vec<Row>,
}

/// A row with its title.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its title.
    pub title: &'static str,
    /// From left to right, in as many lines as they need.
    pub panels: Vec<Panel>,
}

impl Row {
    /// A row.
    #[must_use]
    pub fn new(title: &'static str, panels: Vec<Panel>) -> Self {
        Self { title, panels }
    }
}

/// All panels of a dashboard, from the top.
pub fn panels(dashboard: &Dashboard) -> impl Iterator<Item = &Panel> {
    dashboard.rows.iter().flat_map(|row| &row.panels)
}

impl Dashboard {
    /// Everything that is chosen at its top.
    #[must_use]
    pub fn all_variables(&self) -> Vec<Variable> {
        Variable::sources().into_iter().chain(self.variables.iter().cloned()).collect()
    }

    /// The file's name.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}.json", self.uid)
    }

    /// As Grafana reads it.
    #[must_use]
    pub fn json(&self) -> Value {
        let variables: Vec<_> = self.all_variables().iter().map(Variable::json).collect();
        let panels: Vec<_> = (1..).zip(self.places()).map(|(id, placed)| placed.json(id)).collect();
        json!({
            "uid": self.uid, "title": format!("Bootlane / {}", self.title), "description": self.about,
            "tags": [TAG], "schemaVersion": SCHEMA_VERSION, "editable": true, "graphTooltip": 1,
            "refresh": "30s", "timezone": "browser",
            "time": { "from": format!("now-{}", self.shows), "to": "now" },
            "links": [links()], "templating": { "list": variables }, "panels": panels,
        })
    }

    /// Rows and panels with their places, from the top.
    #[must_use]
    pub fn places(&self) -> Vec<Placed<'_>> {
        let (mut placed, mut y) = (Vec::new(), 0);
        for row in &self.rows {
            placed.push(Placed { what: What::Title(row.title), x: 0, y });
            y += 1;
            let (mut x, mut height) = (0, 0);
            for panel in &row.panels {
                if x + panel.size.0 > COLUMNS {
                    (x, y, height) = (0, y + height, 0);
                }
                placed.push(Placed { what: What::Panel(panel), x, y });
                (x, height) = (x + panel.size.0, height.max(panel.size.1));
            }
            y += height;
        }
        placed
    }
}

/// Something on a dashboard, and where its upper left corner is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placed<'a> {
    /// What.
    pub what: What<'a>,
    /// In columns, of which there are 24.
    pub x: u32,
    /// In rows.
    pub y: u32,
}

/// What stands on a dashboard.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum What<'a> {
    /// A row's title, as wide as the dashboard and one row high.
    Title(&'a str),
    /// A panel.
    Panel(&'a Panel),
}

impl Placed<'_> {
    fn json(&self, id: u32) -> Value {
        match self.what {
            What::Title(title) => json!({
                "id": id, "type": "row", "title": title, "collapsed": false, "panels": [],
                "gridPos": { "x": self.x, "y": self.y, "w": COLUMNS, "h": 1 },
            }),
            What::Panel(panel) => panel.json(id, (self.x, self.y)),
        }
    }
}

/// To the others of ours, with the same time and the same choices.
fn links() -> Value {
    json!({
        "type": "dashboards", "title": "Bootlane", "tags": [TAG], "asDropdown": false, "icon": "external link",
        "includeVars": true, "keepTime": true, "targetBlank": false, "tooltip": "", "url": "",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_find_their_places() {
        let panel = |width, height| Panel::lines("a", "b").wide(width).high(height);
        let rows = vec![
            Row::new("one", vec![panel(12, 8), panel(12, 6), panel(24, 5)]),
            Row::new("two", vec![panel(6, 4)]),
        ];
        let (uid, title, about, shows) = ("u", "t", "a", "6h");
        let dashboard = Dashboard { uid, title, about, shows, variables: Vec::new(), rows };
        let json = dashboard.json();
        let place = |panel: &Value| {
            ["x", "y", "w", "h"].map(|name| panel["gridPos"][name].as_u64().expect("a number"))
        };
        let places: Vec<_> = json["panels"].as_array().expect("panels").iter().map(place).collect();
        let expected =
            [[0, 0, 24, 1], [0, 1, 12, 8], [12, 1, 12, 6], [0, 9, 24, 5], [0, 14, 24, 1], [0, 15, 6, 4]];
        assert_eq!(places, expected);
    }
}
