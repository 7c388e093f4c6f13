//! `arrakis-discord-proxy`: see `arrakis-discord-proxy --help`.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    arrakis_discord_proxy::run(arrakis_discord_proxy::Arguments::parse())
}
