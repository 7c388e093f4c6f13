//! Routing keys and priorities of events. The ingestor publishes with them; the topology's bindings match them.

/// Highest priority of the interactions queue (`x-max-priority`).
pub const MAX_PRIORITY: u8 = 10;

/// Longest event name that has a route, in bytes. The name is the property `type`, an AMQP short string; Discord's longest has 40.
const MAX_NAME_BYTES: usize = 128;

/// Kind of an interaction, with the name or custom id that its routing key contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InteractionKind<'a> {
    /// A slash, user or message command, with its name.
    Command(&'a str),
    /// Autocomplete of a command's option, with the command's name.
    Autocomplete(&'a str),
    /// A button or select menu, with its custom id.
    Component(&'a str),
    /// A modal submission, with its custom id.
    Modal(&'a str),
    /// A kind that this build does not have, with its number.
    Other(u64),
}

/// Routing key and priority of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Routing key at the exchange `arrakis.events`.
    pub key: String,
    /// AMQP priority, 0 to 10.
    pub priority: u8,
}

impl Route {
    fn new(key: impl Into<String>, priority: u8) -> Self {
        Self {
            key: key.into(),
            priority,
        }
    }

    /// Route of an interaction.
    pub fn of_interaction(kind: InteractionKind<'_>) -> Self {
        match kind {
            InteractionKind::Command(name) => Self::new(format!("interaction.command.{}", segment(name)), 10),
            InteractionKind::Autocomplete(name) => Self::new(format!("interaction.autocomplete.{}", segment(name)), 9),
            InteractionKind::Component(id) => Self::new(format!("interaction.button.{}", segment(first(id))), 8),
            InteractionKind::Modal(id) => Self::new(format!("interaction.modal.{}", segment(first(id))), 8),
            InteractionKind::Other(number) => Self::new(format!("interaction.other.{number}"), 8),
        }
    }

    /// Route of a `GUILD_CREATE`: the bot joined the server, or the server is available again after an IDENTIFY or an outage.
    pub fn of_guild_create(joined_now: bool) -> Self {
        Self::new(if joined_now { "guild.join" } else { "guild.available" }, 5)
    }

    /// Route of a `GUILD_DELETE`: the bot left the server, or the server has an outage.
    pub fn of_guild_delete(outage: bool) -> Self {
        Self::new(if outage { "guild.outage" } else { "guild.leave" }, 5)
    }

    /// Route of any other dispatch, by its gateway name. `None` for an event without a route, which is not forwarded.
    pub fn of_event(name: &str) -> Option<Self> {
        if name.len() > MAX_NAME_BYTES {
            return None;
        }
        Some(match name {
            "GUILD_MEMBER_ADD" => Self::new("member.join", 5),
            "GUILD_MEMBER_REMOVE" => Self::new("member.leave", 5),
            "GUILD_MEMBER_UPDATE" => Self::new("member.update", 4),
            "GUILD_CREATE" => Self::of_guild_create(true),
            "GUILD_DELETE" => Self::of_guild_delete(false),
            "GUILD_UPDATE" => Self::new("guild.update", 5),
            "MESSAGE_CREATE" => Self::new("message.create", 1),
            _ => {
                let change = name.strip_prefix("GUILD_ROLE_").map(|verb| ("role", verb));
                let change = change.or_else(|| name.strip_prefix("CHANNEL_").map(|verb| ("channel", verb)));
                let (what, verb) = change?;
                Self::new(format!("guild.{what}.{}", segment(&verb.to_ascii_lowercase())), 5)
            }
        })
    }
}

/// The first segment of a custom id. The platform's custom ids are `name:arguments`.
fn first(custom_id: &str) -> &str {
    custom_id.split(':').next().unwrap_or_default()
}

/// Longest segment in bytes. A routing key has at most 255 bytes; a custom id, which any client may choose, up to 100 characters of 4
/// bytes.
const MAX_SEGMENT_BYTES: usize = 64;

/// A segment for a routing key: without dots, asterisks, hashes and spaces, not empty, not too long.
fn segment(text: &str) -> String {
    let mut safe = String::with_capacity(text.len().min(MAX_SEGMENT_BYTES));
    for c in text.chars() {
        let c = if c.is_alphanumeric() || c == '-' || c == '_' {
            c
        } else {
            '_'
        };
        if safe.len() + c.len_utf8() > MAX_SEGMENT_BYTES {
            break;
        }
        safe.push(c);
    }
    if safe.is_empty() { "_".to_owned() } else { safe }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interactions_are_routed_by_kind_and_name() {
        let route = |kind| Route::of_interaction(kind);
        assert_eq!(
            route(InteractionKind::Command("position")),
            Route::new("interaction.command.position", 10)
        );
        assert_eq!(
            route(InteractionKind::Autocomplete("profile")),
            Route::new("interaction.autocomplete.profile", 9)
        );
        assert_eq!(
            route(InteractionKind::Component("leaderboard:2:me")),
            Route::new("interaction.button.leaderboard", 8)
        );
        assert_eq!(
            route(InteractionKind::Modal("register")),
            Route::new("interaction.modal.register", 8)
        );
    }

    #[test]
    fn custom_id_cannot_change_the_routing_key_segments() {
        let key = |id| Route::of_interaction(InteractionKind::Component(id)).key;
        assert_eq!(key("a.b#*c d:e"), "interaction.button.a_b__c_d");
        assert_eq!(key(""), "interaction.button._");
        assert!(key(&"沙".repeat(100)).len() <= 255);
    }

    #[test]
    fn outage_is_not_a_leave_and_its_end_not_a_join() {
        assert_eq!(Route::of_guild_delete(true).key, "guild.outage");
        assert_eq!(Route::of_guild_delete(false).key, "guild.leave");
        assert_eq!(Route::of_guild_create(false).key, "guild.available");
        assert_eq!(Route::of_guild_create(true).key, "guild.join");
    }

    #[test]
    fn events_are_routed_by_name() {
        let key = |name| Route::of_event(name).map(|route| (route.key, route.priority));
        assert_eq!(key("GUILD_MEMBER_ADD"), Some(("member.join".to_owned(), 5)));
        assert_eq!(key("GUILD_MEMBER_UPDATE"), Some(("member.update".to_owned(), 4)));
        assert_eq!(key("GUILD_ROLE_DELETE"), Some(("guild.role.delete".to_owned(), 5)));
        assert_eq!(
            key("CHANNEL_PINS_UPDATE"),
            Some(("guild.channel.pins_update".to_owned(), 5))
        );
        assert_eq!(key("MESSAGE_CREATE"), Some(("message.create".to_owned(), 1)));
        assert_eq!(key("TYPING_START"), None);
        assert_eq!(key(&format!("CHANNEL_{}", "X".repeat(300))), None, "too long for AMQP");
    }
}
