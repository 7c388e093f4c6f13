//! Every address of a file and its theme, and which of them flags drop.

use std::collections::BTreeMap;

use crate::config::document::ServerFile;
use crate::config::theme::Base;
use crate::export::slug;
use crate::kinds::{CategoryEntry, ChannelEntry};
use crate::model::limits::MAX_LOGICAL_NAME_LENGTH;
use crate::model::{Address, Kind, LogicalName};
use crate::yaml::reader::{At, Reader};
use crate::yaml::scalar::Text;
use crate::yaml::tree::{Mark, shortened};
use crate::yaml::{KnownAddresses, address, entries};

/// Every address that a file and its theme have.
pub(super) fn of(
    document: &ServerFile,
    base: &Base,
    flags: &BTreeMap<String, bool>,
    reader: &mut Reader<'_>,
) -> KnownAddresses {
    let theirs = base.configuration.resources.keys().chain(base.absent.keys());
    let known = theirs.map(|address| (address.clone(), Mark::default())).collect();
    let names = KnownAddresses {
        known,
        dropped: base.absent.clone(),
    };
    let mut adding = Adding { names, flags, reader };
    // Categories and channels follow: a channel is removed with its category.
    let others = document.resources().into_iter();
    for (kind, name, entry) in others.filter(|(kind, ..)| !matches!(kind, Kind::Category | Kind::Channel)) {
        if let Some(name) = name {
            adding.add(kind, name, entry.flag());
        }
    }
    for (name, entry) in entries(document.categories.as_ref()) {
        adding.add_category(name, &entry.value);
    }
    for (name, entry) in entries(document.channels.as_ref()) {
        let of = entry
            .value
            .category
            .as_ref()
            .and_then(|category| category.value.0.value());
        let category = of.and_then(|link| address(Kind::Category, link.0.trim_start_matches("category.")));
        adding.add_channel(name, &entry.value, category);
    }
    let mut names = adding.names;
    names.known.insert(Address::SERVER, Mark::default());
    names
}

/// The addresses that were found so far, the flags by name, and where problems go.
struct Adding<'f, 'r> {
    names: KnownAddresses,
    flags: &'f BTreeMap<String, bool>,
    reader: &'f mut Reader<'r>,
}

impl Adding<'_, '_> {
    fn add(&mut self, kind: Kind, name: &At<String>, flag: Option<&At<Text<1, 50>>>) -> Option<Address> {
        let off = self.off(flag);
        let key = match LogicalName::new(name.value.clone()) {
            Ok(key) => key,
            Err(_) => {
                let reason = format!(
                    "`{}` is not a logical name; use 1 to {MAX_LOGICAL_NAME_LENGTH} lower-case letters, digits, `-` and `_`, starting with a letter, and write the displayed name under `name`",
                    shortened(&name.value)
                );
                match slug(&name.value, kind) {
                    made_up if made_up == kind.name() => self.reader.refuse(name.at, reason),
                    near => self.reader.refuse_for(name.at, reason, near),
                }
                return None;
            }
        };
        let address = Address::of(kind, key);
        if let Some(before) = self.names.known.get(&address).filter(|before| before.line > 0) {
            let reason = format!(
                "`{address}` is defined twice; the first definition is in line {}",
                before.line
            );
            self.reader.refuse(name.at, reason);
        }
        self.names.known.insert(address.clone(), name.at);
        if let Some(off) = off {
            self.names.dropped.insert(address.clone(), off);
        }
        Some(address)
    }

    fn add_category(&mut self, name: &At<String>, entry: &CategoryEntry) {
        let category = self.add(Kind::Category, name, entry.flag.as_ref());
        for (name, channel) in entries(entry.channels.as_ref()) {
            self.add_channel(name, &channel.value, category.clone());
        }
    }

    fn add_channel(&mut self, name: &At<String>, entry: &ChannelEntry, category: Option<Address>) {
        let channel = self.add(Kind::Channel, name, entry.flag.as_ref());
        // Channels of a removed category are removed too.
        let why = category.and_then(|category| self.names.dropped.get(&category).cloned());
        if let (Some(channel), Some(why)) = (channel, why) {
            self.names.dropped.entry(channel).or_insert(why);
        }
    }

    /// The reason why the flag removes its resources; `None` if the flag is on.
    fn off(&mut self, flag: Option<&At<Text<1, 50>>>) -> Option<String> {
        let flag = flag?;
        let name = &flag.value.0;
        match self.flags.get(name) {
            Some(true) => None,
            Some(false) => Some(format!("the flag `{name}` is off")),
            None => {
                let reason = format!("there is no flag `{}`; declare it under `flags`", shortened(name));
                self.reader
                    .refuse_near(flag.at, reason, name, self.flags.keys().map(String::as_str));
                None
            }
        }
    }
}
