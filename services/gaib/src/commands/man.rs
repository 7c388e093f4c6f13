//! `gaib man`: the manual pages, generated from the argument definitions.

use std::path::Path;

use clap::CommandFactory as _;
use clap_mangen::Man;

use crate::arguments::Arguments;
use crate::context::Context;
use crate::error::{OrFail as _, Result};
use crate::exit::ExitStatus;

pub(super) fn run(context: &Context, out: Option<&Path>) -> Result<ExitStatus> {
    let mut command = Arguments::command().bin_name("gaib");
    command.build();
    if let Some(directory) = out {
        std::fs::create_dir_all(directory).or_fail(format_args!("create the folder {}", directory.display()))?;
        clap_mangen::generate_to(command, directory)
            .or_fail(format_args!("write the manual pages to {}", directory.display()))?;
        context
            .printer
            .note(&format!("Wrote the manual pages to {}.", directory.display()));
        return Ok(ExitStatus::Success);
    }
    let mut page = Vec::new();
    Man::new(command).render(&mut page).or_fail("render the manual page")?;
    context.printer.document(&String::from_utf8_lossy(&page));
    Ok(ExitStatus::Success)
}
