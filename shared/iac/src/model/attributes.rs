//! Attributes of any kind of resource.

use serde::{Deserialize, Serialize};

use super::{
    AutomodAction, AutomodRule, Channel, Clearable, Emoji, EmojiReference, Event, EventPlace, Image, Kind, Onboarding,
    Reference, Role, Server, Sticker, Target, Webhook, WelcomeScreen,
};

/// Attributes of a resource, by kind. Serde writes the kind beside them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "resource", rename_all = "snake_case")]
pub enum Attributes {
    /// Of the server.
    Server(Server),
    /// Of a role.
    Role(Role),
    /// Of a category, whose [`Channel::kind`] is a category.
    Category(Channel),
    /// Of a channel.
    Channel(Channel),
    /// Of an emoji.
    Emoji(Emoji),
    /// Of a sticker.
    Sticker(Sticker),
    /// Of a webhook.
    Webhook(Webhook),
    /// Of an automod rule.
    Automod(AutomodRule),
    /// Of the welcome screen.
    WelcomeScreen(WelcomeScreen),
    /// Of the onboarding.
    Onboarding(Onboarding),
    /// Of a scheduled event.
    Event(Event),
}

/// Does the same for whatever kind there is.
macro_rules! each {
    ($attributes:expr, $inner:ident => $body:expr) => {
        match $attributes {
            Attributes::Server($inner) => $body,
            Attributes::Role($inner) => $body,
            Attributes::Category($inner) | Attributes::Channel($inner) => $body,
            Attributes::Emoji($inner) => $body,
            Attributes::Sticker($inner) => $body,
            Attributes::Webhook($inner) => $body,
            Attributes::Automod($inner) => $body,
            Attributes::WelcomeScreen($inner) => $body,
            Attributes::Onboarding($inner) => $body,
            Attributes::Event($inner) => $body,
        }
    };
}

