//! `/admin-migrate`: the preview of an import of members, its result, and its undoing.

use std::collections::BTreeMap;

use arrakis_db::{TierImport, TierImportCounts};
use arrakis_domain::TierId;
use time::{Duration, OffsetDateTime};
use twilight_model::channel::message::component::ButtonStyle;
use twilight_model::channel::message::{Component, Embed};

use super::{RenderContext, admin_roles, buttons, full_field, next_step, text};

/// The command's name, the first segment of the custom ids of its components.
pub const NAME: &str = "admin-migrate";
/// Argument of the button that applies an import; the next argument is its id.
pub const APPLY: &str = "apply";
/// Argument of the button that changes nothing.
pub const KEEP: &str = "keep";
/// Argument of the button that shows the progress; the next argument is the import's id.
pub const PROGRESS: &str = "progress";
/// Argument of the button that takes an import back; the next argument is its id.
pub const UNDO: &str = "undo";

/// Renders what an import would do, with the button that applies it.
pub fn preview(
    context: &RenderContext<'_>,
    import: &TierImport,
    counts: &TierImportCounts,
    now: OffsetDateTime,
) -> (Embed, Vec<Component>) {
    let until = now + Duration::days(i64::from(import.days));
    let members = text::count(counts.fitting, "member", "members");
    let lead = [
        format!("{}: {}.", text::name(&import.source), listed(import)),
        format!(
            "{members} would have the tier until they verify a wallet, at the longest until {}. Then the rules decide.",
            text::date(until)
        ),
    ];
    let mut embed = context
        .embed_without_ranking("Migrate these members?", context.theme.accent, &lead)
        .field(full_field(
            "By tier",
            &text::lines(&by_tier(context, import), text::FIELD),
        ));
    let left_out = left_out(counts);
    if !left_out.is_empty() {
        embed = embed.field(full_field("Left out", &text::lines(&left_out, text::FIELD)));
    }
    let keep = buttons::button("Change nothing", format!("{NAME}:{KEEP}"), ButtonStyle::Secondary);
    let (next, choices) = if counts.fitting == 0 {
        ("No listed member can be migrated; nothing changes.", Vec::new())
    } else {
        let apply = format!("{NAME}:{APPLY}:{}", import.id);
        let apply = buttons::button(format!("Migrate {members}"), apply, ButtonStyle::Danger);
        ("Nothing changes before you press the first button.", vec![apply, keep])
    };
    (embed.field(next_step(next)).build(), buttons::rows(choices))
}

fn listed(import: &TierImport) -> String {
    let listed = u32::try_from(import.members.len()).unwrap_or(u32::MAX);
    format!("{} listed", text::count(listed, "user", "users"))
}

fn by_tier(context: &RenderContext<'_>, import: &TierImport) -> Vec<String> {
    let mut numbers: BTreeMap<&TierId, u32> = BTreeMap::new();
    for (_, tier) in &import.members {
        *numbers.entry(tier).or_default() += 1;
    }
    let tiers = context.theme.tiers.iter();
    tiers
        .filter_map(|tier| {
            let number = numbers.get(&tier.id)?;
            Some(format!("{} **{}** {}", tier.emoji, tier.name, text::grouped(*number)))
        })
        .collect()
}

/// Who does not get a tier, and why.
fn left_out(counts: &TierImportCounts) -> Vec<String> {
    [
        (counts.verified, "with a verified wallet: the rules decide"),
        (counts.protected, "protected"),
        (counts.imported, "with a tier of another migration"),
        (counts.unknown, "not known as members here"),
    ]
    .into_iter()
    .filter(|(number, _)| *number > 0)
    .map(|(number, why)| format!("{} {why}", text::grouped(number)))
    .collect()
}

