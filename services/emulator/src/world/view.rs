//! JSON that includes users: members, messages, direct messages.

use serde_json::{Map, Value, json};

use super::State;
use crate::model::{Author, Channel, ChannelKind, Id, Member, MemberView, Message};

impl State {
    /// A member with the user.
    #[must_use]
    pub fn member_view(&self, guild: Id, user: Id) -> Option<MemberView<'_>> {
        let member = self.guilds.get(&guild)?.members.get(&user)?;
        Some(member.view(self.users.get(&user)?))
    }

    /// The member with this user id.
    #[must_use]
    pub fn member(&self, guild: Id, user: Id) -> Option<&Member> {
        self.guilds.get(&guild)?.members.get(&user)
    }

    /// A channel in the JSON of REST and the gateway.
    #[must_use]
    pub fn channel_view(&self, channel: &Channel) -> Value {
        if channel.kind == ChannelKind::Dm {
            let recipients: Vec<_> = channel.recipients.iter().filter_map(|id| self.users.get(id)).collect();
            return json!({
                "id": channel.id, "type": 1, "flags": 0,
                "last_message_id": channel.last_message_id, "recipients": recipients,
            });
        }
        serde_json::to_value(channel).unwrap_or_default()
    }

    /// A message in the JSON of REST.
    #[must_use]
    pub fn message_view(&self, message: &Message) -> Value {
        let mut view = self.message_fields(message);
        if !message.reactions.is_empty() {
            view.insert("reactions".into(), self.reactions_view(message));
        }
        Value::Object(view)
    }

    /// A message in the JSON of `MESSAGE_CREATE` and `MESSAGE_UPDATE`: with the server and the author's membership.
    #[must_use]
    pub fn message_event(&self, message: &Message) -> Value {
        let mut view = self.message_fields(message);
        if let Some(guild) = message.guild_id {
            view.insert("guild_id".into(), json!(guild));
            if let Some(member) = self.member(guild, message.author.id()) {
                view.insert("member".into(), json!(member.partial()));
            }
            if let Some(Value::Array(mentions)) = view.get_mut("mentions") {
                for (mention, id) in mentions.iter_mut().zip(&message.mentions) {
                    if let Some(member) = self.member(guild, *id) {
                        mention["member"] = json!(member.partial());
                    }
                }
            }
        }
        Value::Object(view)
    }

    /// A message as an entry of `message_snapshots`: <https://discord.com/developers/docs/resources/message#message-snapshot-object>.
    #[must_use]
    pub fn snapshot_of(&self, message: &Message) -> Value {
        let fields = self.message_fields(message);
        let kept = [
            "type",
            "content",
            "mentions",
            "mention_roles",
            "attachments",
            "embeds",
            "timestamp",
            "edited_timestamp",
            "flags",
            "components",
        ];
        let copy: Map<String, Value> = fields
            .into_iter()
            .filter(|(key, _)| kept.contains(&key.as_str()))
            .collect();
        json!({ "message": copy })
    }

    fn reactions_view(&self, message: &Message) -> Value {
        let view = |reaction: &crate::model::Reaction| {
            json!({
                "emoji": reaction.emoji,
                "count": reaction.users.len(),
                "count_details": {"burst": 0, "normal": reaction.users.len()},
                "burst_colors": [],
                "me": reaction.users.contains(&self.bot_id),
                "me_burst": false,
            })
        };
        message.reactions.iter().map(view).collect()
    }

    fn author_view(&self, author: &Author) -> Value {
        match author {
            Author::User(id) => self.users.get(id).map_or_else(
                || {
                    json!({"id": id, "username": "deleted_user", "discriminator": "0", "global_name": null,
                          "avatar": null, "public_flags": 0, "flags": 0, "primary_guild": null})
                },
                |user| json!(user),
            ),
            Author::Webhook { id, name, avatar } => json!({
                "id": id, "username": name, "discriminator": "0000", "global_name": null, "avatar": avatar,
                "bot": true, "public_flags": 0, "flags": 0, "primary_guild": null,
            }),
        }
    }

    fn message_fields(&self, message: &Message) -> Map<String, Value> {
        let mentions: Vec<Value> = message
            .mentions
            .iter()
            .map(|id| self.author_view(&Author::User(*id)))
            .collect();
        let mut view = match json!({
            "id": message.id,
            "type": message.kind,
            "channel_id": message.channel_id,
            "author": self.author_view(&message.author),
            "content": message.content,
            "timestamp": message.timestamp,
            "edited_timestamp": message.edited_timestamp,
            "tts": message.tts,
            "mention_everyone": message.mention_everyone,
            "mentions": mentions,
            "mention_roles": message.mention_roles,
            "attachments": message.attachments,
            "embeds": message.embeds,
            "pinned": message.pinned,
            "flags": message.flags,
            "components": message.components,
        }) {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        let mut add = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                view.insert(key.to_owned(), value);
            }
        };
        if let Author::Webhook { id, .. } = &message.author {
            add("webhook_id", Some(json!(id)));
        }
        // Responses to interactions are sent by the application's own webhook.
        let answers = message.interaction_metadata.is_some();
        add(
            "webhook_id",
            message.application_id.filter(|_| answers).map(|id| json!(id)),
        );
        add("application_id", message.application_id.map(|id| json!(id)));
        add("message_reference", message.message_reference.clone());
        add(
            "message_snapshots",
            message.snapshot.as_ref().map(|snapshot| json!([snapshot])),
        );
        add("interaction_metadata", message.interaction_metadata.clone());
        add("nonce", message.nonce.clone());
        if message.kind == 19 {
            let replied = message.message_reference.as_ref().and_then(|reference| {
                let id = reference["message_id"].as_str()?.parse().ok()?;
                self.message(message.channel_id, id)
            });
            add(
                "referenced_message",
                Some(replied.map_or(Value::Null, |replied| Value::Object(self.message_fields(replied)))),
            );
        }
        view
    }
}
