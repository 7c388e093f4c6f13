//! The bucket table in Markdown, for the documentation; a test compares `docs/rest.md` with it.

use std::fmt::Write as _;

use super::{
    limits::BucketClass,
    route::{Access, Route},
};

/// A Markdown table of all routes by bucket, in the order of the route tables.
#[must_use]
pub fn markdown(routes: &[Route]) -> String {
    let mut classes: Vec<BucketClass> = Vec::new();
    for class in routes.iter().filter_map(|route| route.class) {
        if !classes.contains(&class) {
            classes.push(class);
        }
    }
    let mut table = String::from("| requests | window | routes |\n|---|---|---|\n");
    for class in classes {
        let (limit, window_ms) = class.rule();
        let sharing: Vec<String> = routes
            .iter()
            .filter(|route| route.class == Some(class))
            .map(name)
            .collect();
        // Writing into a string cannot fail.
        let _ = writeln!(table, "| {limit} | {} | {} |", window(window_ms), sharing.join("<br>"));
    }
    table
}

fn name(route: &Route) -> String {
    let free = if route.access == Access::Interaction { " ¹" } else { "" };
    format!("`{} {}`{free}", route.method, route.template)
}

fn window(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        3_600_000.. => format!("{} h", ms / 3_600_000),
        _ => format!("{} s", ms / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use crate::rest::routes;

    #[test]
    fn the_documentation_has_the_table_of_the_code() {
        let document = include_str!("../../docs/rest.md");
        let table = super::markdown(&routes::all());
        assert!(
            document.contains(&table),
            "docs/rest.md is to contain this table:\n{table}"
        );
    }
}
