//! What an operator or a community sets of a theme: values of its variables, states of its flags.

use std::collections::BTreeMap;

/// Settings of one use of a theme. Empty means as the theme ships.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Values by variable, as text of the variable's type; a list is separated by commas.
    pub variables: BTreeMap<String, String>,
    /// On or off by flag.
    pub flags: BTreeMap<String, bool>,
}

impl Settings {
    /// With one more variable set.
    #[must_use]
    pub fn with_variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// With one more flag set.
    #[must_use]
    pub fn with_flag(mut self, name: impl Into<String>, enabled: bool) -> Self {
        self.flags.insert(name.into(), enabled);
        self
    }
}
