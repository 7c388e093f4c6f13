//! Tags of forums. Posts refer to a tag by its id, so a renamed tag keeps its id.
//!
//! A configuration has only names. [`identify`] assigns the tags of the server to the configured tags: by name; otherwise by
//! the name in the state; otherwise by its position among the assigned tags, where only one assignment is possible.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::document::Change;
use super::known::ManagedResource;
use crate::model::{Attributes, Snowflake, Tag};

/// The tags of a channel, where they are managed.
fn tags_of(attributes: Option<&Attributes>) -> Option<&Vec<Tag>> {
    match attributes? {
        Attributes::Channel(channel) => channel.tags.as_ref(),
        _ => None,
    }
}

fn tags_mut(attributes: &mut Attributes) -> Option<&mut Vec<Tag>> {
    match attributes {
        Attributes::Channel(channel) => channel.tags.as_mut(),
        _ => None,
    }
}

/// Gives wanted tags the ids of the server's.
pub(super) fn identify(wanted: &mut Attributes, known: &ManagedResource) {
    if let (Some(wanted), Some(live)) = (tags_mut(wanted), tags_of(known.live.as_ref())) {
        let recorded = tags_of(known.recorded.as_ref()).map_or(&[][..], Vec::as_slice);
        identify_tags(wanted, recorded, live);
    }
}

/// Gives recorded tags of which no id is known the ids of the server's tags of these names.
pub(super) fn fill_ids(recorded: &mut Attributes, live: Option<&Attributes>) {
    if let (Some(recorded), Some(live)) = (tags_mut(recorded), tags_of(live)) {
        by_name(recorded, live);
    }
}

/// Matches tags by name, each id once.
fn by_name(tags: &mut [Tag], live: &[Tag]) {
    let mut taken: BTreeSet<Snowflake> = tags.iter().filter_map(|tag| tag.id).collect();
    for tag in tags.iter_mut().filter(|tag| tag.id.is_none()) {
        let same = live
            .iter()
            .find(|found| found.name == tag.name && found.id.is_some_and(|id| !taken.contains(&id)));
        tag.id = same.and_then(|same| same.id);
        taken.extend(tag.id);
    }
}

fn identify_tags(wanted: &mut [Tag], recorded: &[Tag], live: &[Tag]) {
    by_name(wanted, live);
    let free = |wanted: &[Tag], id: Snowflake| {
        live.iter().any(|tag| tag.id == Some(id)) && wanted.iter().all(|tag| tag.id != Some(id))
    };
    for index in 0..wanted.len() {
        let known = recorded.iter().find(|tag| tag.name == wanted[index].name);
        if let Some(id) = known.and_then(|tag| tag.id)
            && wanted[index].id.is_none()
            && free(wanted, id)
        {
            wanted[index].id = Some(id);
        }
    }
    by_place(wanted, live);
}

/// Pairs what is left on both sides, when between two tags that were found there are equally many of each.
fn by_place(wanted: &mut [Tag], live: &[Tag]) {
    let found: BTreeSet<Snowflake> = wanted.iter().filter_map(|tag| tag.id).collect();
    let mut unmatched: BTreeMap<Option<Snowflake>, (Vec<usize>, Vec<Snowflake>)> = BTreeMap::new();
    let mut behind = None;
    for (index, tag) in wanted.iter().enumerate() {
        match tag.id {
            Some(id) => behind = Some(id),
            None => unmatched.entry(behind).or_default().0.push(index),
        }
    }
    behind = None;
    for id in live.iter().filter_map(|tag| tag.id) {
        if found.contains(&id) {
            behind = Some(id);
        } else {
            unmatched.entry(behind).or_default().1.push(id);
        }
    }
    let (mut indexes, mut ids) = (Vec::new(), Vec::new());
    for (mine, theirs) in unmatched.into_values() {
        if mine.len() == theirs.len() {
            mine.into_iter()
                .zip(theirs)
                .for_each(|(index, id)| wanted[index].id = Some(id));
        } else {
            indexes.extend(mine);
            ids.extend(theirs);
        }
    }
    if indexes.len() == ids.len() {
        indexes
            .into_iter()
            .zip(ids)
            .for_each(|(index, id)| wanted[index].id = Some(id));
    }
}

