//! A member's place in a few words, for replies about the verification of a wallet.

use arrakis_domain::{EntryThreshold, Standing};
use twilight_util::builder::embed::EmbedFieldBuilder;

use super::{RenderContext, full_field, position, text, threshold};

/// Rank, tier and zone.
pub(super) fn lead(context: &RenderContext<'_>, standing: Standing) -> String {
    let rank = match standing.rank {
        Some(rank) => format!("**Rank {}**", text::grouped(rank.get())),
        None => "**Not ranked**".to_owned(),
    };
    let tier = context.ladder.tier_of(standing);
    let tier = tier.map_or_else(|| "no tier yet".to_owned(), |tier| text::tier(context.theme, tier));
    format!("{rank} · {tier}\n{}", position::zone(context, standing.rank))
}

/// The distance to entry, and what is missing for the next tier.
pub(super) fn missing_field(
    context: &RenderContext<'_>,
    standing: Standing,
    entry: EntryThreshold,
) -> EmbedFieldBuilder {
    let distance = threshold::distance_text(context, entry, standing);
    let Some(progress) = context.ladder.progress(standing) else {
        return full_field("Holding", &distance);
    };
    let next = format!(
        "Next: {}, {}.",
        text::tier(context.theme, &progress.tier),
        position::missing_text(context, progress.missing)
    );
    full_field("Holding", &format!("{distance}\n{next}"))
}
