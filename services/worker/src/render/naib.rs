//! `/naib`: the seats of the council, those who held one before, and the member's own seat.

use arrakis_db::{FormerHolder, Seat, UserId};
use arrakis_domain::{Rank, RoleRule, TierId};
use twilight_model::channel::message::component::ButtonStyle;
use twilight_model::channel::message::{Component, Embed};

use super::suspended::{self, Suspended};
use super::{RenderContext, buttons, full_field, next_step, text};

/// Name of the command, and first segment of its custom ids.
pub const NAME: &str = "naib";
/// Argument of the button by which a member takes the role of the seat.
pub const TAKE: &str = "take";

/// The seat of the member who ran the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnSeat {
    /// No seat.
    None,
    /// A seat, and its role.
    RoleHeld(Rank),
    /// A seat without its role, which can be assigned.
    RoleMissing(Rank),
    /// A seat without its role; rules do not change this member's roles.
    Protected(Rank),
    /// A seat whose role is not bound to a role of the server.
    RoleUnbound(Rank),
    /// A seat that no role comes with.
    WithoutRole(Rank),
    /// A seat of a suspended member.
    Suspended(Suspended),
}

/// The council.
#[derive(Debug, Clone, Copy)]
pub struct CouncilView<'a> {
    /// Its seats, best rank first.
    pub seats: &'a [Seat],
    /// The members who held a seat before.
    pub former: &'a [FormerHolder],
    /// The last rank with a seat.
    pub last_seat: Rank,
    /// The tier whose role comes with a seat.
    pub tier: Option<&'a TierId>,
    /// The member who ran the command.
    pub author: UserId,
    /// That member's seat.
    pub own: OwnSeat,
}

/// Renders the council, with the button by which the member takes the role.
pub fn council(context: &RenderContext<'_>, view: &CouncilView<'_>) -> (Embed, Vec<Component>) {
    let words = &context.theme.words;
    let held = view.seats.iter().filter(|seat| seat.holder.is_some()).count();
    let summary = format!(
        "**{held} of {} seats** are held by {} of this server. A seat belongs to each of the first {} ranks.",
        view.last_seat, words.members, view.last_seat
    );
    let seats: Vec<String> = (1..=view.last_seat.get())
        .map(|rank| seat_text(context, view, rank))
        .collect();
    let embed = context
        .embed(
            &text::capitalized(&words.council),
            context.theme.color_of(view.tier),
            &[summary, seats.join("\n")],
        )
        .field(full_field(&former_title(context, view.tier), &former(view.former)))
        .field(full_field("You", &own_text(context, view.tier, view.own)))
        .field(next_step(next_step_text(view.own)))
        .build();
    let take = matches!(view.own, OwnSeat::RoleMissing(_)).then(|| {
        let label = format!("Take the role {}", role_name(context, view.tier));
        buttons::button(
            text::truncate(&label, 80),
            format!("{NAME}:{TAKE}"),
            ButtonStyle::Success,
        )
    });
    (embed, buttons::rows(take.into_iter().collect()))
}

/// Renders that the role follows.
pub fn taken(context: &RenderContext<'_>, tier: Option<&TierId>, rank: Rank) -> Embed {
    let role = role_name(context, tier);
    let lead = format!("Seat {rank} is yours. The role **{role}** follows within seconds.");
    context
        .embed(
            &text::capitalized(&context.theme.words.council),
            context.theme.color_of(tier),
            &[lead],
        )
        .field(next_step(
            "`/naib` shows the council. If the role is missing in a minute, ask an admin to look at `/admin-stats`.",
        ))
        .build()
}

/// The sentence about the member's own seat.
pub fn own_text(context: &RenderContext<'_>, tier: Option<&TierId>, own: OwnSeat) -> String {
    let role = role_name(context, tier);
    match own {
        OwnSeat::None => "You have no seat.".to_owned(),
        OwnSeat::RoleHeld(rank) => format!("Seat {rank} is yours, and you have the role **{role}**."),
        OwnSeat::RoleMissing(rank) => format!("Seat {rank} is yours, and the role **{role}** is missing."),
        OwnSeat::Protected(rank) => {
            format!("Seat {rank} is yours. Your roles are set by hand here, so **{role}** is not assigned by itself.")
        }
        OwnSeat::RoleUnbound(rank) => {
            format!("Seat {rank} is yours. The role **{role}** does not exist in this server any more.")
        }
        OwnSeat::WithoutRole(rank) => format!("Seat {rank} is yours; no role comes with it."),
        OwnSeat::Suspended(suspended) => suspended.text(),
    }
}

fn seat_text(context: &RenderContext<'_>, view: &CouncilView<'_>, rank: u32) -> String {
    let Some(seat) = view.seats.iter().find(|seat| seat.rank.get() == rank) else {
        return format!("`{rank}.` free: no wallet holds this rank");
    };
    let held = text::held(seat.held, context.symbol);
    let holder = match &seat.holder {
        None => "a wallet of no member here".to_owned(),
        Some(holder) if holder.user == view.author => format!("➤ **{}** (you)", text::name(&holder.display_name)),
        Some(holder) if holder.hidden => format!("a {} who hides", context.theme.words.member),
        Some(holder) => format!("**{}**", text::name(&holder.display_name)),
    };
    format!("`{rank}.` {holder} · {held}")
}

