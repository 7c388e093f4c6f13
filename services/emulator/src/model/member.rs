//! Members. <https://discord.com/developers/docs/resources/guild#guild-member-object>

use serde::Serialize;

use super::{Id, Timestamp, User};

/// A user in a server. The JSON is [`MemberView`], which adds the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// User.
    pub user_id: Id,
    /// Name in this server, up to 32 characters.
    pub nick: Option<String>,
    /// Hash of the avatar in this server.
    pub avatar: Option<String>,
    /// Hash of the banner in this server.
    pub banner: Option<String>,
    /// Roles, without @everyone.
    pub roles: Vec<Id>,
    /// Time of joining.
    pub joined_at: Timestamp,
    /// Time since which the member boosts the server.
    pub premium_since: Option<Timestamp>,
    /// Whether deafened in voice.
    pub deaf: bool,
    /// Whether muted in voice.
    pub mute: bool,
    /// Bit set.
    pub flags: u64,
    /// Whether membership screening is not passed yet.
    pub pending: bool,
    /// End of the timeout.
    pub communication_disabled_until: Option<Timestamp>,
}

impl Member {
    /// A member who joined at this time, with default values.
    #[must_use]
    pub const fn joined(user_id: Id, joined_at: Timestamp) -> Self {
        Self {
            user_id,
            nick: None,
            avatar: None,
            banner: None,
            roles: Vec::new(),
            joined_at,
            premium_since: None,
            deaf: false,
            mute: false,
            flags: 0,
            pending: false,
            communication_disabled_until: None,
        }
    }

    /// Whether the member has this role.
    #[must_use]
    pub fn has(&self, role: Id) -> bool {
        self.roles.contains(&role)
    }

    /// The JSON with everything but the user, as `member` inside of messages.
    #[must_use]
    pub fn partial(&self) -> MemberView<'_> {
        MemberView {
            user: None,
            guild_id: None,
            member: MemberFields::of(self),
        }
    }

    /// The JSON with the user, as REST returns it.
    #[must_use]
    pub fn view<'a>(&'a self, user: &'a User) -> MemberView<'a> {
        MemberView {
            user: Some(user),
            guild_id: None,
            member: MemberFields::of(self),
        }
    }

    /// The JSON with the user and the server, as gateway events carry it.
    #[must_use]
    pub fn event<'a>(&'a self, user: &'a User, guild: Id) -> MemberView<'a> {
        MemberView {
            user: Some(user),
            guild_id: Some(guild),
            member: MemberFields::of(self),
        }
    }
}

/// A member as JSON.
#[derive(Debug, Serialize)]
pub struct MemberView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a User>,
    #[serde(skip_serializing_if = "Option::is_none")]
    guild_id: Option<Id>,
    #[serde(flatten)]
    member: MemberFields<'a>,
}

#[derive(Debug, Serialize)]
struct MemberFields<'a> {
    nick: Option<&'a str>,
    avatar: Option<&'a str>,
    banner: Option<&'a str>,
    roles: &'a [Id],
    joined_at: Timestamp,
    premium_since: Option<Timestamp>,
    deaf: bool,
    mute: bool,
    flags: u64,
    pending: bool,
    communication_disabled_until: Option<Timestamp>,
}

impl<'a> MemberFields<'a> {
    fn of(member: &'a Member) -> Self {
        Self {
            nick: member.nick.as_deref(),
            avatar: member.avatar.as_deref(),
            banner: member.banner.as_deref(),
            roles: &member.roles,
            joined_at: member.joined_at,
            premium_since: member.premium_since,
            deaf: member.deaf,
            mute: member.mute,
            flags: member.flags,
            pending: member.pending,
            communication_disabled_until: member.communication_disabled_until,
        }
    }
}
