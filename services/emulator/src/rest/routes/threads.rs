//! Threads: start and edit. Members are in `thread_members`, lists in `thread_lists`.
//! <https://discord.com/developers/docs/resources/channel#start-thread-from-message>

use http::Method;
use serde_json::json;

use super::{compose, messages};
use crate::{
    model::{Author, Channel, ChannelKind, Id, Message, Permissions, ThreadMember, ThreadState},
    rest::{
        call::{AccessChecks, Call, RouteResponse},
        errors::{ApiResult, ErrorCode},
        limits::BucketClass,
        route::{Route, bot},
        validate::{
            form::{Form, FormField, Length, read_body},
            message::{Sender, read_message},
        },
    },
    world::State,
};

/// Routes of this file.
pub(super) const ROUTES: &[Route] = &[
    bot(
        &Method::POST,
        "/channels/{channel_id}/threads",
        BucketClass::Threads,
        start,
    ),
    bot(
        &Method::POST,
        "/channels/{channel_id}/messages/{message_id}/threads",
        BucketClass::Threads,
        start_from_message,
    ),
];

/// Flag of a forum whose posts need a tag.
const REQUIRE_TAG: u64 = 1 << 4;
/// Flag of a post that is pinned in its forum.
const PINNED: u64 = 1 << 1;

/// The thread with this id; the bot must be able to view it.
///
/// # Errors
/// 10003, 50001; 50024 for channels of other kinds.
pub(super) fn thread_of(state: &State, id: Id) -> ApiResult<&Channel> {
    let channel = state.channel_with(id, Permissions::VIEW_CHANNEL)?;
    if channel.kind.is_thread() {
        Ok(channel)
    } else {
        Err(ErrorCode::WrongChannelKind.into())
    }
}

/// Refuses an archived thread, in which only sending a message, which unarchives it, and deletion of messages are allowed.
/// Other channels are not checked. <https://discord.com/developers/docs/topics/threads#active-archived-threads>
///
/// # Errors
/// 50083.
pub(super) fn require_active(channel: &Channel) -> ApiResult<()> {
    if channel.thread.as_ref().is_some_and(|thread| thread.archived) {
        Err(ErrorCode::ThreadArchived.into())
    } else {
        Ok(())
    }
}

/// Refuses a locked thread for a bot without `MANAGE_THREADS`. Other channels are not checked.
/// <https://discord.com/developers/docs/topics/threads#locked-threads>
///
/// # Errors
/// 160005.
pub(super) fn require_unlocked(state: &State, channel: &Channel) -> ApiResult<()> {
    let locked = channel.thread.as_ref().is_some_and(|thread| thread.locked);
    if locked && state.channel_with(channel.id, Permissions::MANAGE_THREADS).is_err() {
        Err(ErrorCode::ThreadLocked.into())
    } else {
        Ok(())
    }
}

struct ThreadForm {
    name: FormField<String>,
    archive_after: FormField<i64>,
    slow_mode: FormField<i64>,
    kind: FormField<i64>,
    invitable: FormField<bool>,
    archived: FormField<bool>,
    locked: FormField<bool>,
    tags: FormField<Vec<u64>>,
    flags: FormField<i64>,
}

fn read(form: &Form<'_>, create: bool) -> ThreadForm {
    if create {
        form.require("name");
    }
    ThreadForm {
        name: form.text("name", Length::between(1, 100)),
        archive_after: form.choice("auto_archive_duration", &[60, 1_440, 4_320, 10_080]),
        slow_mode: form.integer("rate_limit_per_user", 0, 21_600),
        kind: form.choice("type", &[10, 11, 12]),
        invitable: form.flag("invitable"),
        archived: form.flag("archived"),
        locked: form.flag("locked"),
        tags: form.snowflakes("applied_tags", Length::up_to(5)),
        flags: form.integer("flags", 0, i64::from(i32::MAX)),
    }
}

