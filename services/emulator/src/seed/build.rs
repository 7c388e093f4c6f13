//! Creation of a server from a description.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use super::spec::{
    BotSpec, ChannelSpec, GuildSpec, MemberSpec, MessageSpec, Names, OverwriteSpec, PermissionSpec, RoleSpec,
};
use crate::{
    model::{
        Author, Channel, ChannelKind, Guild, Id, Member, Message, Overwrite, OverwriteKind, Permissions, Role,
        RoleColors, RoleTags, Timestamp, User, user::shown_name,
    },
    world::State,
};

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// Ids of a created server, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CreatedGuild {
    /// Server id.
    pub guild_id: Id,
    /// Name.
    pub name: String,
    /// User id of the owner.
    pub owner_id: Id,
    /// The bot's managed role.
    pub bot_role_id: Id,
    /// Roles by name, `@everyone` among them.
    pub roles: Names,
    /// Channels and categories by name.
    pub channels: Names,
    /// Members by user name.
    pub members: Names,
}

/// An invalid description of a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SeedError {
    /// The id exists already.
    #[error("{what} {id} exists already")]
    Taken {
        /// Type of the object: server, role or channel.
        what: &'static str,
        /// Its id.
        id: Id,
    },
    /// A reference to an unknown name.
    #[error("{place} names {what} {name:?}, which does not exist")]
    Unknown {
        /// Location of the reference.
        place: String,
        /// Type of the referenced object.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// An invalid value.
    #[error("{place}: {why}")]
    Invalid {
        /// Location of the value.
        place: String,
        /// What is wrong.
        why: String,
    },
}

/// Creates the described server and adds the bot to it. Nothing is changed when the description is invalid.
///
/// # Errors
/// What is invalid, and where.
pub fn build(state: &mut State, spec: &GuildSpec) -> Result<CreatedGuild, SeedError> {
    let guild_id = spec.id.unwrap_or_else(|| state.next_id());
    if state.guilds.contains_key(&guild_id) {
        return Err(SeedError::Taken {
            what: "server",
            id: guild_id,
        });
    }
    if !(2..=100).contains(&spec.name.chars().count()) {
        return Err(invalid("guild.name", "2 to 100 characters are needed"));
    }
    let mut builder = Builder {
        now: state.now(),
        guild: Guild::named(guild_id, &spec.name, Id(0), state.now()),
        made: CreatedGuild::default(),
        state,
        users: Vec::new(),
    };
    builder.describe(spec)?;
    builder.add_roles(&spec.roles, &spec.bot)?;
    builder.add_members(spec)?;
    builder.add_channels(&spec.channels, None)?;
    if let Some(name) = &spec.system_channel {
        let id = find(&builder.made.channels, "system_channel", "a channel", name)?;
        builder.guild.system_channel_id = Some(id);
    }
    let messages = messages(&builder, &spec.messages)?;
    let Builder {
        guild,
        mut made,
        users,
        state,
        ..
    } = builder;
    (made.guild_id, made.name, made.owner_id) = (guild_id, guild.name.clone(), guild.owner_id);
    for user in users {
        state.users.entry(user.id).or_insert(user);
    }
    state.add_guild(guild);
    for message in messages {
        state.put_message(message);
    }
    Ok(made)
}

/// The initial messages of the server. Ids depend on the time, so messages with equal times get different milliseconds.
fn messages(builder: &Builder<'_>, specs: &[MessageSpec]) -> Result<Vec<Message>, SeedError> {
    let mut messages = Vec::with_capacity(specs.len());
    let mut taken = HashSet::new();
    for (place, spec) in specs.iter().enumerate() {
        let at = |field: &str| format!("guild.messages[{place}].{field}");
        let channel = find(&builder.made.channels, &at("channel"), "a channel", &spec.channel)?;
        let author = find(&builder.made.members, &at("author"), "a member", &spec.author)?;
        if !(1..=2_000).contains(&spec.content.chars().count()) {
            return Err(invalid(&at("content"), "1 to 2000 characters are needed"));
        }
        let mut time = builder.now.0.saturating_sub(spec.minutes_ago.saturating_mul(60_000));
        while !taken.insert(time) {
            time += 1;
        }
        messages.push(Message::text(
            Id::at_ms(time),
            channel,
            Some(builder.guild.id),
            Author::User(author),
            &spec.content,
            Timestamp(time),
        ));
    }
    // The message that is added last is the channel's last message.
    messages.sort_by_key(|message| message.id);
    Ok(messages)
}

