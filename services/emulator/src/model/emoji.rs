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
    /// Roles that may use it; empty is everyone.
    pub roles: Vec<Id>,
    /// Who uploaded it; rendered as `user` by REST.
    #[serde(skip)]
    pub user_id: Id,
    /// Written with colons.
    pub require_colons: bool,
    /// Belongs to an integration.
    pub managed: bool,
    /// Moves.
    pub animated: bool,
    /// Usable; false when the boost that paid for it ended.
    pub available: bool,
}
