//! Values that Discord stores differently from what was sent: a name that it rewrites, a permission bit that it ignores.
//!
//! Apply compares each response with what it sent ([`compare`]) and records what differs. While the configuration has
//! the same value and the server stores the same other one, a plan does not send the value again: it reports the difference
//! ([`accept`]). After a change on either side, or `apply --refresh-only`, the value is sent again.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::compare::{normalised, with_recorded_images};
use super::known::ManagedResource;
use super::tags;
use crate::grammar::visible_difference;
use crate::live::AddressIndex;
use crate::model::{Address, Attributes, Overwrite, Overwrites, Target};

/// Values in Discord's response that differ from those that were sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlteredValues {
    /// The attributes as Discord stores them, which the state records.
    pub attributes: Attributes,
    /// The values that were sent, by key: the name of an attribute, or `overwrites.TARGET` for one overwrite. `null`
    /// for an absent value.
    pub requested: BTreeMap<String, Value>,
}

/// The key of an overwrite in [`AlteredValues::requested`].
#[must_use]
pub fn overwrite_key(target: &Target) -> String {
    format!("overwrites.{target}")
}

/// Compares the attributes that were sent (references by address) with those in the response (references by id). `fields` are the
/// names of the attributes that were sent; `None` for all.
#[must_use]
pub fn compare(
    requested: &Attributes,
    fields: Option<&[String]>,
    answered: &Attributes,
    names: &AddressIndex,
) -> AlteredValues {
    let mut requested = normalised(requested.clone());
    let found = with_recorded_images(normalised(names.with_addresses(answered)), &requested);
    tags::copy_ids(&mut requested, &found);
    let (mut kept, wanted, found_map) = (requested.to_map(), requested.to_map(), found.to_map());
    let mut altered = BTreeMap::new();
    // A response has neither images nor roles of the bot.
    let image = requested.kind().image();
    for (field, value) in &wanted {
        let was_sent = fields.is_none_or(|fields| fields.contains(field));
        let is_image = image.is_some_and(|image| image.field == field);
        let is_told = found_map.contains_key(field) && field != "given_to_bot" && !is_image;
        if field == "overwrites" || !was_sent || !is_told || found_map.get(field) == Some(value) {
            continue;
        }
        kept.insert(field.clone(), found_map[field].clone());
        altered.insert(field.clone(), tags::without_ids(field, value));
    }
    let mut attributes = requested.with_map(kept);
    if fields.is_none_or(|fields| fields.iter().any(|field| field == "overwrites"))
        && let (Some(wanted), Some(found)) = (requested.overwrites(), found.overwrites())
    {
        altered.extend(altered_overwrites(wanted, found, |_| true));
        set_overwrites(&mut attributes, found.clone());
    }
    AlteredValues {
        attributes,
        requested: altered,
    }
}

/// Compares the recorded overwrites of `targets` (all targets when `None`) with those on the server.
#[must_use]
pub fn compare_overwrites(
    recorded: &Attributes,
    targets: Option<&BTreeSet<Target>>,
    found: &Attributes,
    names: &AddressIndex,
) -> AlteredValues {
    let found = names.with_addresses(found);
    let mut altered = AlteredValues {
        attributes: recorded.clone(),
        requested: BTreeMap::new(),
    };
    if let (Some(wanted), Some(found)) = (recorded.overwrites(), found.overwrites()) {
        let is_requested = |target: &Target| targets.is_none_or(|targets| targets.contains(target));
        altered.requested = altered_overwrites(wanted, found, is_requested);
        let mut kept = wanted.clone();
        for target in wanted.keys().chain(found.keys()).filter(|target| is_requested(target)) {
            put(&mut kept, target, found.get(target));
        }
        set_overwrites(&mut altered.attributes, kept);
    }
    altered
}

fn altered_overwrites(
    wanted: &Overwrites,
    found: &Overwrites,
    is_requested: impl Fn(&Target) -> bool,
) -> BTreeMap<String, Value> {
    let targets: BTreeSet<&Target> = wanted.keys().chain(found.keys()).collect();
    let differing = targets
        .into_iter()
        .filter(|target| is_requested(target) && wanted.get(*target) != found.get(*target));
    differing
        .map(|target| (overwrite_key(target), as_value(wanted.get(target))))
        .collect()
}

