//! A program in TypeScript that compiles only if the dashboards are what Grafana's published types say.
//!
//! Grafana publishes the types of its dashboards as `@grafana/schema`, and those of Prometheus' queries with its SDK. Where those
//! types say "anything" (a panel's options, its queries) the type of that very panel or query is applied. JSON has the
//! values of enumerations and not their names, which [`JSON_TYPE`] makes up for; nothing else is relaxed, and a key that a
//! type does not know is an error.

mod packages;

pub use packages::{Packages, PackagesError};

use std::fmt::Write as _;

use serde_json::Value;

const IMPORTS: &str = "\
import type { Dashboard, Panel, RowPanel } from '@grafana/schema';
import type * as stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as timeseries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';
import type * as bargauge from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import type * as statetimeline from '@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
import type * as heatmap from '@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen';
import type * as table from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type * as text from '@grafana/schema/dist/esm/raw/composable/text/panelcfg/x/TextPanelCfg_types.gen';
import type * as tempo from '@grafana/schema/dist/esm/raw/composable/tempo/dataquery/x/TempoDataQuery_types.gen';
import type * as prometheus from '@grafana/grafana-foundation-sdk/prometheus';
";

/// What a value of a type looks like in JSON.
const JSON_TYPE: &str = "
type Json<T> = T extends string ? `${T}`
  : T extends Array<infer Item> ? Array<Json<Item>>
  : T extends object ? { [Key in keyof T]: Json<T[Key]> }
  : T;
type PrometheusQuery = Omit<prometheus.Dataquery, '_implementsDataqueryVariant'>;
";

/// The module of each kind of panel, and whether it has fields of its own.
const KINDS: &[(&str, &str, bool)] = &[
    ("stat", "stat", false),
    ("timeseries", "timeseries", true),
    ("bargauge", "bargauge", false),
    ("state-timeline", "statetimeline", true),
    ("heatmap", "heatmap", true),
    ("table", "table", true),
    ("text", "text", false),
];

/// The program for these dashboards.
#[must_use]
pub fn program(dashboards: &[Value]) -> String {
    let mut program = format!("{IMPORTS}{JSON_TYPE}\n");
    for (number, dashboard) in dashboards.iter().enumerate() {
        let mut frame = dashboard.clone();
        // Each by its own type: of two types together a compiler takes what either knows.
        frame["panels"] = Value::Array(Vec::new());
        declare(&mut program, &format!("dashboard{number}"), "Dashboard", &frame);
        let panels = dashboard["panels"].as_array().map(Vec::as_slice).unwrap_or_default();
        for panel in panels {
            declare_panel(&mut program, &format!("dashboard{number}_panel{}", panel["id"]), panel);
        }
    }
    program
}

fn declare_panel(program: &mut String, name: &str, panel: &Value) {
    let kind = panel["type"].as_str().unwrap_or_default();
    if kind == "row" {
        return declare(program, name, "RowPanel", panel);
    }
    declare(program, name, "Panel", panel);
    let Some((_, module, fields)) = KINDS.iter().find(|(known, ..)| *known == kind) else {
        // No module of that name is imported, so this is an error that names the panel.
        return declare(program, &format!("{name}_unknown"), &format!("unknown_kind.{kind}"), panel);
    };
    declare(program, &format!("{name}_options"), &format!("{module}.Options"), &panel["options"]);
    if *fields {
        let custom = &panel["fieldConfig"]["defaults"]["custom"];
        declare(program, &format!("{name}_field"), &format!("{module}.FieldConfig"), custom);
    }
    for target in panel["targets"].as_array().into_iter().flatten() {
        let reference = target["refId"].as_str().unwrap_or_default();
        let query =
            if target["datasource"]["type"] == "tempo" { "tempo.TempoQuery" } else { "PrometheusQuery" };
        declare(program, &format!("{name}_query{reference}"), query, target);
    }
}

/// JSON is TypeScript too.
fn declare(program: &mut String, name: &str, of: &str, value: &Value) {
    // A String takes whatever is written.
    let _ = writeln!(program, "export const {name}: Json<{of}> = {value};");
}
