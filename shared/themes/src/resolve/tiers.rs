//! `tiers.yaml`: tiers and their rules by rule set.

use std::collections::BTreeMap;

use arrakis_domain::{Ladder, RuleSetId, Rung, Tier, TierId, TierRule};
use serde_saphyr::{Location, Spanned};

use super::reader::Reader;
use crate::document::{RuleEntry, TierEntry, Tiers};

pub(crate) struct Resolved {
    pub(crate) tiers: Vec<Tier>,
    pub(crate) rule_sets: BTreeMap<RuleSetId, Ladder>,
    pub(crate) default_rules: RuleSetId,
}

pub(crate) fn read(document: &Tiers, reader: &mut Reader<'_>) -> Option<Resolved> {
    let mut rule_sets: Vec<RuleSetId> = Vec::new();
    for name in &document.rule_sets {
        if let Some(id) = reader.unique(name, "rule set", rule_sets.iter().cloned()) {
            rule_sets.push(id);
        }
    }
    let names: Vec<&str> = document.rule_sets.iter().map(|name| name.value.as_str()).collect();
    if names.is_empty() {
        reader.refuse_file("`rule_sets` is empty; a theme needs at least one");
    }
    let default_rules = reader.reference(&document.default_rules, "rule set", &names);

    let mut tiers: Vec<Tier> = Vec::new();
    for entry in &document.tiers {
        check_rule_names(entry, &names, reader);
        let tier = Tier {
            id: match reader.unique(&entry.id, "tier", tiers.iter().map(|tier| tier.id.clone())) {
                Some(id) => id,
                None => continue,
            },
            name: reader.name(&entry.name),
            emoji: reader.name(&entry.emoji),
            color: reader.color(&entry.color),
            description: reader.sentence(&entry.description),
        };
        tiers.push(tier);
    }
    let ladders = rule_sets
        .into_iter()
        .filter_map(|rules| read_ladder(rules, &document.tiers, reader))
        .collect();
    Some(Resolved {
        tiers,
        rule_sets: ladders,
        default_rules: default_rules?,
    })
}

fn check_rule_names(entry: &TierEntry, rule_sets: &[&str], reader: &mut Reader<'_>) {
    for (name, rule) in &entry.rules.value {
        if !rule_sets.contains(&name.as_str()) {
            let reason = format!("there is no rule set `{name}`");
            reader.refuse_near(rule.referenced, reason, name, rule_sets.iter().copied());
        }
    }
    for name in rule_sets.iter().filter(|name| !entry.rules.value.contains_key(**name)) {
        let reason = format!("the tier `{}` has no rule in the rule set `{name}`", entry.id.value);
        reader.refuse(entry.rules.referenced, reason);
    }
}

/// The ladder of one rule set over all tiers. A ladder with an invalid rung is not checked further.
fn read_ladder(rules: RuleSetId, tiers: &[TierEntry], reader: &mut Reader<'_>) -> Option<(RuleSetId, Ladder)> {
    let before = reader.problems.len();
    let mut locations: Vec<Location> = Vec::new();
    let mut rungs: Vec<Rung> = Vec::new();
    for entry in tiers {
        let Some(written) = entry.rules.value.get(rules.as_str()) else {
            continue;
        };
        let rule = read_rule(written, reader);
        if let (Some(rule), Ok(tier)) = (rule, TierId::new(entry.id.value.clone())) {
            // A repeated tier is reported where its id is read.
            if !rungs.iter().any(|rung| rung.tier == tier) {
                locations.push(written.referenced);
                rungs.push(Rung { tier, rule });
            }
        }
    }
    if reader.problems.len() > before {
        return None;
    }
    match Ladder::new(rungs) {
        Ok(ladder) => Some((rules, ladder)),
        Err(error) => {
            let reason = format!("rule set `{rules}`: {error}");
            match error.rung().and_then(|rung| locations.get(rung)) {
                Some(location) => reader.refuse(*location, reason),
                None => reader.refuse_file(reason),
            }
            None
        }
    }
}

fn read_rule(entry: &Spanned<RuleEntry>, reader: &mut Reader<'_>) -> Option<TierRule> {
    let before = reader.problems.len();
    let ranks = entry.value.ranks.as_ref().and_then(|text| reader.parse(text));
    let minimum = entry.value.minimum.as_ref().and_then(|text| reader.parse(text));
    if reader.problems.len() > before {
        return None;
    }
    match TierRule::new(ranks, minimum) {
        Ok(rule) => Some(rule),
        Err(error) => {
            reader.refuse(entry.referenced, error.to_string());
            None
        }
    }
}
