//! Comparing attributes: what is wanted with what is.

use crate::model::{Attributes, AutomodRule, Channel, Emoji, Image, Sticker, stored_name};

/// Names of the managed attributes of `wanted` that differ in `found`, in the order in which people are told of them.
pub(super) fn differing_fields(wanted: &Attributes, found: &Attributes) -> Vec<String> {
    let mut narrowed = found.narrowed_to(wanted);
    if let (Some(image), Some(own)) = (wanted.image(), narrowed.image_mut())
        && own.as_ref().is_some_and(|own| is_same_image(own, image))
    {
        *own = Some(image.clone());
    }
    if narrowed == *wanted {
        return Vec::new();
    }
    let (wanted_map, found_map) = (wanted.to_map(), narrowed.to_map());
    let fields = wanted
        .fields()
        .iter()
        .filter(|field| wanted_map.get(**field) != found_map.get(**field));
    fields.map(|field| (*field).to_owned()).collect()
}

/// As Discord would store it: names normalised. Both sides of a comparison go through this.
pub(super) fn normalised(mut attributes: Attributes) -> Attributes {
    if let Some(stored) = stored_name(&attributes)
        && let Some(name) = attributes.name_mut()
    {
        *name = stored;
    }
    attributes
}

/// What is live, with what Discord never tells of filled in from what is recorded: pictures.
pub(super) fn filled(mut live: Attributes, recorded: &Attributes) -> Attributes {
    if let Some(image) = live.image_mut().filter(|image| image.is_none()) {
        *image = recorded.image().cloned();
    }
    live
}

/// Whether two files are the same image: by digest where both are known, else by path. The digest of a file that cannot be
/// read is unknown.
fn is_same_image(one: &Image, other: &Image) -> bool {
    match (&one.sha256, &other.sha256) {
        (Some(one), Some(other)) => one == other,
        _ => one.path == other.path,
    }
}

/// Whether an image takes the place of another one.
fn other_picture(one: Option<&Image>, other: Option<&Image>) -> bool {
    one.zip(other).is_some_and(|(one, other)| !is_same_image(one, other))
}

/// Names of the attributes that Discord cannot change in place, so that the resource must be made anew.
pub(super) fn forces_replacement(before: &Attributes, after: &Attributes) -> Vec<String> {
    let field: Option<&str> = match (before, after) {
        (Attributes::Channel(Channel { kind: before, .. }), Attributes::Channel(Channel { kind: after, .. })) => {
            (before != after && !before.converts_to(*after)).then_some("kind")
        }
        (Attributes::Emoji(Emoji { image: before, .. }), Attributes::Emoji(Emoji { image: after, .. }))
        | (Attributes::Sticker(Sticker { image: before, .. }), Attributes::Sticker(Sticker { image: after, .. })) => {
            other_picture(before.as_ref(), after.as_ref()).then_some("image")
        }
        (
            Attributes::Automod(AutomodRule {
                trigger: Some(before), ..
            }),
            Attributes::Automod(AutomodRule {
                trigger: Some(after), ..
            }),
        ) => (std::mem::discriminant(before) != std::mem::discriminant(after)).then_some("trigger"),
        _ => None,
    };
    field.into_iter().map(str::to_owned).collect()
}