/// Copies the ids of new tags from a response.
pub(super) fn copy_ids(asked: &mut Attributes, answered: &Attributes) {
    if let (Some(asked), Some(answered)) = (tags_mut(asked), tags_of(Some(answered))) {
        by_name(asked, answered);
    }
}

/// The same value without ids, for a comparison of what a person wrote.
pub(super) fn without_ids(field: &str, value: &Value) -> Value {
    let mut value = value.clone();
    if field == "tags"
        && let Some(tags) = value.as_array_mut()
    {
        for tag in tags.iter_mut().filter_map(Value::as_object_mut) {
            tag.remove("id");
        }
    }
    value
}

/// Names of tags that a change removes: their posts lose them.
pub(crate) fn removed(change: &Change) -> Vec<&str> {
    let (Some(before), Some(after)) = (tags_of(change.before.as_ref()), tags_of(change.after.as_ref())) else {
        return Vec::new();
    };
    let gone = before
        .iter()
        .filter(|tag| tag.id.is_some() && after.iter().all(|kept| kept.id != tag.id));
    gone.map(|tag| tag.name.as_str()).collect()
}

/// A sentence for each change that renames or removes tags.
pub(super) fn notes(changes: &[Change]) -> Vec<String> {
    let mut notes = Vec::new();
    for change in changes {
        let (Some(before), Some(after)) = (tags_of(change.before.as_ref()), tags_of(change.after.as_ref())) else {
            continue;
        };
        for tag in after {
            let known = before.iter().find(|known| known.id.is_some() && known.id == tag.id);
            if let Some(known) = known.filter(|known| known.name != tag.name) {
                notes.push(format!(
                    "{}: the tag `{}` is renamed to `{}`; its posts keep the tag",
                    change.address, known.name, tag.name
                ));
            }
        }
        let removed = removed(change);
        if !removed.is_empty() {
            notes.push(format!(
                "{}: the tags `{}` are removed from the channel and its posts; to rename a tag, rename it in an \
                 apply without other changes of tags",
                change.address,
                removed.join("`, `")
            ));
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(name: &str, id: Option<u64>) -> Tag {
        Tag {
            id: id.and_then(Snowflake::new),
            name: name.to_owned(),
            moderated: false,
            emoji: None,
        }
    }

    fn live(names: &[&str]) -> Vec<Tag> {
        (1..).zip(names).map(|(id, name)| tag(name, Some(id))).collect()
    }

    #[track_caller]
    fn identified(wanted: &[&str], recorded: &[Tag], live: &[Tag], expected: &[Option<u64>]) {
        let mut tags: Vec<Tag> = wanted.iter().map(|name| tag(name, None)).collect();
        identify_tags(&mut tags, recorded, live);
        let ids: Vec<Option<u64>> = tags.iter().map(|tag| tag.id.map(Snowflake::get)).collect();
        assert_eq!(ids, expected, "{wanted:?} of {live:?}");
    }

    #[test]
    fn renamed_tags_keep_their_ids() {
        let abc = live(&["a", "b", "c"]);
        let cases: [(&[&str], &[Option<u64>]); 9] = [
            (&["a", "b", "c"], &[Some(1), Some(2), Some(3)]),
            (&["c", "a", "b"], &[Some(3), Some(1), Some(2)]),
            (&["a2", "b", "c"], &[Some(1), Some(2), Some(3)]),
            (&["a2", "b2", "c2"], &[Some(1), Some(2), Some(3)]),
            (&["a2", "b", "c", "d"], &[Some(1), Some(2), Some(3), None]),
            (&["a2", "b"], &[Some(1), Some(2)]),
            (&["b", "c2"], &[Some(2), Some(3)]),
            (&["c", "b", "a2"], &[Some(3), Some(2), Some(1)]),
            // Two tags match, so no id is assigned.
            (&["x", "c"], &[None, Some(3)]),
        ];
        for (wanted, expected) in cases {
            identified(wanted, &abc, &abc, expected);
        }
    }

    #[test]
    fn tag_renamed_outside_of_gaib_is_matched_by_recorded_id() {
        let recorded = live(&["a", "b"]);
        let by_hand = [tag("new", Some(9)), tag("renamed", Some(1)), tag("b", Some(2))];
        identified(&["a", "b"], &recorded, &by_hand, &[Some(1), Some(2)]);
    }
}