struct Builder<'a> {
    state: &'a mut State,
    now: Timestamp,
    guild: Guild,
    made: CreatedGuild,
    users: Vec<User>,
}

fn invalid(place: &str, why: &str) -> SeedError {
    SeedError::Invalid {
        place: place.to_owned(),
        why: why.to_owned(),
    }
}

fn find(names: &Names, place: &str, what: &'static str, name: &str) -> Result<Id, SeedError> {
    let unknown = || SeedError::Unknown {
        place: place.to_owned(),
        what,
        name: name.to_owned(),
    };
    names.get(name).copied().ok_or_else(unknown)
}

fn bits(spec: Option<&PermissionSpec>, default: Permissions, place: &str) -> Result<Permissions, SeedError> {
    spec.map_or(Ok(default), |spec| {
        spec.bits()
            .map_err(|name| invalid(place, &format!("{name} is not a permission")))
    })
}

/// Builds a role from its description.
///
/// # Errors
/// A colour or permission that does not exist.
pub(crate) fn role(spec: &RoleSpec, id: Id) -> Result<Role, SeedError> {
    let place = format!("role {:?}", spec.name);
    if !(1..=100).contains(&spec.name.chars().count()) {
        return Err(invalid(&place, "a name has 1 to 100 characters"));
    }
    let color = match &spec.color {
        None => 0,
        Some(color) => color
            .rgb()
            .ok_or_else(|| invalid(&place, "the colour is #rrggbb or a number up to 16777215"))?,
    };
    Ok(Role {
        colors: RoleColors {
            primary_color: color,
            ..RoleColors::default()
        },
        permissions: bits(spec.permissions.as_ref(), Permissions::empty(), &place)?,
        hoist: spec.hoist,
        mentionable: spec.mentionable,
        managed: spec.managed,
        ..Role::named(id, &spec.name)
    })
}

/// Builds a channel from its description, without position and overwrites.
///
/// # Errors
/// A type that does not exist.
pub(crate) fn channel(spec: &ChannelSpec, id: Id, guild: Id, nested: bool) -> Result<Channel, SeedError> {
    let place = format!("channel {:?}", spec.name);
    if !(1..=100).contains(&spec.name.chars().count()) {
        return Err(invalid(&place, "a name has 1 to 100 characters"));
    }
    let default = if nested {
        ChannelKind::Category
    } else {
        ChannelKind::Text
    };
    let kind = spec.kind.as_ref().map_or(Some(default), super::spec::KindSpec::kind);
    let kind = kind.filter(|kind| *kind != ChannelKind::Dm);
    let kind = kind.ok_or_else(|| {
        invalid(
            &place,
            "kind is text, voice, category, announcement, stage, forum or media",
        )
    })?;
    Ok(Channel {
        topic: spec.topic.clone(),
        nsfw: spec.nsfw,
        rate_limit_per_user: spec.slow_mode,
        bitrate: spec.bitrate.unwrap_or(64_000),
        user_limit: spec.user_limit,
        ..Channel::named(id, guild, kind, &spec.name)
    })
}

