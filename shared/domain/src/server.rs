//! The server of a theme: categories, channels, and access to them.
//!
//! Converts access (who reads, who writes) to Discord's overwrites. `gaib` plans from these types and makes no decisions of
//! its own about permissions.

use std::collections::BTreeSet;

use crate::{CategoryKey, ChannelKey, Permission, Permissions, RoleKey};

/// A category and its channels, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Category {
    /// Its key.
    pub key: CategoryKey,
    /// Its name at Discord.
    pub name: String,
    /// Its channels, from the top.
    pub channels: Vec<Channel>,
}

impl Category {
    /// The overwrites of the category itself: members who can view at least one of its channels can view the category. A
    /// channel that is created in it by hand gets these overwrites, and so is not visible to more members than the others.
    #[must_use]
    pub fn overwrites(&self) -> Vec<Overwrite> {
        let mut seen_by = Audience::default();
        for channel in &self.channels {
            for (audience, _) in channel.access.levels() {
                seen_by.everyone |= audience.everyone;
                seen_by.roles.extend(audience.roles.iter().cloned());
            }
        }
        if seen_by.everyone {
            return Vec::new();
        }
        let (see, none) = (SEE, Permissions::NONE);
        let everyone = Overwrite {
            role: None,
            allow: none,
            deny: see,
        };
        let roles = seen_by.roles.into_iter().map(|role| Overwrite {
            role: Some(role),
            allow: see,
            deny: none,
        });
        [everyone].into_iter().chain(roles).collect()
    }
}

/// A channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Its key.
    pub key: ChannelKey,
    /// Its name at Discord.
    pub name: String,
    /// Its topic. Discord has none for voice channels; for those only the plan shows it.
    pub topic: String,
    /// Its kind with the settings of that kind.
    pub kind: ChannelKind,
    /// Who may see and use it.
    pub access: Access,
}

/// Kinds of channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelKind {
    /// A text channel.
    Text {
        /// Slow mode in seconds; 0 for none.
        slow_mode_seconds: u16,
    },
    /// An announcement channel, which other servers may follow; requires a community server.
    Announcement,
    /// A voice channel.
    Voice {
        /// Bitrate in bits per second.
        bitrate: u32,
        /// Maximum number of members; 0 for no limit.
        user_limit: u8,
    },
    /// A stage; requires a community server.
    Stage {
        /// Bitrate in bits per second.
        bitrate: u32,
    },
    /// A forum; requires a community server.
    Forum {
        /// Available tags.
        tags: Vec<String>,
    },
}

impl ChannelKind {
    /// Whether Discord creates this kind only on a community server (errors 50024 and 50035 otherwise).
    #[must_use]
    pub fn needs_community(&self) -> bool {
        matches!(self, Self::Announcement | Self::Stage { .. } | Self::Forum { .. })
    }

    /// Whether it is a voice channel or a stage.
    #[must_use]
    pub fn is_voice(&self) -> bool {
        matches!(self, Self::Voice { .. } | Self::Stage { .. })
    }
}

/// A set of members: everyone, or holders of roles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audience {
    /// Everyone on the server.
    pub everyone: bool,
    /// Holders of any of these roles.
    pub roles: BTreeSet<RoleKey>,
}

impl Audience {
    /// Everyone on the server.
    #[must_use]
    pub fn everyone() -> Self {
        Self {
            everyone: true,
            roles: BTreeSet::new(),
        }
    }

    /// Holders of any of these roles.
    pub fn roles(roles: impl IntoIterator<Item = RoleKey>) -> Self {
        Self {
            everyone: false,
            roles: roles.into_iter().collect(),
        }
    }

    /// Whether it contains the holders of this role.
    #[must_use]
    pub fn includes(&self, role: &RoleKey) -> bool {
        self.everyone || self.roles.contains(role)
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.everyone && self.roles.is_empty()
    }
}

/// Access to a channel. Each level includes the ones before it: a member who may write may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Access to a text channel or a forum.
    Text {
        /// Who may see and read it.
        read: Audience,
        /// Who may write and create threads.
        write: Audience,
    },
    /// Access to a voice channel or a stage.
    Voice {
        /// Who may see it.
        see: Audience,
        /// Who may join and listen.
        join: Audience,
        /// Who may speak and stream.
        speak: Audience,
    },
}

/// An overwrite of a channel, for everyone (`role` is `None`) or for a role. No permission is in both sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overwrite {
    /// The role, or everyone.
    pub role: Option<RoleKey>,
    /// Allowed permissions.
    pub allow: Permissions,
    /// Denied permissions.
    pub deny: Permissions,
}

const READ: Permissions = Permissions::of(&[Permission::ViewChannel, Permission::ReadMessageHistory]);
const WRITE: Permissions = Permissions::of(&[
    Permission::SendMessages,
    Permission::SendMessagesInThreads,
    Permission::CreatePublicThreads,
    Permission::CreatePrivateThreads,
]);
const SEE: Permissions = Permissions::of(&[Permission::ViewChannel]);
const JOIN: Permissions = Permissions::of(&[Permission::Connect, Permission::ReadMessageHistory]);
const SPEAK: Permissions = Permissions::of(&[
    Permission::Speak,
    Permission::Stream,
    Permission::UseVad,
    Permission::SendMessages,
]);

