//! Bulk change of channel positions and categories.
//! <https://discord.com/developers/docs/resources/guild#modify-guild-channel-positions>

use std::collections::BTreeMap;

use http::Method;

use super::channels::{check_parent, sort_of};
use crate::{
    model::{Channel, Guild, Id, Permissions},
    rest::{
        call::{AccessChecks, Call, RouteResponse},
        errors::{ApiError, ApiResult, ErrorCode},
        limits::BucketClass,
        route::{Route, bot},
        validate::{
            channel::{ChannelPosition, read_position},
            form::{FormField, Length, read_list},
        },
    },
    world::State,
};

/// Routes of this file.
pub(super) const ROUTES: &[Route] = &[bot(
    &Method::PATCH,
    "/guilds/{guild_id}/channels",
    BucketClass::EditChannelPositions,
    move_channels,
)];

fn move_channels(call: &Call) -> ApiResult<RouteResponse> {
    let id = call.id("guild_id")?;
    let entries = read_list(call.json()?, Length::up_to(500), read_position)?;
    call.app.world.write(|state| {
        let guild = state.guild_with(id, Permissions::MANAGE_CHANNELS)?;
        for entry in &entries {
            check_move(state, guild, entry)?;
        }
        let changed = moved(guild, &entries)?;
        state.move_channels(id, changed, &call.cause());
        Ok(RouteResponse::NoContent)
    })
}

/// Positions need `MANAGE_CHANNELS` in the server alone, so that a channel that the bot cannot view can be moved too. Another
/// category needs it in the channel and in the category, and taking over the category's overwrites needs `MANAGE_ROLES`.
fn check_move(state: &State, guild: &Guild, entry: &ChannelPosition) -> ApiResult<()> {
    let channel = guild.channels.get(&Id(entry.id)).ok_or(ErrorCode::UnknownChannel)?;
    let parent = entry.parent_id.clone().map(Id).or_keep(channel.parent_id);
    if parent == channel.parent_id {
        return Ok(());
    }
    state.channel_with(channel.id, Permissions::MANAGE_CHANNELS)?;
    if let Some(parent) = parent.filter(|parent| guild.channels.contains_key(parent)) {
        state.channel_with(parent, Permissions::MANAGE_CHANNELS)?;
    }
    if entry.lock_permissions {
        state.channel_with(channel.id, Permissions::MANAGE_ROLES)?;
    }
    Ok(())
}

/// The changed channels, with positions numbered from 0 by type and category.
fn moved(guild: &Guild, entries: &[ChannelPosition]) -> ApiResult<Vec<Channel>> {
    let mut channels: BTreeMap<Id, Channel> = guild
        .channels
        .values()
        .filter(|channel| !channel.kind.is_thread())
        .map(|channel| (channel.id, channel.clone()))
        .collect();
    let mut new_parents = 0;
    for entry in entries {
        let channel = channels.get_mut(&Id(entry.id)).ok_or(ErrorCode::UnknownChannel)?;
        if let FormField::Value(position) = entry.position {
            channel.position = position;
        }
        let parent = entry.parent_id.clone().map(Id).or_keep(channel.parent_id);
        if parent != channel.parent_id {
            new_parents += 1;
            if let Some(parent) = parent {
                if sort_of(channel.kind) == 2 {
                    return Err(ApiError::field(
                        "parent_id",
                        "CHANNEL_PARENT_INVALID_TYPE",
                        "Categories cannot have subcategories",
                    ));
                }
                check_parent(guild, parent, Some(channel.id))?;
            }
            channel.parent_id = parent;
        }
        if entry.lock_permissions
            && let Some(category) = channel.parent_id.and_then(|parent| guild.channels.get(&parent))
        {
            channel
                .permission_overwrites
                .clone_from(&category.permission_overwrites);
        }
    }
    if new_parents > 1 {
        return Err(ErrorCode::TooManyParentChanges.into());
    }
    renumber(&mut channels);
    Ok(channels
        .into_values()
        .filter(|channel| guild.channels.get(&channel.id) != Some(channel))
        .collect())
}

/// Positions without gaps; of equal positions the lower id is first.
fn renumber(channels: &mut BTreeMap<Id, Channel>) {
    let mut order: Vec<(Option<Id>, u8, i64, Id)> = channels
        .values()
        .map(|channel| (channel.parent_id, sort_of(channel.kind), channel.position, channel.id))
        .collect();
    order.sort_unstable();
    let mut place = None;
    let mut next = 0;
    for (parent, sort, _, id) in order {
        if place != Some((parent, sort)) {
            place = Some((parent, sort));
            next = 0;
        }
        if let Some(channel) = channels.get_mut(&id) {
            channel.position = next;
        }
        next += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ChannelKind, Timestamp};

    fn guild() -> Guild {
        let mut guild = Guild::named(Id(1), "g", Id(9), Timestamp(0));
        for (id, kind, position, parent) in [
            (10, ChannelKind::Category, 0, None),
            (11, ChannelKind::Category, 1, None),
            (20, ChannelKind::Text, 0, Some(10)),
            (21, ChannelKind::Text, 1, Some(10)),
            (22, ChannelKind::Voice, 0, Some(10)),
        ] {
            let mut channel = Channel::named(Id(id), Id(1), kind, "c");
            channel.position = position;
            channel.parent_id = parent.map(Id);
            guild.channels.insert(channel.id, channel);
        }
        guild
    }

    fn entry(id: u64, position: Option<i64>, parent: FormField<u64>) -> ChannelPosition {
        let position = position.map_or(FormField::Absent, FormField::Value);
        ChannelPosition {
            id,
            position,
            lock_permissions: false,
            parent_id: parent,
        }
    }

    #[test]
    fn positions_come_back_without_gaps_per_sort_and_category() {
        let moved = moved(&guild(), &[entry(20, Some(7), FormField::Absent)]).unwrap();
        let positions: Vec<(u64, i64)> = moved.iter().map(|channel| (channel.id.0, channel.position)).collect();
        assert_eq!(positions, [(20, 1), (21, 0)]);
    }

    #[test]
    fn one_channel_may_change_its_category() {
        let to = || FormField::Value(11);
        assert_eq!(
            moved(&guild(), &[entry(20, None, to()), entry(21, None, to())])
                .unwrap_err()
                .code,
            40009
        );
        let one = moved(
            &guild(),
            &[entry(20, None, to()), entry(21, None, FormField::Value(10))],
        )
        .unwrap();
        assert_eq!(one[0].parent_id, Some(Id(11)));
        assert_eq!(
            moved(&guild(), &[entry(99, Some(1), FormField::Absent)])
                .unwrap_err()
                .code,
            10003
        );
        assert_eq!(
            moved(&guild(), &[entry(20, None, FormField::Value(22))])
                .unwrap_err()
                .code,
            50035
        );
    }
}
