//! Every address of a file and its theme, which of them flags drop, and references by them.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::document::{CategoryEntry, ChannelEntry, ServerFile};
use crate::config::reader::{At, Reader};
use crate::config::scalar::{EmojiLink, Link, Named, OrNone, Text};
use crate::config::theme::Base;
use crate::config::tree::{Mark, shortened};
use crate::export::slug;
use crate::model::limits::LONGEST_KEY;
use crate::model::{Address, Clearable, EmojiReference, Key, Kind, Reference};

/// What may be referred to.
pub(crate) struct Names {
    known: BTreeMap<Address, Mark>,
    /// Addresses that are not there, with why.
    dropped: BTreeMap<Address, String>,
}

/// The address of a key that was found good.
pub(crate) fn address(kind: Kind, key: &str) -> Option<Address> {
    Key::new(key).ok().map(|key| Address::of(kind, key))
}

impl Names {
    pub(crate) fn of(
        document: &ServerFile,
        base: &Base,
        flags: &BTreeMap<String, bool>,
        reader: &mut Reader<'_>,
    ) -> Self {
        let theirs = base.configuration.resources.keys().chain(base.absent.keys());
        let known = theirs.map(|address| (address.clone(), Mark::default())).collect();
        let mut names = Self {
            known,
            dropped: base.absent.clone(),
        };
        let mut flags = Flags { states: flags, reader };
        macro_rules! add {
            ($($field:ident: $kind:ident,)+) => {
                $(for (name, entry) in entries(document.$field.as_ref()) {
                    names.add(Kind::$kind, name, entry.value.flag.as_ref(), &mut flags);
                })+
            };
        }
        add! { roles: Role, emoji: Emoji, stickers: Sticker, webhooks: Webhook, automod: Automod, events: Event, }
        let categories = entries(document.categories.as_ref());
        for (name, entry) in categories {
            names.add_category(name, &entry.value, &mut flags);
        }
        for (name, entry) in entries(document.channels.as_ref()) {
            let of = entry
                .value
                .category
                .as_ref()
                .and_then(|category| category.value.0.value());
            let category = of.and_then(|link| address(Kind::Category, link.0.trim_start_matches("category.")));
            names.add_channel(name, &entry.value, category, &mut flags);
        }
        names.known.insert(Address::SERVER, Mark::default());
        names
    }

    fn add(
        &mut self,
        kind: Kind,
        name: &At<String>,
        flag: Option<&At<Text<1, 50>>>,
        flags: &mut Flags<'_, '_>,
    ) -> Option<Address> {
        let off = flags.off(flag);
        let key = match Key::new(name.value.clone()) {
            Ok(key) => key,
            Err(_) => {
                let reason = format!(
                    "`{}` is not a logical name; use 1 to {LONGEST_KEY} lower-case letters, digits, `-` and `_`, starting with a letter, and put what people read under `name`",
                    shortened(&name.value)
                );
                match slug(&name.value, kind) {
                    made_up if made_up == kind.name() => flags.reader.refuse(name.at, reason),
                    near => flags.reader.refuse_for(name.at, reason, near),
                }
                return None;
            }
        };
        let address = Address::of(kind, key);
        if let Some(before) = self.known.get(&address).filter(|before| before.line > 0) {
            let reason = format!("`{address}` is there twice; the first stands in line {}", before.line);
            flags.reader.refuse(name.at, reason);
        }
        self.known.insert(address.clone(), name.at);
        if let Some(off) = off {
            self.dropped.insert(address.clone(), off);
        }
        Some(address)
    }

    fn add_category(&mut self, name: &At<String>, entry: &CategoryEntry, flags: &mut Flags<'_, '_>) {
        let category = self.add(Kind::Category, name, entry.flag.as_ref(), flags);
        for (name, channel) in entries(entry.channels.as_ref()) {
            self.add_channel(name, &channel.value, category.clone(), flags);
        }
    }

    fn add_channel(
        &mut self,
        name: &At<String>,
        entry: &ChannelEntry,
        category: Option<Address>,
        flags: &mut Flags<'_, '_>,
    ) {
        let channel = self.add(Kind::Channel, name, entry.flag.as_ref(), flags);
        // What is in a category that is dropped goes with it.
        let why = category.and_then(|category| self.dropped.get(&category).cloned());
        if let (Some(channel), Some(why)) = (channel, why) {
            self.dropped.entry(channel).or_insert(why);
        }
    }

    pub(crate) fn is_dropped(&self, address: &Address) -> bool {
        self.dropped.contains_key(address)
    }

