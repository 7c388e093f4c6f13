//! The README of each theme contains the theme's generated reference.

use std::path::Path;

use arrakis_themes::{Registry, reference};

/// `UPDATE_THEME_README=1 cargo test -p arrakis-themes` replaces the text below this line.
const MARK: &str = "<!-- From here on made by `UPDATE_THEME_README=1 cargo test -p arrakis-themes`; change the theme's files instead. -->";

#[test]
fn each_readme_has_the_reference_of_its_theme() {
    for theme in Registry::load(None).unwrap().all() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(theme.id.as_str())
            .join("README.md");
        let written = std::fs::read_to_string(&path).unwrap();
        let (own, _) = written
            .split_once(MARK)
            .unwrap_or_else(|| panic!("{}: the mark is missing", path.display()));
        let made = format!("{own}{MARK}\n\n{}", reference(theme));
        if std::env::var_os("UPDATE_THEME_README").is_some() {
            std::fs::write(&path, &made).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap();
        assert!(
            committed == made,
            "{}: run UPDATE_THEME_README=1 cargo test -p arrakis-themes",
            theme.id
        );
    }
}
