//! Kinds of resources, one module each: attributes, their form in a file, how they are read from Discord, compared, ordered,
//! limited and written to a file.
//!
//! To add a kind: a file with its attributes and their [`Definition`], a row in [`each_kind`], and its name in
//! [`Kind`](crate::values::Kind). The compiler names what is missing. How the kind is written to Discord is defined in
//! `arrakis-iac-apply`.

mod automod;
mod channel;
mod definition;
mod draft;
mod emoji;
mod event;
mod onboarding;
mod resource;
mod role;
mod server;
mod sticker;
mod webhook;
mod welcome_screen;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::values::{Image, ImageAttribute, Kind, Kinds, Overwrites, Reference};
use crate::wire::Unreadable;
use crate::yaml::Yaml;

pub(crate) use automod::AutomodEntry;
pub use automod::{AutomodAction, AutomodPreset, AutomodRule, AutomodTrigger};
pub use channel::{
    AutoArchive, Channel, ChannelKind, FLAG_HIDE_DOWNLOAD_OPTIONS, FLAG_REQUIRE_TAG, ForumLayout, SortOrder, Tag,
    TagMatch, VideoQuality, case_folded_name, normalised_name,
};
pub(crate) use channel::{CategoryEntry, ChannelEntry, LIST as LIST_CHANNELS, read as read_channel_list};
pub use definition::ListRequest;
pub(crate) use definition::{
    Abilities, Bound, CheckedAt, Definition, Group, Limit, Phase, ReadContext, ReadNotes, Requirement, Resolve, Sent,
    Violation, Write,
};
pub(crate) use draft::{Draft, Entries, ResourceEntry, Section};
pub use emoji::Emoji;
pub(crate) use emoji::{EmojiEntry, EmojiObject};
pub(crate) use event::EventEntry;
pub use event::{Event, EventLocation, Timestamp, TimestampError};
pub(crate) use onboarding::OnboardingEntry;
pub use onboarding::{Onboarding, OnboardingMode, OnboardingOption, OnboardingPrompt, PromptKind};
pub use resource::LiveResource;
pub use role::Role;
pub(crate) use role::{RoleEntry, read as read_roles};
pub use server::{AfkTimeout, ContentFilter, Locale, Notifications, Server, SystemMessage, Verification};
pub(crate) use server::{Guild, ServerEntry, read as read_server};
pub use sticker::Sticker;
pub(crate) use sticker::{StickerEntry, StickerObject};
pub use webhook::Webhook;
pub(crate) use webhook::WebhookEntry;
pub(crate) use welcome_screen::WelcomeEntry;
pub use welcome_screen::{WelcomeChannel, WelcomeScreen};

/// The table of kinds, in the order in which they are created. A row contains the description of the section in a file,
/// the kind with the type of its attributes, the section with its type, the phase of writes, and the phase of deletions.
macro_rules! each_kind {
    ($callback:ident) => {
        $callback! {
            /// The settings of the server.
            Server(Server) server: ServerEntry, Server, EarlyRemovals;
            /// Roles by logical name, from the highest to the lowest. `everyone` is the role of all members.
            Role(Role) roles: Named<RoleEntry>, Roles, Removals;
            /// Categories by logical name, from the top.
            Category(Channel) categories: Named<CategoryEntry>, Categories, Removals;
            /// Channels that are in no category, or name it by `category`; by logical name, from the top.
            Channel(Channel) channels: Named<ChannelEntry>, Channels, Removals;
            /// Emoji of the server by logical name.
            Emoji(Emoji) emoji: Named<EmojiEntry>, Expressions, EarlyRemovals;
            /// Stickers of the server by logical name.
            Sticker(Sticker) stickers: Named<StickerEntry>, Expressions, EarlyRemovals;
            /// Incoming webhooks by logical name.
            Webhook(Webhook) webhooks: Named<WebhookEntry>, Rest, EarlyRemovals;
            /// Rules of auto moderation by logical name.
            Automod(AutomodRule) automod: Named<AutomodEntry>, Rest, EarlyRemovals;
            /// The welcome screen of a community server.
            WelcomeScreen(WelcomeScreen) welcome_screen: WelcomeEntry, Rest, EarlyRemovals;
            /// The onboarding of a community server.
            Onboarding(Onboarding) onboarding: OnboardingEntry, Rest, EarlyRemovals;
            /// Scheduled events by logical name.
            Event(Event) events: Named<EventEntry>, Rest, EarlyRemovals;
        }
    };
}
pub(crate) use each_kind;

