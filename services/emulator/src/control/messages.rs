//! Messages that members write and see.

use axum::{
    Json,
    extract::{Path, Query, State},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    names,
    response::{Body, ControlError, ControlResult, bad, forbidden, missing},
};
use crate::{
    AppState,
    model::{Author, Channel, Guild, Id, Message, Permissions},
    rest::permissions,
    world,
};

/// Query of a list of messages.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MessageQuery {
    /// Member by id or user name, whose view is returned. Absent: all messages, ephemeral ones among them.
    viewer: Option<String>,
    /// Largest number of messages; the newest are returned.
    limit: Option<usize>,
}

pub(super) async fn list(
    State(app): State<AppState>,
    Path((guild, channel)): Path<(String, String)>,
    Query(query): Query<MessageQuery>,
) -> ControlResult {
    app.world.read(|state| {
        let guild = names::guild(state, &guild)?;
        let channel = names::channel(guild, &channel)?;
        let viewer = query
            .viewer
            .as_deref()
            .map(|name| names::member(state, guild, name))
            .transpose()?;
        if let Some(viewer) = viewer {
            require(state, guild, channel, viewer, Permissions::VIEW_CHANNEL, "see")?;
        }
        Ok(Json(seen(state, channel.id, viewer, query.limit)))
    })
}

pub(super) async fn list_dm(
    State(app): State<AppState>,
    Path(channel): Path<String>,
    Query(query): Query<MessageQuery>,
) -> ControlResult {
    app.world.read(|state| {
        let dm = dm(state, &channel)?;
        Ok(Json(seen(state, dm.id, dm.recipients.first().copied(), query.limit)))
    })
}

/// The newest messages visible to this viewer, oldest first.
fn seen(state: &world::State, channel: Id, viewer: Option<Id>, limit: Option<usize>) -> Value {
    let all = state.messages.get(&channel);
    let visible = |message: &&Message| viewer.is_none() || message.visible_to.is_none() || message.visible_to == viewer;
    let view = |message: &Message| {
        let mut view = state.message_view(message);
        if let Some(only) = message.visible_to {
            view["visible_to"] = json!(only);
        }
        view
    };
    let newest = all
        .into_iter()
        .flat_map(|all| all.values().rev())
        .filter(visible)
        .take(limit.unwrap_or(100));
    let mut views: Vec<Value> = newest.map(view).collect();
    views.reverse();
    views.into()
}

/// A message that a member writes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewMessage {
    /// By id or user name.
    user_id: String,
    content: String,
    /// Id of the message that it replies to.
    reply_to: Option<Id>,
}

pub(super) async fn send(
    State(app): State<AppState>,
    Path((guild, channel)): Path<(String, String)>,
    Body(text): Body<NewMessage>,
) -> ControlResult {
    app.world.write(|state| {
        let guild = names::guild(state, &guild)?;
        let channel = names::channel(guild, &channel)?;
        let user = names::member(state, guild, &text.user_id)?;
        let needed = if channel.kind.is_thread() {
            Permissions::SEND_MESSAGES_IN_THREADS
        } else {
            Permissions::SEND_MESSAGES
        };
        let may = require(state, guild, channel, user, needed, "write in")?;
        if channel.thread.as_ref().is_some_and(|thread| thread.locked) && !may.contains(Permissions::MANAGE_THREADS) {
            return Err(forbidden(
                format!("{} is locked", channel.name),
                "act as a member who has MANAGE_THREADS, or unlock it: PATCH /channels/{id} {\"locked\": false} by the bot",
            ));
        }
        if !channel.kind.holds_messages() {
            return Err(bad(
                format!("{} has no messages", channel.name),
                "choose a text channel",
            ));
        }
        let (guild, channel) = (guild.id, channel.id);
        let everyone = may.contains(Permissions::MENTION_EVERYONE);
        write(state, channel, Some(guild), user, &text, everyone)
    })
}

pub(super) async fn send_first_dm(State(app): State<AppState>, Body(text): Body<NewMessage>) -> ControlResult {
    app.world.write(|state| {
        let user = names::user(state, &text.user_id)?;
        let channel = state.dm_with(user);
        write(state, channel, None, user, &text, false)
    })
}

