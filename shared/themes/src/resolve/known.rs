//! Names that the files of a theme define. References are checked against all of them, valid or not, so that one invalid
//! tier is one problem and not twenty.

use crate::template::ThemeTemplate;

pub(crate) struct Known<'a> {
    /// Tiers, highest first.
    pub(crate) tiers: Vec<&'a str>,
    pub(crate) badges: Vec<&'a str>,
    pub(crate) flags: Vec<&'a str>,
    pub(crate) roles: Vec<&'a str>,
}

impl<'a> Known<'a> {
    pub(crate) fn of(template: &'a ThemeTemplate) -> Self {
        Self {
            tiers: template.tiers.tiers.iter().map(|tier| tier.id.value.as_str()).collect(),
            badges: template
                .badges
                .badges
                .iter()
                .map(|badge| badge.id.value.as_str())
                .collect(),
            flags: template.manifest.flags.keys().map(String::as_str).collect(),
            roles: template.roles.roles.iter().map(|role| role.id.value.as_str()).collect(),
        }
    }
}
