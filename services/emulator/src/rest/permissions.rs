//! Refusals of a call for missing permissions. The permissions of a member are computed by `world::permissions`.

use super::errors::{ApiResult, ErrorCode};
use crate::model::{Channel, Guild, Id, Permissions, Timestamp};
pub use crate::world::permissions::{
    everyone_sees, highest_role, in_channel, in_guild, is_above_member, is_above_role,
};

/// Refuses when the member lacks `needed` in the server.
///
/// # Errors
/// 50013.
pub fn require_in_guild(guild: &Guild, user: Id, needed: Permissions, now: Timestamp) -> ApiResult<()> {
    if in_guild(guild, user, now).contains(needed) {
        Ok(())
    } else {
        Err(ErrorCode::MissingPermissions.into())
    }
}

/// Refuses when the member cannot view the channel, or lacks `needed` in it.
///
/// # Errors
/// 50001 without `VIEW_CHANNEL`, 50013 without another needed permission.
pub fn require_in_channel(
    guild: &Guild,
    channel: &Channel,
    user: Id,
    needed: Permissions,
    now: Timestamp,
) -> ApiResult<Permissions> {
    let granted = in_channel(guild, channel, user, now);
    if !granted.contains(Permissions::VIEW_CHANNEL) {
        return Err(ErrorCode::MissingAccess.into());
    }
    if granted.contains(needed) {
        Ok(granted)
    } else {
        Err(ErrorCode::MissingPermissions.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ChannelKind, Member, Overwrite, OverwriteKind};

    const GUILD: Id = Id(100);
    const MEMBER: Id = Id(3);
    const NOW: Timestamp = Timestamp(1_000);

    fn code(overwrites: Vec<Overwrite>) -> u32 {
        let mut guild = Guild::named(GUILD, "Sietch", Id(1), Timestamp(0));
        guild.members.insert(MEMBER, Member::joined(MEMBER, Timestamp(0)));
        let hall = Channel {
            permission_overwrites: overwrites,
            ..Channel::named(Id(50), GUILD, ChannelKind::Text, "hall")
        };
        require_in_channel(&guild, &hall, MEMBER, Permissions::MANAGE_MESSAGES, NOW)
            .unwrap_err()
            .code
    }

    #[test]
    fn hidden_channel_is_missing_access_and_visible_channel_is_missing_permissions() {
        assert_eq!(code(Vec::new()), 50013);
        let hidden = Overwrite {
            id: GUILD,
            kind: OverwriteKind::Role,
            allow: Permissions::empty(),
            deny: Permissions::VIEW_CHANNEL,
        };
        assert_eq!(code(vec![hidden]), 50001);
    }
}
