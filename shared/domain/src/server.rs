//! The server of a theme: categories, channels, and who may do what in them.
//!
//! Owns the shape and the one way from "who reads, who writes" to Discord's overwrites. `gaib` plans from these types and
//! decides nothing of its own about permissions.

use std::collections::BTreeSet;

use crate::{CategoryKey, ChannelKey, Permission, Permissions, RoleKey};

/// A category and its channels, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Category {
    /// Its stable name.
    pub key: CategoryKey,
    /// What Discord shows.
    pub name: String,
    /// Its channels from the top.
    pub channels: Vec<Channel>,
}

impl Category {
    /// The overwrites of the category itself: whoever sees none of its channels does not see it, so that a channel that
    /// somebody adds by hand is no more open than what stands around it.
    #[must_use]
    pub fn overwrites(&self) -> Vec<Overwrite> {
        let mut seen_by = Audience::default();
        for channel in &self.channels {
            for (audience, _) in channel.access.steps() {
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
    /// Its stable name.
    pub key: ChannelKey,
    /// What Discord shows.
    pub name: String,
    /// What it is for, shown above it. Discord has no topic for voice; there it is for readers of the plan.
    pub topic: String,
    /// Text, voice, …, with what only that kind has.
    pub kind: ChannelKind,
    /// Who may do what.
    pub access: Access,
}

/// Kinds of channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelKind {
    /// Messages.
    Text {
        /// Seconds between two messages of one member; 0 for no slow mode.
        slow_mode_seconds: u16,
    },
    /// Messages that other servers may follow; needs a community server.
    Announcement,
    /// Voices.
    Voice {
        /// Bits per second.
        bitrate: u32,
        /// Most members at once; 0 for no limit.
        user_limit: u8,
    },
    /// A stage; needs a community server.
    Stage {
        /// Bits per second.
        bitrate: u32,
    },
    /// Posts under tags; needs a community server.
    Forum {
        /// Tags to choose from.
        tags: Vec<String>,
    },
}

impl ChannelKind {
    /// Whether Discord makes this kind only on a community server (errors 50024 and 50035 elsewhere).
    #[must_use]
    pub fn needs_community(&self) -> bool {
        matches!(self, Self::Announcement | Self::Stage { .. } | Self::Forum { .. })
    }

    /// Whether it is for voices.
    #[must_use]
    pub fn is_voice(&self) -> bool {
        matches!(self, Self::Voice { .. } | Self::Stage { .. })
    }
}

/// A set of people.
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

    /// Whether a role's holders are in it.
    #[must_use]
    pub fn includes(&self, role: &RoleKey) -> bool {
        self.everyone || self.roles.contains(role)
    }

    /// Whether nobody is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.everyone && self.roles.is_empty()
    }
}

/// Who may do what in a channel. Each step includes the ones before: who may write may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// For channels of messages and posts.
    Text {
        /// See and read.
        read: Audience,
        /// Write, and open threads.
        write: Audience,
    },
    /// For channels of voices.
    Voice {
        /// See.
        see: Audience,
        /// Come in and listen.
        join: Audience,
        /// Speak and share.
        speak: Audience,
    },
}

/// What a channel grants or withholds, for everyone (`role` is `None`) or for a role. No bit is in both sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overwrite {
    /// The role, or everyone.
    pub role: Option<RoleKey>,
    /// Granted.
    pub allow: Permissions,
    /// Withheld.
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
    /// Steps from the least to the most, with what each grants.
    fn steps(&self) -> Vec<(&Audience, Permissions)> {
        match self {
            Self::Text { read, write } => vec![(read, READ), (write, WRITE)],
            Self::Voice { see, join, speak } => vec![(see, SEE), (join, JOIN), (speak, SPEAK)],
        }
    }

    /// The overwrites, everyone's first, then the roles' in order of key.
    ///
    /// What not everyone may do is withheld from everyone and granted to roles; nothing is withheld from a role. Discord
    /// adds the grants of all roles a member has, so holding a lesser role as well never takes anything away.
    #[must_use]
    pub fn overwrites(&self) -> Vec<Overwrite> {
        let steps = self.steps();
        let mut everyone = Overwrite {
            role: None,
            allow: Permissions::NONE,
            deny: Permissions::NONE,
        };
        for (index, (_, bits)) in steps.iter().enumerate() {
            let all = steps[index..].iter().any(|(audience, _)| audience.everyone);
            if all {
                everyone.allow |= *bits;
            } else {
                everyone.deny |= *bits;
            }
        }
        let mut overwrites = vec![everyone];
        let roles: BTreeSet<&RoleKey> = steps.iter().flat_map(|(audience, _)| &audience.roles).collect();
        for role in roles {
            let mut allow = Permissions::NONE;
            for (index, (_, bits)) in steps.iter().enumerate() {
                if steps[index..].iter().any(|(audience, _)| audience.roles.contains(role)) {
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

/// Settings of the server itself; what is `None` is left as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerSettings {
    /// The server's name.
    pub name: Option<String>,
    /// What a member must have before writing.
    pub verification_level: Option<VerificationLevel>,
    /// What a new member is notified of.
    pub default_notifications: Option<DefaultNotifications>,
    /// Whose media Discord looks through.
    pub explicit_content_filter: Option<ExplicitContentFilter>,
}

/// What a member must have before writing, by Discord's levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum VerificationLevel {
    /// Nothing.
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

/// What a new member is notified of, by Discord's levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum DefaultNotifications {
    /// Every message.
    AllMessages = 0,
    /// Mentions.
    OnlyMentions = 1,
}

/// Whose media Discord looks through, by Discord's levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExplicitContentFilter {
    /// Nobody's.
    Disabled = 0,
    /// Of members without roles.
    MembersWithoutRoles = 1,
    /// Everybody's.
    AllMembers = 2,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> RoleKey {
        RoleKey::new(name).unwrap()
    }

    #[test]
    fn a_private_channel_withholds_from_everyone_and_grants_to_roles() {
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
    fn who_may_write_may_read_though_nobody_said_so() {
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
    fn an_open_channel_grants_roles_only_what_everyone_lacks() {
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
    fn voice_has_three_steps() {
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
