//! The addresses of a file, and the resolution of references.

use std::collections::{BTreeMap, BTreeSet};

use super::reader::{At, Reader};
use super::scalar::{EmojiLink, Link, Named, OrNone};
use super::tree::{Mark, shortened};
use crate::values::{Address, Clearable, EmojiReference, Kind, LogicalName, Reference};

/// The addresses that references may contain.
pub(crate) struct KnownAddresses {
    /// Addresses of the file and its theme, with their positions.
    pub(crate) known: BTreeMap<Address, Mark>,
    /// Addresses that are removed from the configuration, with the reason.
    pub(crate) dropped: BTreeMap<Address, String>,
}

/// The address of a valid key.
pub(crate) fn address(kind: Kind, key: &str) -> Option<Address> {
    LogicalName::new(key).ok().map(|key| Address::of(kind, key))
}

impl KnownAddresses {
    /// The address of a key; `None` if the key is invalid or a flag removes the resource.
    pub(crate) fn present(&self, kind: Kind, name: &At<String>) -> Option<Address> {
        let address = address(kind, &name.value)?;
        (!self.dropped.contains_key(&address)).then_some(address)
    }

    /// Resolves a logical name, an address or an id; `None` if it is invalid, which is reported, or removed by a flag.
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
                        format!("`{}` is not a {}", shortened(text), kind.noun())
                    }
                    _ => format!("there is no {} `{}`", kind.noun(), shortened(text)),
                };
                let known = self.keys(kind);
                reader.refuse_near(link.at, reason, key, known.iter().map(String::as_str));
                None
            }
        }
    }

    /// The logical names of a kind.
    pub(crate) fn keys(&self, kind: Kind) -> Vec<String> {
        let of_kind = self.known.keys().filter(|address| address.kind() == kind);
        of_kind
            .filter_map(|address| address.key().map(ToString::to_string))
            .collect()
    }

    /// Resolves an attribute that may be `none`. The outer `None` is an absent, invalid or removed reference.
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

    /// Resolves several references, without those that a flag removes. A logical name without a kind is of the first of
    /// `kinds`; the others require an address.
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
                reader.break_rule(
                    link.at,
                    format!("`{}` occurs in this list twice", shortened(&link.value.0)),
                );
            }
            found.push(reference);
        }
        found
    }

    /// Resolves a required reference: reports one that a flag removes, too.
    pub(crate) fn required(&self, link: &At<Link>, kind: Kind, reader: &mut Reader<'_>) -> Option<Reference> {
        let before = reader.count();
        let found = self.link(link, kind, reader);
        if found.is_none() && reader.count() == before {
            let reason = format!(
                "the {} `{}` is not part of the configuration: {}; use the same flag here",
                kind.noun(),
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

    /// Resolves a Unicode emoji or an emoji of the server.
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

/// The entries of an optional section.
pub(crate) fn entries<T>(section: Option<&At<Named<T>>>) -> &[(At<String>, At<T>)] {
    section.map_or(&[], |section| &section.value.0)
}
