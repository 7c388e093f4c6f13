//! `arrakis-worker`: see `arrakis-worker --help`.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    arrakis_worker::run(arrakis_worker::Arguments::parse())
}
