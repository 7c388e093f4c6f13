//! What every command receives: output, confirmations, signals and the environment.

use crate::arguments::GlobalArguments;
use crate::interruption::Interruption;
use crate::printer::Printer;
use crate::prompt::Prompt;
use crate::settings::Environment;

/// Output, confirmations, signals and the environment of one run of gaib.
#[derive(Clone, Debug)]
pub struct Context {
    /// Writes to stdout and stderr.
    pub printer: Printer,
    /// Reads confirmations.
    pub prompt: Prompt,
    /// Signals that stop the command.
    pub interruption: Interruption,
    /// The environment variables.
    pub environment: Environment,
}

impl Context {
    /// The context of this process.
    pub fn new(printer: Printer, global: &GlobalArguments) -> Self {
        let interruption = Interruption::default();
        Self {
            printer,
            prompt: Prompt::new(printer, global.input, interruption.clone()),
            interruption,
            environment: Environment::of_process(),
        }
    }
}
