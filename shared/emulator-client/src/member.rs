//! `/control/users` and `/control/guilds/{guild}/members`.

use serde::{Deserialize, Deserializer, Serialize};

use crate::{Id, Timestamp};

/// A user to create, or the user who joins a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// Id of an existing user, or of the new one.
    pub user_id: Option<Id>,
    /// User name.
    pub name: Option<String>,
    /// Display name.
    pub display: Option<String>,
    /// Whether the user is another bot.
    #[serde(default)]
    pub bot: bool,
}

/// Changes of a member by an administrator; absent fields stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberEdit {
    /// Nickname; `Some(None)`, in JSON `null`, removes it.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub nick: Option<Option<String>>,
    /// All roles of the member, by id or name.
    pub roles: Option<Vec<String>>,
    /// Roles to assign, by id or name.
    #[serde(default)]
    pub add_roles: Vec<String>,
    /// Roles to remove, by id or name.
    #[serde(default)]
    pub remove_roles: Vec<String>,
    /// End of the timeout; `Some(None)`, in JSON `null`, ends it now.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub timeout_until: Option<Option<Timestamp>>,
    /// Administrator by id or user name; the owner when absent.
    pub by: Option<String>,
}

/// Distinguishes `null` from an absent field.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_nickname_differs_from_an_absent_one() {
        let read = |text: &str| serde_json::from_str::<MemberEdit>(text).unwrap().nick;
        assert_eq!(read(r#"{"nick": null}"#), Some(None));
        assert_eq!(read("{}"), None);
        let written = serde_json::to_value(MemberEdit::default()).unwrap();
        assert!(written.get("nick").is_none(), "{written}");
    }
}