macro_rules! define_attributes {
    ($(
        #[doc = $doc:literal]
        $kind:ident($attributes:ident) $section:ident: $entry:ty, $phase:ident, $removal:ident;
    )+) => {
        /// Attributes of a resource, by kind. Serde writes the kind beside them.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "resource", rename_all = "snake_case")]
        pub enum Attributes {
            $(
                #[doc = concat!("Attributes of a resource of the kind [`Kind::", stringify!($kind), "`].")]
                $kind($attributes),
            )+
        }

        /// Evaluates an expression with the attributes of any kind.
        macro_rules! each {
            ($any:expr, $inner:ident => $body:expr) => {
                match $any { $(Attributes::$kind($inner) => $body,)+ }
            };
        }

        /// Evaluates an expression with the type of a kind's attributes.
        macro_rules! by_kind {
            ($any:expr, $type:ident => $body:expr) => {
                match $any { $(Kind::$kind => { type $type = $attributes; $body })+ }
            };
        }

        /// Evaluates an expression with two attributes of the same kind, another when the kinds differ.
        macro_rules! same_kind {
            ($one:expr, $other:expr, ($left:ident, $right:ident) => $body:expr, else $else:expr) => {
                match ($one, $other) {
                    $((Attributes::$kind($left), Attributes::$kind($right)) => $body,)+
                    _ => $else,
                }
            };
        }

        impl Attributes {
            /// The kind.
            #[must_use]
            pub const fn kind(&self) -> Kind {
                match self { $(Self::$kind(_) => Kind::$kind,)+ }
            }

            /// Names of the attributes of its kind, in the order in which they are displayed.
            #[must_use]
            pub const fn fields(&self) -> &'static [&'static str] {
                match self { $(Self::$kind(_) => $attributes::FIELDS,)+ }
            }

            /// Only the attributes that `managed` has too; all when the kinds differ.
            #[must_use]
            pub fn restricted_to(&self, managed: &Self) -> Self {
                match (self, managed) {
                    $((Self::$kind(own), Self::$kind(managed)) => Self::$kind(own.restricted_to(managed)),)+
                    _ => self.clone(),
                }
            }

            /// The value that Discord gives each attribute of a new resource of this kind; for a channel, of its kind of
            /// channel. Attributes that Discord gives no value are `None`.
            #[must_use]
            pub fn defaults(&self) -> Self {
                match self { $(Self::$kind(own) => Self::$kind(own.defaults()),)+ }
            }
        }

        impl Kind {
            /// The section of a file that has resources of the kind.
            #[must_use]
            pub const fn section(self) -> &'static str {
                match self { $(Self::$kind => stringify!($section),)+ }
            }

            /// The phase in which a plan creates and changes resources of the kind.
            pub(crate) const fn phase(self) -> Phase {
                match self { $(Self::$kind => Phase::$phase,)+ }
            }

            /// The phase in which a plan removes resources of the kind.
            pub(crate) const fn removal_phase(self) -> Phase {
                match self { $(Self::$kind => Phase::$removal,)+ }
            }
        }
    };
}

each_kind!(define_attributes);

impl Kind {
    /// The attribute that is an image; `None` for kinds without images.
    #[must_use]
    pub const fn image(self) -> Option<ImageAttribute> {
        by_kind!(self, T => T::IMAGE)
    }

    /// The request that lists the resources of the kind; `None` for kinds that every reading of a server includes.
    #[must_use]
    pub const fn list(self) -> Option<ListRequest> {
        by_kind!(self, T => T::LIST)
    }

    /// A limit of this kind on a server of a boost level, 0 to 3.
    pub(crate) fn bound(self, group: Group, boost_level: u8) -> Bound {
        by_kind!(self, T => T::bound(group, boost_level))
    }

    /// The attribute that names the resource which contains one of this kind.
    pub(crate) const fn container(self) -> Option<&'static str> {
        by_kind!(self, T => T::CONTAINER)
    }

    /// The prefix that a file leaves out of the references of an attribute.
    pub(crate) fn short_reference(self, field: &str) -> Option<&'static str> {
        let known = by_kind!(self, T => T::SHORT_REFERENCES);
        known.iter().find(|(name, _)| *name == field).map(|(_, prefix)| *prefix)
    }

    /// The attributes in Discord's response to a request that wrote a resource of the kind.
    pub(crate) fn read_answer(self, answer: &Value, server: ReadContext<'_>) -> Result<Option<Attributes>, Unreadable> {
        by_kind!(self, T => T::read_answer(answer, server))
    }

    /// The permissions that a request needs which writes a resource of the kind.
    pub(crate) fn requirements(self, write: &Write<'_, Attributes>) -> Vec<Requirement> {
        by_kind!(self, T => {
            let before = write.before().and_then(T::of);
            match *write {
                Write::Create(after) => T::of(after).map(Write::Create),
                Write::Update { after, .. } => T::of(after).map(|after| Write::Update { before, after }),
                Write::Delete { .. } => Some(Write::Delete { before }),
            }
            .map(T::requirements)
            .unwrap_or_default()
        })
    }
}

