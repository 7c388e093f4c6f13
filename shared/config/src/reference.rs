//! The reference page of all variables, made from the declarations.

use crate::variables::{VARIABLES, Whether};

/// The text of `.env.example`: each variable with its meaning, who reads it, and an example.
pub fn env_example() -> String {
    let mut text = String::from(
        "# Every environment variable of Arrakis, made from shared/config/src/variables.rs; a test keeps it so.\n\
         # A commented line shows the default or an example; an uncommented one is needed by the services named above it.\n",
    );
    for variable in VARIABLES {
        let services: Vec<_> = variable.used_by.iter().map(|service| service.binary()).collect();
        text.push_str(&format!("\n# {}\n# {}", variable.meaning, services.join(", ")));
        if let Some(older) = variable.older_name {
            text.push_str(&format!("; {older} is accepted as its older name"));
        }
        let lead = if variable.whether == Whether::Required { "" } else { "#" };
        text.push_str(&format!("\n{lead}{}\n", variable.assignment()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_page_is_the_one_the_code_declares() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.env.example");
        if std::env::var_os("UPDATE_ENV_EXAMPLE").is_some() {
            std::fs::write(path, env_example()).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == env_example(),
            "run: UPDATE_ENV_EXAMPLE=1 cargo test -p arrakis-config"
        );
    }

    #[test]
    fn names_are_declared_once() {
        let mut names: Vec<_> = VARIABLES
            .iter()
            .flat_map(|v| std::iter::once(v.name).chain(v.older_name))
            .collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
