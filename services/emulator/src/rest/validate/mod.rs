//! Forms: what bots send, read and refused as Discord reads and refuses it.
//!
//! Owns the rules that need nothing but the body itself: kinds of values, lengths, choices, and how parts of one form
//! depend on each other. Rules that need the state of a server (does the role exist, may the bot do it) are the
//! routes' and the world's. Every reader collects all errors before it refuses, so that one answer names them all.
//! To add a form, add a file with a `read_…` function that takes a [`form::Form`].

pub mod automod;
pub mod channel;
pub mod channel_name;
pub mod command;
pub mod command_value;
pub mod community;
pub mod component;
pub mod component_v2;
pub mod embed;
pub mod form;
pub mod image;
pub mod message;
pub mod modal;
pub mod overwrite;
pub mod query;
pub mod role;
pub mod select;
pub mod sticker;