impl Access {
    /// The levels from the lowest to the highest, with the permissions of each.
    fn levels(&self) -> Vec<(&Audience, Permissions)> {
        match self {
            Self::Text { read, write } => vec![(read, READ), (write, WRITE)],
            Self::Voice { see, join, speak } => vec![(see, SEE), (join, JOIN), (speak, SPEAK)],
        }
    }

    /// The overwrites: everyone's first, then those of roles, ordered by key.
    ///
    /// A permission that not everyone has is denied to everyone and allowed to roles; none is denied to a role. Discord
    /// combines the allowed permissions of all roles of a member, so a further role never removes a permission.
    #[must_use]
    pub fn overwrites(&self) -> Vec<Overwrite> {
        let levels = self.levels();
        let mut everyone = Overwrite {
            role: None,
            allow: Permissions::NONE,
            deny: Permissions::NONE,
        };
        for (index, (_, bits)) in levels.iter().enumerate() {
            let all = levels[index..].iter().any(|(audience, _)| audience.everyone);
            if all {
                everyone.allow |= *bits;
            } else {
                everyone.deny |= *bits;
            }
        }
        let mut overwrites = vec![everyone];
        let roles: BTreeSet<&RoleKey> = levels.iter().flat_map(|(audience, _)| &audience.roles).collect();
        for role in roles {
            let mut allow = Permissions::NONE;
            for (index, (_, bits)) in levels.iter().enumerate() {
                if levels[index..]
                    .iter()
                    .any(|(audience, _)| audience.roles.contains(role))
                {
                    allow |= *bits;
                }
            }
            let allow = allow.without(overwrites[0].allow);
            if !allow.is_empty() {
                overwrites.push(Overwrite {
                    role: Some(role.clone()),
                    allow,
                    deny: Permissions::NONE,
                });
            }
        }
        overwrites
    }
}

/// Settings of the server itself; a setting that is `None` does not change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerSettings {
    /// The server's name.
    pub name: Option<String>,
    /// Requirement on members before they may write.
    pub verification_level: Option<VerificationLevel>,
    /// Default notifications of new members.
    pub default_notifications: Option<DefaultNotifications>,
    /// Whose media Discord scans.
    pub explicit_content_filter: Option<ExplicitContentFilter>,
}

/// Discord's verification levels: requirements on members before they may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum VerificationLevel {
    /// No requirement.
    None = 0,
    /// A verified e-mail address.
    Low = 1,
    /// Registered for five minutes.
    Medium = 2,
    /// Member of the server for ten minutes.
    High = 3,
    /// A verified phone number.
    VeryHigh = 4,
}

/// Discord's levels of default notifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum DefaultNotifications {
    /// Every message.
    AllMessages = 0,
    /// Mentions.
    OnlyMentions = 1,
}

/// Discord's levels of the explicit content filter: whose media it scans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExplicitContentFilter {
    /// No media.
    Disabled = 0,
    /// Media of members without roles.
    MembersWithoutRoles = 1,
    /// Media of all members.
    AllMembers = 2,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> RoleKey {
        RoleKey::new(name).unwrap()
    }

    #[test]
    fn private_channel_denies_everyone_and_allows_roles() {
        let access = Access::Text {
            read: Audience::roles([key("hajra"), key("ichwan")]),
            write: Audience::roles([key("ichwan")]),
        };
        let expected = vec![
            Overwrite {
                role: None,
                allow: Permissions::NONE,
                deny: READ | WRITE,
            },
            Overwrite {
                role: Some(key("hajra")),
                allow: READ,
                deny: Permissions::NONE,
            },
            Overwrite {
                role: Some(key("ichwan")),
                allow: READ | WRITE,
                deny: Permissions::NONE,
            },
        ];
        assert_eq!(access.overwrites(), expected);
    }

    #[test]
    fn write_access_includes_read_access() {
        let access = Access::Text {
            read: Audience::default(),
            write: Audience::roles([key("bot")]),
        };
        assert_eq!(access.overwrites()[1].allow, READ | WRITE);
        let open = Access::Text {
            read: Audience::default(),
            write: Audience::everyone(),
        };
        assert_eq!(
            open.overwrites(),
            vec![Overwrite {
                role: None,
                allow: READ | WRITE,
                deny: Permissions::NONE
            }]
        );
    }

    #[test]
    fn open_channel_allows_roles_only_what_everyone_lacks() {
        let access = Access::Text {
            read: Audience::everyone(),
            write: Audience::roles([key("naib")]),
        };
        let expected = vec![
            Overwrite {
                role: None,
                allow: READ,
                deny: WRITE,
            },
            Overwrite {
                role: Some(key("naib")),
                allow: WRITE,
                deny: Permissions::NONE,
            },
        ];
        assert_eq!(access.overwrites(), expected);
    }

    #[test]
    fn voice_access_has_three_levels() {
        let access = Access::Voice {
            see: Audience::roles([key("a"), key("b"), key("c")]),
            join: Audience::roles([key("b"), key("c")]),
            speak: Audience::roles([key("c")]),
        };
        let allowed: Vec<Permissions> = access
            .overwrites()
            .iter()
            .skip(1)
            .map(|overwrite| overwrite.allow)
            .collect();
        assert_eq!(allowed, [SEE, SEE | JOIN, SEE | JOIN | SPEAK]);
        assert_eq!(access.overwrites()[0].deny, SEE | JOIN | SPEAK);
    }
}
