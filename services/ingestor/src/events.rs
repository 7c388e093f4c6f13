//! The list of events to forward (`INGESTOR_EVENTS`).

use std::str::FromStr;

use arrakis_contracts::routing::Route;

/// The events to forward: gateway names, or prefixes that end with `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowList(Vec<Pattern>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    Exact(String),
    Prefix(String),
}

/// Events that have a route. A pattern that matches none of them is refused as a typing error. Events that Discord adds to
/// `GUILD_ROLE_*` and `CHANNEL_*` match these patterns, too.
pub(crate) const FORWARDABLE: [&str; 15] = [
    "INTERACTION_CREATE",
    "GUILD_MEMBER_ADD",
    "GUILD_MEMBER_REMOVE",
    "GUILD_MEMBER_UPDATE",
    "GUILD_CREATE",
    "GUILD_DELETE",
    "GUILD_UPDATE",
    "GUILD_ROLE_CREATE",
    "GUILD_ROLE_DELETE",
    "GUILD_ROLE_UPDATE",
    "CHANNEL_CREATE",
    "CHANNEL_DELETE",
    "CHANNEL_UPDATE",
    "CHANNEL_PINS_UPDATE",
    "MESSAGE_CREATE",
];

impl Pattern {
    fn matches(&self, event: &str) -> bool {
        match self {
            Self::Exact(name) => name == event,
            Self::Prefix(prefix) => event.starts_with(prefix.as_str()),
        }
    }
}

impl AllowList {
    /// Whether to forward the event with this gateway name.
    pub fn allows(&self, event: &str) -> bool {
        let routed = event == "INTERACTION_CREATE" || Route::of_event(event).is_some();
        routed && self.0.iter().any(|pattern| pattern.matches(event))
    }
}

impl FromStr for AllowList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut patterns = Vec::new();
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let pattern = match name.strip_suffix('*') {
                Some(prefix) => Pattern::Prefix(prefix.to_owned()),
                None => Pattern::Exact(name.to_owned()),
            };
            if !FORWARDABLE.iter().any(|event| pattern.matches(event)) {
                return Err(format!(
                    "\"{name}\" matches no event that can be forwarded; those are {}",
                    FORWARDABLE.join(", ")
                ));
            }
            patterns.push(pattern);
        }
        if patterns.is_empty() {
            return Err("the list is empty".to_owned());
        }
        Ok(Self(patterns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_names_and_prefixes() {
        let list: AllowList = "INTERACTION_CREATE, GUILD_ROLE_*".parse().unwrap();
        for event in ["INTERACTION_CREATE", "GUILD_ROLE_CREATE", "GUILD_ROLE_SOMETHING_NEW"] {
            assert!(list.allows(event), "{event}");
        }
        for event in ["GUILD_CREATE", "GUILD_ROLE", "MESSAGE_CREATE", "TYPING_START"] {
            assert!(!list.allows(event), "{event}");
        }
    }

    #[test]
    fn event_without_a_route_is_not_forwarded() {
        let list: AllowList = "*".parse().unwrap();
        assert!(!list.allows("TYPING_START") && list.allows("CHANNEL_CREATE"));
    }

    #[test]
    fn every_forwardable_event_has_a_route() {
        let all: AllowList = "*".parse().unwrap();
        for event in FORWARDABLE {
            assert!(all.allows(event), "{event}");
        }
    }

    #[test]
    fn pattern_that_matches_no_event_is_refused() {
        let error = "GUILD_MEMBERS_*".parse::<AllowList>().unwrap_err();
        assert!(
            error.contains("GUILD_MEMBERS_*") && error.contains("GUILD_MEMBER_ADD"),
            "{error}"
        );
        assert!(" , ".parse::<AllowList>().is_err());
    }
}
