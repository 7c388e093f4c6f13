//! Confirmations.
//!
//! A pipeline must never wait for an answer: with `--input=false`, with `--json` and with a closed stdin, a confirmation fails
//! with an error that names the option which replaces it. The question is printed once: by the error, or above it. A script may write the answer to a pipe. A signal that stops the command
//! counts as an answer other than the expected one, so that the command releases its locks.

use std::io::{BufRead as _, IsTerminal as _};

use tokio::sync::oneshot;

use crate::error::{Failure, Result};
use crate::interruption::Interruption;
use crate::printer::Printer;

/// Reads confirmations from stdin.
#[derive(Clone, Debug)]
pub struct Prompt {
    printer: Printer,
    input: bool,
    interruption: Interruption,
}

impl Prompt {
    /// Prompts on stderr through `printer`; `input` is the value of `--input`. `interruption` ends a prompt.
    pub const fn new(printer: Printer, input: bool, interruption: Interruption) -> Self {
        Self {
            printer,
            input,
            interruption,
        }
    }

    /// Prints `question` and waits for the answer `yes`.
    ///
    /// # Errors
    /// When prompts are disabled or no answer can be read: then `alternative` is the advice. When the answer is not `yes`.
    pub async fn confirm(&self, question: &str, alternative: &str) -> Result<()> {
        match self.accepts(question, "yes", alternative).await? {
            true => Ok(()),
            false => Err(Failure::new("Cancelled: nothing was changed.")),
        }
    }

    /// Prints `question` and `label`, and waits for a line that is not empty.
    ///
    /// # Errors
    /// When prompts are disabled or no answer can be read: then `alternative` is the advice. When the answer is empty, or a signal stops the
    /// command.
    pub async fn ask(&self, question: &str, label: &str, alternative: &str) -> Result<String> {
        match self.answer(question, label, alternative).await? {
            Some(answer) if !answer.trim().is_empty() => Ok(answer.trim().to_owned()),
            _ => Err(Failure::new("Cancelled: nothing was changed.")),
        }
    }

    /// Prints `question` and waits for the answer `expected`. False for any other answer, and after a signal that stops the command.
    ///
    /// # Errors
    /// When prompts are disabled or no answer can be read: then `alternative` is the advice.
    pub async fn accepts(&self, question: &str, expected: &str, alternative: &str) -> Result<bool> {
        let label = format!("Only `{expected}` is accepted: ");
        let answer = self.answer(question, &label, alternative).await?;
        Ok(answer.is_some_and(|answer| answer.trim() == expected))
    }

    /// Prints `question` and `label`, and reads a line; `None` after a signal that stops the command.
    async fn answer(&self, question: &str, label: &str, alternative: &str) -> Result<Option<String>> {
        let disabled = |reason: &str| Failure::new(format!("{question} {reason}")).help(alternative);
        if !self.input {
            return Err(disabled("Prompts are disabled (--input=false)."));
        }
        if self.printer.is_json() {
            return Err(disabled("Prompts are disabled with --json."));
        }
        if self.interruption.is_cancelled() {
            return Ok(None);
        }
        // Also before the first lock: a signal that ends the process would leave open whether something was changed.
        self.interruption.listen(self.printer);
        self.printer.prompt(&format!("{question}\n  {label}"));
        let read = tokio::select! {
            biased;
            () = self.interruption.cancelled() => return Ok(None),
            read = read_line() => read,
        };
        if !std::io::stdin().is_terminal() {
            // A terminal echoes the newline of the answer; a pipe does not.
            self.printer.prompt("\n");
        }
        match read {
            Ok(Some(answer)) => Ok(Some(answer)),
            // The question is printed already, right above the error.
            Ok(None) => Err(Failure::new("No answer was read: stdin is closed.").help(alternative)),
            Err(error) => Err(Failure::new(format!("The answer could not be read: {error}.")).help(alternative)),
        }
    }
}

/// A line of stdin; `None` at its end. A thread of its own reads it, which no signal ends: after one it stays until the process ends, and
/// a thread of the runtime would keep the process from ending.
async fn read_line() -> std::io::Result<Option<String>> {
    let (sender, receiver) = oneshot::channel();
    let read = move || {
        let mut answer = String::new();
        let read = std::io::stdin().lock().read_line(&mut answer);
        // After a signal, no receiver is left.
        let _ = sender.send(read.map(|bytes| (bytes > 0).then_some(answer)));
    };
    std::thread::Builder::new().name("stdin".to_owned()).spawn(read)?;
    let ended = |_| Err(std::io::Error::other("the thread that reads stdin has ended"));
    receiver.await.unwrap_or_else(ended)
}