/// The name of the role that comes with a seat.
fn role_name(context: &RenderContext<'_>, tier: Option<&TierId>) -> String {
    let role = tier.and_then(|tier| context.theme.role_of_tier(tier));
    role.map_or_else(|| context.theme.words.council.clone(), |role| role.name.clone())
}

/// The name of the theme's role for former holders, or else of the tier.
fn former_title(context: &RenderContext<'_>, tier: Option<&TierId>) -> String {
    let Some(tier) = tier else {
        return "Held a seat before".to_owned();
    };
    let is_former = |rule: &RoleRule| matches!(rule, RoleRule::FormerHolder(once) if once == tier);
    let role = context.theme.roles.iter().find(|role| is_former(&role.given_to));
    role.map_or_else(
        || {
            format!(
                "Held {} before",
                context
                    .theme
                    .tier(tier)
                    .map_or(tier.as_str(), |tier| tier.name.as_str())
            )
        },
        |role| role.name.clone(),
    )
}

fn former(former: &[FormerHolder]) -> String {
    if former.is_empty() {
        return "Nobody yet.".to_owned();
    }
    let line = |former: &FormerHolder| {
        let name = text::name(&former.display_name);
        format!("**{name}** · first reached {}", text::date(former.reached_at))
    };
    text::lines(&former.iter().map(line).collect::<Vec<_>>(), text::FIELD)
}

const fn next_step_text(own: OwnSeat) -> &'static str {
    match own {
        OwnSeat::None => "`/position` shows how far it is to a seat, `/leaderboard` who is ahead.",
        OwnSeat::RoleMissing(_) => "The button below gives you the role.",
        OwnSeat::RoleHeld(_) | OwnSeat::WithoutRole(_) => "`/position` shows who is next above and below you.",
        OwnSeat::Protected(_) | OwnSeat::RoleUnbound(_) => "Ask an admin of this server for the role.",
        OwnSeat::Suspended(_) => suspended::NEXT,
    }
}

#[cfg(test)]
mod tests {
    use arrakis_db::SeatHolder;
    use time::macros::datetime;

    use super::super::samples::{balance, context, theme};
    use super::*;

    fn user(id: u64) -> UserId {
        UserId::new(id).unwrap()
    }

    fn seat(rank: u32, holder: Option<(u64, &str, bool)>) -> Seat {
        Seat {
            rank: Rank::new(rank).unwrap(),
            held: balance("9000"),
            holder: holder.map(|(id, name, hidden)| SeatHolder {
                user: user(id),
                display_name: name.to_owned(),
                hidden,
            }),
        }
    }

    fn rendered(theme_id: &str, tier: &str, own: OwnSeat) -> (Embed, Vec<Component>) {
        let theme = theme(theme_id);
        let seats = [
            seat(1, Some((1, "stil_gar", false))),
            seat(2, None),
            seat(3, Some((3, "liet", true))),
            seat(4, Some((4, "chani", true))),
        ];
        let former = [FormerHolder {
            user: user(9),
            display_name: "jamis".to_owned(),
            reached_at: datetime!(2026-02-01 08:00:00 UTC),
        }];
        let tier = TierId::new(tier).unwrap();
        let view = CouncilView {
            seats: &seats,
            former: &former,
            last_seat: Rank::new(7).unwrap(),
            tier: Some(&tier),
            author: user(4),
            own,
        };
        council(&context(&theme), &view)
    }

    #[test]
    fn seats_name_members_who_do_not_hide() {
        let (embed, rows) = rendered("sietch", "naib", OwnSeat::RoleMissing(Rank::new(4).unwrap()));
        assert_eq!(embed.title.as_deref(), Some("Naib council"));
        let description = embed.description.unwrap();
        assert!(description.starts_with("**3 of 7 seats** are held by sietch dwellers of this server."));
        for line in [
            "`1.` **stil\\_gar** · 9,000 BGT",
            "`2.` a wallet of no member here · 9,000 BGT",
            "`3.` a sietch dweller who hides · 9,000 BGT",
            "`4.` ➤ **chani** (you) · 9,000 BGT",
            "`5.` free: no wallet holds this rank",
        ] {
            assert!(description.contains(line), "{line}: {description}");
        }
        assert!(!description.contains("liet"), "{description}");
        assert_eq!(embed.fields[0].name, "Former Naib");
        assert_eq!(embed.fields[0].value, "**jamis** · first reached <t:1769932800:D>");
        assert!(serde_json::to_string(&rows).unwrap().contains("Take the role Naib"));
    }

    #[test]
    fn role_is_offered_only_where_it_is_missing() {
        let rank = Rank::new(4).unwrap();
        for own in [
            OwnSeat::None,
            OwnSeat::RoleHeld(rank),
            OwnSeat::Protected(rank),
            OwnSeat::RoleUnbound(rank),
            OwnSeat::WithoutRole(rank),
            OwnSeat::Suspended(Suspended { until: None }),
        ] {
            let (embed, rows) = rendered("basic", "gold", own);
            assert!(rows.is_empty(), "{own:?}");
            assert_eq!(embed.title.as_deref(), Some("Council"));
            assert_eq!(embed.fields[0].name, "Held Gold before");
        }
    }
}
