//! Incoming webhooks.

use super::{Image, Reference};

attributes! {
    /// An incoming webhook. Its token is a secret and never part of configuration or state.
    pub struct Webhook {
        /// Name under which it writes, 1 to 80 characters, without `clyde` and `discord`.
        name: String,
        /// The channel it writes to.
        channel: Reference,
        /// The picture beside its messages.
        avatar: Image,
    }
}
