//! Discord's objects as plain data, each with the JSON of Discord's documentation.
//!
//! Owns shape and serialization, and no rules: `rest` decides whether a value is allowed, `world` what a change does. To add an
//! object, add a file with its struct and the link to its page in Discord's documentation.

pub mod audit;
pub mod automod;
pub mod channel;
pub mod command;
pub mod community;
pub mod emoji;
pub mod guild;
pub mod intents;
pub mod interaction;
pub mod member;
pub mod message;
pub mod permissions;
pub mod role;
pub mod scheduled_event;
pub mod sticker;
pub mod user;
pub mod webhook;

pub use arrakis_emulator_client::{Id, InteractionState, Timestamp};
pub use audit::{AuditAction, AuditEntry, Change};
pub use automod::AutomodRule;
pub use channel::{Channel, ChannelKind, ForumTag, Overwrite, OverwriteKind, ThreadMember, ThreadState};
pub use command::{Command, CommandChoice, CommandOption};
pub use community::{Onboarding, OnboardingOption, OnboardingPrompt, WelcomeChannel, WelcomeScreen};
pub use emoji::Emoji;
pub use guild::{Ban, Guild};
pub use intents::Intents;
pub use interaction::{Interaction, InteractionKind};
pub use member::{Member, MemberView};
pub use message::{Attachment, Author, Embed, Message, Reaction};
pub use permissions::Permissions;
pub use role::{Role, RoleColors, RoleTags};
pub use scheduled_event::ScheduledEvent;
pub use sticker::{Sticker, StickerFormat};
pub use user::User;
pub use webhook::Webhook;