impl Attributes {
    /// The name that Discord shows; `None` for a kind without names, and when it is not managed.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        each!(self, own => own.name()).map(String::as_str)
    }

    /// The mutable name; `None` for a kind without names, and when it is not managed.
    pub fn name_mut(&mut self) -> Option<&mut String> {
        each!(self, own => own.name_mut())
    }

    /// The name as Discord stores it: of channels and categories see [`normalised_name`]; all other names lose the white
    /// space at their ends, as every text of a request does.
    #[must_use]
    pub fn stored_name(&self) -> Option<String> {
        each!(self, own => own.name().map(|name| own.stored_name(name)))
    }

    /// The managed attributes by name, as serde writes them: for comparisons by attribute and for `--json`.
    #[must_use]
    pub fn to_map(&self) -> serde_json::Map<String, Value> {
        // Plain structs with text keys: serde_json cannot fail on them.
        match each!(self, own => serde_json::to_value(own)) {
            Ok(Value::Object(map)) => map,
            _ => serde_json::Map::new(),
        }
    }

    /// Copies every attribute that is `None` from `other`, except those named in `except`; nothing when the kinds differ.
    pub fn complete_with(&mut self, other: &Self, except: &[String]) {
        same_kind!(self, other, (own, other) => own.complete_with(other, except), else {});
    }

    /// Stops managing the attribute of this name.
    pub fn release(&mut self, name: &str) {
        each!(self, own => own.release(name));
    }

    /// The same, with the attributes of these names as `other` has them; unchanged when the kinds differ.
    #[must_use]
    pub fn with_fields(&self, other: &Self, fields: &[String]) -> Self {
        if self.kind() != other.kind() {
            return self.clone();
        }
        let (mut map, theirs) = (self.to_map(), other.to_map());
        for field in fields {
            match theirs.get(field) {
                Some(value) => map.insert(field.clone(), value.clone()),
                None => map.remove(field),
            };
        }
        self.with_map(map)
    }

    /// The attributes with the values of a map by name; unchanged if a value is invalid.
    #[must_use]
    pub fn with_map(&self, mut map: serde_json::Map<String, Value>) -> Self {
        map.insert("resource".to_owned(), self.kind().name().into());
        serde_json::from_value(map.into()).unwrap_or_else(|_| self.clone())
    }

    /// The image that the resource is to have.
    #[must_use]
    pub fn image(&self) -> Option<&Image> {
        each!(self, own => own.image())
    }

    /// The image, to be set; `None` for kinds without images.
    pub fn image_mut(&mut self) -> Option<&mut Option<Image>> {
        each!(self, own => own.image_mut())
    }

    /// Every reference to another resource, in no particular order.
    #[must_use]
    pub fn references(&self) -> Vec<&Reference> {
        each!(self, own => own.references())
    }

    /// Passes every reference to `change`, with the kinds of resources that it may name.
    pub fn map_references(&mut self, change: &mut dyn FnMut(Kinds, &mut Reference)) {
        each!(self, own => own.map_references(change));
    }

    /// Removes the references that `is_gone` names; `false` when the resource cannot exist without one of them.
    pub(crate) fn remove_references(&mut self, is_gone: &dyn Fn(&Reference) -> bool) -> bool {
        each!(self, own => own.remove_references(is_gone))
    }

    /// The attribute that makes a replacement necessary: Discord cannot change it in place to what `after` has.
    pub(crate) fn forces_replacement(&self, after: &Self) -> Option<&'static str> {
        same_kind!(self, after, (own, after) => own.forces_replacement(after), else None)
    }

    /// Whether `found` is of the same kind and has the values that Discord never rewrites, as far as both are known.
    pub(crate) fn is_same_place(&self, found: &Self, resolve: Resolve<'_>) -> bool {
        same_kind!(self, found, (own, found) => own.is_same_place(found, resolve), else false)
    }

    /// The limits that the resource counts towards.
    pub(crate) fn limits(&self, resolve: Resolve<'_>) -> Vec<Limit> {
        each!(self, own => own.limits(resolve))
    }

    /// Rules of Discord's that the sent attributes break on a server like this one.
    pub(crate) fn violations(&self, sent: Sent<'_>, server: &Abilities<'_>) -> Vec<Violation> {
        each!(self, own => own.violations(sent, server))
    }

    /// The entries of a file for an attribute that is written in another shape than the state has; `None` for any other.
    pub(crate) fn written(&self, field: &str, synced_with: Option<&Overwrites>) -> Option<Vec<(String, Yaml)>> {
        each!(self, own => own.written(field, synced_with))
    }

    /// The attributes of a channel or category.
    #[must_use]
    pub const fn channel(&self) -> Option<&Channel> {
        match self {
            Self::Category(channel) | Self::Channel(channel) => Some(channel),
            _ => None,
        }
    }

    /// The attributes of a channel or category, to be changed.
    pub const fn channel_mut(&mut self) -> Option<&mut Channel> {
        match self {
            Self::Category(channel) | Self::Channel(channel) => Some(channel),
            _ => None,
        }
    }

    /// The managed overwrites of a channel or category.
    #[must_use]
    pub const fn overwrites(&self) -> Option<&Overwrites> {
        match self.channel() {
            Some(channel) => channel.overwrites.as_ref(),
            None => None,
        }
    }
}
