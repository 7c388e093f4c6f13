//! `/naib`: the seats of the council, those who held one, and the role that comes with a seat.
//!
//! The role is assigned by a tier sync, as every role. The button enqueues one for a member who has a seat and lacks the role (it was
//! removed by hand, or an earlier sync could not assign it). A second run of one press finds the job and sends the same reply.

use arrakis_db::{FormerHolder, Seat, UserId};
use arrakis_domain::{Balance, Rank, Role, RoleBindings, Standing, TierId, Zones};
use twilight_model::id::Id;
use twilight_model::id::marker::RoleMarker;

use super::register_waitlist::refuse_frozen;
use super::{Command, CommandContext, Definition, outdated_component, suspension};
use crate::community::{Community, user_id};
use crate::interaction::refusal::Refusal;
use crate::interaction::reply::{CommandError, CommandResult, Reply, message};
use crate::jobs::tier_sync;
use crate::render::naib::{self, CouncilView, NAME, OwnSeat, TAKE};
use crate::render::suspended::Suspended;

/// Most former holders that are listed.
const MAX_FORMER: u32 = 15;

/// The command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Naib;

/// What is read for a reply.
struct Council {
    seats: Vec<Seat>,
    former: Vec<FormerHolder>,
    suspended: Option<Suspended>,
    bindings: RoleBindings,
    protected: bool,
}

impl Command for Naib {
    fn definition(&self) -> Definition {
        Definition::new(
            NAME,
            "The council: its seats, who held one before, and the role that comes with a seat",
        )
    }

    async fn run(&self, context: &CommandContext<'_>) -> CommandResult {
        let community = context.community()?;
        let tier = council_tier(community)?;
        let author = user_id(context.invocation.author.id)?;
        let council = read(context, tier, author).await?;
        let own = own_seat(context, &council, tier, author)?;
        let view = CouncilView {
            seats: &council.seats,
            former: &council.former,
            last_seat: Zones::STANDARD.council,
            tier,
            author,
            own,
        };
        let (embed, buttons) = naib::council(&context.render_context()?, &view);
        Ok(Reply::Message(message(embed, buttons)))
    }

    async fn component(&self, context: &CommandContext<'_>, arguments: &[&str]) -> CommandResult {
        match arguments {
            [TAKE] => take(context).await,
            _ => Err(outdated_component().into()),
        }
    }
}

/// The tier of the first rank, whose role comes with a seat; `None` in a theme without a tier that a rank gives.
fn council_tier(community: &Community) -> Result<Option<&TierId>, CommandError> {
    Ok(community
        .ladder()?
        .tier_of(Standing::new(Some(Rank::FIRST), Balance::ZERO)))
}

/// The role of the tier.
fn role_of<'a>(community: &'a Community, tier: Option<&TierId>) -> Option<&'a Role> {
    community.theme.role_of_tier(tier?)
}

async fn read(context: &CommandContext<'_>, tier: Option<&TierId>, author: UserId) -> Result<Council, CommandError> {
    let token = &context.community()?.record.token_profile;
    let suspended = suspension::of_member(context, author).await?;
    let mut tx = context.tx().await?;
    let seats = tx.profiles().seats(token, Zones::STANDARD.council).await?;
    let mut former = match tier {
        Some(tier) => tx.profiles().former_holders(tier, MAX_FORMER).await?,
        None => Vec::new(),
    };
    // A seat that was taken a moment ago is not in the stored tier yet.
    former.retain(|former| holder_of(&seats, former.user).is_none());
    let bindings = tx.communities().role_bindings().await?;
    let profile = tx.profiles().by_user(author).await?;
    Ok(Council {
        seats,
        former,
        suspended,
        bindings,
        protected: profile.is_some_and(|profile| profile.protected),
    })
}

/// The seat of a member.
fn holder_of(seats: &[Seat], user: UserId) -> Option<&Seat> {
    let is_holder = |seat: &&Seat| seat.holder.as_ref().is_some_and(|holder| holder.user == user);
    seats.iter().find(is_holder)
}

/// The seat of the member who ran the command, and whether its role is there.
fn own_seat(
    context: &CommandContext<'_>,
    council: &Council,
    tier: Option<&TierId>,
    author: UserId,
) -> Result<OwnSeat, CommandError> {
    let community = context.community()?;
    let Some(seat) = holder_of(&council.seats, author) else {
        return Ok(OwnSeat::None);
    };
    if let Some(suspended) = council.suspended {
        return Ok(OwnSeat::Suspended(suspended));
    }
    let own_tier = community.ladder()?.tier_of(Standing::new(Some(seat.rank), seat.held));
    let Some(role) = role_of(community, tier).filter(|_| own_tier == tier) else {
        return Ok(OwnSeat::WithoutRole(seat.rank));
    };
    let bound = council.bindings.get(&role.key);
    let bound: Option<Id<RoleMarker>> = bound.and_then(|bound| Id::new_checked(bound.0));
    Ok(match bound {
        None => OwnSeat::RoleUnbound(seat.rank),
        Some(bound) if context.invocation.author.roles.contains(&bound) => OwnSeat::RoleHeld(seat.rank),
        Some(_) if council.protected => OwnSeat::Protected(seat.rank),
        Some(_) => OwnSeat::RoleMissing(seat.rank),
    })
}

/// Enqueues the tier sync that assigns the role.
async fn take(context: &CommandContext<'_>) -> CommandResult {
    let community = context.community()?;
    refuse_frozen(community)?;
    let tier = council_tier(community)?;
    let author = user_id(context.invocation.author.id)?;
    let council = read(context, tier, author).await?;
    let rank = match own_seat(context, &council, tier, author)? {
        OwnSeat::RoleMissing(rank) | OwnSeat::RoleHeld(rank) => rank,
        other => return Err(refusal(context, other)?.into()),
    };
    let member = context.invocation.author.id;
    let job = tier_sync::for_member(format!("tier-sync:naib:{}", context.invocation.id), member);
    {
        let mut tx = context.tx().await?;
        tx.jobs().enqueue(&job.row(context.services.now())).await?;
    }
    context.commit_and_publish(&job).await?;
    let embed = naib::taken(&context.render_context()?, tier, rank);
    Ok(Reply::Message(message(embed, Vec::new())))
}

/// Why the role is not given.
fn refusal(context: &CommandContext<'_>, seat: OwnSeat) -> Result<Refusal, CommandError> {
    let render = context.render_context()?;
    let next = match seat {
        OwnSeat::Suspended(suspended) => return Ok(suspension::refusal(suspended)),
        OwnSeat::None => "`/position` shows how far it is to a seat.",
        _ => "Ask an admin of this server.",
    };
    let tier = council_tier(context.community()?)?;
    Ok(Refusal::new(naib::own_text(&render, tier, seat), next))
}
