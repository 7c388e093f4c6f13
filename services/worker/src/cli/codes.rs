//! Codes of a second factor that an operator types.

use std::io::{self, BufRead as _};

use anyhow::{Context as _, bail};
use arrakis_security::mfa::TypedCode;

use super::output::report;

/// Reads a line of standard input, while nothing else runs.
///
/// # Errors
/// Standard input is closed, or cannot be read.
pub(super) fn read_code(prompt: &str) -> anyhow::Result<String> {
    report(prompt);
    let mut line = String::new();
    let bytes = io::stdin().lock().read_line(&mut line).context("reading the code")?;
    if bytes == 0 {
        bail!("no code was read: standard input is closed");
    }
    Ok(line)
}

/// Refuses a text that is no code: it would be counted as a wrong one.
///
/// # Errors
/// The text is neither six digits nor a backup code.
pub(super) fn require_form(code: &str) -> anyhow::Result<()> {
    if TypedCode::read(code).is_none() {
        bail!(
            "a code is six digits, or a backup code such as abcd-efgh-ijkl-mnop; this text was not counted as a wrong code"
        );
    }
    Ok(())
}
