//! Enumerations by name, and what is wrong with a name that is not among the known ones.

/// An enumeration whose members have names, for what reads and describes all such alike.
pub trait Choice: Copy + 'static {
    /// All members, in Discord's order.
    fn all() -> &'static [Self];

    /// The member's name in YAML and state.
    fn text(self) -> &'static str;
}

/// A name that is none of those there are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is unknown; expected one of {}", .known.join(", "))]
pub struct UnknownName {
    /// What was written.
    pub name: String,
    /// What there is.
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
