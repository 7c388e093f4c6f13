//! Enumerations by name, and what is wrong with a name that is not among the known ones.

/// An enumeration whose variants have names in YAML: read and described in the JSON schema generically.
pub trait Choice: Copy + 'static {
    /// All variants, in Discord's order.
    fn all() -> &'static [Self];

    /// The variant's name in YAML and state.
    fn text(self) -> &'static str;
}

/// The text is not the name of a variant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is unknown; expected one of {}", .known.join(", "))]
pub struct UnknownName {
    /// The text.
    pub name: String,
    /// The valid names.
    pub known: Vec<&'static str>,
}

impl UnknownName {
    pub(crate) fn among(name: &str, known: impl Iterator<Item = &'static str>) -> Self {
        Self {
            name: name.chars().take(60).collect(),
            known: known.collect(),
        }
    }
}
