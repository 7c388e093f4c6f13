//! Permissions of members, and the hierarchy of roles.
//!
//! Written from <https://discord.com/developers/docs/topics/permissions>. Owns arithmetic only: routes decide which permission
//! a call needs. Used for the bot and, by the control API, for members.

use std::cmp::Ordering;

use crate::model::{Channel, ChannelKind, Guild, Id, Member, OverwriteKind, Permissions, Role, Timestamp};

/// Permissions of a member in the server, without overwrites. Empty for a user who is not a member.
#[must_use]
pub fn in_guild(guild: &Guild, user: Id, now: Timestamp) -> Permissions {
    let Some(member) = guild.members.get(&user) else {
        return Permissions::empty();
    };
    if guild.owner_id == user {
        return Permissions::all();
    }
    let granted = roles_of(guild, member).fold(Permissions::empty(), |sum, role| sum | role.permissions);
    if granted.contains(Permissions::ADMINISTRATOR) {
        return Permissions::all();
    }
    if is_timed_out(member, now) {
        granted & TIMED_OUT
    } else {
        granted
    }
}

/// Permissions of a member in a channel: those in the server, then the overwrites of @everyone, of all roles together (deny,
/// then allow), and of the member. A thread has the overwrites of its channel.
#[must_use]
pub fn in_channel(guild: &Guild, channel: &Channel, user: Id, now: Timestamp) -> Permissions {
    let base = in_guild(guild, user, now);
    let Some(member) = guild.members.get(&user) else {
        return base;
    };
    if base.contains(Permissions::ADMINISTRATOR) {
        return base;
    }
    let place = match channel.parent_id {
        Some(parent) if channel.kind.is_thread() => guild.channels.get(&parent).unwrap_or(channel),
        _ => channel,
    };
    let mut granted = base;
    let of = |id: Id, kind: OverwriteKind| {
        place
            .permission_overwrites
            .iter()
            .find(move |overwrite| overwrite.id == id && overwrite.kind == kind)
    };
    if let Some(everyone) = of(guild.id, OverwriteKind::Role) {
        granted = (granted - everyone.deny) | everyone.allow;
    }
    let (mut allow, mut deny) = (Permissions::empty(), Permissions::empty());
    for overwrite in member.roles.iter().filter_map(|role| of(*role, OverwriteKind::Role)) {
        allow |= overwrite.allow;
        deny |= overwrite.deny;
    }
    granted = (granted - deny) | allow;
    if let Some(own) = of(user, OverwriteKind::Member) {
        granted = (granted - own.deny) | own.allow;
    }
    if is_timed_out(member, now) {
        granted &= TIMED_OUT;
    }
    implied(granted, channel.kind)
}

/// Whether @everyone can view a channel, without permissions of other roles.
#[must_use]
pub fn everyone_sees(guild: &Guild, channel: &Channel) -> bool {
    let base = guild
        .roles
        .get(&guild.id)
        .map(|role| role.permissions)
        .unwrap_or_default();
    let own = channel.permission_overwrites.iter();
    let own = own.filter(|overwrite| overwrite.id == guild.id);
    let granted = own.fold(base, |granted, overwrite| (granted - overwrite.deny) | overwrite.allow);
    granted.contains(Permissions::VIEW_CHANNEL)
}

/// Permissions of a timed out member:
/// <https://discord.com/developers/docs/topics/permissions#permissions-for-timed-out-members>.
const TIMED_OUT: Permissions = Permissions::VIEW_CHANNEL.union(Permissions::READ_MESSAGE_HISTORY);

/// Removes permissions that depend on a missing one.
fn implied(granted: Permissions, kind: ChannelKind) -> Permissions {
    if !granted.contains(Permissions::VIEW_CHANNEL) {
        return Permissions::empty();
    }
    let mut granted = granted;
    if !kind.is_voice() && !granted.contains(Permissions::SEND_MESSAGES) && !kind.is_thread() {
        granted -= Permissions::MENTION_EVERYONE
            | Permissions::SEND_TTS_MESSAGES
            | Permissions::ATTACH_FILES
            | Permissions::EMBED_LINKS;
    }
    if kind.is_voice() && !granted.contains(Permissions::CONNECT) {
        granted &= Permissions::VIEW_CHANNEL | Permissions::READ_MESSAGE_HISTORY;
    }
    granted
}

fn is_timed_out(member: &Member, now: Timestamp) -> bool {
    member.communication_disabled_until.is_some_and(|until| until > now)
}

/// A member's roles, @everyone among them; ids of deleted roles are skipped.
fn roles_of<'a>(guild: &'a Guild, member: &'a Member) -> impl Iterator<Item = &'a Role> {
    guild
        .roles
        .get(&guild.id)
        .into_iter()
        .chain(member.roles.iter().filter_map(|id| guild.roles.get(id)))
}

/// The member's highest role. Equal positions rank the lower id above.
#[must_use]
pub fn highest_role(guild: &Guild, user: Id) -> Option<&Role> {
    let member = guild.members.get(&user)?;
    roles_of(guild, member).max_by_key(|role| role.rank())
}

/// Whether `user` ranks strictly above this role. The owner ranks above all.
#[must_use]
pub fn is_above_role(guild: &Guild, user: Id, role: &Role) -> bool {
    guild.owner_id == user
        || highest_role(guild, user).is_some_and(|highest| highest.rank().cmp(&role.rank()) == Ordering::Greater)
}

