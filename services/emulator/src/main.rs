//! `discord-emulator`: see `discord-emulator --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    discord_emulator::cli::run()
}
