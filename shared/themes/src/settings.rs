//! [`Settings`]: values of a theme's variables and flags, set by an operator or a community.

use std::collections::BTreeMap;

/// Settings of a theme. Without a setting the theme's default applies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Values by variable name, as texts; the items of a list are separated by commas.
    pub variables: BTreeMap<String, String>,
    /// Whether each flag is enabled, by flag name.
    pub flags: BTreeMap<String, bool>,
}

impl Settings {
    /// These settings with a further variable.
    #[must_use]
    pub fn with_variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// These settings with a further flag.
    #[must_use]
    pub fn with_flag(mut self, name: impl Into<String>, enabled: bool) -> Self {
        self.flags.insert(name.into(), enabled);
        self
    }
}
