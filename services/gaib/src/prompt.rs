//! Confirmations.
//!
//! A pipeline must never wait for an answer: with `--input=false`, with `--json` and with a closed stdin, a confirmation fails
//! with an error that names the option which replaces it. A script may write the answer to a pipe.

use std::io::{BufRead as _, IsTerminal as _};

use crate::error::{Failure, Result};
use crate::printer::Printer;

/// Reads confirmations from stdin.
#[derive(Clone, Copy, Debug)]
pub struct Prompt {
    printer: Printer,
    input: bool,
}

impl Prompt {
    /// Prompts on stderr through `printer`; `input` is the value of `--input`.
    pub const fn new(printer: Printer, input: bool) -> Self {
        Self { printer, input }
    }

    /// Prints `question` and waits for the answer `yes`.
    ///
    /// # Errors
    /// When prompts are disabled or no answer can be read: then `alternative` is the advice. When the answer is not `yes`.
    pub fn confirm(self, question: &str, alternative: &str) -> Result<()> {
        match self.accepts(question, "yes", alternative)? {
            true => Ok(()),
            false => Err(Failure::new("Cancelled: nothing was changed.")),
        }
    }

    /// Prints `question` and waits for the answer `expected`. False for any other answer.
    ///
    /// # Errors
    /// When prompts are disabled or no answer can be read: then `alternative` is the advice.
    pub fn accepts(self, question: &str, expected: &str, alternative: &str) -> Result<bool> {
        let refused = |reason: &str| Failure::new(format!("{question} {reason}")).help(alternative);
        if !self.input {
            return Err(refused("Prompts are disabled (--input=false)."));
        }
        if self.printer.is_json() {
            return Err(refused("Prompts are disabled with --json."));
        }
        self.printer
            .prompt(&format!("{question}\n  Only `{expected}` is accepted: "));
        let mut answer = String::new();
        let read = std::io::stdin().lock().read_line(&mut answer);
        if !std::io::stdin().is_terminal() {
            // A terminal echoes the newline of the answer; a pipe does not.
            self.printer.prompt("\n");
        }
        match read {
            Ok(0) => Err(refused("No answer was read: stdin is closed.")),
            Ok(_) => Ok(answer.trim() == expected),
            Err(error) => Err(refused(&format!("The answer could not be read: {error}."))),
        }
    }
}
