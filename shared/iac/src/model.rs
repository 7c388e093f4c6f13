//! The model of a Discord server: kinds, addresses, attributes, references.
//!
//! Configuration, state, live server and plan share it. An attribute that is `None` is not managed: it stays unchanged on the
//! server. References between resources are addresses; only apply resolves them to ids.

mod configuration;

pub use crate::kinds::{
    AfkTimeout, Attributes, AutoArchive, AutomodAction, AutomodPreset, AutomodRule, AutomodTrigger, Channel,
    ChannelKind, ContentFilter, Emoji, Event, EventLocation, ForumLayout, ListRequest, Locale, Notifications,
    Onboarding, OnboardingMode, OnboardingOption, OnboardingPrompt, PromptKind, Role, Server, SortOrder, Sticker,
    SystemMessage, Tag, TagMatch, Timestamp, TimestampError, Verification, VideoQuality, Webhook, WelcomeChannel,
    WelcomeScreen, case_folded_name, normalised_name,
};
pub use crate::values::{
    Address, AddressError, BrokenRule, Choice, Clearable, EmojiReference, ID_DIGITS, IdError, Image, ImageAttribute,
    ImageFormat, Kind, Kinds, LogicalName, LogicalNameError, Origin, Overwrite, Overwrites, PermissionNames, Reference,
    ReferenceError, RulePart, Snowflake, Target, TargetError, UnknownName, limits, permission_by_name,
    permission_names,
};
pub use configuration::{Configuration, Defaults, Resource, ThemeUse};