    /// What is meant by a key, an address or an id; `None` when it is wrong, which is told, or dropped, which is not.
    pub(crate) fn link(&self, link: &At<Link>, kind: Kind, reader: &mut Reader<'_>) -> Option<Reference> {
        let text = &link.value.0;
        if text.bytes().next().is_some_and(|byte| byte.is_ascii_digit()) {
            let id = text.parse::<Reference>();
            return id.map_err(|error| reader.refuse(link.at, error.to_string())).ok();
        }
        let prefix = format!("{kind}.");
        let key = text.strip_prefix(&prefix).unwrap_or(text);
        match address(kind, key) {
            Some(address) if self.dropped.contains_key(&address) => None,
            Some(address) if self.known.contains_key(&address) || address.is_everyone() => Some(address.into()),
            _ => {
                let reason = match text.split_once('.') {
                    Some((other, _)) if Kind::from_name(other).is_some_and(|other| other != kind) => {
                        format!("`{}` is no {}", shortened(text), kind.words())
                    }
                    _ => format!("there is no {} `{}`", kind.words(), shortened(text)),
                };
                let known = self.keys(kind);
                reader.refuse_near(link.at, reason, key, known.iter().map(String::as_str));
                None
            }
        }
    }

    /// Logical names of a kind.
    pub(crate) fn keys(&self, kind: Kind) -> Vec<String> {
        let of_kind = self.known.keys().filter(|address| address.kind() == kind);
        of_kind
            .filter_map(|address| address.key().map(ToString::to_string))
            .collect()
    }

    /// The same of an attribute that may be `none`. Outside: `None` when nothing is said, it is wrong, or dropped.
    pub(crate) fn link_or_none(
        &self,
        link: Option<&At<OrNone<Link>>>,
        kind: Kind,
        reader: &mut Reader<'_>,
    ) -> Option<Clearable<Reference>> {
        let At {
            value: OrNone(link),
            at,
        } = link?;
        match link {
            Clearable::Cleared => Some(Clearable::Cleared),
            Clearable::Set(link) => {
                let link = At {
                    value: link.clone(),
                    at: *at,
                };
                self.link(&link, kind, reader).map(Clearable::Set)
            }
        }
    }

    /// What several are meant by; those that a flag drops are left out. The first of `kinds` is meant by a bare logical name,
    /// the others need the whole address.
    pub(crate) fn links(&self, links: &[At<Link>], kinds: &[Kind], reader: &mut Reader<'_>) -> Vec<Reference> {
        let mut found = Vec::with_capacity(links.len());
        let mut seen = BTreeSet::new();
        for link in links {
            let prefixed = |kind: &&Kind| link.value.0.starts_with(&format!("{kind}."));
            let Some(kind) = kinds.iter().find(prefixed).or_else(|| kinds.first()) else {
                continue;
            };
            let Some(reference) = self.link(link, *kind, reader) else {
                continue;
            };
            if !seen.insert(reference.clone()) {
                reader.break_rule(link.at, format!("`{}` is in this list twice", shortened(&link.value.0)));
            }
            found.push(reference);
        }
        found
    }

    /// What must be there: a reference to something dropped is refused too.
    pub(crate) fn needed(&self, link: &At<Link>, kind: Kind, reader: &mut Reader<'_>) -> Option<Reference> {
        let before = reader.count();
        let found = self.link(link, kind, reader);
        if found.is_none() && reader.count() == before {
            let reason = format!(
                "the {} `{}` is not there: {}; drop this by the same flag",
                kind.words(),
                shortened(&link.value.0),
                self.why(link, kind)
            );
            reader.refuse(link.at, reason);
        }
        found
    }

    fn why(&self, link: &At<Link>, kind: Kind) -> String {
        let prefix = format!("{kind}.");
        let key = link.value.0.strip_prefix(&prefix).unwrap_or(&link.value.0);
        address(kind, key)
            .and_then(|address| self.dropped.get(&address).cloned())
            .unwrap_or_default()
    }

    /// An emoji of Unicode's, or one of the server's own.
    pub(crate) fn emoji(&self, emoji: &At<EmojiLink>, reader: &mut Reader<'_>) -> Option<EmojiReference> {
        let text = &emoji.value.0;
        if !text.is_ascii() {
            return Some(EmojiReference::Unicode(text.clone()));
        }
        let link = At {
            value: Link(text.clone()),
            at: emoji.at,
        };
        self.link(&link, Kind::Emoji, reader).map(EmojiReference::Own)
    }
}

/// The entries of a section that may be absent.
pub(crate) fn entries<T>(section: Option<&At<Named<T>>>) -> &[(At<String>, At<T>)] {
    section.map_or(&[], |section| &section.value.0)
}

/// Flags and where unknown ones are told.
struct Flags<'f, 'r> {
    states: &'f BTreeMap<String, bool>,
    reader: &'f mut Reader<'r>,
}

impl Flags<'_, '_> {
    /// Why what this flag governs is not there; `None` when it is.
    fn off(&mut self, flag: Option<&At<Text<1, 50>>>) -> Option<String> {
        let flag = flag?;
        let name = &flag.value.0;
        match self.states.get(name) {
            Some(true) => None,
            Some(false) => Some(format!("the flag `{name}` is off")),
            None => {
                let reason = format!("there is no flag `{}`; declare it under `flags`", shortened(name));
                self.reader
                    .refuse_near(flag.at, reason, name, self.states.keys().map(String::as_str));
                None
            }
        }
    }
}
