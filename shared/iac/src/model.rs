//! What a Discord server is made of: kinds, addresses, attributes, references.
//!
//! Owns the vocabulary that configuration, state, live server and plan share. An attribute that is `None` is not managed:
//! it is left as it is on the server. References between resources are symbolic; only apply turns them into ids.
//!
//! To add an attribute, add a field to its struct; serde, comparison and the list of names follow.

#[macro_use]
mod macros;

mod address;
mod attributes;
mod automod;
mod channel;
mod choice;
mod clearable;
mod community;
mod configuration;
mod defaults;
mod event;
mod expression;
pub mod limits;
mod names;
mod overwrite;
mod permissions;
mod reference;
mod role;
mod rule;
mod server;
mod snowflake;
mod webhook;

pub use address::{Address, AddressError, Key, KeyError, Kind};
pub use attributes::Attributes;
pub use automod::{AutomodAction, AutomodPreset, AutomodRule, AutomodTrigger};
pub use channel::{AutoArchive, Channel, ChannelKind, ForumLayout, SortOrder, Tag, TagMatch, VideoQuality};
pub use choice::{Choice, UnknownName};
pub use clearable::Clearable;
pub use community::{
    Onboarding, OnboardingMode, OnboardingOption, OnboardingPrompt, PromptKind, WelcomeChannel, WelcomeScreen,
};
pub use configuration::{Configuration, Origin, Resource, ThemeUse};
pub use defaults::{Defaults, WITHOUT_DEFAULT};
pub use event::{Event, EventPlace, Timestamp, TimestampError};
pub use expression::{Emoji, Image, Sticker};
pub use names::{folded_name, normalised_name, stored_name};
pub use overwrite::{Overwrite, Overwrites, Target, TargetError};
pub use permissions::{PermissionNames, permission_by_name, permission_names};
pub use reference::{EmojiReference, Reference, ReferenceError};
pub use role::Role;
pub use rule::{BrokenRule, Part};
pub use server::{AfkTimeout, ContentFilter, Locale, Notifications, Server, SystemMessage, Verification};
pub use snowflake::{ID_DIGITS, IdError, Snowflake};
pub use webhook::Webhook;