impl Builder<'_> {
    fn describe(&mut self, spec: &GuildSpec) -> Result<(), SeedError> {
        self.guild.description.clone_from(&spec.description);
        self.guild.features.clone_from(&spec.features);
        self.guild.premium_tier = spec.premium_tier.min(3);
        if spec.community && !self.guild.has_feature("COMMUNITY") {
            self.guild.features.push("COMMUNITY".to_owned());
        }
        let id = self.guild.id;
        if let Some(everyone) = self.guild.roles.get_mut(&id) {
            everyone.permissions = bits(spec.everyone.as_ref(), everyone.permissions, "guild.everyone")?;
        }
        self.made.roles.insert("@everyone".to_owned(), id);
        Ok(())
    }

    fn id(&mut self, chosen: Option<Id>, what: &'static str) -> Result<Id, SeedError> {
        let Some(id) = chosen else {
            return Ok(self.state.next_id());
        };
        let taken = self.guild.roles.contains_key(&id)
            || self.guild.channels.contains_key(&id)
            || self.state.channel_guilds.contains_key(&id);
        if taken {
            Err(SeedError::Taken { what, id })
        } else {
            Ok(id)
        }
    }

    /// Roles have the order of the list. The bot's role is above all of them, or directly below the named one.
    fn add_roles(&mut self, roles: &[RoleSpec], bot: &BotSpec) -> Result<(), SeedError> {
        let bot_id = self.state.bot_id;
        let mut ladder = Vec::with_capacity(roles.len() + 1);
        for spec in roles {
            let id = self.id(spec.id, "role")?;
            if self.made.roles.insert(spec.name.clone(), id).is_some() {
                return Err(invalid(
                    &format!("role {:?}", spec.name),
                    "the name exists already; roles are identified by name here",
                ));
            }
            ladder.push(role(spec, id)?);
        }
        let own = Role {
            managed: true,
            permissions: bits(
                bot.permissions.as_ref(),
                Permissions::ADMINISTRATOR,
                "guild.bot.permissions",
            )?,
            tags: Some(RoleTags {
                bot_id: Some(bot_id),
                ..RoleTags::default()
            }),
            ..Role::named(self.id(bot.role_id, "role")?, &self.state.application.name)
        };
        let place = match &bot.below {
            None => 0,
            Some(name) => {
                let above = find(&self.made.roles, "guild.bot.below", "a role", name)?;
                ladder
                    .iter()
                    .position(|role| role.id == above)
                    .map_or(0, |index| index + 1)
            }
        };
        self.made.bot_role_id = own.id;
        let own_id = own.id;
        ladder.insert(place, own);
        for (position, mut role) in (1_i64..).zip(ladder.into_iter().rev()) {
            role.position = position;
            self.guild.roles.insert(role.id, role);
        }
        let member = Member {
            roles: vec![own_id],
            ..Member::joined(bot_id, self.now)
        };
        self.guild.members.insert(bot_id, member);
        Ok(())
    }

    fn add_members(&mut self, spec: &GuildSpec) -> Result<(), SeedError> {
        for member in &spec.members {
            self.add_member(member)?;
        }
        self.guild.owner_id = match &spec.owner {
            Some(name) => find(&self.made.members, "guild.owner", "a member", name)?,
            None => {
                let id = spec.owner_id.unwrap_or_else(|| self.state.next_id());
                let name = format!("owner-{}", id.0 % 100_000);
                self.add_member(&MemberSpec {
                    user_id: Some(id),
                    name,
                    display: Some("The Owner".to_owned()),
                    ..MemberSpec::default()
                })?
            }
        };
        Ok(())
    }

    fn add_member(&mut self, spec: &MemberSpec) -> Result<Id, SeedError> {
        let place = format!("member {:?}", spec.name);
        let named = self.state.users_named(&spec.name);
        if spec.user_id.is_none() && named.len() > 1 {
            return Err(invalid(&place, "several users have this name: give the user_id"));
        }
        let known = spec.user_id.or_else(|| named.first().copied());
        if spec.name.is_empty() && known.is_none_or(|id| !self.state.users.contains_key(&id)) {
            return Err(invalid("member", "a name is needed, or the id of a user who exists"));
        }
        let id = known.unwrap_or_else(|| self.state.next_id());
        let name = self
            .state
            .users
            .get(&id)
            .map_or_else(|| spec.name.clone(), |user| user.username.clone());
        let mut user = User::person(id, &name, spec.display.as_deref());
        user.bot = spec.bot;
        user.accepts_dms = !spec.refuses_dms;
        let roles: Result<Vec<Id>, SeedError> = spec
            .roles
            .iter()
            .map(|name| find(&self.made.roles, &place, "a role", name))
            .collect();
        let joined = Timestamp(self.now.0.saturating_sub(spec.joined_days_ago * DAY_MS));
        let member = Member {
            roles: roles?,
            nick: spec.nick.as_deref().and_then(shown_name),
            ..Member::joined(id, joined)
        };
        if self.guild.members.insert(id, member).is_some() {
            return Err(invalid(&place, "is in the list twice"));
        }
        self.made.members.insert(name, id);
        self.users.push(user);
        Ok(id)
    }

    fn add_channels(&mut self, specs: &[ChannelSpec], parent: Option<&Channel>) -> Result<(), SeedError> {
        for (position, spec) in (0_i64..).zip(specs) {
            let id = self.id(spec.id, "channel")?;
            let mut made = channel(spec, id, self.guild.id, !spec.channels.is_empty())?;
            if parent.is_some() && made.kind == ChannelKind::Category {
                return Err(invalid(
                    &format!("channel {:?}", spec.name),
                    "a category cannot be inside of another",
                ));
            }
            made.position = position;
            made.parent_id = parent.map(|parent| parent.id);
            made.permission_overwrites = self.overwrites(spec, parent)?;
            self.made.channels.insert(spec.name.clone(), id);
            self.guild.channels.insert(id, made.clone());
            self.add_channels(&spec.channels, Some(&made))?;
        }
        Ok(())
    }

    fn overwrites(&self, spec: &ChannelSpec, parent: Option<&Channel>) -> Result<Vec<Overwrite>, SeedError> {
        let says_nothing = spec.visible_to.is_none() && spec.writable_by.is_none() && spec.overwrites.is_empty();
        if let Some(parent) = parent.filter(|_| says_nothing) {
            return Ok(parent.permission_overwrites.clone());
        }
        let place = format!("channel {:?}", spec.name);
        let mut set: BTreeMap<Id, Overwrite> = BTreeMap::new();
        let mut change = |id: Id, kind, allow: Permissions, deny: Permissions| {
            let entry = set.entry(id).or_insert(Overwrite {
                id,
                kind,
                allow: Permissions::empty(),
                deny: Permissions::empty(),
            });
            entry.allow |= allow;
            entry.deny = (entry.deny | deny) - entry.allow;
        };
        let write = Permissions::SEND_MESSAGES | Permissions::SPEAK | Permissions::SEND_MESSAGES_IN_THREADS;
        let lists = [
            (&spec.visible_to, Permissions::VIEW_CHANNEL),
            (&spec.writable_by, write),
        ];
        for (list, permission) in lists {
            let Some(names) = list else { continue };
            change(self.guild.id, OverwriteKind::Role, Permissions::empty(), permission);
            change(
                self.made.bot_role_id,
                OverwriteKind::Role,
                permission,
                Permissions::empty(),
            );
            for name in names {
                let role = find(&self.made.roles, &place, "a role", name)?;
                change(role, OverwriteKind::Role, permission, Permissions::empty());
            }
        }
        for OverwriteSpec {
            role,
            member,
            allow,
            deny,
        } in &spec.overwrites
        {
            let (id, kind) = match (role, member) {
                (Some(role), None) => (find(&self.made.roles, &place, "a role", role)?, OverwriteKind::Role),
                (None, Some(member)) => (
                    find(&self.made.members, &place, "a member", member)?,
                    OverwriteKind::Member,
                ),
                _ => return Err(invalid(&place, "an overwrite names a role or a member, not both")),
            };
            let none = Permissions::empty();
            change(
                id,
                kind,
                bits(allow.as_ref(), none, &place)?,
                bits(deny.as_ref(), none, &place)?,
            );
        }
        Ok(set.into_values().collect())
    }
}
