//! `gaib completions SHELL`.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::arguments::Arguments;
use crate::context::Context;
use crate::error::Result;
use crate::exit::ExitStatus;

pub(super) fn run(context: &Context, shell: Shell) -> Result<ExitStatus> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "gaib", &mut script);
    context.printer.document(&String::from_utf8_lossy(&script));
    Ok(ExitStatus::Success)
}
