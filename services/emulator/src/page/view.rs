//! The view of one member: servers, channels, members, messages, commands. One request has the data of the whole page.

use axum::{
    Json,
    extract::{Query, State},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    AppState,
    model::{Author, Channel, ChannelKind, Guild, Id, Message, Permissions, Role, User},
    rest::permissions,
    world,
};

/// Number of messages shown, the newest.
const MESSAGES: usize = 100;
/// Number of members listed. Larger servers show the first of them, as Discord's own list loads them in parts.
const MEMBERS: usize = 600;

/// Location of the page. A missing or deleted server is replaced by the first one, a channel by the one with the most messages
/// that this member may view.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PageLocation {
    viewer: Option<Id>,
    guild: Option<Id>,
    channel: Option<Id>,
}

#[derive(Debug, Serialize)]
pub(super) struct View {
    viewer: Value,
    guilds: Vec<Value>,
    guild: Option<Value>,
    channel: Option<Value>,
    commands: Vec<Value>,
}

/// `GET /page/view?viewer&guild&channel`.
pub(super) async fn view(State(app): State<AppState>, Query(location): Query<PageLocation>) -> Json<View> {
    Json(
        app.world
            .read(|state| MemberPage::new(state, &location).map_or_else(empty_view, |page| page.view(&location))),
    )
}

/// `GET /page/everyone`: users and servers for the quick switcher.
pub(super) async fn everyone(State(app): State<AppState>) -> Json<Value> {
    Json(app.world.read(|state| {
        let mut people: Vec<&User> = state.users.values().filter(|user| !user.bot).collect();
        people.sort_by_key(|user| user.id);
        let of = |user: &User| -> Vec<&str> {
            let guilds = state.guilds.values().filter(|guild| guild.members.contains_key(&user.id));
            guilds.map(|guild| guild.name.as_str()).take(3).collect()
        };
        let users: Vec<Value> = people
            .into_iter()
            .take(2_000)
            .map(|user| json!({"id": user.id, "name": user.username, "display": user.display_name(), "guilds": of(user)}))
            .collect();
        let guilds: Vec<Value> =
            state.guilds.values().take(200).map(|guild| json!({"id": guild.id, "name": guild.name})).collect();
        json!({"users": users, "guilds": guilds})
    }))
}

fn empty_view() -> View {
    let viewer = json!({"id": "0", "name": "nobody", "display": "Nobody", "roles": []});
    View {
        viewer,
        guilds: Vec::new(),
        guild: None,
        channel: None,
        commands: Vec::new(),
    }
}

/// The view of one member on one server.
struct MemberPage<'a> {
    state: &'a world::State,
    user: &'a User,
    guild: Option<&'a Guild>,
}

impl<'a> MemberPage<'a> {
    fn new(state: &'a world::State, location: &PageLocation) -> Option<Self> {
        let named = location
            .viewer
            .and_then(|id| state.users.get(&id))
            .filter(|user| !user.bot);
        let user = named.or_else(|| first_member(state, location.guild))?;
        let is_member = |guild: &&Guild| guild.members.contains_key(&user.id) && !guild.unavailable;
        let asked = location.guild.and_then(|id| state.guilds.get(&id)).filter(is_member);
        let guild = asked.or_else(|| state.guilds.values().find(is_member));
        Some(Self { state, user, guild })
    }

    fn view(&self, location: &PageLocation) -> View {
        let channels = self.guild.map(|guild| self.visible_channels(guild)).unwrap_or_default();
        let dms = self
            .state
            .dms
            .values()
            .filter(|dm| dm.recipients.contains(&self.user.id));
        let dms: Vec<&Channel> = dms.collect();
        let shown = location
            .channel
            .and_then(|id| channels.iter().chain(&dms).find(|channel| channel.id == id))
            .or_else(|| self.busiest(&channels))
            .or_else(|| channels.iter().find(|channel| channel.kind == ChannelKind::Text))
            .or_else(|| channels.iter().find(|channel| channel.kind.holds_messages()));
        View {
            viewer: self.viewer(),
            guilds: self.guilds(),
            guild: self.guild.map(|guild| self.guild_json(guild, &channels, &dms)),
            channel: shown.map(|channel| self.channel_json(channel)),
            commands: self.commands(shown.copied()),
        }
    }

    /// The channel with the most messages; channels in which this member may write are preferred.
    fn busiest<'c>(&self, channels: &'c [&'a Channel]) -> Option<&'c &'a Channel> {
        let messages = |channel: &Channel| {
            self.state
                .messages
                .get(&channel.id)
                .map_or(0, std::collections::BTreeMap::len)
        };
        let writes = |channel: &Channel| {
            let now = self.state.now();
            self.guild.is_some_and(|guild| {
                permissions::in_channel(guild, channel, self.user.id, now).contains(Permissions::SEND_MESSAGES)
            })
        };
        let lively = channels.iter().rev().filter(|channel| messages(channel) > 0);
        // Of equal channels the first in the list is selected.
        lively.max_by_key(|channel| (writes(channel), messages(channel)))
    }

