//! `defaults` and `unmanaged`: what an attribute means that is not written.

use std::collections::BTreeMap;

use super::Draft;
use super::names::{address, entries};
use crate::config::document::ServerFile;
use crate::config::reader::{At, Reader};
use crate::config::scalar::{List, Text};
use crate::model::{Address, Kind};

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
        // @everyone has permissions alone, and Discord gives them no default.
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
    if let Some(entry) = &document.server {
        add(
            Some(Address::SERVER),
            entry.value.unmanaged.as_ref(),
            &entry.value.written(),
        );
    }
    if let Some(entry) = &document.welcome_screen {
        let written = entry.value.written();
        add(Some(Address::WELCOME_SCREEN), entry.value.unmanaged.as_ref(), &written);
    }
    if let Some(entry) = &document.onboarding {
        add(
            Some(Address::ONBOARDING),
            entry.value.unmanaged.as_ref(),
            &entry.value.written(),
        );
    }
    for (name, category) in entries(document.categories.as_ref()) {
        let own = &category.value;
        add(
            address(Kind::Category, &name.value),
            own.unmanaged.as_ref(),
            &own.written(),
        );
        for (name, channel) in entries(own.channels.as_ref()) {
            let own = &channel.value;
            add(
                address(Kind::Channel, &name.value),
                own.unmanaged.as_ref(),
                &own.written(),
            );
        }
    }
    macro_rules! sections {
        ($($field:ident: $kind:ident,)+) => {
            $(for (name, entry) in entries(document.$field.as_ref()) {
                let own = &entry.value;
                add(address(Kind::$kind, &name.value), own.unmanaged.as_ref(), &own.written());
            })+
        };
    }
    sections! {
        roles: Role, channels: Channel, emoji: Emoji, stickers: Sticker, webhooks: Webhook, automod: Automod, events: Event,
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
                format!("`{text}` is written here, so that it is managed; keep one of both"),
            );
        } else {
            names.push(text.clone());
        }
    }
    names
}
