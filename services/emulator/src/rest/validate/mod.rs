//! Forms of requests, read and refused as Discord does.
//!
//! Owns the rules that need only the body: types of values, lengths, choices, and dependencies between parts of a form. Rules
//! that need the state of a server (whether a role exists, permissions) are in the routes and the world. Every reader collects
//! all errors before it refuses, so that one response lists them all. To add a form, add a file with a `read_…` function that
//! takes a [`form::Form`].

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
