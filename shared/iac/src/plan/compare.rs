//! Compares wanted attributes with live ones.

use crate::model::Attributes;

/// Names of the managed attributes of `wanted` that differ in `found`, in display order.
pub(super) fn differing_fields(wanted: &Attributes, found: &Attributes) -> Vec<String> {
    let mut narrowed = found.restricted_to(wanted);
    if let (Some(image), Some(own)) = (wanted.image(), narrowed.image_mut())
        && own.as_ref().is_some_and(|own| own.is_same(image))
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

/// The attributes with names as Discord stores them. Applied to both sides of a comparison.
pub(super) fn normalised(mut attributes: Attributes) -> Attributes {
    if let Some(stored) = attributes.stored_name()
        && let Some(name) = attributes.name_mut()
    {
        *name = stored;
    }
    attributes
}

/// Live attributes, with images from the state: Discord does not return images.
pub(super) fn with_recorded_images(mut live: Attributes, recorded: &Attributes) -> Attributes {
    if let Some(image) = live.image_mut().filter(|image| image.is_none()) {
        *image = recorded.image().cloned();
    }
    live
}
