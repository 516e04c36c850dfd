//! `show`: tables, as tabulate draws them.

use super::{Failed, Fields, Sonic, json};
use crate::sim::cli::ports::Natural;

impl Sonic {
    pub(super) fn show(&self, what: &[&str]) -> Result<String, Failed> {
        match what {
            ["runningconfiguration", "all"] => Ok(json(&self.running)),
            ["vlan", "config"] => Ok(self.vlan_config()),
            ["interfaces", "status"] => Ok(self.status(None)),
            ["interfaces", "status", port] => Ok(self.status(Some(port))),
            ["interfaces", "description"] => Ok(self.description(None)),
            ["interfaces", "description", port] => Ok(self.description(Some(port))),
            [] => Err(self.usage("show", "COMMAND [ARGS]...", "Missing command.")),
            [first, ..] => {
                let why = format!("No such command \"{first}\".");
                Err(self.usage("show", "COMMAND [ARGS]...", &why))
            }
        }
    }

    /// A VLAN without members has a row of its own.
    fn vlan_config(&self) -> String {
        let mut rows = Vec::new();
        for (name, fields) in &self.running.vlans {
            let vlan = fields.get("vlanid").cloned().unwrap_or_default();
            let of_vlan = |(key, fields): (&Natural, &Fields)| {
                let port = key.0.strip_prefix(&format!("{}|", name.0))?.to_owned();
                Some((port, fields.get("tagging_mode").cloned().unwrap_or_default()))
            };
            let mut members: Vec<_> = self.running.members.iter().filter_map(of_vlan).collect();
            if members.is_empty() {
                members.push(Default::default());
            }
            rows.extend(
                members.into_iter().map(|(port, mode)| vec![name.0.clone(), vlan.clone(), port, mode]),
            );
        }
        table(&["Name", "VID", "Member", "Mode"], &[1], &rows)
    }

    /// Ports as they are applied; a name that is no port's has no row.
    fn applied(&self, only: Option<&str>) -> impl Iterator<Item = (&Natural, &Fields)> {
        self.applied.iter().filter(move |(name, _)| only.is_none_or(|only| only == name.0))
    }

    fn status(&self, only: Option<&str>) -> String {
        let row = |(name, fields): (&Natural, &Fields)| {
            let is_member = self.running.members.keys().any(|key| key.0.ends_with(&format!("|{}", name.0)));
            let speed = fields.get("speed").and_then(|speed| speed.parse::<u32>().ok());
            let cells = [
                name.0.clone(),
                get(fields, "lanes"),
                speed.map_or("N/A".to_owned(), |speed| format!("{}G", speed / 1000)),
                get(fields, "mtu"),
                get(fields, "fec"),
                get(fields, "alias"),
                if is_member { "trunk" } else { "routed" }.to_owned(),
                self.oper(name, fields),
                get(fields, "admin_status"),
                "N/A".to_owned(),
                get(fields, "pfc_asym"),
            ];
            cells.to_vec()
        };
        let heads = [
            "Interface",
            "Lanes",
            "Speed",
            "MTU",
            "FEC",
            "Alias",
            "Vlan",
            "Oper",
            "Admin",
            "Type",
            "Asym PFC",
        ];
        let rows: Vec<_> = self.applied(only).map(row).collect();
        table(&heads, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], &rows)
    }

    /// A port is up as soon as it may be, if something is plugged in.
    fn oper(&self, name: &Natural, fields: &Fields) -> String {
        match self.no_link.contains(&name.0) {
            true => "down".to_owned(),
            false => get(fields, "admin_status"),
        }
    }

    fn description(&self, only: Option<&str>) -> String {
        let row = |(name, fields): (&Natural, &Fields)| {
            let named = ["admin_status", "alias", "description"].map(|field| get(fields, field));
            [vec![name.0.clone(), self.oper(name, fields)], named.to_vec()].concat()
        };
        let rows: Vec<_> = self.applied(only).map(row).collect();
        table(&["Interface", "Oper", "Admin", "Alias", "Description"], &[0, 1, 2, 3, 4], &rows)
    }
}

fn get(fields: &Fields, name: &str) -> String {
    fields.get(name).map_or("N/A", String::as_str).to_owned()
}

/// A column is two wider than its head or as wide as its widest cell; `right` of them lean to the right.
fn table(heads: &[&str], right: &[usize], rows: &[Vec<String>]) -> String {
    let widest = |n: usize| rows.iter().map(|row| row[n].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> =
        heads.iter().enumerate().map(|(n, head)| widest(n).max(head.len() + 2)).collect();
    let line = |cells: Vec<&str>| {
        let cell = |(n, cell): (usize, &&str)| match right.contains(&n) {
            true => format!("{cell:>0$}", widths[n]),
            false => format!("{cell:0$}", widths[n]),
        };
        let cells: Vec<String> = cells.iter().enumerate().map(cell).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    let dashes: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    let mut text = line(heads.to_vec()) + &line(dashes.iter().map(String::as_str).collect());
    for row in rows {
        text += &line(row.iter().map(String::as_str).collect());
    }
    text
}