/// A thread of `parent` that the bot starts.
fn build(state: &State, parent: &Channel, id: Id, kind: ChannelKind, form: &ThreadForm) -> Option<Channel> {
    let now = state.now();
    let mut thread = Channel::named(
        id,
        parent.guild_id?,
        kind,
        form.name.as_value().map_or("", String::as_str),
    );
    thread.parent_id = Some(parent.id);
    thread.rate_limit_per_user = form
        .slow_mode
        .as_value()
        .and_then(|seconds| u32::try_from(*seconds).ok())
        .or(parent.default_thread_rate_limit_per_user)
        .unwrap_or(0);
    thread.thread = Some(ThreadState {
        owner_id: state.bot_id,
        archived: false,
        auto_archive_duration: form
            .archive_after
            .as_value()
            .and_then(|minutes| u32::try_from(*minutes).ok())
            .or(parent.default_auto_archive_duration)
            .unwrap_or(1_440),
        archive_timestamp: now,
        locked: false,
        invitable: form.invitable.clone().value().unwrap_or(true),
        create_timestamp: now,
        applied_tags: known_tags(parent, form.tags.as_value().map_or(&[], Vec::as_slice)),
        members: vec![ThreadMember {
            user_id: state.bot_id,
            joined: now,
        }],
        message_count: 0,
    });
    Some(thread)
}

/// Tags of a form that exist in the forum, in the order of the form; others are ignored, as unknown ids of `available_tags`
/// are.
fn known_tags(forum: &Channel, tags: &[u64]) -> Vec<Id> {
    let known = |id: &Id| forum.kind.is_forum() && forum.available_tags.iter().any(|tag| tag.id == *id);
    tags.iter().map(|id| Id(*id)).filter(known).collect()
}

/// Refuses a post without a tag where one is required, and the change of a moderated tag without `MANAGE_THREADS`.
fn check_tags(state: &State, forum: &Channel, before: &[Id], after: &[Id]) -> ApiResult<()> {
    if !forum.kind.is_forum() {
        return Ok(());
    }
    if after.is_empty() && forum.flags & REQUIRE_TAG != 0 {
        return Err(ErrorCode::TagRequired.into());
    }
    let differs = |id: &Id| before.contains(id) != after.contains(id);
    let moderated = forum.available_tags.iter().any(|tag| tag.moderated && differs(&tag.id));
    if moderated {
        state.channel_with(forum.id, Permissions::MANAGE_THREADS)?;
    }
    Ok(())
}

fn start(call: &Call) -> ApiResult<RouteResponse> {
    let parent_id = call.id("channel_id")?;
    let body = call.json()?;
    let form = read_body(body, |form| read(form, true))?;
    call.app.world.write(|state| {
        let parent = state.channel_with(parent_id, Permissions::VIEW_CHANNEL)?.clone();
        if parent.kind.is_forum() {
            return start_post(call, state, &parent, &form);
        }
        let kind = match (parent.kind, form.kind.as_value()) {
            (ChannelKind::Announcement, _) => ChannelKind::AnnouncementThread,
            (ChannelKind::Text, Some(11)) => ChannelKind::PublicThread,
            (ChannelKind::Text, _) => ChannelKind::PrivateThread,
            _ => return Err(ErrorCode::WrongChannelKind.into()),
        };
        let needed = if kind == ChannelKind::PrivateThread {
            Permissions::CREATE_PRIVATE_THREADS
        } else {
            Permissions::CREATE_PUBLIC_THREADS
        };
        state.channel_with(parent_id, needed)?;
        let id = state.next_id();
        finish(call, state, &parent, id, kind, &form)
    })
}

/// Creates a forum post by a webhook, with the `applied_tags` of the call. Returns its id.
pub(super) fn start_named(call: &Call, state: &mut State, parent: &Channel, name: &str) -> ApiResult<Id> {
    let tags = call.body.json.as_ref().and_then(|body| body.get("applied_tags"));
    let form = read_body(&json!({ "name": name, "applied_tags": tags }), |form| read(form, true))?;
    let id = state.next_id();
    finish(call, state, parent, id, ChannelKind::PublicThread, &form)?;
    Ok(id)
}

/// Creates a forum post: a thread and its first message, which have the same id.
fn start_post(call: &Call, state: &mut State, parent: &Channel, form: &ThreadForm) -> ApiResult<RouteResponse> {
    state.channel_with(parent.id, Permissions::SEND_MESSAGES)?;
    let body = call.json()?;
    let first = read_body(body, |form| {
        form.require("message");
        form.form("message")
            .value()
            .map(|message| read_message(&message, Sender::Bot, 0))
    })?
    .ok_or(ErrorCode::InvalidFormBody)?;
    compose::check_new(&first, &call.body.files)?;
    let tags = known_tags(parent, form.tags.as_value().map_or(&[], Vec::as_slice));
    check_tags(state, parent, &[], &tags)?;
    let id = state.next_id();
    finish(call, state, parent, id, ChannelKind::PublicThread, form)?;
    let mut message = Message::text(id, id, parent.guild_id, Author::User(state.bot_id), "", state.now());
    compose::fill(state, &mut message, &first, call, false);
    state.create_message(message);
    let channel = state.channel(id).ok_or(ErrorCode::UnknownChannel)?;
    let mut view = state.channel_view(channel);
    view["message"] = messages::view(state, messages::find(state, id, id)?);
    Ok(RouteResponse::created(&view))
}