/// Replaces values in `wanted` by those that Discord is known to store instead. Returns a note for each.
pub(super) fn accept(address: &Address, wanted: &mut Attributes, known: &ManagedResource) -> Vec<String> {
    let (Some(live), Some(recorded)) = (&known.live, &known.recorded) else {
        return Vec::new();
    };
    let mut notes = Vec::new();
    let (live_map, recorded_map) = (live.to_map(), recorded.to_map());
    for (key, requested) in &known.altered {
        let shown = match key.strip_prefix("overwrites.") {
            Some(target) => accept_overwrite(wanted, target, requested, live, recorded),
            None => {
                let mut map = wanted.to_map();
                let kept = live_map.get(key);
                let wanted_now = map.get(key).map(|value| tags::without_ids(key, value));
                if wanted_now.as_ref() != Some(requested) || kept != recorded_map.get(key) {
                    continue;
                }
                kept.map(|kept| {
                    map.insert(key.clone(), kept.clone());
                    *wanted = wanted.with_map(map);
                    tags::without_ids(key, kept)
                })
            }
        };
        // Equal values need no note.
        if let Some((requested, kept)) =
            shown.and_then(|kept| visible_difference(&requested.to_string(), &kept.to_string()))
        {
            notes.push(format!(
                "{address}: `{key}` was sent as {requested}, and Discord stores {kept}. It is not sent again. Write the stored value \
                 into the configuration, or run `gaib server apply --refresh-only` to have the next apply send it again"
            ));
        }
    }
    notes
}

fn accept_overwrite(
    wanted: &mut Attributes,
    target: &str,
    asked: &Value,
    live: &Attributes,
    recorded: &Attributes,
) -> Option<Value> {
    let target: Target = target.parse().ok()?;
    let kept = live.overwrites()?.get(&target);
    if kept != recorded.overwrites()?.get(&target) {
        return None;
    }
    let mut overwrites = wanted.overwrites()?.clone();
    if as_value(overwrites.get(&target)) != *asked {
        return None;
    }
    put(&mut overwrites, &target, kept);
    set_overwrites(wanted, overwrites);
    Some(as_value(kept))
}

fn as_value(overwrite: Option<&Overwrite>) -> Value {
    // A plain struct: serde_json cannot fail on it.
    serde_json::to_value(overwrite).unwrap_or_default()
}

fn put(overwrites: &mut Overwrites, target: &Target, overwrite: Option<&Overwrite>) {
    match overwrite {
        Some(overwrite) => overwrites.insert(target.clone(), *overwrite),
        None => overwrites.remove(target),
    };
}

fn set_overwrites(attributes: &mut Attributes, now: Overwrites) {
    if let Some(channel) = attributes.channel_mut() {
        channel.overwrites = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Channel, Snowflake};

    fn channel(name: &str) -> Attributes {
        Attributes::Channel(Channel {
            name: Some(name.to_owned()),
            ..Channel::default()
        })
    }

    /// Notes of a channel that was requested as `requested` and stored as `kept`.
    fn notes(asked: &str, kept: &str) -> Vec<String> {
        let known = ManagedResource {
            id: Snowflake::new(7).unwrap(),
            recorded: Some(channel(kept)),
            live: Some(channel(kept)),
            adopted: None,
            altered: BTreeMap::from([("name".to_owned(), Value::from(asked))]),
            held: false,
        };
        let mut wanted = channel(asked);
        let notes = accept(&"channel.lobby".parse().unwrap(), &mut wanted, &known);
        assert_eq!(wanted, channel(kept), "it is not sent again");
        notes
    }

    #[test]
    fn note_makes_an_invisible_difference_visible() {
        let hidden = notes("lob\u{200b}by", "lobby");
        let shown = "sent as \"lob\\u{200b}by\", and Discord stores \"lobby\"";
        assert!(hidden.len() == 1 && hidden[0].contains(shown), "{hidden:?}");
        let plain = notes("lobby!", "lobby");
        assert!(
            plain[0].contains("sent as \"lobby!\", and Discord stores \"lobby\""),
            "{plain:?}"
        );
    }

    #[test]
    fn equal_values_have_no_note() {
        assert_eq!(notes("lobby", "lobby"), Vec::<String>::new());
    }
}
