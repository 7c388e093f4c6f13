//! What every command receives: output, confirmations and the environment.

use crate::arguments::GlobalArguments;
use crate::printer::Printer;
use crate::prompt::Prompt;
use crate::settings::Environment;

/// Output, confirmations and the environment of one run of gaib.
#[derive(Clone, Debug)]
pub struct Context {
    /// Writes to stdout and stderr.
    pub printer: Printer,
    /// Reads confirmations.
    pub prompt: Prompt,
    /// The environment variables.
    pub environment: Environment,
}

impl Context {
    /// The context of this process.
    pub fn new(printer: Printer, global: &GlobalArguments) -> Self {
        Self {
            printer,
            prompt: Prompt::new(printer, global.input),
            environment: Environment::of_process(),
        }
    }
}
