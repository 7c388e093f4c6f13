//! Questions, and who may be asked.
//!
//! Owns the rule that a pipeline is never left hanging: without a terminal on stdin, or with `--input=false`, a question
//! is a failure that names the option which answers it beforehand. A script may still write the answer into a pipe, as
//! long as `--input` is not off.

use std::io::{BufRead as _, IsTerminal as _};

use crate::error::{Failure, Result};
use crate::printer::Printer;

/// Asks; only `yes` counts as consent.
#[derive(Clone, Copy, Debug)]
pub struct Prompt {
    printer: Printer,
    input: bool,
}

impl Prompt {
    /// Asks by `printer`; `input` is the value of `--input`.
    pub const fn new(printer: Printer, input: bool) -> Self {
        Self { printer, input }
    }

    /// Asks for `yes`.
    ///
    /// # Errors
    /// When nobody may be asked (`instead` says how to consent beforehand), or the answer is another one.
    pub fn confirm(self, question: &str, expected: &str, instead: &str) -> Result<()> {
        let refused = |why: &str| Failure::new(format!("{question} {why}")).help(instead);
        if !self.input {
            return Err(refused("Questions are off (--input=false)."));
        }
        if self.printer.is_json() {
            return Err(refused("Questions are off with --json."));
        }
        self.printer
            .prompt(&format!("{question}\n  Only `{expected}` is accepted: "));
        let mut answer = String::new();
        let read = std::io::stdin().lock().read_line(&mut answer);
        if !std::io::stdin().is_terminal() {
            // Nobody's Enter ended the line.
            self.printer.prompt("\n");
        }
        match read {
            Ok(0) => Err(refused("There was no answer (stdin is closed).")),
            Ok(_) if answer.trim() == expected => Ok(()),
            Ok(_) => Err(Failure::new("Cancelled: nothing was changed.")),
            Err(error) => Err(refused(&format!("The answer could not be read: {error}."))),
        }
    }
}