impl Attributes {
    /// Which kind it is of.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Server(_) => Kind::Server,
            Self::Role(_) => Kind::Role,
            Self::Category(_) => Kind::Category,
            Self::Channel(_) => Kind::Channel,
            Self::Emoji(_) => Kind::Emoji,
            Self::Sticker(_) => Kind::Sticker,
            Self::Webhook(_) => Kind::Webhook,
            Self::Automod(_) => Kind::Automod,
            Self::WelcomeScreen(_) => Kind::WelcomeScreen,
            Self::Onboarding(_) => Kind::Onboarding,
            Self::Event(_) => Kind::Event,
        }
    }

    /// What Discord shows; `None` for what has no name of its own or when it is not managed.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Server(server) => server.name.as_deref(),
            Self::Role(role) => role.name.as_deref(),
            Self::Category(channel) | Self::Channel(channel) => channel.name.as_deref(),
            Self::Emoji(emoji) => emoji.name.as_deref(),
            Self::Sticker(sticker) => sticker.name.as_deref(),
            Self::Webhook(webhook) => webhook.name.as_deref(),
            Self::Automod(rule) => rule.name.as_deref(),
            Self::Event(event) => event.name.as_deref(),
            Self::WelcomeScreen(_) | Self::Onboarding(_) => None,
        }
    }

    /// The name, to be changed; `None` where it is not managed or there is none.
    pub fn name_mut(&mut self) -> Option<&mut String> {
        match self {
            Self::Server(server) => server.name.as_mut(),
            Self::Role(role) => role.name.as_mut(),
            Self::Category(channel) | Self::Channel(channel) => channel.name.as_mut(),
            Self::Emoji(emoji) => emoji.name.as_mut(),
            Self::Sticker(sticker) => sticker.name.as_mut(),
            Self::Webhook(webhook) => webhook.name.as_mut(),
            Self::Automod(rule) => rule.name.as_mut(),
            Self::Event(event) => event.name.as_mut(),
            Self::WelcomeScreen(_) | Self::Onboarding(_) => None,
        }
    }

    /// Names of the attributes of its kind, in the order in which people are told of them.
    #[must_use]
    pub fn fields(&self) -> &'static [&'static str] {
        match self {
            Self::Server(_) => Server::FIELDS,
            Self::Role(_) => Role::FIELDS,
            Self::Category(_) | Self::Channel(_) => Channel::FIELDS,
            Self::Emoji(_) => Emoji::FIELDS,
            Self::Sticker(_) => Sticker::FIELDS,
            Self::Webhook(_) => Webhook::FIELDS,
            Self::Automod(_) => AutomodRule::FIELDS,
            Self::WelcomeScreen(_) => WelcomeScreen::FIELDS,
            Self::Onboarding(_) => Onboarding::FIELDS,
            Self::Event(_) => Event::FIELDS,
        }
    }

    /// The managed attributes by name, as serde writes them: what a comparison field by field and `--json` show.
    #[must_use]
    pub fn to_map(&self) -> serde_json::Map<String, serde_json::Value> {
        // Plain structs with text keys: serde_json cannot fail on them.
        match each!(self, inner => serde_json::to_value(inner)) {
            Ok(serde_json::Value::Object(map)) => map,
            _ => serde_json::Map::new(),
        }
    }

    /// Keeps only the attributes that `managed` has too; the whole when the kinds differ.
    #[must_use]
    pub fn narrowed_to(&self, managed: &Self) -> Self {
        macro_rules! same {
            ($($variant:ident)+) => {
                match (self, managed) {
                    $((Self::$variant(mine), Self::$variant(theirs)) => Self::$variant(mine.narrowed_to(theirs)),)+
                    _ => self.clone(),
                }
            };
        }
        same!(Server Role Category Channel Emoji Sticker Webhook Automod WelcomeScreen Onboarding Event)
    }

    /// Takes from `other` every attribute that this one lacks, but those named in `except`; nothing when the kinds differ.
    pub fn complete_with(&mut self, other: &Self, except: &[String]) {
        macro_rules! same {
            ($($variant:ident)+) => {
                match (self, other) {
                    $((Self::$variant(mine), Self::$variant(theirs)) => mine.complete_with(theirs, except),)+
                    _ => {}
                }
            };
        }
        same!(Server Role Category Channel Emoji Sticker Webhook Automod WelcomeScreen Onboarding Event);
    }

    /// Stops managing the attribute of this name.
    pub fn release(&mut self, name: &str) {
        each!(self, inner => inner.release(name));
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

    /// Attributes of the same kind out of a map by name; unchanged when it holds a value that they cannot have.
    #[must_use]
    pub fn with_map(&self, mut map: serde_json::Map<String, serde_json::Value>) -> Self {
        map.insert("resource".to_owned(), self.kind().name().into());
        serde_json::from_value(map.into()).unwrap_or_else(|_| self.clone())
    }

    /// Name of the attribute that is an image; `None` for kinds without one.
    #[must_use]
    pub const fn image_field(&self) -> Option<&'static str> {
        match self {
            Self::Emoji(_) | Self::Sticker(_) | Self::Event(_) => Some("image"),
            Self::Webhook(_) => Some("avatar"),
            _ => None,
        }
    }

    /// The image that it is to have.
    #[must_use]
    pub fn image(&self) -> Option<&Image> {
        match self {
            Self::Emoji(emoji) => emoji.image.as_ref(),
            Self::Sticker(sticker) => sticker.image.as_ref(),
            Self::Webhook(webhook) => webhook.avatar.as_ref(),
            Self::Event(event) => event.image.as_ref(),
            _ => None,
        }
    }

    /// Whether Discord takes another image later. The image of an emoji or sticker stays.
    #[must_use]
    pub const fn replaces_image(&self) -> bool {
        matches!(self, Self::Webhook(_) | Self::Event(_))
    }

    /// The image, to be set; `None` for kinds without an image.
    pub fn image_mut(&mut self) -> Option<&mut Option<Image>> {
        match self {
            Self::Emoji(emoji) => Some(&mut emoji.image),
            Self::Sticker(sticker) => Some(&mut sticker.image),
            Self::Webhook(webhook) => Some(&mut webhook.avatar),
            Self::Event(event) => Some(&mut event.image),
            _ => None,
        }
    }

    /// Everything it refers to, in no particular order.
    #[must_use]
    pub fn references(&self) -> Vec<&Reference> {
        let mut found = Vec::new();
        match self {
            Self::Server(server) => {
                let channels = [
                    &server.afk_channel,
                    &server.system_channel,
                    &server.rules_channel,
                    &server.public_updates_channel,
                    &server.safety_alerts_channel,
                ];
                found.extend(channels.into_iter().flatten().filter_map(Clearable::value));
            }
            Self::Category(channel) | Self::Channel(channel) => of_channel(channel, &mut found),
            Self::Emoji(emoji) => found.extend(emoji.roles.iter().flatten()),
            Self::Webhook(webhook) => found.extend(&webhook.channel),
            Self::Automod(rule) => {
                found.extend(rule.exempt_roles.iter().flatten());
                found.extend(rule.exempt_channels.iter().flatten());
                found.extend(rule.actions.iter().flatten().filter_map(|action| match action {
                    AutomodAction::Alert { channel } => Some(channel),
                    _ => None,
                }));
            }
            Self::WelcomeScreen(screen) => {
                for channel in screen.channels.iter().flatten() {
                    found.push(&channel.channel);
                    found.extend(own(channel.emoji.as_ref()));
                }
            }
            Self::Onboarding(onboarding) => {
                found.extend(onboarding.default_channels.iter().flatten());
                for option in onboarding.prompts.iter().flatten().flat_map(|prompt| &prompt.options) {
                    found.extend(option.roles.iter().chain(&option.channels));
                    found.extend(own(option.emoji.as_ref()));
                }
            }
            Self::Event(event) => {
                if let Some(EventPlace::Stage(channel) | EventPlace::Voice(channel)) = &event.place {
                    found.push(channel);
                }
            }
            Self::Role(_) | Self::Sticker(_) => {}
        }
        found
    }
}

fn of_channel<'a>(channel: &'a Channel, found: &mut Vec<&'a Reference>) {
    found.extend(channel.category.as_ref().and_then(Clearable::value));
    found.extend(own(channel.default_reaction.as_ref().and_then(Clearable::value)));
    found.extend(channel.tags.iter().flatten().filter_map(|tag| own(tag.emoji.as_ref())));
    found.extend(
        channel
            .overwrites
            .iter()
            .flat_map(|overwrites| overwrites.keys())
            .filter_map(|target| match target {
                Target::Role(role) => Some(role),
                _ => None,
            }),
    );
}

fn own(emoji: Option<&EmojiReference>) -> Option<&Reference> {
    match emoji {
        Some(EmojiReference::Own(reference)) => Some(reference),
        _ => None,
    }
}
