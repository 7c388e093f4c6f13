//! Times in the texts of `/health`.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A time to the second, in UTC.
pub(crate) fn moment(at: Option<OffsetDateTime>) -> String {
    let at = at.and_then(|at| at.replace_nanosecond(0).ok()?.format(&Rfc3339).ok());
    at.unwrap_or_else(|| "an unknown time".to_owned())
}