fn start_from_message(call: &Call) -> ApiResult<RouteResponse> {
    let (parent_id, message) = (call.id("channel_id")?, call.id("message_id")?);
    let form = read_body(call.json()?, |form| read(form, true))?;
    call.app.world.write(|state| {
        let parent = state
            .channel_with(parent_id, Permissions::CREATE_PUBLIC_THREADS)?
            .clone();
        messages::find(state, parent_id, message)?;
        let kind = match parent.kind {
            ChannelKind::Text => ChannelKind::PublicThread,
            ChannelKind::Announcement => ChannelKind::AnnouncementThread,
            _ => return Err(ErrorCode::WrongChannelKind.into()),
        };
        if state.channel(message).is_some() {
            return Err(ErrorCode::ThreadAlreadyCreated.into());
        }
        // A thread has the id of the message from which it was started.
        finish(call, state, &parent, message, kind, &form)
    })
}

fn finish(
    call: &Call,
    state: &mut State,
    parent: &Channel,
    id: Id,
    kind: ChannelKind,
    form: &ThreadForm,
) -> ApiResult<RouteResponse> {
    let thread = build(state, parent, id, kind, form).ok_or(ErrorCode::CannotExecuteOnDm)?;
    state.create_channel(thread, &call.cause());
    let channel = state.channel(id).ok_or(ErrorCode::UnknownChannel)?;
    Ok(RouteResponse::created(&state.channel_view(channel)))
}

/// `PATCH /channels/{id}` of a thread.
pub(super) fn edit(call: &Call, state: &mut State, id: Id) -> ApiResult<RouteResponse> {
    let form = read_body(call.json()?, |form| read(form, false))?;
    let mut channel = state.channel(id).cloned().ok_or(ErrorCode::UnknownChannel)?;
    let manages = state.channel_with(id, Permissions::MANAGE_THREADS).is_ok();
    let now = state.now();
    let parent = channel.parent_id.and_then(|parent| state.channel(parent)).cloned();
    let Some(thread) = &mut channel.thread else {
        return Err(ErrorCode::WrongChannelKind.into());
    };
    let own = thread.owner_id == state.bot_id;
    if !manages && (!own || form.locked.is_given() || form.slow_mode.is_given()) {
        return Err(ErrorCode::MissingPermissions.into());
    }
    if thread.locked && !manages {
        return Err(ErrorCode::ThreadLocked.into());
    }
    if thread.archived && form.archived.as_value() != Some(&false) {
        return Err(ErrorCode::ThreadArchived.into());
    }
    if let FormField::Value(archived) = form.archived {
        if thread.archived != archived {
            thread.archive_timestamp = now;
        }
        thread.archived = archived;
    }
    thread.locked = form.locked.clone().or_default(thread.locked, false);
    thread.invitable = form.invitable.clone().or_default(thread.invitable, true);
    if let FormField::Value(minutes) = form.archive_after {
        thread.auto_archive_duration = u32::try_from(minutes).unwrap_or(1_440);
    }
    if let FormField::Value(tags) = &form.tags {
        let forum = parent.as_ref().ok_or(ErrorCode::UnknownChannel)?;
        let tags = known_tags(forum, tags);
        check_tags(state, forum, &thread.applied_tags, &tags)?;
        thread.applied_tags = tags;
    }
    if let FormField::Value(name) = &form.name {
        channel.name.clone_from(name);
    }
    if let (FormField::Value(flags), true) = (&form.flags, parent.is_some_and(|parent| parent.kind.is_forum())) {
        channel.flags = u64::try_from(*flags).unwrap_or(0) & PINNED;
    }
    if let FormField::Value(seconds) = form.slow_mode {
        channel.rate_limit_per_user = u32::try_from(seconds).unwrap_or(0);
    }
    state.update_channel(channel, &call.cause());
    let channel = state.channel(id).ok_or(ErrorCode::UnknownChannel)?;
    Ok(RouteResponse::json(&state.channel_view(channel)))
}
