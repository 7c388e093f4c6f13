//! `arrakis-discord-proxy`: see `arrakis-discord-proxy --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    match arrakis_runtime::parse_arguments() {
        Ok(arguments) => arrakis_discord_proxy::run(arguments),
        Err(exit_code) => exit_code,
    }
}