/// Whether `user` ranks strictly above another member. No member ranks above the owner.
#[must_use]
pub fn is_above_member(guild: &Guild, user: Id, other: Id) -> bool {
    if guild.owner_id == other {
        return false;
    }
    if guild.owner_id == user {
        return true;
    }
    match (highest_role(guild, user), highest_role(guild, other)) {
        (Some(own), Some(theirs)) => own.rank() > theirs.rank(),
        (Some(_), None) => true,
        (None, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Overwrite;

    const GUILD: Id = Id(100);
    const OWNER: Id = Id(1);
    const BOT: Id = Id(2);
    const MEMBER: Id = Id(3);
    const NOW: Timestamp = Timestamp(1_000);

    fn role(guild: &mut Guild, id: u64, position: i64, permissions: Permissions) {
        let role = Role {
            position,
            permissions,
            ..Role::named(Id(id), "role")
        };
        guild.roles.insert(role.id, role);
    }

    fn guild() -> Guild {
        let mut guild = Guild::named(GUILD, "Sietch", OWNER, Timestamp(0));
        role(&mut guild, 10, 5, Permissions::MANAGE_ROLES);
        role(&mut guild, 11, 5, Permissions::KICK_MEMBERS);
        role(&mut guild, 12, 4, Permissions::empty());
        for (user, roles) in [(OWNER, vec![]), (BOT, vec![Id(10)]), (MEMBER, vec![Id(12)])] {
            guild.members.insert(
                user,
                Member {
                    roles,
                    ..Member::joined(user, Timestamp(0))
                },
            );
        }
        guild
    }

    fn channel(overwrites: Vec<Overwrite>) -> Channel {
        Channel {
            permission_overwrites: overwrites,
            ..Channel::named(Id(50), GUILD, ChannelKind::Text, "hall")
        }
    }

    fn overwrite(id: Id, kind: OverwriteKind, allow: Permissions, deny: Permissions) -> Overwrite {
        Overwrite { id, kind, allow, deny }
    }

    #[test]
    fn the_owner_and_administrators_may_all() {
        let mut guild = guild();
        let hidden = channel(vec![overwrite(
            GUILD,
            OverwriteKind::Role,
            Permissions::empty(),
            Permissions::VIEW_CHANNEL,
        )]);
        assert!(in_channel(&guild, &hidden, OWNER, NOW).contains(Permissions::VIEW_CHANNEL));
        assert!(in_channel(&guild, &hidden, BOT, NOW).is_empty());
        guild.roles.get_mut(&Id(10)).unwrap().permissions = Permissions::ADMINISTRATOR;
        assert_eq!(in_channel(&guild, &hidden, BOT, NOW), Permissions::all());
    }

    #[test]
    fn overwrites_apply_in_order() {
        let guild = guild();
        let (send, view) = (Permissions::SEND_MESSAGES, Permissions::VIEW_CHANNEL);
        let none = Permissions::empty();
        // @everyone denies, a role allows.
        let open = channel(vec![
            overwrite(GUILD, OverwriteKind::Role, none, send | view),
            overwrite(Id(12), OverwriteKind::Role, send | view, none),
        ]);
        assert!(in_channel(&guild, &open, MEMBER, NOW).contains(send));
        // Among roles allow takes precedence over deny, whatever their rank; the member's own overwrite takes precedence over
        // roles.
        let mixed = channel(vec![
            overwrite(Id(12), OverwriteKind::Role, send, none),
            overwrite(MEMBER, OverwriteKind::Member, none, send),
        ]);
        assert!(!in_channel(&guild, &mixed, MEMBER, NOW).contains(send));
        // Without SEND_MESSAGES, MENTION_EVERYONE and ATTACH_FILES are removed too.
        assert!(!in_channel(&guild, &mixed, MEMBER, NOW).contains(Permissions::ATTACH_FILES));
    }

    #[test]
    fn a_thread_takes_its_channels_overwrites() {
        let mut guild = guild();
        let hidden = channel(vec![overwrite(
            GUILD,
            OverwriteKind::Role,
            Permissions::empty(),
            Permissions::VIEW_CHANNEL,
        )]);
        guild.channels.insert(hidden.id, hidden);
        let thread = Channel {
            parent_id: Some(Id(50)),
            ..Channel::named(Id(51), GUILD, ChannelKind::PublicThread, "talk")
        };
        assert!(in_channel(&guild, &thread, MEMBER, NOW).is_empty());
    }

    #[test]
    fn equal_positions_rank_the_lower_id_above() {
        let guild = guild();
        assert!(is_above_role(&guild, BOT, &guild.roles[&Id(11)]));
        assert!(!is_above_role(&guild, BOT, &guild.roles[&Id(10)]));
        assert!(is_above_role(&guild, OWNER, &guild.roles[&Id(10)]));
    }

    #[test]
    fn no_member_is_above_the_owner_or_an_equal() {
        let mut guild = guild();
        assert!(is_above_member(&guild, BOT, MEMBER));
        assert!(!is_above_member(&guild, BOT, OWNER));
        guild.members.get_mut(&MEMBER).unwrap().roles.push(Id(10));
        assert!(!is_above_member(&guild, BOT, MEMBER));
        assert!(is_above_member(&guild, OWNER, BOT));
    }

    #[test]
    fn a_timed_out_member_only_reads() {
        let mut guild = guild();
        guild.members.get_mut(&MEMBER).unwrap().communication_disabled_until = Some(Timestamp(2_000));
        let hall = channel(Vec::new());
        assert_eq!(in_channel(&guild, &hall, MEMBER, NOW), TIMED_OUT);
        assert!(in_channel(&guild, &hall, MEMBER, Timestamp(2_001)).contains(Permissions::SEND_MESSAGES));
    }
}
