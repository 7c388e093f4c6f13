//! `discord-emulator`: see `discord-emulator --help`.

fn main() {}
