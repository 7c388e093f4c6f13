//! `/register-waitlist`: where the member is on the waitlist, and the buttons by which the member joins and leaves it.

use arrakis_domain::{EntryThreshold, Standing, Zone, Zones};
use time::OffsetDateTime;
use twilight_model::channel::message::component::ButtonStyle;
use twilight_model::channel::message::{Component, Embed};

use super::{RenderContext, buttons, next_step, standing, text};

/// Name of the command, and first segment of its custom ids.
pub const NAME: &str = "register-waitlist";
/// Argument of the button by which a member joins.
pub const JOIN: &str = "join";
/// Argument of the button by which a member leaves.
pub const LEAVE: &str = "leave";

/// A member on the waitlist.
#[derive(Debug, Clone, Copy)]
pub struct WaitlistView {
    /// When the member joined the list.
    pub since: OffsetDateTime,
    /// Rank and holding.
    pub standing: Standing,
    /// The holding that entry requires.
    pub entry: EntryThreshold,
}

/// Renders that the member is on the waitlist, with the button to leave it.
pub fn on_list(context: &RenderContext<'_>, view: &WaitlistView) -> (Embed, Vec<Component>) {
    let waitlist = &context.theme.words.waitlist;
    let mut lead = vec![
        format!(
            "You are on the {} since {}. Its role is assigned within seconds.",
            text::list_name(waitlist),
            text::date(view.since)
        ),
        standing::lead(context, view.standing),
    ];
    if Zones::STANDARD.zone_of(view.standing.rank) == Zone::Outside {
        lead.push("Your wallet has left the ranks of the list; you stay on it until you leave.".to_owned());
    }
    let embed = context
        .embed(&text::capitalized(waitlist), context.theme.accent, &lead)
        .field(standing::missing_field(context, view.standing, view.entry))
        .field(next_step(
            "You leave the list by yourself when you get a place. `/threshold` shows what entry takes now.",
        ))
        .build();
    (embed, button("Leave the waitlist", LEAVE))
}

/// Renders that the member is not on the waitlist any more, with the button to join it again.
pub fn left(context: &RenderContext<'_>) -> (Embed, Vec<Component>) {
    let waitlist = &context.theme.words.waitlist;
    let list = text::list_name(waitlist);
    let lead = format!("You are not on the {list} any more. Its role is removed within seconds.");
    let embed = context
        .embed_without_ranking(&text::capitalized(waitlist), context.theme.accent, &[lead])
        .field(next_step(
            "You can join again while your wallet is in its ranks; your time on it then begins anew.",
        ))
        .build();
    (embed, button("Join again", JOIN))
}

/// The sentences of the refusal of a member whose wallet is not in the waitlist zone.
pub fn not_in_zone(context: &RenderContext<'_>, is_linked: bool, standing: Standing) -> (String, String) {
    let list = text::list_name(&context.theme.words.waitlist);
    let (first, last) = (Zones::STANDARD.entry.get() + 1, Zones::STANDARD.waitlist);
    let ranks = format!("the {list} is for ranks {first} to {last}");
    if !is_linked {
        return (
            format!("No verified wallet is linked to you, and {ranks}."),
            text::LINK_A_WALLET.to_owned(),
        );
    }
    let Some(rank) = standing.rank else {
        return (
            format!("Your wallet is not ranked, and {ranks}."),
            "`/threshold` shows what the list and entry take now.".to_owned(),
        );
    };
    let rank = text::grouped(rank.get());
    if Zones::STANDARD.zone_of(standing.rank).is_eligible() {
        return (
            format!("You have a place already, at rank {rank}; {ranks}."),
            "`/position` shows who is next above and below you.".to_owned(),
        );
    }
    (
        format!("Your wallet is at rank {rank}, and {ranks}."),
        "`/position` shows how far it is, `/alerts` notifies you when you get there.".to_owned(),
    )
}

fn button(label: &str, argument: &str) -> Vec<Component> {
    let id = format!("{NAME}:{argument}");
    buttons::rows(vec![buttons::button(label, id, ButtonStyle::Secondary)])
}

#[cfg(test)]
mod tests {
    use super::super::samples::{SYNCED, balance, context, standing as place, theme};
    use super::*;

    fn view(rank: u32, held: &str) -> WaitlistView {
        WaitlistView {
            since: SYNCED,
            standing: place(rank, held),
            entry: EntryThreshold::Holding {
                balance: balance("1234.5"),
            },
        }
    }

    #[test]
    fn member_on_the_list_may_leave_it() {
        let theme = theme("sietch");
        let (embed, rows) = on_list(&context(&theme), &view(71, "1200"));
        assert_eq!(embed.title.as_deref(), Some("Taqwa"));
        let description = embed.description.unwrap();
        assert!(
            description.starts_with("You are on the Taqwa list since <t:1785585600:D>."),
            "{description}"
        );
        assert!(description.contains("**Rank 71**"), "{description}");
        assert!(!description.contains("has left the ranks"));
        assert!(
            embed.fields[0]
                .value
                .contains("Gain more than 34.5 BGT to get a place."),
            "{}",
            embed.fields[0].value
        );
        assert!(
            serde_json::to_string(&rows)
                .unwrap()
                .contains("register-waitlist:leave")
        );
        let (embed, _) = on_list(&context(&theme), &view(130, "900"));
        assert!(embed.description.unwrap().contains("has left the ranks of the list"));
    }

    #[test]
    fn member_who_left_may_join_again() {
        let theme = theme("basic");
        let (embed, rows) = left(&context(&theme));
        assert_eq!(embed.title.as_deref(), Some("Waitlist"));
        assert!(
            embed
                .description
                .unwrap()
                .starts_with("You are not on the waitlist any more.")
        );
        assert!(serde_json::to_string(&rows).unwrap().contains("register-waitlist:join"));
    }

    #[test]
    fn refusal_states_the_rank_and_the_ranks_of_the_list() {
        let theme = theme("sietch");
        let what = |is_linked, rank| not_in_zone(&context(&theme), is_linked, place(rank, "5")).0;
        assert_eq!(
            what(false, 0),
            "No verified wallet is linked to you, and the Taqwa list is for ranks 70 to 100."
        );
        assert_eq!(
            what(true, 0),
            "Your wallet is not ranked, and the Taqwa list is for ranks 70 to 100."
        );
        assert_eq!(
            what(true, 69),
            "You have a place already, at rank 69; the Taqwa list is for ranks 70 to 100."
        );
        assert_eq!(
            what(true, 1_234),
            "Your wallet is at rank 1,234, and the Taqwa list is for ranks 70 to 100."
        );
    }
}