    fn viewer(&self) -> Value {
        let names = self.guild.map_or_else(Vec::new, |guild| {
            let mut roles = roles_of(guild, self.user.id);
            roles.sort_by_key(|role| std::cmp::Reverse(role.rank()));
            roles.into_iter().map(|role| role.name.as_str()).collect()
        });
        let display = self
            .guild
            .map_or_else(|| self.user.display_name(), |guild| self.name_in(guild, self.user.id));
        json!({"id": self.user.id, "name": self.user.username, "display": display, "roles": names})
    }

    fn guilds(&self) -> Vec<Value> {
        let mine = self
            .state
            .guilds
            .values()
            .filter(|guild| guild.members.contains_key(&self.user.id));
        mine.map(|guild| json!({"id": guild.id, "name": guild.name, "unavailable": guild.unavailable}))
            .collect()
    }

    /// Channels in the order of Discord's list: those without a category, then each category with its own, voice last.
    fn visible_channels(&self, guild: &'a Guild) -> Vec<&'a Channel> {
        let now = self.state.now();
        let sees = |channel: &Channel| {
            permissions::in_channel(guild, channel, self.user.id, now).contains(Permissions::VIEW_CHANNEL)
        };
        let order = |channel: &&Channel| (channel.kind.is_voice(), channel.position, channel.id);
        let below = |parent: Option<Id>| {
            let mut list: Vec<&Channel> = guild
                .channels
                .values()
                .filter(|c| c.parent_id == parent && c.kind != ChannelKind::Category && !c.kind.is_thread() && sees(c))
                .collect();
            list.sort_by_key(order);
            list
        };
        let mut categories: Vec<&Channel> = guild
            .channels
            .values()
            .filter(|channel| channel.kind == ChannelKind::Category)
            .collect();
        categories.sort_by_key(order);
        let mut list = below(None);
        for category in categories {
            let inside = below(Some(category.id));
            if !inside.is_empty() {
                list.push(category);
                list.extend(inside);
            }
        }
        list
    }

    fn guild_json(&self, guild: &Guild, channels: &[&Channel], dms: &[&Channel]) -> Value {
        let everyone = guild.roles.get(&guild.id);
        let is_locked = |channel: &Channel| {
            let closed = channel
                .permission_overwrites
                .iter()
                .any(|overwrite| overwrite.id == guild.id && overwrite.deny.contains(Permissions::VIEW_CHANNEL));
            closed || everyone.is_some_and(|role| !role.permissions.contains(Permissions::VIEW_CHANNEL))
        };
        let mut list: Vec<Value> = channels
            .iter()
            .map(|c| json!({"id": c.id, "name": c.name, "kind": c.kind, "locked": c.kind != ChannelKind::Category && is_locked(c)}))
            .collect();
        if !dms.is_empty() {
            list.push(json!({"id": "dms", "name": "Direct messages", "kind": ChannelKind::Category}));
            list.extend(
                dms.iter()
                    .map(|dm| json!({"id": dm.id, "name": self.state.application.name, "kind": dm.kind})),
            );
        }
        let roles: Vec<Value> = guild.roles_by_rank().into_iter().map(role_json).collect();
        json!({"id": guild.id, "name": guild.name, "channels": list, "roles": roles, "members": self.members(guild)})
    }

    /// Members grouped by their highest hoisted role, as in Discord's list.
    fn members(&self, guild: &Guild) -> Vec<Value> {
        let mut list: Vec<_> = guild
            .members
            .keys()
            .take(MEMBERS)
            .filter_map(|id| self.state.users.get(id))
            .map(|user| {
                let mut roles = roles_of(guild, user.id);
                roles.sort_by_key(|role| std::cmp::Reverse(role.rank()));
                let group = roles.iter().copied().find(|role| role.hoist);
                (group, roles, self.name_in(guild, user.id), user)
            })
            .collect();
        list.sort_by_key(|(group, _, name, _)| (std::cmp::Reverse(group.map(Role::rank)), name.to_lowercase()));
        list.into_iter()
            .map(|(group, roles, display, user)| {
                json!({
                    "id": user.id, "name": user.username, "display": display, "bot": user.bot,
                    "nick": guild.members.get(&user.id).and_then(|member| member.nick.as_deref()),
                    "owner": guild.owner_id == user.id,
                    "roles": roles.iter().map(|role| role.id).collect::<Vec<_>>(),
                    "color": color_of(&roles),
                    "group": group.map_or("Members", |role| role.name.as_str()),
                    "group_id": group.map_or(guild.id, |role| role.id),
                })
            })
            .collect()
    }

    fn channel_json(&self, channel: &Channel) -> Value {
        let guild = channel.guild_id.and_then(|id| self.state.guilds.get(&id));
        let rights = guild.map(|guild| permissions::in_channel(guild, channel, self.user.id, self.state.now()));
        let can_send = rights.is_none_or(|rights| rights.contains(Permissions::SEND_MESSAGES));
        let can_read = rights.is_none_or(|rights| rights.contains(Permissions::READ_MESSAGE_HISTORY));
        let messages = self
            .state
            .messages
            .get(&channel.id)
            .into_iter()
            .flat_map(|list| list.values());
        let mut messages: Vec<&Message> = messages
            .rev()
            .filter(|message| message.visible_to.is_none_or(|user| user == self.user.id))
            .filter(|message| can_read || message.visible_to.is_some())
            .take(MESSAGES)
            .collect();
        messages.reverse();
        let title = if guild.is_some() {
            format!("#{}", channel.name)
        } else {
            format!("@{}", self.state.application.name)
        };
        let messages: Vec<Value> = messages
            .into_iter()
            .map(|message| self.message_json(guild, message))
            .collect();
        json!({"id": channel.id, "title": title, "topic": channel.topic, "can_send": can_send, "messages": messages})
    }

    fn message_json(&self, guild: Option<&Guild>, message: &Message) -> Value {
        let mut view = self.state.message_view(message);
        let author = message.author.id();
        let (name, color) = match (&message.author, guild) {
            (Author::Webhook { name, .. }, _) => (name.clone(), 0),
            (Author::User(id), Some(guild)) => {
                let mut roles = roles_of(guild, *id);
                roles.sort_by_key(|role| std::cmp::Reverse(role.rank()));
                (self.name_in(guild, author).to_owned(), color_of(&roles))
            }
            (Author::User(id), None) => (self.user_name(*id).to_owned(), 0),
        };
        view["author_name"] = json!(name);
        view["author_color"] = json!(color);
        if message.kind == 7 {
            view["kind_text"] = json!("joined the server.");
        }
        if let Some(metadata) = &message.interaction_metadata {
            let user = metadata["user"]["id"].as_str().and_then(|id| id.parse().ok());
            let shown = user.map(|id| guild.map_or_else(|| self.user_name(id), |guild| self.name_in(guild, id)));
            view["interaction_user"] = json!(shown);
            let command = metadata["id"].as_str().and_then(|id| id.parse().ok());
            let command = command.and_then(|id: Id| self.state.interactions.get(&id)?.command.as_deref());
            view["interaction_name"] = json!(command);
        }
        view
    }

    /// Commands that this member may use here: the server's own hide global ones of the same name.
    fn commands(&self, channel: Option<&Channel>) -> Vec<Value> {
        let (Some(guild), Some(channel)) = (self.guild, channel) else {
            return Vec::new();
        };
        let rights = permissions::in_channel(guild, channel, self.user.id, self.state.now());
        if !rights.contains(Permissions::USE_APPLICATION_COMMANDS) {
            return Vec::new();
        }
        let all = || self.state.commands.values();
        let own = |name: &str| all().any(|command| command.guild_id == Some(guild.id) && command.name == name);
        all()
            .filter(|command| {
                command
                    .guild_id
                    .map_or_else(|| !own(&command.name), |id| id == guild.id)
            })
            .filter(|command| {
                command
                    .default_member_permissions
                    .is_none_or(|needed| rights.contains(needed))
            })
            .filter_map(|command| serde_json::to_value(command).ok())
            .collect()
    }

    fn name_in<'g>(&self, guild: &'g Guild, user: Id) -> &'g str
    where
        'a: 'g,
    {
        let nick = guild.members.get(&user).and_then(|member| member.nick.as_deref());
        nick.unwrap_or_else(|| self.user_name(user))
    }

