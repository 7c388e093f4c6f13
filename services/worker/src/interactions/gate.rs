//! Checks what the community permits before a command runs: the feature gates, for the command and for the parts of it that the interaction
//! uses; and, after a takeover, that an admin command comes from the admin who controls the community. Buttons, selects and modals of a
//! command are checked like the command; a component that does what another command does, also by the gates of that one.

use twilight_model::guild::Permissions;

use crate::commands::{CommandContext, Definition};
use crate::community::user_id;
use crate::interaction::refusal::Refusal;
use crate::interaction::reply::CommandError;
use crate::render::{admin_takeover, gates};

/// Refuses a member whose tier is below a gate of the command, and an admin while another one controls the community. Admins of the server
/// are not stopped by gates: they set them.
///
/// # Errors
/// The refusal, which names the tier; or a failure when the member's tier cannot be read.
pub(super) async fn check(context: &CommandContext<'_>, definition: &Definition) -> Result<(), CommandError> {
    let Some(community) = context.community else {
        return Ok(());
    };
    let author = &context.invocation.author;
    let controller = community
        .record
        .controlled_by
        .filter(|_| definition.permissions.is_some());
    if let Some(controller) = controller.filter(|controller| controller.get() != author.id.get()) {
        let since = community.record.frozen.as_ref().map(|frozen| frozen.at);
        let (what, next) = admin_takeover::controlled(controller.get(), since);
        return Err(Refusal::new(what, next).into());
    }
    let is_admin = author
        .permissions
        .intersects(Permissions::MANAGE_GUILD | Permissions::ADMINISTRATOR);
    let all = &community.record.gates;
    if all.is_empty() || is_admin {
        return Ok(());
    }
    let ladder = community.ladder()?;
    let data = &context.invocation.data;
    let mut used = definition.gated_parts_of(data);
    if let Some(other) = definition.command_of(data).and_then(|name| context.commands.get(name)) {
        used.extend(other.definition.gated_parts_of(data));
    }
    // The member is read only where a gate applies.
    if used.iter().all(|part| all.tier_of(part.key, ladder).is_none()) {
        return Ok(());
    }
    let user = user_id(author.id)?;
    let profile = {
        let mut tx = context.tx().await?;
        context.services.profile(&mut tx, community.id(), user).await?
    };
    let held = profile
        .filter(|profile| profile.left_at.is_none())
        .and_then(|profile| profile.tier);
    let missing = used
        .iter()
        .find_map(|part| Some((part, all.missing_tier(part.key, held.as_ref(), ladder)?)));
    missing.map_or(Ok(()), |(part, from)| {
        let refusal = gates::not_open(&community.theme, &part.label, from, held.as_ref());
        Err(Refusal::new(refusal.reason, refusal.next_step).into())
    })
}
