//! Bots in unmodified third-party client libraries against the emulator: a check that is independent of the documents and of
//! twilight.
//!
//! Each library has a bot in `tests/libraries`, pointed at the emulator by the library's own options alone (`EMULATOR_API` is
//! the base without version, `EMULATOR_GATEWAY` the gateway for discord.py, which does not request its address). The bot prints a
//! line for what it sees and ends when its stdin does. Its part:
//!
//! 1. connect with a presence; print the server, its channels and roles as the library cached them; fetch the members;
//! 2. register `/spice amount`, change the presence, print `command registered`;
//! 3. on the command: defer, edit the answer, follow up with an embed and a button, print `command answered`;
//! 4. on the button: update the message, send one with a file, edit it, react to it, give the member the role Fremen;
//! 5. print roles that members gain, joins, and that the session was resumed.
//!
//! The test acts as the member, then drops the connection. The library's gateway payloads and REST calls are kept as a snapshot
//! without ids, and every REST exchange is checked against Discord's OpenAPI document where it is present.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests fail by panicking"
)]

mod install;
mod scene;
mod transcript;

use install::{Library, Registry};
use scene::play;

#[tokio::test]
async fn discord_js() {
    play(Library {
        name: "discord.js",
        version: "14.28.1",
        registry: Registry::Npm,
        bot: "discordjs.js",
    })
    .await;
}

#[tokio::test]
async fn eris() {
    play(Library {
        name: "eris",
        version: "0.18.0",
        registry: Registry::Npm,
        bot: "eris.js",
    })
    .await;
}

#[tokio::test]
async fn discord_py() {
    play(Library {
        name: "discord.py",
        version: "2.7.1",
        registry: Registry::Pypi,
        bot: "discordpy.py",
    })
    .await;
}

#[tokio::test]
async fn hikari() {
    play(Library {
        name: "hikari",
        version: "2.7.0",
        registry: Registry::Pypi,
        bot: "hikari_bot.py",
    })
    .await;
}

#[tokio::test]
async fn nextcord() {
    play(Library {
        name: "nextcord",
        version: "2.6.0",
        registry: Registry::Pypi,
        bot: "nextcord_bot.py",
    })
    .await;
}

#[tokio::test]
async fn py_cord() {
    play(Library {
        name: "py-cord",
        version: "2.8.1",
        registry: Registry::Pypi,
        bot: "pycord_bot.py",
    })
    .await;
}

#[tokio::test]
async fn interactions_py() {
    play(Library {
        name: "discord-py-interactions",
        version: "5.16.0",
        registry: Registry::Pypi,
        bot: "interactionspy_bot.py",
    })
    .await;
}
