//! `roles.yaml`: roles, their permissions, and their rules.

use std::collections::BTreeMap;

use arrakis_domain::{FeatureFlag, Permission, Permissions, Role, RoleRule};
use serde_saphyr::Location;

use super::badges::LONGEST_TENURE_DAYS;
use super::known::Known;
use super::reader::Reader;
use crate::document::{GivenTo, RoleEntry, Roles, Text};

/// Discord's limit is 250 roles in a server, @everyone included.
const MAX_ROLES: usize = 249;

pub(crate) fn read(
    document: &Roles,
    known: &Known<'_>,
    flags: &BTreeMap<String, FeatureFlag>,
    reader: &mut Reader<'_>,
) -> Vec<Role> {
    let mut read: Vec<(Role, &RoleEntry)> = Vec::new();
    if document.roles.len() > MAX_ROLES {
        let reason = format!(
            "{} roles; a server has at most {MAX_ROLES} besides @everyone",
            document.roles.len()
        );
        reader.refuse_file(reason);
    }
    for entry in &document.roles {
        if let Some(role) = read_role(entry, known, &read, reader) {
            read.push((role, entry));
        }
    }
    check_tiers(&read, known, reader);
    let on = |entry: &RoleEntry| {
        entry
            .flag
            .as_ref()
            .is_none_or(|flag| flags.get(&flag.value).is_none_or(|flag| flag.enabled))
    };
    read.into_iter()
        .filter(|(_, entry)| on(entry))
        .map(|(role, _)| role)
        .collect()
}

fn read_role(
    entry: &RoleEntry,
    known: &Known<'_>,
    before: &[(Role, &RoleEntry)],
    reader: &mut Reader<'_>,
) -> Option<Role> {
    let key = reader.unique(&entry.id, "role", before.iter().map(|(role, _)| role.key.clone()));
    let name = reader.name(&entry.name);
    if let Some((other, _)) = before
        .iter()
        .find(|(other, _)| other.name.to_lowercase() == name.to_lowercase())
    {
        reader.refuse(
            entry.name.referenced,
            format!("the role `{}` has this name already", other.key),
        );
    }
    let color = reader.color(&entry.color);
    let hoist = reader.boolean(entry.hoist.as_ref());
    let mentionable = reader.boolean(entry.mentionable.as_ref());
    let position = u16::try_from(reader.number(&entry.position, 1..=1_000)).unwrap_or(1);
    if let Some((above, _)) = before.last().filter(|(above, _)| above.position <= position) {
        let reason = format!(
            "roles are listed from the highest to the lowest, and `{}` above this one has position {}",
            above.key, above.position
        );
        reader.refuse(entry.position.referenced, reason);
    }
    let permissions = read_permissions(&entry.permissions, reader);
    let given_to = read_rule(&entry.given_to, known, reader);
    check_flag(entry, known, reader);
    Some(Role {
        key: key?,
        name,
        color,
        hoist,
        mentionable,
        position,
        permissions,
        given_to: given_to?,
    })
}

fn read_permissions(names: &[Text], reader: &mut Reader<'_>) -> Permissions {
    let mut permissions = Permissions::NONE;
    for name in names {
        match name.value.parse::<Permission>() {
            Ok(permission) => permissions |= Permissions::of(&[permission]),
            Err(error) => {
                let known = Permission::ALL.iter().map(|permission| permission.name());
                reader.refuse_near(name.referenced, error.to_string(), &name.value, known);
            }
        }
    }
    permissions
}

fn read_rule(rule: &GivenTo, known: &Known<'_>, reader: &mut Reader<'_>) -> Option<RoleRule> {
    Some(match rule {
        GivenTo::Bot => RoleRule::Bot,
        GivenTo::ByHand => RoleRule::ByHand,
        GivenTo::Tier(tier) => RoleRule::Tier(reader.reference(tier, "tier", &known.tiers)?),
        GivenTo::Former(tier) => RoleRule::FormerHolder(reader.reference(tier, "tier", &known.tiers)?),
        GivenTo::Waitlist => RoleRule::Waitlist,
        GivenTo::Badge(badge) => RoleRule::Badge(reader.reference(badge, "badge", &known.badges)?),
        GivenTo::Badges(count) => {
            let most = u32::try_from(known.badges.len()).unwrap_or(u32::MAX).max(1);
            RoleRule::Badges {
                at_least: u16::try_from(reader.number(count, 1..=most)).unwrap_or(1),
            }
        }
        GivenTo::TenureDays(days) => RoleRule::Tenure {
            days: reader.number(days, 1..=LONGEST_TENURE_DAYS),
        },
    })
}

/// Refuses flags on the bot's role and on roles of tiers, which a theme requires.
fn check_flag(entry: &RoleEntry, known: &Known<'_>, reader: &mut Reader<'_>) {
    let Some(flag) = &entry.flag else { return };
    reader.reference::<String>(flag, "flag", &known.flags);
    if matches!(entry.given_to, GivenTo::Tier(_) | GivenTo::Bot) {
        reader.refuse(
            flag.referenced,
            "the bot's role and the roles of tiers cannot depend on a flag",
        );
    }
}

/// Checks that each tier has one role, that these roles are in the order of the tiers, and that the bot has at most one role.
fn check_tiers(read: &[(Role, &RoleEntry)], known: &Known<'_>, reader: &mut Reader<'_>) {
    let mut last: Option<(usize, &str)> = None;
    let mut seen: Vec<usize> = Vec::new();
    let mut bot: Option<Location> = None;
    for (_, entry) in read {
        match &entry.given_to {
            GivenTo::Tier(tier) => {
                let Some(index) = known.tiers.iter().position(|id| *id == tier.value) else {
                    continue;
                };
                if seen.contains(&index) {
                    reader.refuse(tier.referenced, format!("the tier `{}` has a role already", tier.value));
                } else if let Some((_, above)) = last.filter(|(above, _)| *above > index) {
                    let reason = format!(
                        "the role of `{}` must be above the role of `{above}`, as its tier is",
                        tier.value
                    );
                    reader.refuse(tier.referenced, reason);
                }
                seen.push(index);
                last = Some((index, &tier.value));
            }
            GivenTo::Bot if bot.is_some() => {
                reader.refuse(entry.id.referenced, "the bot has a role already");
            }
            GivenTo::Bot => bot = Some(entry.id.referenced),
            _ => {}
        }
    }
    // A role that was refused for another reason may be the missing one.
    if reader.problems.is_empty() {
        for (_, tier) in known
            .tiers
            .iter()
            .enumerate()
            .filter(|(index, _)| !seen.contains(index))
        {
            reader.refuse_file(format!(
                "the tier `{tier}` has no role; add one with `given_to: {{ tier: {tier} }}`"
            ));
        }
    }
}
