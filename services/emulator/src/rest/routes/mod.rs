//! The routes, one file per resource, each with its own table.
//!
//! To add a resource, add a file with `ROUTES` and its line in [`all`]. Handlers are plain functions: they read the call, take
//! the world's lock once, and return a response.

mod applications;
mod audit_log;
mod automod;
mod bans;
mod cdn;
mod channel_positions;
mod channels;
mod commands;
mod community;
mod compose;
mod emojis;
mod files;
mod followups;
mod forwards;
mod gateway;
mod guilds;
mod interactions;
mod members;
mod messages;
mod overwrites;
mod pins;
mod prune;
mod reactions;
mod roles;
mod scheduled_events;
mod sounds;
mod stickers;
mod thread_lists;
mod thread_members;
mod threads;
mod users;
mod voice_states;
mod webhook_messages;
mod webhooks;
mod widget;

use super::route::Route;

/// Every route below `/api/v10`.
#[must_use]
pub fn all() -> Vec<Route> {
    [
        gateway::ROUTES,
        users::ROUTES,
        applications::ROUTES,
        commands::ROUTES,
        interactions::ROUTES,
        webhook_messages::ROUTES,
        messages::ROUTES,
        reactions::ROUTES,
        pins::ROUTES,
        guilds::ROUTES,
        roles::ROUTES,
        channels::ROUTES,
        channel_positions::ROUTES,
        overwrites::ROUTES,
        threads::ROUTES,
        thread_members::ROUTES,
        thread_lists::ROUTES,
        members::ROUTES,
        bans::ROUTES,
        emojis::ROUTES,
        stickers::ROUTES,
        webhooks::ROUTES,
        automod::ROUTES,
        community::ROUTES,
        scheduled_events::ROUTES,
        audit_log::ROUTES,
        widget::ROUTES,
        prune::ROUTES,
        voice_states::ROUTES,
        sounds::ROUTES,
    ]
    .concat()
}

/// Routes of the content network, outside of `/api`.
pub const CDN: &[Route] = cdn::ROUTES;
