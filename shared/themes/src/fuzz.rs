//! Fuzz target of the theme loader: see `arrakis-fuzz`.

use arrakis_fuzz::Fuzz;

use crate::{Settings, ThemeFolder, ThemeTemplate};

#[test]
fn themes() {
    let words = [
        "${accent}",
        "${name}",
        "$${",
        "variables:",
        "default:",
        "type: list",
        "flags:",
        "when:",
        "- name:",
        "kind: voice",
        "&a [*a, *a]",
        "<<: *a",
        "!!binary",
        "tiers:",
        "rules:",
        "balance:",
        "ranks:",
        "\"#ff0000\"",
        "=== badges/active.svg\n",
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 9 9\">",
        "</svg>",
        "<image href=\"",
        "url(",
        "<!DOCTYPE svg [<!ENTITY a \"b\">]>",
        "&a;",
        "<g>",
    ];
    // Values have their locations in the file, and problems hold an excerpt of it.
    let fuzz = Fuzz::target(env!("CARGO_MANIFEST_DIR"), "themes")
        .dictionary(&words)
        .max_memory(512, 4 << 20)
        .cases(100);
    fuzz.run(|text| {
        let text = String::from_utf8_lossy(text);
        let files = arrakis_fuzz::files(&text).map(|(name, text)| (name.to_owned(), text.to_owned()));
        let folder = ThemeFolder {
            id: "fuzz".to_owned(),
            label: "fuzz".to_owned(),
            files: files.collect(),
        };
        let resolved = ThemeTemplate::parse(folder).and_then(|template| template.resolve(&Settings::default()));
        match resolved {
            Ok(theme) => format!("{} tiers", theme.tiers.len()),
            Err(problems) => problems.to_string().rsplit(": ").next().unwrap_or_default().to_owned(),
        }
    });
}
