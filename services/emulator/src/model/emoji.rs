//! Custom emoji. <https://discord.com/developers/docs/resources/emoji#emoji-object>

use serde::Serialize;

use super::Id;

/// An emoji of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Emoji {
    /// Snowflake of the emoji.
    pub id: Id,
    /// 2–32 letters, digits and underscores.
    pub name: String,
    /// Roles that may use it; empty allows everyone.
    pub roles: Vec<Id>,
    /// User who uploaded it; REST renders it as `user`.
    #[serde(skip)]
    pub user_id: Id,
    /// Whether it is written with colons.
    pub require_colons: bool,
    /// Whether it belongs to an integration.
    pub managed: bool,
    /// Whether it is animated.
    pub animated: bool,
    /// Whether it is usable; `false` after the boost for its slot ended.
    pub available: bool,
}
