//! `.env.example`, the reference page of all variables, generated from the declarations.

use crate::variables::{Requirement, VARIABLES};

/// The text of `.env.example`: each variable with its meaning, the services that read it, and an example.
pub fn env_example() -> String {
    let mut text = String::from(
        "# All environment variables of Arrakis, generated from shared/config/src/variables.rs; a test compares the two.\n\
         # A commented line shows the default or an example; the services named above an uncommented line require it.\n",
    );
    for variable in VARIABLES {
        let services: Vec<_> = variable.used_by.iter().map(|service| service.binary()).collect();
        text.push_str(&format!("\n# {}\n# {}", variable.meaning, services.join(", ")));
        if let Some(older) = variable.older_name {
            text.push_str(&format!("; {older} is accepted as its older name"));
        }
        let lead = if variable.requirement == Requirement::Required {
            ""
        } else {
            "#"
        };
        text.push_str(&format!("\n{lead}{}\n", variable.assignment()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn committed_page_equals_the_declarations() {
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
    fn each_name_is_declared_once() {
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
