//! Formats an error with its causes in one line, each cause once.
//!
//! Many errors print their cause and also return it as their source. With all sources printed, as anyhow's `{error:#}` does, such a
//! cause appears twice. Code that prints a chain of errors uses these functions.

use std::error::Error;

/// The text of an error and its causes, outermost first, separated by colons. A cause whose text is already contained is omitted.
///
/// ```
/// # use std::io;
/// let refused = io::Error::other("connection refused");
/// assert_eq!(arrakis_causes::causes(&refused), "connection refused");
/// ```
#[must_use]
pub fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    append(&mut text, error.source());
    text
}

/// The text of an error's causes without the error itself, for errors whose own text is useless or has secrets. `None` when it has
/// no cause.
#[must_use]
pub fn causes_below(error: &dyn Error) -> Option<String> {
    error.source().map(causes)
}

fn append(text: &mut String, mut source: Option<&dyn Error>) {
    while let Some(cause) = source {
        let more = cause.to_string();
        if !more.is_empty() && !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = cause.source();
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Printed {
        #[error("the frame is not JSON: {0}")]
        Twice(#[from] io::Error),
        #[error("cannot connect")]
        Once(#[source] io::Error),
        #[error("the session ended: {0}")]
        Nested(#[source] Box<Printed>),
        #[error("no cause")]
        Alone,
    }

    fn reset() -> io::Error {
        io::Error::from_raw_os_error(104)
    }

    #[test]
    fn each_cause_is_printed_once() {
        let inner = reset().to_string();
        for (error, text) in [
            (Printed::Twice(reset()), format!("the frame is not JSON: {inner}")),
            (Printed::Once(reset()), format!("cannot connect: {inner}")),
            (
                Printed::Nested(Box::new(Printed::Twice(reset()))),
                format!("the session ended: the frame is not JSON: {inner}"),
            ),
            (
                Printed::Nested(Box::new(Printed::Once(reset()))),
                format!("the session ended: cannot connect: {inner}"),
            ),
            (Printed::Alone, "no cause".to_owned()),
        ] {
            assert_eq!(causes(&error), text);
        }
    }

    #[test]
    fn causes_below_omit_the_error_itself() {
        assert_eq!(causes_below(&Printed::Once(reset())), Some(reset().to_string()));
        assert_eq!(causes_below(&Printed::Alone), None);
    }
}