pub(super) async fn send_dm(
    State(app): State<AppState>,
    Path(channel): Path<String>,
    Body(text): Body<NewMessage>,
) -> ControlResult {
    app.world.write(|state| {
        let user = names::user(state, &text.user_id)?;
        let dm = dm(state, &channel)?;
        if !dm.recipients.contains(&user) {
            return Err(forbidden(
                "this is another user's direct message",
                "POST /control/dms opens their own",
            ));
        }
        let channel = dm.id;
        write(state, channel, None, user, &text, false)
    })
}

fn write(
    state: &mut world::State,
    channel: Id,
    guild: Option<Id>,
    user: Id,
    text: &NewMessage,
    may_mention_everyone: bool,
) -> ControlResult {
    if text.content.is_empty() || text.content.chars().count() > 2_000 {
        return Err(bad("a message has 1 to 2,000 characters", "change the content"));
    }
    let id = state.next_id();
    let mut message = Message::text(id, channel, guild, Author::User(user), &text.content, state.now());
    message.mentions = mentioned(&text.content, "<@")
        .into_iter()
        .filter(|id| state.users.contains_key(id))
        .collect();
    message.mention_roles = mentioned(&text.content, "<@&");
    message.mention_everyone =
        may_mention_everyone && (text.content.contains("@everyone") || text.content.contains("@here"));
    if let Some(replied) = text.reply_to {
        let known = state.message(channel, replied);
        let known = known.ok_or_else(|| {
            missing(
                format!("there is no message {replied} here"),
                "GET …/messages lists them",
            )
        })?;
        message.mentions.push(known.author.id());
        message.kind = 19;
        message.message_reference =
            Some(json!({"type": 0, "message_id": replied, "channel_id": channel, "guild_id": guild}));
    }
    state.create_message(message);
    Ok(Json(
        state
            .message(channel, id)
            .map(|message| state.message_view(message))
            .unwrap_or_default(),
    ))
}

/// Ids in mentions that start with `open`.
fn mentioned(content: &str, open: &str) -> Vec<Id> {
    let mut ids: Vec<Id> = Vec::new();
    for part in content.split(open).skip(1) {
        let id = part
            .split_once('>')
            .and_then(|(id, _)| id.trim_start_matches('!').parse().ok());
        ids.extend(id.filter(|id| !ids.contains(id)));
    }
    ids
}

/// A reaction of a member.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewReaction {
    user_id: String,
    emoji: String,
    #[serde(default)]
    remove: bool,
}

pub(super) async fn react(
    State(app): State<AppState>,
    Path((guild, channel, message)): Path<(String, String, Id)>,
    Body(press): Body<NewReaction>,
) -> ControlResult {
    app.world.write(|state| {
        let guild = names::guild(state, &guild)?;
        let channel = names::channel(guild, &channel)?;
        let user = names::member(state, guild, &press.user_id)?;
        require(
            state,
            guild,
            channel,
            user,
            Permissions::READ_MESSAGE_HISTORY,
            "react in",
        )?;
        let channel = channel.id;
        let emoji = json!({"id": null, "name": press.emoji});
        Ok(Json(
            json!({"changed": state.react(channel, message, user, &emoji, !press.remove)}),
        ))
    })
}

fn dm<'a>(state: &'a world::State, channel: &str) -> Result<&'a Channel, ControlError> {
    let by_id = channel.parse().ok().and_then(|id: Id| state.dms.get(&id));
    let by_user = || {
        let user = names::user(state, channel).ok()?;
        state.dms.values().find(|dm| dm.recipients == [user])
    };
    by_id.or_else(by_user).ok_or_else(|| {
        missing(
            format!("there is no direct message {channel:?}"),
            "name its channel or its user; the bot or POST /control/dms opens one",
        )
    })
}

/// Refuses what Discord's client would not let the member do.
pub(super) fn require(
    state: &world::State,
    guild: &Guild,
    channel: &Channel,
    user: Id,
    needed: Permissions,
    verb: &str,
) -> Result<Permissions, ControlError> {
    let may = permissions::in_channel(guild, channel, user, state.now());
    if may.contains(needed | Permissions::VIEW_CHANNEL) {
        return Ok(may);
    }
    let name = state
        .users
        .get(&user)
        .map_or("the member", |user| user.username.as_str());
    let lacks = ((needed | Permissions::VIEW_CHANNEL) - may).names().join(", ");
    let what_to_do = format!("give the member a role with {lacks} there, or act as another member");
    Err(forbidden(
        format!("{name} may not {verb} #{}: lacks {lacks}", channel.name),
        what_to_do,
    ))
}