    fn user_name(&self, user: Id) -> &'a str {
        self.state.users.get(&user).map_or("deleted user", User::display_name)
    }
}

/// The member as whom the page acts at first: a member of the requested server, or of any, who is not its owner.
fn first_member(state: &world::State, guild: Option<Id>) -> Option<&User> {
    let asked = guild.and_then(|id| state.guilds.get(&id));
    let guilds = asked.into_iter().chain(state.guilds.values());
    let mut people = guilds.flat_map(|guild| guild.members.keys().filter(|id| **id != guild.owner_id));
    let member = people.find_map(|id| state.users.get(id).filter(|user| !user.bot));
    member.or_else(|| state.users.values().filter(|user| !user.bot).min_by_key(|user| user.id))
}

fn roles_of(guild: &Guild, user: Id) -> Vec<&Role> {
    let ids = guild
        .members
        .get(&user)
        .map(|member| member.roles.as_slice())
        .unwrap_or_default();
    ids.iter().filter_map(|id| guild.roles.get(id)).collect()
}

/// The colour of a name: that of the highest role with a colour.
fn color_of(roles: &[&Role]) -> u32 {
    roles
        .iter()
        .map(|role| role.colors.primary_color)
        .find(|color| *color != 0)
        .unwrap_or(0)
}

fn role_json(role: &Role) -> Value {
    json!({"id": role.id, "name": role.name, "color": role.colors.primary_color, "hoist": role.hoist, "managed": role.managed})
}
