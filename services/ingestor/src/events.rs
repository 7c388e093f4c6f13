//! Which events are forwarded.

use std::str::FromStr;

use arrakis_contracts::routing::Route;

/// Names of events as the gateway spells them, `*` at the end standing for any rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowList(Vec<Pattern>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    Exactly(String),
    Beginning(String),
}

/// Dispatches that have a route, by which a pattern is checked for a slip of the pen. Discord may add to `GUILD_ROLE_*` and
/// `CHANNEL_*`; those come through their pattern.
pub(crate) const KNOWN: [&str; 15] = [
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
    fn fits(&self, event: &str) -> bool {
        match self {
            Self::Exactly(name) => name == event,
            Self::Beginning(prefix) => event.starts_with(prefix.as_str()),
        }
    }
}

impl AllowList {
    /// Whether an event is forwarded.
    pub fn allows(&self, event: &str) -> bool {
        let routed = event == "INTERACTION_CREATE" || Route::of_event(event).is_some();
        routed && self.0.iter().any(|pattern| pattern.fits(event))
    }
}

impl FromStr for AllowList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut patterns = Vec::new();
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let pattern = match name.strip_suffix('*') {
                Some(prefix) => Pattern::Beginning(prefix.to_owned()),
                None => Pattern::Exactly(name.to_owned()),
            };
            if !KNOWN.iter().any(|event| pattern.fits(event)) {
                return Err(format!(
                    "\"{name}\" is no event that can be forwarded; those are {}",
                    KNOWN.join(", ")
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
    fn patterns_fit_names_and_beginnings() {
        let list: AllowList = "INTERACTION_CREATE, GUILD_ROLE_*".parse().unwrap();
        for event in ["INTERACTION_CREATE", "GUILD_ROLE_CREATE", "GUILD_ROLE_SOMETHING_NEW"] {
            assert!(list.allows(event), "{event}");
        }
        for event in ["GUILD_CREATE", "GUILD_ROLE", "MESSAGE_CREATE", "TYPING_START"] {
            assert!(!list.allows(event), "{event}");
        }
    }

    #[test]
    fn what_has_no_route_is_never_forwarded() {
        let list: AllowList = "*".parse().unwrap();
        assert!(!list.allows("TYPING_START") && list.allows("CHANNEL_CREATE"));
    }

    #[test]
    fn every_known_event_has_a_route() {
        let all: AllowList = "*".parse().unwrap();
        for event in KNOWN {
            assert!(all.allows(event), "{event}");
        }
    }

    #[test]
    fn a_slip_of_the_pen_is_refused() {
        let error = "GUILD_MEMBERS_*".parse::<AllowList>().unwrap_err();
        assert!(
            error.contains("GUILD_MEMBERS_*") && error.contains("GUILD_MEMBER_ADD"),
            "{error}"
        );
        assert!(" , ".parse::<AllowList>().is_err());
    }
}
