//! Requests of other services, each checked by its signature.

mod slack;

pub(crate) use self::slack::{__path_slack, slack};
