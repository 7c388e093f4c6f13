//! Dispatch of interactions to the bot. Its responses are in `rest`.
//! <https://discord.com/developers/docs/interactions/receiving-and-responding#interaction-object>

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::{RngExt as _, distr::Alphanumeric};
use serde_json::{Value, json};
use url::Url;

use super::{Dispatch, State, permissions, to_body};
use crate::model::{Id, Intents, Interaction, InteractionKind, InteractionState, Permissions};

/// A new interaction, validated by the control API or the load run.
#[derive(Clone, Debug)]
pub struct NewInteraction {
    /// Type.
    pub kind: InteractionKind,
    /// Channel.
    pub channel_id: Id,
    /// Member.
    pub user_id: Id,
    /// `data` of the dispatch, with `resolved`.
    pub data: Value,
    /// Name of the command to which it belongs.
    pub command: Option<String>,
    /// Message whose component was used.
    pub message_id: Option<Id>,
}

/// An interaction that is delivered to the application's endpoint.
#[derive(Clone, Debug)]
pub struct HttpInteraction {
    /// Its id.
    pub id: Id,
    /// Its token.
    pub token: String,
    /// The endpoint.
    pub url: Url,
    /// The body of the request: the same JSON as `d` of the gateway.
    pub body: std::sync::Arc<str>,
    /// Number of the load run's event.
    pub mark: Option<u32>,
}

impl State {
    /// Records an interaction and dispatches it; the three seconds count from now. `None` when channel or user do not exist.
    pub fn create_interaction(&mut self, new: NewInteraction) -> Option<Id> {
        let guild_id = self.channel(new.channel_id)?.guild_id;
        let id = self.next_id();
        let token = token(id);
        let d = self.interaction_event(&new, id, &token)?;
        let interaction = Interaction {
            id,
            application_id: self.application.id,
            kind: new.kind,
            token,
            guild_id,
            channel_id: new.channel_id,
            user_id: new.user_id,
            data: new.data,
            command: new.command,
            message_id: new.message_id,
            created_at: self.now(),
            state: InteractionState::Pending,
            acknowledged_at: None,
            callback_type: None,
            responses: Vec::new(),
            ephemeral: false,
            original: None,
            followups: Vec::new(),
            modal: None,
            choices: None,
        };
        self.remove_old_interactions();
        self.interactions.insert(id, interaction);
        self.dispatch_interaction(id, guild_id, &d);
        Some(id)
    }

    /// An interaction with the bot's responses so far.
    #[must_use]
    pub fn interaction(&self, id: Id) -> Option<&Interaction> {
        self.interactions.get(&id)
    }

    /// Delivers an interaction by HTTP if the application has an endpoint, else by the gateway: Discord uses one of the two ways only.
    /// <https://discord.com/developers/docs/interactions/receiving-and-responding#receiving-an-interaction>
    fn dispatch_interaction(&self, id: Id, guild_id: Option<Id>, d: &Value) {
        let Some(url) = &self.interactions_endpoint else {
            // Interactions reach the bot whatever its intents.
            let dispatch = Dispatch::of_user("INTERACTION_CREATE", Intents::empty(), d).about(id);
            self.emit(Dispatch { guild_id, ..dispatch });
            return;
        };
        // The receiver ends with the emulator.
        let _ = self.to_endpoint.send(HttpInteraction {
            id,
            token: d["token"].as_str().unwrap_or_default().to_owned(),
            url: url.clone(),
            body: to_body(d),
            mark: self.marked,
        });
    }

    fn interaction_event(&self, new: &NewInteraction, id: Id, token: &str) -> Option<Value> {
        let channel = self.channel(new.channel_id)?;
        let user = self.users.get(&new.user_id)?;
        let now = self.now();
        let mut partial = json!({
            "id": channel.id, "type": channel.kind, "flags": channel.flags,
            "last_message_id": channel.last_message_id,
        });
        let mut d = json!({
            "id": id,
            "application_id": self.application.id,
            "type": new.kind,
            "data": new.data,
            "channel_id": channel.id,
            "token": token,
            "version": 1,
            "locale": "en-US",
            "entitlements": [],
            "entitlement_sku_ids": [],
            "attachment_size_limit": 10 * 1_024 * 1_024,
        });
        if let Some(guild) = channel.guild_id.and_then(|guild| self.guilds.get(&guild)) {
            let may = permissions::in_channel(guild, channel, new.user_id, now);
            let mut member = json!(guild.members.get(&new.user_id)?.view(user));
            member["permissions"] = json!(may);
            partial["name"] = json!(channel.name);
            partial["guild_id"] = json!(guild.id);
            partial["parent_id"] = json!(channel.parent_id);
            partial["position"] = json!(channel.position);
            partial["nsfw"] = json!(channel.nsfw);
            partial["rate_limit_per_user"] = json!(channel.rate_limit_per_user);
            partial["topic"] = json!(channel.topic);
            partial["permissions"] = json!(may);
            d["guild_id"] = json!(guild.id);
            d["guild"] = json!({"id": guild.id, "features": guild.features, "locale": guild.preferred_locale});
            d["guild_locale"] = json!(guild.preferred_locale);
            d["member"] = member;
            d["app_permissions"] = json!(permissions::in_channel(guild, channel, self.bot_id, now));
            d["authorizing_integration_owners"] = json!({"0": guild.id});
            d["context"] = json!(0);
        } else {
            d["user"] = json!(user);
            d["app_permissions"] = json!(DM_PERMISSIONS);
            d["authorizing_integration_owners"] = json!({"0": "0"});
            d["context"] = json!(1);
        }
        d["channel"] = partial;
        if let Some(message) = new.message_id.and_then(|message| self.message(channel.id, message)) {
            d["message"] = self.message_view(message);
        }
        Some(d)
    }

    /// Removes the oldest interactions once their token has been expired for long, or when there are too many.
    fn remove_old_interactions(&mut self) {
        let now = self.now().0;
        while let Some(oldest) = self.interactions.first_entry() {
            let dead_for_long = now >= oldest.get().created_at.0 + 4 * Interaction::TOKEN_LIFE_MS;
            if !dead_for_long && self.interactions.len() < KEPT {
                return;
            }
            self.interactions.pop_first();
        }
    }
}

/// Largest number of interactions that are kept.
const KEPT: usize = 200_000;

/// Permissions of a bot in a direct message.
const DM_PERMISSIONS: Permissions = Permissions::VIEW_CHANNEL
    .union(Permissions::SEND_MESSAGES)
    .union(Permissions::EMBED_LINKS)
    .union(Permissions::ATTACH_FILES)
    .union(Permissions::MENTION_EVERYONE)
    .union(Permissions::ADD_REACTIONS)
    .union(Permissions::READ_MESSAGE_HISTORY)
    .union(Permissions::USE_EXTERNAL_EMOJIS);

/// A token with the interaction's id and a random part.
fn token(id: Id) -> String {
    let random: String = rand::rng().sample_iter(Alphanumeric).take(96).map(char::from).collect();
    URL_SAFE_NO_PAD.encode(format!("interaction:{id}:{random}"))
}
