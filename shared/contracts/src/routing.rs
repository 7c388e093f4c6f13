//! Routing keys and priorities of events: one table, used by the ingestor to publish and by the topology to bind.

/// Highest priority of the interactions queue (`x-max-priority`).
pub const MAX_PRIORITY: u8 = 10;

/// Longest name of an event that has a route. It travels as `type`, a short string of AMQP; Discord's longest has 40 bytes.
const LONGEST_NAME: usize = 128;

/// What the ingestor read of an interaction to label it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InteractionKind<'a> {
    /// Slash, user or message command, by name.
    Command(&'a str),
    /// Autocomplete of a command's option, by the command's name.
    Autocomplete(&'a str),
    /// Button or select, by its custom id.
    Component(&'a str),
    /// Modal submit, by its custom id.
    Modal(&'a str),
    /// A kind that Discord added later, by its number.
    Other(u64),
}

/// Where a message goes and how urgent it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Routing key at `arrakis.events`.
    pub key: String,
    /// Priority, 0 to 10.
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

    /// Route of a `GUILD_CREATE`: joining a new server, or a known one that is there again after an identify or an outage.
    pub fn of_guild_create(joined_now: bool) -> Self {
        Self::new(if joined_now { "guild.join" } else { "guild.available" }, 5)
    }

    /// Route of a `GUILD_DELETE`: leaving a server, or an outage, which is never a removal.
    pub fn of_guild_delete(outage: bool) -> Self {
        Self::new(if outage { "guild.outage" } else { "guild.leave" }, 5)
    }

    /// Route of any other dispatch, by its name at the gateway. `None` for one that has no route, which is then not forwarded.
    pub fn of_event(name: &str) -> Option<Self> {
        if name.len() > LONGEST_NAME {
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

/// The first segment of a custom id: ours are `name:arguments`.
fn first(custom_id: &str) -> &str {
    custom_id.split(':').next().unwrap_or_default()
}

/// Longest segment. A routing key has 255 bytes, and a custom id, which a stranger may choose, up to 100 characters of 4.
const SEGMENT_BYTES: usize = 64;

/// Makes one segment safe for a routing key: no dot, star, hash or space, never empty, never too long.
fn segment(text: &str) -> String {
    let mut safe = String::with_capacity(text.len().min(SEGMENT_BYTES));
    for c in text.chars() {
        let c = if c.is_alphanumeric() || c == '-' || c == '_' {
            c
        } else {
            '_'
        };
        if safe.len() + c.len_utf8() > SEGMENT_BYTES {
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
    fn interactions_route_by_kind_and_name() {
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
    fn a_custom_id_cannot_break_the_routing_key() {
        let key = |id| Route::of_interaction(InteractionKind::Component(id)).key;
        assert_eq!(key("a.b#*c d:e"), "interaction.button.a_b__c_d");
        assert_eq!(key(""), "interaction.button._");
        assert!(key(&"沙".repeat(100)).len() <= 255);
    }

    #[test]
    fn an_outage_is_no_removal_and_its_end_no_new_server() {
        assert_eq!(Route::of_guild_delete(true).key, "guild.outage");
        assert_eq!(Route::of_guild_delete(false).key, "guild.leave");
        assert_eq!(Route::of_guild_create(false).key, "guild.available");
        assert_eq!(Route::of_guild_create(true).key, "guild.join");
    }

    #[test]
    fn events_route_by_name() {
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
        assert_eq!(
            key(&format!("CHANNEL_{}", "X".repeat(300))),
            None,
            "AMQP has no room for it"
        );
    }
}
