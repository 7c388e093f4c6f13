//! Roles.

use arrakis_domain::{Color, Permissions};

use super::Clearable;

attributes! {
    /// A role. `role.everyone` has permissions alone.
    pub struct Role {
        /// What Discord shows.
        name: String,
        /// Its colour; `#000000` is none.
        color: Color,
        /// The second colour of a gradient, on servers that have gradients.
        secondary_color: Clearable<Color>,
        /// The third colour of a holographic role, on servers that have them.
        tertiary_color: Clearable<Color>,
        /// Shown apart in the list of members.
        hoist: bool,
        /// Anybody may mention it.
        mentionable: bool,
        /// What its holders may do everywhere. A role that is made is always sent these: Discord would else copy @everyone's.
        @with("super::permissions::optional_names") permissions: Permissions,
        /// A Unicode emoji as its icon, on servers that have role icons; empty for none.
        unicode_emoji: String,
        /// The bot that applies is given it.
        given_to_bot: bool,
    }
}
