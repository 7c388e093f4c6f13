//! `defaults` and `unmanaged`: the meaning of absent attributes.

use std::collections::BTreeMap;

use crate::config::document::ServerFile;
use crate::kinds::Draft;
use crate::model::{Address, Kind};
use crate::yaml::reader::{At, Reader};
use crate::yaml::scalar::{List, Text};
use crate::yaml::{address, entries};

/// Attributes that are left as they are, by resource.
type Unmanaged = BTreeMap<Address, Vec<String>>;

/// Releases what is `unmanaged`; with managed defaults, gives every other attribute that is not written its default.
pub(super) fn apply(document: &ServerFile, managed_defaults: bool, draft: &mut Draft, reader: &mut Reader<'_>) {
    let unmanaged = unmanaged(document, draft, reader);
    for (address, attributes) in &mut draft.resources {
        let released = unmanaged.get(address).map_or(&[][..], Vec::as_slice);
        for name in released {
            attributes.release(name);
        }
        // @everyone has only permissions, which have no default at Discord.
        if managed_defaults && !address.is_everyone() {
            let defaults = attributes.defaults();
            attributes.complete_with(&defaults, released);
        }
    }
}

fn unmanaged(document: &ServerFile, draft: &Draft, reader: &mut Reader<'_>) -> Unmanaged {
    let mut unmanaged = Unmanaged::new();
    let mut add = |address: Option<Address>, list: Option<&At<List<Text<1, 50>>>>, written: &[&str]| {
        if let (Some(address), Some(list)) = (address, list)
            && let Some(attributes) = draft.resources.get(&address)
        {
            let names = names(list, attributes.fields(), written, reader);
            unmanaged.insert(address, names);
        }
    };
    for (kind, name, entry) in document.resources() {
        let address = match name {
            Some(name) => address(kind, &name.value),
            None => Address::new(kind, None).ok(),
        };
        add(address, entry.unmanaged(), &entry.written());
    }
    for (_, category) in entries(document.categories.as_ref()) {
        for (name, channel) in entries(category.value.channels.as_ref()) {
            let own = &channel.value;
            let address = address(Kind::Channel, &name.value);
            add(address, own.unmanaged.as_ref(), &own.written());
        }
    }
    unmanaged
}

/// The names of a list, each of them an attribute that is not written.
fn names(list: &At<List<Text<1, 50>>>, fields: &[&str], written: &[&str], reader: &mut Reader<'_>) -> Vec<String> {
    let mut names = Vec::new();
    for name in &list.value.0 {
        let text = &name.value.0;
        let keys: &[&str] = if text == "place" {
            &["stage", "voice", "location"]
        } else {
            &[text.as_str()]
        };
        if text == "kind" || !fields.contains(&text.as_str()) {
            let known = fields.iter().copied().filter(|field| *field != "kind");
            reader.refuse_near(name.at, format!("there is no attribute `{text}` here"), text, known);
        } else if keys.iter().any(|key| written.contains(key)) {
            reader.refuse(
                name.at,
                format!("`{text}` is configured here and is therefore managed; remove it here or from `unmanaged`"),
            );
        } else {
            names.push(text.clone());
        }
    }
    names
}
