//! What an admin of the community does: uses of commands and buttons with the permission Manage Server.

use std::time::Duration;

use arrakis_test_support::eventually_within;
use serde_json::{Value, json};

use super::{Dispatch, Platform};

/// Manage Server.
pub const MANAGE_GUILD: &str = "32";
/// The member who acts as the admin.
const ADMIN: &str = "chani";
/// Time for role changes of several members: the emulator permits ten in ten seconds, as Discord does.
const ROLES_WITHIN: Duration = Duration::from_secs(60);

impl Platform {
    /// The dispatch of an interaction whose member has these permissions, unpublished.
    pub async fn dispatch_as(&self, id: &str, permissions: &str) -> Dispatch {
        let mut dispatch = self.dispatch_of(id).await;
        let mut body = dispatch.json();
        body["member"]["permissions"] = json!(permissions);
        dispatch.body = serde_json::to_vec(&body).unwrap();
        dispatch
    }

    /// Runs a command as the admin; returns its message.
    pub async fn run_as_admin(&self, command: &str, options: Value) -> Value {
        self.delete_cooldowns();
        let id = self.send_command(ADMIN, command, options).await;
        self.publish(&self.dispatch_as(&id, MANAGE_GUILD).await).await;
        self.control.answered(&id).await["message"].clone()
    }

    /// A button that the admin pressed; returns the interaction's id and its dispatch, unpublished.
    pub async fn pressed_by_admin(&self, message: &Value, custom_id: &str) -> (String, Dispatch) {
        let message = message["id"].as_str().unwrap();
        let id = self.control.press(&self.community, ADMIN, message, custom_id).await;
        let dispatch = self.dispatch_as(&id, MANAGE_GUILD).await;
        (id, dispatch)
    }

    /// Presses a button as the admin; returns the edited message.
    pub async fn press_as_admin(&self, message: &Value, custom_id: &str) -> Value {
        let (id, dispatch) = self.pressed_by_admin(message, custom_id).await;
        self.publish(&dispatch).await;
        self.control.answered(&id).await["message"].clone()
    }

    /// Waits until this holds for the keys of a member's roles.
    pub async fn until_keys(&self, user: &str, is: impl Fn(&[&str]) -> bool) {
        let is_so = async || {
            let member = self.control.member(&self.community, user).await;
            is(&self.community.keys(&member["roles"]))
        };
        eventually_within(ROLES_WITHIN, is_so, format!("the roles of {user}")).await;
    }
}