/// Renders that an import is applied to this number of members; the roles follow.
pub fn applied(context: &RenderContext<'_>, import: &TierImport, members: usize) -> (Embed, Vec<Component>) {
    let members = text::count(u32::try_from(members).unwrap_or(u32::MAX), "member has", "members have");
    let lead = format!(
        "{members} a tier of this migration, until they verify a wallet, at the longest for {}.",
        text::count(u32::from(import.days), "day", "days")
    );
    let embed = context
        .embed_without_ranking("Members migrated", context.theme.accent, &[lead])
        .field(full_field("Undo", &format!(
            "The file names who has which tier. The button below takes all of them back; so does `/admin-migrate undo:{}`.",
            import.id
        )))
        .field(full_field("Recorded", "In the audit log, with your name."))
        .field(next_step("A job changes the members' roles. Ask them to verify: `/verify start`."))
        .build();
    let progress = admin_roles::progress_button(format!("{NAME}:{PROGRESS}:{}", import.id));
    let undo = buttons::button("Undo", format!("{NAME}:{UNDO}:{}", import.id), ButtonStyle::Danger);
    (embed, buttons::rows(vec![progress, undo]))
}

/// Renders the question whether an import is taken back.
pub fn undo_preview(context: &RenderContext<'_>, import: &TierImport) -> (Embed, Vec<Component>) {
    let members = u32::try_from(import.members.len()).unwrap_or(u32::MAX);
    let lead = format!(
        "{} of the migration {} would lose the tiers that it gave.",
        text::count(members, "member", "members"),
        import.id
    );
    let embed = context
        .embed_without_ranking("Undo this migration?", context.theme.accent, &[lead])
        .field(full_field("Where they came from", &text::name(&import.source)))
        .field(next_step("Nothing is changed before you press Undo."))
        .build();
    let undo = buttons::button("Undo", format!("{NAME}:{UNDO}:{}", import.id), ButtonStyle::Danger);
    (embed, buttons::rows(vec![undo]))
}

/// Renders that an import is taken back.
pub fn undone(context: &RenderContext<'_>) -> Embed {
    let lead = "The tiers of this migration are taken back.".to_owned();
    context
        .embed_without_ranking("Migration undone", context.theme.accent, &[lead])
        .field(next_step("A job changes the members' roles within minutes."))
        .build()
}

/// Renders that nothing was changed.
pub fn kept(context: &RenderContext<'_>) -> Embed {
    context
        .embed_without_ranking(
            "Nothing was changed",
            context.theme.accent,
            &["No member was migrated.".to_owned()],
        )
        .field(next_step("Run `/admin-migrate` again for another preview."))
        .build()
}

#[cfg(test)]
mod tests {
    use arrakis_db::{TierImportState, UserId};

    use super::super::samples::{SYNCED, context, theme};
    use super::*;

    fn import() -> TierImport {
        let member = |id: u64, tier: &str| (UserId::new(id).unwrap(), TierId::new(tier).unwrap());
        TierImport {
            id: 9,
            state: TierImportState::Previewed,
            source: "The role Hol_der".to_owned(),
            days: 14,
            members: vec![member(1, "usul"), member(2, "usul"), member(3, "hajra")],
            created_by: UserId::new(7).unwrap(),
        }
    }

    #[test]
    fn preview_states_counts_and_conflicts() {
        let theme = theme("sietch");
        let counts = TierImportCounts {
            fitting: 1,
            verified: 2,
            ..TierImportCounts::default()
        };
        let (embed, rows) = preview(&context(&theme), &import(), &counts, SYNCED);
        let description = embed.description.unwrap();
        assert!(
            description.starts_with(r"The role Hol\_der: 3 users listed."),
            "{description}"
        );
        assert!(description.contains("1 member would have the tier"), "{description}");
        assert!(embed.fields[0].value.contains("**Usul** 2\n"), "{:?}", embed.fields);
        assert_eq!(embed.fields[1].value, "2 with a verified wallet: the rules decide");
        let json = serde_json::to_value(rows).unwrap();
        assert_eq!(json[0]["components"][0]["custom_id"], "admin-migrate:apply:9");
    }

    #[test]
    fn preview_without_a_fitting_member_has_no_button() {
        let theme = theme("sietch");
        let (_, rows) = preview(&context(&theme), &import(), &TierImportCounts::default(), SYNCED);
        assert!(rows.is_empty());
    }
}
