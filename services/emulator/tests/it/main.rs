//! The emulator over HTTP and the gateway, as a bot uses it.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do: by panicking")]

mod control;
mod gateway;
mod libraries;
mod rest_support;
mod support;

mod rest_access;
mod rest_channels;
mod rest_commands;
mod rest_community;
mod rest_document;
mod rest_events;
mod rest_faults;
mod rest_files;
mod rest_forwards;
mod rest_interactions;
mod rest_limits;
mod rest_members;
mod rest_messages;
mod rest_openapi;
mod rest_references;
mod rest_roles;
mod rest_servers;
mod rest_small_routes;
mod rest_stickers;
mod rest_threads;
mod rest_twilight;
mod rest_values;
mod rest_webhooks;
