//! Checks of limits of the whole configuration, and warnings.

use std::collections::BTreeMap;

use crate::kinds::Draft;
use crate::model::limits::{MAX_CHANNELS, MAX_IN_CATEGORY, MAX_ROLES};
use crate::model::{Address, Attributes, Clearable, Kind, Reference, RulePart, Server};
use crate::yaml::reader::Reader;

pub(super) fn check(draft: &mut Draft, reader: &mut Reader<'_>) {
    count_roles(draft, reader);
    count_channels(draft, reader);
    check_community(draft, reader);
    warn_of_same_names(draft, reader);
}

fn count_roles(draft: &Draft, reader: &mut Reader<'_>) {
    let roles: Vec<&Address> = draft
        .resources
        .keys()
        .filter(|address| address.kind() == Kind::Role && !address.is_everyone())
        .collect();
    // @everyone counts, also if it is not managed.
    if let Some(over) = roles.get(MAX_ROLES - 1) {
        let reason = format!(
            "{} roles; a server has at most {} besides @everyone",
            roles.len(),
            MAX_ROLES - 1
        );
        reader.break_rule_of(draft.mark(over), over, &[RulePart::Creation], reason);
    }
}

fn count_channels(draft: &Draft, reader: &mut Reader<'_>) {
    let mut total = 0;
    let mut in_category: BTreeMap<&Reference, usize> = BTreeMap::new();
    for (address, attributes) in &draft.resources {
        let (Attributes::Category(channel) | Attributes::Channel(channel)) = attributes else {
            continue;
        };
        total += 1;
        if total == MAX_CHANNELS + 1 {
            let reason = format!("more than {MAX_CHANNELS} categories and channels; a server has no more");
            reader.break_rule_of(draft.mark(address), address, &[RulePart::Creation], reason);
        }
        let Some(category) = channel.category.as_ref().and_then(Clearable::value) else {
            continue;
        };
        let count = in_category.entry(category).or_default();
        *count += 1;
        if *count == MAX_IN_CATEGORY + 1 {
            let reason = format!("more than {MAX_IN_CATEGORY} channels in `{category}`; a category has no more");
            let part = RulePart::Attribute("category".to_owned());
            reader.break_rule_of(draft.mark(address), address, &[part], reason);
        }
    }
}

/// Reports resources that require a community server on a server that is not one.
fn check_community(draft: &Draft, reader: &mut Reader<'_>) {
    let Some(Attributes::Server(Server {
        community: Some(false), ..
    })) = draft.resources.get(&Address::SERVER)
    else {
        return;
    };
    for (address, attributes) in &draft.resources {
        let needs = match attributes {
            Attributes::Channel(channel) => channel.kind.needs_community(),
            Attributes::WelcomeScreen(_) | Attributes::Onboarding(_) => true,
            _ => false,
        };
        if needs {
            reader.break_rule_of(
                draft.mark(address),
                address,
                &[RulePart::Creation],
                format!("`{address}` requires a community server, and `server.community` is false"),
            );
        }
    }
}

/// Discord allows equal names; people who read them are left to guess.
fn warn_of_same_names(draft: &mut Draft, reader: &Reader<'_>) {
    let mut seen: BTreeMap<(Kind, Option<&Reference>, &str), &Address> = BTreeMap::new();
    let mut warnings = Vec::new();
    for (address, attributes) in &draft.resources {
        let parent = match attributes {
            Attributes::Channel(channel) => channel.category.as_ref().and_then(Clearable::value),
            Attributes::Role(_) | Attributes::Category(_) => None,
            _ => continue,
        };
        let Some(name) = attributes.name() else { continue };
        if let Some(before) = seen.insert((address.kind(), parent, name), address) {
            let reason = format!("`{address}` and `{before}` have the same name, `{name}`");
            warnings.push(reader.source.problem(draft.mark(address), reason));
        }
    }
    draft.warnings.extend(warnings);
}
