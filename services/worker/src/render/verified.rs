//! What follows a verified wallet: tier and rank, the offer of the waitlist, or what is missing. It takes the place of the reply to
//! `/verify start`.

use arrakis_domain::{Address, EntryThreshold, Standing, Zone, Zones};
use twilight_model::channel::message::component::ButtonStyle;
use twilight_model::channel::message::{Component, Embed};

use super::suspended::{self, Suspended};
use super::{RenderContext, buttons, full_field, next_step, standing, text, verify};

/// What happened to the member's roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleChanges {
    /// All are as the rules want them.
    Made,
    /// The community is frozen.
    Frozen,
    /// Some could not be changed: deleted, or above the bot's own.
    Incomplete,
}

/// A verified wallet with its consequences.
#[derive(Debug, Clone, Copy)]
pub struct VerifiedView {
    /// The wallet.
    pub address: Address,
    /// The member's primary wallet, which counts.
    pub primary: Option<Address>,
    /// Rank and holding of the primary wallet.
    pub standing: Standing,
    /// The holding that entry requires.
    pub entry: EntryThreshold,
    /// Whether the member is on the waitlist.
    pub waitlisted: bool,
    /// The suspension of the member's identity; `None` without one.
    pub suspended: Option<Suspended>,
    /// What happened to the roles.
    pub roles: RoleChanges,
}

/// Renders the result of a verification.
pub fn embed(context: &RenderContext<'_>, view: &VerifiedView) -> (Embed, Vec<Component>) {
    let title = &context.theme.words.verify;
    let mut lead = vec![format!("✅ `{}` is linked to you.", view.address.short())];
    if let Some(primary) = view.primary.filter(|primary| *primary != view.address) {
        lead.push(format!(
            "It is a further wallet: your primary wallet `{}` counts here.",
            primary.short()
        ));
    }
    if let Some(suspended) = view.suspended {
        lead.push(suspended.text());
        let embed = context.embed(title, context.theme.accent, &lead);
        return (embed.field(next_step(suspended::NEXT)).build(), Vec::new());
    }
    lead.push(standing::lead(context, view.standing));
    let tier = context.ladder.tier_of(view.standing);
    let mut embed = context
        .embed(title, context.theme.color_of(tier), &lead)
        .field(standing::missing_field(context, view.standing, view.entry));
    if let Some(note) = role_note(view.roles) {
        embed = embed.field(full_field("Roles", note));
    }
    let offers_waitlist = offers_waitlist(view);
    if offers_waitlist {
        let list = text::list_name(&context.theme.words.waitlist);
        let offer = format!("You are next in line for a place. The button below puts you on the {list}.");
        embed = embed.field(full_field("Waitlist", &offer));
    }
    let embed = embed.field(next_step(next_text(view))).build();
    let components = if offers_waitlist {
        vec![buttons::button(
            "Join the waitlist",
            format!("{}:{}", verify::NAME, verify::WAITLIST),
            ButtonStyle::Primary,
        )]
    } else {
        Vec::new()
    };
    (embed, buttons::rows(components))
}

/// Renders that another account holds the wallet and was asked.
pub fn awaiting_consent(context: &RenderContext<'_>, address: Address, end: time::OffsetDateTime) -> Embed {
    let lead = format!(
        "`{}` is linked to another account. That account was asked to give it up and can answer until {}.",
        address.short(),
        text::time(end)
    );
    context
        .embed_without_ranking(&context.theme.words.verify, context.theme.accent, &[lead])
        .field(next_step(
            "This message changes once it has agreed. Without an answer nothing changes.",
        ))
        .build()
}

/// Renders that the holder of the wallet did not agree.
pub fn refused(context: &RenderContext<'_>, address: Address) -> Embed {
    let lead = format!(
        "The account that holds `{}` did not agree to give it up.",
        address.short()
    );
    context
        .embed_without_ranking(&context.theme.words.verify, context.theme.accent, &[lead])
        .field(next_step(
            "`/verify start` links another wallet. If the wallet is yours alone, ask the admins.",
        ))
        .build()
}

fn offers_waitlist(view: &VerifiedView) -> bool {
    !view.waitlisted && Zones::STANDARD.zone_of(view.standing.rank) == Zone::Waitlist
}

const fn role_note(roles: RoleChanges) -> Option<&'static str> {
    match roles {
        RoleChanges::Made => None,
        RoleChanges::Frozen => Some("Role changes are paused in this server; yours follow when the pause ends."),
        RoleChanges::Incomplete => Some("A role could not be changed. The admins of this server see the reason."),
    }
}

fn next_text(view: &VerifiedView) -> &'static str {
    match Zones::STANDARD.zone_of(view.standing.rank) {
        Zone::Council | Zone::Eligible => "`/position` shows your neighbours, `/profile` your badges.",
        Zone::Waitlist => "`/threshold` shows what entry takes now, `/position` your distance to it.",
        Zone::Outside => {
            "`/threshold` shows what entry takes now. A holding counts from the next reading of the chain on; `/stats` shows the \
             last one."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{SYNCED, address, balance, context, standing, theme};
    use super::*;

    fn view(standing: Standing) -> VerifiedView {
        VerifiedView {
            address: address(1),
            primary: Some(address(1)),
            standing,
            entry: EntryThreshold::Holding {
                balance: balance("1234.5"),
            },
            waitlisted: false,
            suspended: None,
            roles: RoleChanges::Made,
        }
    }

    fn rendered(view: &VerifiedView) -> [(Embed, Vec<Component>); 2] {
        ["sietch", "basic"].map(|id| {
            let theme = theme(id);
            embed(&context(&theme), view)
        })
    }

    #[test]
    fn tier_and_rank() {
        insta::assert_json_snapshot!(rendered(&view(standing(8, "4321.5"))));
    }

    #[test]
    fn offer_of_the_waitlist() {
        let [(_, sietch), _] = rendered(&view(standing(71, "1200")));
        assert_eq!(sietch.len(), 1);
        insta::assert_json_snapshot!(rendered(&view(standing(71, "1200"))));
        let waitlisted = VerifiedView {
            waitlisted: true,
            ..view(standing(71, "1200"))
        };
        assert!(rendered(&waitlisted).iter().all(|(_, buttons)| buttons.is_empty()));
    }

    #[test]
    fn what_is_missing() {
        let unranked = VerifiedView {
            roles: RoleChanges::Incomplete,
            ..view(standing(0, "0"))
        };
        insta::assert_json_snapshot!(rendered(&unranked));
    }

    #[test]
    fn further_wallet_of_a_suspended_member() {
        let suspended = VerifiedView {
            primary: Some(address(2)),
            suspended: Some(Suspended { until: None }),
            roles: RoleChanges::Frozen,
            ..view(standing(0, "0"))
        };
        insta::assert_json_snapshot!(rendered(&suspended));
    }

    #[test]
    fn move_of_a_wallet() {
        let themes = ["sietch", "basic"].map(theme);
        let texts = themes.each_ref().map(|theme| {
            let context = context(theme);
            (
                awaiting_consent(&context, address(1), SYNCED),
                refused(&context, address(1)),
            )
        });
        insta::assert_json_snapshot!(texts);
    }
}
